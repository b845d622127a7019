"""The one file Airflow's plugin loader runs, in every process. Keep it almost empty."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class AiprodPlugin(AirflowPlugin):
    """Announces AIPROD to Airflow; operators and triggers are ordinary imports."""

    name = "aiprod"
