"""The library's pipeline as Airflow runs it: keys from its connections, files through its object storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from structlog.contextvars import bound_contextvars

from aiprod import logs, settings
from aiprod.errors import ConfigError
from aiprod.pipeline import Pipeline
from aiprod.storage import Storage
from aiprod_airflow.hooks.connections import offer_connections, offer_connections_to_server

if TYPE_CHECKING:
    from upath import UPath

__all__ = ["pipeline", "serving_pipeline"]


def pipeline() -> Pipeline:
    """Return a pipeline of this process's ledger and catalogue. Vendors' keys come from the environment, else from Airflow.

    What log lines are about becomes fields of Airflow's logs. `AIPROD_STORAGE_URL` may name an Airflow connection as its
    user: `gs://my_conn@bucket/prefix`.
    """
    offer_connections()
    logs.offer(bound_contextvars)
    return Pipeline(open_storage=_storage)


def serving_pipeline() -> Pipeline:
    """The same for requests in the api-server."""
    offer_connections_to_server()
    return Pipeline(open_storage=_storage)


def _storage() -> Storage:
    # Not at the top: it loads every file system Airflow knows, and most tasks touch no file.
    from airflow.sdk import ObjectStoragePath

    url = settings.storage_url()
    root = ObjectStoragePath(url)
    try:
        root.fs  # noqa: B018 - opened now: its absence is a mistake in the configuration, not in a task
    except (ValueError, ImportError) as error:
        raise ConfigError(
            f"AIPROD_STORAGE_URL={url}: {error}; install the Airflow provider that brings this file system, "
            "for gs:// apache-airflow-providers-google"
        ) from None
    # A universal path in all but its base class.
    return Storage(cast("UPath", root))
