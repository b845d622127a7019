"""The sinks that are configured: the ledger always, others by name."""

from __future__ import annotations

from collections.abc import Callable

from aiprod import settings
from aiprod.errors import ConfigError
from aiprod.ledger import Ledger
from aiprod.metrics.sinks import LedgerSink, Sink

__all__ = ["SINKS", "sinks_of"]


def _cloud_monitoring(ledger: Ledger) -> Sink:
    from aiprod.metrics.google import CloudMonitoring

    return CloudMonitoring(ledger)


def _otlp(ledger: Ledger) -> Sink:
    from aiprod.metrics.otlp import OpenTelemetry

    return OpenTelemetry(ledger, settings.otlp_endpoint())


#: Imported when asked for: what a client library costs, only who uses it pays.
SINKS: dict[str, Callable[[Ledger], Sink]] = {"cloud_monitoring": _cloud_monitoring, "otlp": _otlp}


def sinks_of(ledger: Ledger) -> list[Sink]:
    """Return the sinks of this deployment. Raises `ConfigError` for a name nobody knows."""
    names = settings.metrics_sinks()
    strangers = [name for name in names if name not in SINKS]
    if strangers:
        raise ConfigError(f"AIPROD_METRICS_SINKS: no sink is called {strangers[0]!r}; known: {', '.join(SINKS)}")
    return [LedgerSink(ledger), *(SINKS[name](ledger) for name in names)]
