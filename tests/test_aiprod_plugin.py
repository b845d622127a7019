"""What Airflow's plugin loader gets to see of us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.airflow_home import HOME  # before Airflow is imported

# isort: split
from airflow.api_fastapi.app import RESERVED_URL_PREFIXES
from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse

from aiprod.errors import ConfigError
from aiprod_plugin import AiprodPlugin

ROOT = Path(__file__).parents[1]


def test_it_is_called_aiprod() -> None:
    assert AiprodPlugin.name == "aiprod"


def test_airflow_lists_it() -> None:
    """A plugin that does not fit this model silently drops out of Airflow's list, with everything it brings."""
    plugin = AiprodPlugin()
    shown = {name: getattr(plugin, name) for name in PluginResponse.model_fields if hasattr(plugin, name)}
    # As its own list does.
    shown["fastapi_apps"] = [{**one, "app": str(one["app"])} for one in plugin.fastapi_apps]
    shown["fastapi_root_middlewares"] = [
        {**one, "middleware": str(one["middleware"])} for one in shown["fastapi_root_middlewares"]
    ]

    assert PluginResponse.model_validate({**shown, "source": "aiprod_plugin.py"}).name == "aiprod"


def test_it_uses_nothing_that_keeps_the_api_server_from_starting() -> None:
    """One of these makes Airflow 3.3 demand the FAB provider."""
    plugin = AiprodPlugin()

    assert not any((plugin.appbuilder_views, plugin.appbuilder_menu_items, plugin.flask_blueprints))


def test_the_api_is_made_when_it_is_asked_for_and_not_before() -> None:
    """Every process of Airflow's loads the plugin; only the api-server serves anything."""
    probe = "import sys; from aiprod_plugin import AiprodPlugin; AiprodPlugin(); print('aiprod_airflow.api.app' in sys.modules)"
    env = {"PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}", "AIRFLOW_HOME": HOME, "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=env)

    assert done.stdout.splitlines()[-1:] == ["False"], done.stderr


@pytest.mark.parametrize(
    ("ledger", "airflows", "named"),
    [
        ("sqlite:////var/ledger.db", "postgresql+psycopg2://u@db/airflow", "The ledger is on SQLite"),
        ("postgresql://u@db/aiprod", "sqlite:////opt/airflow/airflow.db", "Airflow's own database is on SQLite"),
    ],
)
def test_with_tasks_on_several_machines_no_api_server_starts_on_a_file(
    monkeypatch: pytest.MonkeyPatch, ledger: str, airflows: str, named: str
) -> None:
    """Airflow 3.3 itself says nothing; without an api-server none of its tasks runs."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", airflows)
    monkeypatch.setenv("AIPROD_DATABASE_URL", ledger)
    with pytest.raises(ConfigError, match=named):
        AiprodPlugin().fastapi_apps  # noqa: B018 - asking is what starts it


def test_it_is_mounted_where_airflow_lets_it() -> None:
    (one,) = AiprodPlugin().fastapi_apps

    assert one["url_prefix"] == "/aiprod"
    assert not any(one["url_prefix"].startswith(prefix) for prefix in RESERVED_URL_PREFIXES)


def test_the_studio_is_in_the_navigation_and_on_every_run() -> None:
    views = {view["destination"]: view for view in AiprodPlugin().external_views}

    assert set(views) == {"nav", "dag_run"}
    assert views["nav"]["href"] == "/aiprod/studio"
    assert views["dag_run"]["href"] == "/aiprod/studio/run?run_id={RUN_ID}"
    assert len({view["url_route"] for view in views.values()}) == 2
