"""Airflow's own api-server in this process, with our plugin in it, its real users and tokens, and a ledger per test."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airflow_home import HOME

# isort: split
import airflow.settings  # noqa: TID251 - it read where plugins are when Airflow was first imported
from airflow import plugins_manager
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from fastapi import FastAPI

from aiprod.ledger import open_ledger
from tests import vendor
from tests.aiprod_airflow.api.people import API
from tests.auditor import audit
from tests.catalogue import write_catalogue
from tools import airflow_env, metadata_db

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def airflow_app() -> FastAPI:
    """The application that `airflow api-server` serves, the plugin loaded by Airflow's own loader; made once."""
    metadata_db.provide(Path(HOME) / "airflow.db", {**airflow_env.inherited(os.environ), "AIRFLOW_HOME": HOME})
    airflow.settings.PLUGINS_FOLDER = str(CHECKOUT / "plugins")  # noqa: TID251
    for once in (plugins_manager._get_plugins, plugins_manager.get_fastapi_plugins):
        once.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = create_app(apps="core")
        DagBundlesManager().sync_bundles_to_db()
        sync_bag_to_db(DagBag(dag_folder=str(CHECKOUT / "dags"), safe_mode=False), "dags-folder", None)
    return app


@pytest.fixture(scope="session")
def _api_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scripted vendors, a project of two, and a preset that wants two people."""
    folder = write_catalogue(
        tmp_path_factory.mktemp("api") / "config",
        strikes=10_000,
        presets={"presets": {"premium_spot": {"approver_differs": True}}},
    )
    (folder / "projects.yaml").write_text("projects: {acme: {members: [alice, bob]}}\norders_per_minute: 30\n")
    return folder


@pytest.fixture(scope="session")
def _mute_catalogue(_api_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_catalogue(tmp_path_factory.mktemp("mute") / "config", vendors="MuteVendor", strikes=10_000)
    (folder / "projects.yaml").write_text((_api_catalogue / "projects.yaml").read_text())
    return folder


@pytest.fixture
def mute(api: API, _mute_catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendors that cannot be asked for a lost request."""
    monkeypatch.setenv("AIPROD_CONFIG_DIR", str(_mute_catalogue))


@pytest.fixture
def api(
    airflow_app: FastAPI,
    _api_catalogue: Path,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    door_open: None,
) -> Iterator[API]:
    """The API over an empty ledger."""
    monkeypatch.setenv("AIPROD_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("AIPROD_CONFIG_DIR", str(_api_catalogue))
    monkeypatch.setenv("AIPROD_STREAM_SECONDS", "0.2")
    monkeypatch.setenv(vendor.BOOKS, str(tmp_path / "books"))
    (tmp_path / "books").mkdir()
    opened = open_ledger()
    made = API(airflow_app, opened, _token)
    yield made
    made.ours.dependency_overrides.clear()
    with opened.read() as conn:
        assert audit(conn) == []


def _token(name: str, role: str) -> str:
    return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role)))
