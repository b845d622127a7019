"""Backend health, shared by every worker: strikes in a row, a pause, and a probe that exactly one caller wins."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Select, case, exists, literal, or_, select, update

from aiprod.catalog import Catalog
from aiprod.errors import FailureKind
from aiprod.ledger import points
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import Utc, backend_health, health_observations

__all__ = ["NO_STRIKE", "admit", "lock_backend", "observe", "resting", "sick", "unhealthy", "up"]

#: The vendor is well; it is the request, the account's limit or our own decision that failed.
NO_STRIKE = (FailureKind.MODERATED, FailureKind.INVALID_INPUT, FailureKind.RATE_LIMITED)


def observe(conn: Connection, purchase_id: str, backend: str, *, ok: bool, catalog: Catalog, now: datetime) -> None:
    """Count one observation per purchase: a success resets, a failure strikes. A repeat changes nothing."""
    _row(conn, backend)
    fresh = insert_once(conn, health_observations, {"purchase_id": purchase_id, "backend": backend, "ok": ok, "at": now})
    if not fresh and not ok:
        return
    strikes = backend_health.c.strikes + 1
    values = (
        {"strikes": 0, "unhealthy_since": None, "probe_until": None}
        if ok
        else {
            "strikes": strikes,
            "probe_until": None,
            # A failed probe starts the pause again.
            "unhealthy_since": case((strikes >= catalog.strikes, literal(now, Utc())), else_=backend_health.c.unhealthy_since),
        }
    )
    conn.execute(update(backend_health).where(backend_health.c.backend == backend).values(**values))
    points.emit(conn, "backend_up", 1.0 if up(conn, backend) else 0.0, now=now, backend=backend)


#: Built once: routing asks for every choice, and building it costs more than running it.
_SICK = select(backend_health).where(backend_health.c.unhealthy_since.is_not(None))


def unhealthy(conn: Connection, *, catalog: Catalog, now: datetime) -> set[str]:
    """Return the backends at which no hold could be admitted now. Only looks."""
    return {backend for backend, probed in sick(conn, catalog=catalog, now=now).items() if not probed}


def sick(conn: Connection, *, catalog: Catalog, now: datetime) -> dict[str, bool]:
    """Return the backends that are unhealthy, and whether one hold, the probe, could be admitted at each. Only looks."""
    rested = now - timedelta(seconds=catalog.cooldown_seconds)
    return {
        row.backend: row.unhealthy_since <= rested and (row.probe_until is None or row.probe_until < now)
        for row in conn.execute(_SICK)
    }


def up(conn: Connection, backend: str) -> bool:
    """Whether a backend works as far as anybody knows: one that failed is down until a success, rested or not."""
    since = conn.execute(select(backend_health.c.unhealthy_since).where(backend_health.c.backend == backend)).first()
    return since is None or since.unhealthy_since is None


def admit(conn: Connection, backend: str, *, catalog: Catalog, now: datetime) -> bool:
    """Whether this caller may hold at the backend. While it is unhealthy exactly one caller wins the probe."""
    row = conn.execute(select(backend_health.c.unhealthy_since).where(backend_health.c.backend == backend)).first()
    if row is None or row.unhealthy_since is None:
        return True
    won = conn.execute(
        update(backend_health)
        .where(
            backend_health.c.backend == backend,
            backend_health.c.unhealthy_since <= now - timedelta(seconds=catalog.cooldown_seconds),
            or_(backend_health.c.probe_until.is_(None), backend_health.c.probe_until < now),
        )
        .values(probe_until=now + timedelta(seconds=catalog.probe_seconds))
    )
    return won.rowcount == 1


def resting(backends: Select[str]) -> ColumnElement[bool]:
    """That any of some backends is unhealthy, as a condition: then a hold needs the probe."""
    return exists().where(backend_health.c.backend.in_(backends), backend_health.c.unhealthy_since.is_not(None))


def lock_backend(conn: Connection, backend: str) -> None:
    """Serialise slot claims of one backend until the transaction ends."""
    _row(conn, backend)
    conn.execute(select(backend_health.c.backend).where(backend_health.c.backend == backend).with_for_update())


def _row(conn: Connection, backend: str) -> None:
    insert_once(conn, backend_health, {"backend": backend, "strikes": 0})
