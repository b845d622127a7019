"""A local Airflow is its own: no setting, secret or port of another one."""

from __future__ import annotations

from pathlib import Path

from tools import airflow_env


def settings(tmp_path: Path) -> dict[str, str]:
    return airflow_env.settings(tmp_path, port=12345, dags=tmp_path / "dags", plugins=tmp_path / "plugins")


def test_the_settings_of_another_airflow_do_not_get_in():
    theirs = {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor", "AIRFLOW_HOME": "/srv/airflow", "_AIRFLOW_X": "1", "PATH": "/bin"}
    assert airflow_env.inherited(theirs) == {"PATH": "/bin"}


def test_two_instances_share_no_secret():
    first, second = airflow_env.new_secrets(), airflow_env.new_secrets()
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())


def test_everybody_is_admin_only_where_nobody_else_gets_in(tmp_path):
    made = settings(tmp_path)
    assert made["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "True"
    assert made["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_tasks_are_told_the_port_that_is_served(tmp_path):
    made = settings(tmp_path)
    assert made["AIRFLOW__API__PORT"] == "12345"
    assert made["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:12345/execution/"
    assert made["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:12345"


def test_a_proxy_of_the_machine_is_not_asked_for_loopback(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    assert settings(tmp_path)["NO_PROXY"].split(",") == ["127.0.0.1", "localhost", "intranet.example"]


def test_every_file_is_under_its_home(tmp_path):
    made = settings(tmp_path)
    for name in (
        "AIRFLOW_HOME",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY",
    ):
        assert made[name].startswith(str(tmp_path))
    assert made["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{tmp_path}/airflow.db"
