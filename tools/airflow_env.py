"""The settings of one local Airflow, as the environment its processes start with."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import processes

CHECKOUT = Path(__file__).resolve().parents[1]

#: One core runs two tasks well; more only wait for each other. SQLite at the default of 32 locks up.
PARALLELISM = 4


def new_secrets() -> dict[str, str]:
    """Return the keys that the components of one instance share, made for it alone."""
    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment without the settings of any other Airflow."""
    return {name: value for name, value in environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW"))}


def settings(home: Path, *, port: int, dags: Path, plugins: Path, python_path: Sequence[Path] = ()) -> dict[str, str]:
    """Return the settings of the instance in `home`, its secrets excepted."""
    url = f"http://127.0.0.1:{port}"
    path = [CHECKOUT / "include", plugins, *python_path, CHECKOUT]
    return {
        processes.MARK: str(home),
        # Without it a process title overwrites the environment in /proc, and with it the mark.
        "SPT_NOENV": "1",
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in path),
        "PYTHONUNBUFFERED": "1",
        # Tasks ask the API server on loopback; a proxy cannot reach it.
        "NO_PROXY": ",".join(filter(None, ["127.0.0.1", "localhost", os.environ.get("NO_PROXY", "")])),
        "no_proxy": ",".join(filter(None, ["127.0.0.1", "localhost", os.environ.get("no_proxy", "")])),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        # Everybody who reaches the port is admin; only loopback reaches it.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        # The button of our own connection types; off by default, for it sends keys where whoever presses it says.
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "tools.sqlite_settings.connect_args",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "tools.sqlite_settings.connect_args_async",
        # The steps of a run follow each other; a scheduler that sleeps a second adds one to every step.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
        # A worker that sees a task's pipes close before its end looks again after this long, 5 s by default. It did in a
        # third of all tasks: the slot stood empty, and the report that the first leg was over hit the resumed task.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
