"""One hook per vendor, for Airflow's connection form: its *Test* button asks the vendor, and spends nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import BaseHook
from airflow.sdk._shared.module_loading import import_string

from aiprod.backends import Backend
from aiprod.backends.keys import Keys
from aiprod.catalog import catalog
from aiprod.errors import BackendError, ConfigError
from aiprod.models import Checkup
from aiprod_airflow.hooks.fields import values

__all__ = ["ReplicateHook", "RunwayHook", "Veo3Hook"]


class _VendorHook(BaseHook):
    """A connection whose keys are those of one backend."""

    backend: ClassVar[str]
    default_conn_name: ClassVar[str]
    conn_name_attr = "aiprod_conn_id"

    def __init__(self, aiprod_conn_id: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aiprod_conn_id = aiprod_conn_id or self.default_conn_name

    def get_conn(self) -> Backend:
        """Return the vendor's adapter with this connection's keys and with nothing of the environment.

        Raises `ConfigError` when there is no adapter or the connection lacks what it needs.
        """
        entry = catalog().backends[self.backend]
        if entry.adapter is None:
            raise ConfigError(f"{self.backend}: this release has no adapter for it")
        connection = self.get_connection(self.aiprod_conn_id)
        known = Keys(values(self.backend, connection, needs=entry.needs))
        missing = [name for name in entry.needs if name not in known]
        if missing:
            raise ConfigError(f"{self.backend}: the connection says nothing that could be {', '.join(missing)}")
        adapter: type[Backend] = import_string(entry.adapter.replace(":", "."))
        return type(adapter.__name__, (adapter,), {"keys": known})(self.backend, entry)

    def test_connection(self) -> tuple[bool, str]:
        """Ask the vendor how the account stands. Costs nothing."""
        try:
            told = self.get_conn().checkup()
        except (BackendError, ConfigError) as error:
            return False, str(error)
        return told.authenticated != "no", _said(told)


def _said(told: Checkup) -> str:
    words = {"yes": "The key is good", "no": "The key was refused", "unknown": "The vendor did not say whether the key is good"}
    retired = [f"not offered any more: {', '.join(told.retired)}"] if told.retired else []
    return "; ".join([words[told.authenticated], *filter(None, [told.left]), *retired, *told.notes])


class RunwayHook(_VendorHook):
    """An account at Runway."""

    backend = "runway"
    conn_type = default_conn_name = "aiprod_runway"
    hook_name = "AIPROD: Runway"


class Veo3Hook(_VendorHook):
    """A project at Google that may use Veo 3."""

    backend = "veo3"
    conn_type = default_conn_name = "aiprod_veo3"
    hook_name = "AIPROD: Google Veo 3"


class ReplicateHook(_VendorHook):
    """An account at Replicate."""

    backend = "replicate"
    conn_type = default_conn_name = "aiprod_replicate"
    hook_name = "AIPROD: Replicate"
