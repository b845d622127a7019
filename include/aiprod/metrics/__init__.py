"""What the ledger knows, as cumulative series that any number of sinks may read."""

from __future__ import annotations

from aiprod.budgets import day_window
from aiprod.catalog import Catalog
from aiprod.ledger import Ledger, caps, health, points
from aiprod.ledger.engine import now as database_now
from aiprod.models import USD

__all__ = ["push"]

#: Points folded per transaction; a longer queue takes more transactions, not a longer one.
_BATCH = 5_000


def push(ledger: Ledger, catalog: Catalog) -> int:
    """Fold waiting points into their series and refresh the gauges; return how many points were folded.

    Series are cumulative, so doing it twice, or losing power in between, counts nothing twice.
    """
    with ledger.write() as conn:
        now = database_now(conn)
        day, _, _ = day_window(now, catalog.zone)
        today = caps.balance(conn, "day", f"{day.isoformat()}@{catalog.budgets.zone}")
        points.emit(conn, "spend_today", (today.reserved + today.settled) / USD if today else 0.0, now=now)
        for name in catalog.vendors:
            points.emit(conn, "backend_up", 1.0 if health.up(conn, name) else 0.0, now=now, backend=name)
    folded = 0
    while True:
        with ledger.write() as conn:
            batch = points.fold(conn, limit=_BATCH)
        folded += batch
        if batch < _BATCH:
            return folded
