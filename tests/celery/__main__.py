"""The trial on Celery by hand; makes what it needs below `var/`, and says what came of it.

PYTHONPATH=include:plugins .venv/bin/python -m tests.celery
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.celery import environment, trial


def main() -> int:
    """Return 0 when every job was delivered and nothing was lost, doubled or overspent."""
    # Whoever ends this ends everything it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if "apt-get" in environment.lacks():
        print(environment.lacks(), file=sys.stderr)
        return 2
    environment.make()
    folder = Path(tempfile.mkdtemp(prefix="aiprod-celery-"))
    try:
        verdict = trial.run(folder)
    except BaseException:
        print(f"What is left is in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    print(json.dumps(verdict.report(), indent=2))
    return 0 if verdict.delivered == verdict.jobs and not verdict.findings else 1


if __name__ == "__main__":
    sys.exit(main())
