"""Caps that an admin sets by hand, and all the caps that apply to a purchase because of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, and_, bindparam, case, insert, select, update

from aiprod.budgets import Cap, Scope, cap_on, caps_for, job_budget
from aiprod.catalog import Catalog
from aiprod.errors import SpecError
from aiprod.ledger import campaigns, outbox
from aiprod.ledger import caps as ledger_caps
from aiprod.ledger import jobs as ledger_jobs
from aiprod.ledger.caps import Balance
from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import OPEN, Utc, caps, jobs, legs, meta, purchases
from aiprod.models import Envelope, JobSpec, Micros, Noun

__all__ = ["InForce", "Word", "clear_cap", "in_force", "set_cap", "words"]

#: One row holds every standing word, so that two admins wait for each other and a hold reads one row.
_WORDS = "caps_set_by_hand"


#: Built once: routing asks for every choice, and building them costs more than running them.
_SAID = select(meta.c.value).where(meta.c.key == _WORDS)
_AT = bindparam("at", type_=Utc())
_RUNNING = select(caps).where(caps.c.kind.in_(("day", "backend_day")), caps.c.starts_at <= _AT, caps.c.ends_at > _AT)


class Word(Noun):
    """What an admin said of one cap, until it is cleared. Micro-dollars."""

    amount: Micros
    by: str


class InForce(Noun):
    """What the ledger adds to the configured caps of one job: words of admins, and days that began in another zone."""

    words: dict[str, Micros]
    campaign: Cap | None
    elsewhere: tuple[Cap, ...]

    def has_own_day(self, backend: str, catalog: Catalog) -> bool:
        """Whether a backend has a day's budget of its own, by configuration, by word, or from a zone before."""
        said = backend in catalog.budgets.backend_day_usd or str(Scope(kind="backend", name=backend)) in self.words
        return said or any(cap.key.startswith(f"{backend}:") for cap in self.elsewhere)

    def caps(
        self, *, spec: JobSpec, job_id: str, envelope: Envelope, backend: str, catalog: Catalog, now: datetime
    ) -> Sequence[Cap]:
        """Return every cap a purchase at `backend` has a leg on, in lock order."""
        found = caps_for(
            spec=spec,
            job_id=job_id,
            envelope=envelope,
            backend=backend,
            catalog=catalog,
            now=now,
            campaign=self.campaign,
            words=self.words,
        )
        old = [cap for cap in self.elsewhere if cap.kind == "day" or cap.key.startswith(f"{backend}:")]
        return sorted([*found, *old], key=lambda cap: cap.rank)


def words(conn: Connection) -> dict[str, Word]:
    """Return what admins have set until cleared, by scope."""
    text = conn.execute(_SAID).scalar()
    return {scope: Word.model_validate(word) for scope, word in json.loads(text or "{}").items()}


def in_force(conn: Connection, catalog: Catalog, job_id: str, *, now: datetime) -> InForce:
    """Return what applies to a job besides the configuration. Read it in the transaction that places the hold.

    When the configured zone changes, a day that is still running in the old zone stays in force until it ends: else
    the change would hand out a second day's budget.
    """
    said = {scope: word.amount for scope, word in words(conn).items()}
    here = f"@{catalog.budgets.zone}"
    old = [row for row in conn.execute(_RUNNING, {"at": now}).mappings() if not row["key"].endswith(here)]
    names = ("kind", "key", "cap", "warn", "starts_at", "ends_at")
    elsewhere = tuple(Cap(**{name: row[name] for name in names}) for row in old)
    return InForce(words=said, campaign=campaigns.cap_of(conn, job_id), elsewhere=elsewhere)


def set_cap(
    conn: Connection, scope: Scope, amount: Micros, *, by: str, catalog: Catalog, now: datetime, today_only: bool = False
) -> Balance:
    """Set a cap by hand, and return it. It stands before the configuration until cleared: today, and on every later day.

    With `today_only` a day's cap is set for the running day alone. What was bought before counts too. A cap lower
    than its use closes for new holds; the difference is booked as overrun, and what runs goes on. Raises `SpecError`
    for a backend, job or campaign that nobody knows.
    """
    said = _locked_words(conn, by=by, now=now)
    cap = _settable(conn, scope, amount, catalog=catalog, now=now, today_only=today_only)
    # A job's cap and a campaign's are rows of their own from their beginning; the others' rows come and go.
    if scope.kind in ("day", "backend", "project") and not today_only:
        _write_words(conn, {**said, str(scope): Word(amount=amount, by=by)}, by=by, now=now)
    left_out = _bought_outside(conn, scope, cap)
    insert_once(
        conn,
        caps,
        {**cap.model_dump(exclude={"kind"}), "kind": cap.kind, "stripe": 0, "lock_rank": cap.rank, "set_by": by},
    )
    row = _rewrite(conn, cap, set_by=by, left_out=left_out)
    ledger_caps.warn_if_crossed(conn, [row.cap_id], now=now)
    outbox.emit(
        conn,
        f"budget_set.{scope}.{now.isoformat()}",
        "budget_set",
        now=now,
        scope=str(scope),
        key=cap.key,
        by=by,
        cap_micros=amount,
        used_micros=row.reserved + row.settled,
        overrun_micros=row.overrun,
    )
    return Balance(**{name: getattr(row, name) for name in Balance.model_fields})


def _settable(conn: Connection, scope: Scope, amount: Micros, *, catalog: Catalog, now: datetime, today_only: bool) -> Cap:
    """The cap a word is about. Raises `SpecError` where there is none."""
    if today_only and scope.kind not in ("day", "backend"):
        raise SpecError([f"{scope}: only the caps of a day can be set for today alone"])
    if scope.kind == "backend" and scope.name not in (*catalog.backends, *catalog.judges):
        raise SpecError([f"{scope}: no such backend; known: {', '.join((*catalog.backends, *catalog.judges))}"])
    if scope.kind == "job" and not ledger_jobs.known(conn, scope.name):
        raise SpecError([f"{scope}: no such job in the ledger"])
    if scope.kind == "campaign" and ledger_caps.balance(conn, "campaign", scope.name) is None:
        raise SpecError([f"{scope}: no such campaign in the ledger"])
    cap = cap_on(scope, catalog, now=now, words={str(scope): amount})
    assert cap is not None  # noqa: S101 - a word was given
    return cap


def clear_cap(conn: Connection, scope: Scope, *, by: str, catalog: Catalog, now: datetime) -> bool:
    """Let a cap follow the configuration again, today's and every later day's. Returns whether it was set by hand.

    Raises `SpecError` for a campaign: its cap is the amount somebody approved, and the configuration has none.
    """
    if scope.kind == "campaign":
        raise SpecError([f"{scope}: a campaign has no cap in the configuration; set another amount"])
    said = _locked_words(conn, by=by, now=now)
    had = said.pop(str(scope), None)
    if scope.kind == "job" and ledger_jobs.known(conn, scope.name):
        spec = ledger_jobs.spec(conn, scope.name)
        cap: Cap | None = Cap(kind="job", key=scope.name, cap=job_budget(spec, catalog.presets[spec.preset]))
    else:
        # The word only names the row where the configuration has no such cap: then its amount stays, for the record.
        configured = cap_on(scope, catalog, now=now, words={})
        cap = configured or (cap_on(scope, catalog, now=now, words={str(scope): had.amount}) if had else None)
    row = _find(conn, cap) if cap else None
    if had is None and (row is None or row.set_by is None):
        return False
    if had is not None:
        _write_words(conn, said, by=by, now=now)
    if cap is not None and row is not None:
        _rewrite(conn, cap, set_by=None, left_out=[])
    outbox.emit(conn, f"budget_cleared.{scope}.{now.isoformat()}", "budget_cleared", now=now, scope=str(scope), by=by)
    return True


def _locked_words(conn: Connection, *, by: str, now: datetime) -> dict[str, Word]:
    """The standing words, locked until the transaction ends."""
    insert_once(conn, meta, {"key": _WORDS, "value": "{}", "changed_at": now, "changed_by": by})
    conn.execute(select(meta.c.key).where(meta.c.key == _WORDS).with_for_update())
    return words(conn)


def _write_words(conn: Connection, said: dict[str, Word], *, by: str, now: datetime) -> None:
    text = json.dumps({scope: word.model_dump() for scope, word in said.items()}, sort_keys=True)
    conn.execute(update(meta).where(meta.c.key == _WORDS).values(value=text, changed_at=now, changed_by=by))


def _find(conn: Connection, cap: Cap) -> Row[tuple[object, ...]] | None:
    return conn.execute(select(caps).where(caps.c.kind == cap.kind, caps.c.key == cap.key)).first()


def _bought_outside(conn: Connection, scope: Scope, cap: Cap) -> list[Row[tuple[object, ...]]]:
    """Purchases a cap is about that have no leg on it yet: made before it was set. Locked, as closing them locks them."""
    if scope.kind == "backend":
        about = and_(
            purchases.c.backend == scope.name, purchases.c.created_at >= cap.starts_at, purchases.c.created_at < cap.ends_at
        )
    elif scope.kind == "project":
        about = purchases.c.job_id.in_(select(jobs.c.job_id).where(jobs.c.project == scope.name))
    else:
        return []
    counted = (
        select(legs.c.purchase_id)
        .join(caps, caps.c.cap_id == legs.c.cap_id)
        .where(caps.c.kind == cap.kind, caps.c.key == cap.key)
    )
    statement = select(purchases).where(about, purchases.c.purchase_id.not_in(counted))
    return list(conn.execute(statement.order_by(purchases.c.purchase_id).with_for_update()).all())


def _rewrite(
    conn: Connection, cap: Cap, *, set_by: str | None, left_out: Sequence[Row[tuple[object, ...]]]
) -> Row[tuple[object, ...]]:
    """Write a cap's amount, and count what was bought before it; `overrun` is what its use is over it."""
    here = and_(caps.c.kind == cap.kind, caps.c.key == cap.key)
    cap_id = conn.execute(select(caps.c.cap_id).where(here).with_for_update()).scalar_one()
    if left_out:
        conn.execute(insert(legs), [{"purchase_id": row.purchase_id, "cap_id": cap_id} for row in left_out])
    reserved = caps.c.reserved + sum(row.hold for row in left_out if row.state in OPEN)
    settled = caps.c.settled + sum(row.charged or 0 for row in left_out)
    over = reserved + settled - cap.cap
    conn.execute(
        update(caps)
        .where(caps.c.cap_id == cap_id)
        .values(
            cap=cap.cap,
            warn=cap.warn,
            set_by=set_by,
            reserved=reserved,
            settled=settled,
            overrun=case((over > 0, over), else_=0),
        )
    )
    return conn.execute(select(caps).where(caps.c.cap_id == cap_id)).one()
