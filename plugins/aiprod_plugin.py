"""The one file Airflow's plugin loader runs, in every process. Keep it almost empty."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

_Scope = MutableMapping[str, Any]
_App = Callable[[_Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class RootApp:
    """Tells our API which application it is mounted in: it asks Airflow's own API there, in the same process."""

    def __init__(self, app: _App) -> None:
        self.app = app

    async def __call__(
        self, scope: _Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] in ("http", "websocket"):
            scope.setdefault("state", {})["aiprod_root_app"] = scope["app"]
        await self.app(scope, receive, send)


class AiprodPlugin(AirflowPlugin):
    """Announces AIPROD to Airflow; operators and triggers are ordinary imports."""

    name = "aiprod"
    fastapi_root_middlewares = [{"middleware": RootApp, "args": [], "kwargs": {}, "name": "aiprod root app"}]  # noqa: RUF012 - Airflow declares it so

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The studio in Airflow's navigation, and a tab on every run. A word Airflow does not know here would hide the plugin."""
        from airflow.configuration import conf

        # Behind a base path everything moves with it.
        base = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + "/aiprod/studio"
        icons = {"icon": f"{base}/static/icon.svg", "icon_dark_mode": f"{base}/static/icon-dark.svg"}
        nav = {"name": "Studio", "href": base, "url_route": "studio", "destination": "nav", "nav_top_level": True}
        run = {"name": "Video", "href": f"{base}/run?run_id={{RUN_ID}}", "url_route": "studio_run", "destination": "dag_run"}
        return [{**nav, **icons}, {**run, **icons}]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Made when the api-server asks; schedulers, workers and triggerers never do.

        Raises `ConfigError` where files would stand in for databases that several machines share. That keeps the api-server
        from starting, and without one no task of Airflow's runs.
        """
        from airflow.configuration import conf

        from aiprod import settings
        from aiprod_airflow.api.app import create_app

        settings.require_distributed_safe(
            conf.get("core", "executor"), airflow_database=conf.get("database", "sql_alchemy_conn", fallback="")
        )
        return [{"name": "AIPROD", "app": create_app(), "url_prefix": "/aiprod"}]
