"""The studio's pages as the API's tests see the API: Airflow's own application, its real users, a ledger per test."""

from __future__ import annotations

from tests.aiprod_airflow.api.conftest import _api_catalogue, _mute_catalogue, airflow_app, api, mute

__all__ = ["_api_catalogue", "_mute_catalogue", "airflow_app", "api", "mute"]
