"""Import this before Airflow: it gives the test process a home of its own, deleted at its end."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile

__all__ = ["HOME"]

#: Airflow writes its settings here when it is first imported.
HOME = tempfile.mkdtemp(prefix="aiprod-test-airflow-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = HOME
# Without a word on it, Airflow reports its use to its makers.
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"
# Its own would be too short for its own taste, and every token would warn.
os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] = secrets.token_urlsafe(64)
