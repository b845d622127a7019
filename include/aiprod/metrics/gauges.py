"""The gauges, read off the ledger as it stands now, and the series that begin at zero."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from aiprod.backends import backend, why_not_configured
from aiprod.catalog import Catalog
from aiprod.errors import AiprodError, FailureKind
from aiprod.ledger import Connection, Ledger, cursors, health, leases, points, readings, standings
from aiprod.ledger.engine import now as database_now
from aiprod.models import USD
from aiprod.pricing import old_prices

__all__ = ["Reading", "ask_for_credits", "refresh", "seeds"]

log = logging.getLogger(__name__)

#: How often vendors are asked what is left on the account.
CREDITS_EVERY = timedelta(minutes=10)
#: Troubles of a sink or a backend, which end with it.
_OVER = ("old_prices", "series_quarantined")


class Reading(NamedTuple):
    """What a gauge shows now."""

    name: str
    labels: Mapping[str, str]
    value: float


def refresh(ledger: Ledger, catalog: Catalog, sinks: Sequence[str]) -> int:
    """Write a point for every gauge that changed, and begin series that have not begun; return how many points."""
    with ledger.read() as conn:
        now = database_now(conn)
        series = points.series(conn)
        known = {(s.name, points.labels_key(s.labels)): s.last for s in series}
        shown = [*_readings(conn, catalog, sinks, now=now)]
        read = {(r.name, points.labels_key(r.labels)) for r in shown}
        # Trouble ends with what is not configured any more: else its alert would stand for ever.
        over = (Reading(s.name, s.labels, 0) for s in series if s.name in _OVER)
        shown += [r for r in over if (r.name, points.labels_key(r.labels)) not in read]
        new = [seed for seed in seeds(catalog) if (seed.name, points.labels_key(seed.labels)) not in known]
    changed = [r for r in shown if known.get((r.name, points.labels_key(r.labels))) != r.value]
    if changed or new:
        with ledger.write() as conn:
            now = database_now(conn)
            for seed in new:
                points.seed(conn, seed.name, now=now, **seed.labels)
            for reading in changed:
                points.emit(conn, reading.name, reading.value, now=now, **reading.labels)
    return len(changed)


def _readings(conn: Connection, catalog: Catalog, sinks: Sequence[str], *, now: datetime) -> Iterator[Reading]:
    today = standings.today(conn, catalog, now=now)
    yield Reading("spend_today", {}, (today.held + today.charged) / USD)
    yield Reading("budget_left", {}, today.left / USD)
    old = old_prices(catalog.prices, now.astimezone(catalog.zone).date())
    for name in catalog.vendors:
        yield Reading("backend_up", {"backend": name}, 1.0 if health.up(conn, name) else 0.0)
        yield Reading("old_prices", {"backend": name}, sum(1 for price in old if price.backend == name))
    ages = readings.parked_ages(conn, now=now)
    yield Reading("parked_purchases", {}, len(ages))
    yield Reading("parked_age", {}, ages[0] if ages else 0.0)
    yield Reading("unwatched_age", {}, readings.unwatched_age(conn, now=now))
    yield Reading("outbox_lag", {}, readings.outbox_lag(conn, now=now))
    for sink in sinks:
        yield Reading("series_quarantined", {"sink": sink}, cursors.quarantined(conn, sink))


def seeds(catalog: Catalog) -> Iterator[Reading]:
    """The series whose labels are known before anything happens."""
    yield Reading("invariants_broken", {}, 0)
    for status in ("delivered", "failed", "rejected", "expired"):
        yield Reading("jobs", {"status": status}, 0)
    yield Reading("pipeline_duration", {"status": "delivered"}, 0)
    for dimension in ("technical", "semantic", "quality"):
        yield Reading("quality_score", {"dimension": dimension}, 0)
    for cap in ("day", "backend_day", "project", "campaign", "job", "envelope"):
        yield Reading("money_refusals", {"cap": cap}, 0)
    for preset in catalog.presets:
        yield Reading("jobs_created", {"preset": preset}, 0)
    for result in ("hit", "miss"):
        yield Reading("cache_requests", {"result": result}, 0)
    for name in catalog.vendors:
        yield Reading("backend_requests", {"backend": name}, 0)
        yield Reading("cost", {"backend": name}, 0)
        for kind in FailureKind:
            if kind not in health.NO_STRIKE:
                yield Reading("backend_errors", {"backend": name, "code": kind.value}, 0)


def ask_for_credits(ledger: Ledger, catalog: Catalog) -> int:
    """Ask the vendors that tell what is left on the account, each once per ten minutes; return how many told.

    Asks outside any transaction, one request each, which the vendor's own patience ends. A vendor that does not answer
    leaves its gauge as it was, and is not asked again any sooner.
    """
    told = 0
    for name in catalog.vendors:
        if why_not_configured(catalog, name) or not backend(catalog, name).tells_credits:
            continue
        with ledger.write() as conn:
            # Never given back: whose it is does not matter, only that somebody asked.
            free = leases.take(conn, f"credits.{name}", uuid.uuid4().hex, lasts=CREDITS_EVERY, now=database_now(conn))
        if not free:
            continue
        try:
            left = backend(catalog, name).checkup().credits
        except AiprodError as error:
            log.info("%s did not tell what is left: %s", name, error)
            continue
        if left is not None:
            with ledger.write() as conn:
                points.emit(conn, "credits_left", float(left), now=database_now(conn), backend=name)
            told += 1
    return told
