"""A ledger of ten thousand jobs: one of every kind made by the library itself, then copied row by row over sixty days."""

from __future__ import annotations

import hashlib
import itertools
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from sqlalchemy import Connection, Table, case, func, insert, or_, select, text, update

from aiprod.errors import AiprodError
from aiprod.ledger import Ledger, results
from aiprod.ledger.schema import caps, jobs, legs, metadata, postings, purchases
from aiprod.pipeline import Pipeline

__all__ = ["fill"]

#: Over how many days they were ordered.
DAYS = 60
#: Jobs per statement.
_BATCH = 250
#: As many of the newest as anybody looks at here have a poster.
_POSTERS = 200

_QUICK = {"preset": "quick_social", "audio": False, "project": "spring"}
_ASKED = {"preset": "brand_campaign", "audio": False, "project": "autumn"}
_THREE = [{"prompt": f"a lighthouse at dusk, shot {n}, slow push in", "seconds": 3} for n in (1, 2, 3)]

#: Of a hundred jobs: kind → how many, and its order. What becomes of it: `_lead`.
_KINDS: Mapping[str, tuple[int, dict[str, Any]]] = {
    "plain": (48, {**_QUICK, "prompt": "a paper boat crosses a puddle in the rain", "seconds": 4}),
    "shots": (22, {**_QUICK, "shots": _THREE}),
    "second": (16, {**_QUICK, "prompt": "a red kite over dunes [[runway=fail]]", "seconds": 3}),
    "fails": (5, {**_QUICK, "prompt": "balloons [[runway=fail]] [[veo3=fail-charged]] [[replicate=fail]]", "seconds": 3}),
    "refused": (3, {**_ASKED, "prompt": "ten thousand balloons over a stadium", "seconds": 5}),
    "cancelled": (2, {**_ASKED, "prompt": "a train at night, seen from a field", "seconds": 5}),
    "asks": (2, {**_ASKED, "shots": _THREE}),
    "held": (1, {**_QUICK, "shots": _THREE}),
    "fresh": (1, {**_QUICK, "prompt": "the keeper climbs a spiral staircase", "seconds": 4}),
}


def fill(ledger: Ledger, count: int) -> None:
    """Enter `count` jobs into an empty ledger; the newest have posters as large as photographs are."""
    names = [_lead(kind, order) for kind, (_, order) in _KINDS.items()]
    deck = [name for name, (share, _) in zip(names, _KINDS.values(), strict=True) for _ in range(share)]
    # Dealt like cards, not kind after kind, and always the same way.
    deck = [deck[n * 37 % len(deck)] for n in range(len(deck))]
    wanted = count - len(names)
    with ledger.write() as conn:
        leads = {name: _Lead.read(conn, name) for name in names}
        shared = _Shared(conn)
        for start in range(0, wanted, _BATCH):
            rows: dict[Table, list[dict[str, Any]]] = {}
            for n in range(start, min(start + _BATCH, wanted)):
                back = timedelta(days=DAYS * n // wanted, microseconds=n)
                leads[deck[n % len(deck)]].copy(n, back, shared, rows)
            for table in (one for one in metadata.sorted_tables if one in rows):
                conn.execute(insert(table), rows[table])
        _balance(conn)
    _hang_posters(ledger)


def _lead(kind: str, order: dict[str, Any]) -> str:
    """Make one job as Airflow's tasks do, as far as its kind comes; return its id."""
    name, work = f"lead-{kind}", Pipeline()
    work.enter(order, job_id=name, by="bench")
    if kind == "fresh":
        return name
    work.carry([name], run_id=name)
    if work.ask(name, run_id=name).answer is None:
        work.spend_question(name, run_id=name, task_id="approve")
        amount = work.view(name).costs.worst_case
        if kind == "refused":
            asked = work.view(name).approval
            amount = asked.amount if asked else 0
            work.answer_money(name, "rejected", version=1, amount=amount, by="bob", why="Too dear.")
        if kind == "cancelled":
            work.cancel(name, by="bob")
    else:
        _make(work, name, hold_only=kind == "held")
    if kind not in ("asks", "held"):
        work.settle(name)
    return name


def _make(work: Pipeline, name: str, *, hold_only: bool) -> None:
    for attempt in (1, 2, 3):
        for backend in work.route([name], attempt):
            if hold_only:
                return
            work.render([name], backend, attempt)
        if work.score([name], attempt).then == "assemble":
            break
    # What nobody could make is the kind that fails.
    with suppress(AiprodError):
        work.assemble([name])
        work.deliver([name])


class _Shared:
    """Caps that belong to no job: those of a day have a row of their own for every day."""

    def __init__(self, conn: Connection) -> None:
        rows = conn.execute(select(caps)).mappings().all()
        self._days = {row["cap_id"]: dict(row) for row in rows if row["starts_at"]}
        self._known: dict[tuple[int, int], int] = {}
        self.ids = itertools.count(max(row["cap_id"] for row in rows) + 1)

    def on(self, cap_id: int, back: int, rows: dict[Table, list[dict[str, Any]]]) -> int:
        """The cap that stands for this one some days earlier."""
        if cap_id not in self._days or not back:
            return cap_id
        if (cap_id, back) not in self._known:
            self._known[cap_id, back] = next(self.ids)
            cap = self._days[cap_id]
            begins, ends = (cap[name] - timedelta(days=back) for name in ("starts_at", "ends_at"))
            key = re.sub(r"\d{4}-\d\d-\d\d", lambda day: _earlier(day[0], back), cap["key"])
            new = {"cap_id": self._known[cap_id, back], "key": key, "starts_at": begins, "ends_at": ends}
            rows.setdefault(caps, []).append({**cap, **new, "reserved": 0, "settled": 0, "overrun": 0})
        return self._known[cap_id, back]


def _earlier(day: str, days: int) -> str:
    return (datetime.fromisoformat(day) - timedelta(days=days)).date().isoformat()


@dataclass(frozen=True)
class _Lead:
    """Every row of one job, ready to be written again under other names and at another time."""

    name: str
    #: What names things of this job alone: purchases and takes, and the sum of its poster.
    own: tuple[str, ...]
    rows: tuple[tuple[Table, dict[str, Any]], ...]

    @classmethod
    def read(cls, conn: Connection, name: str) -> Self:
        bought = conn.execute(select(purchases.c.purchase_id).where(purchases.c.job_id == name)).scalars().all()
        rows = [(table, dict(row)) for table in metadata.sorted_tables for row in _rows_of(conn, table, name, bought)]
        made = results.delivery(conn, name, 1)
        return cls(name, (*bought, *([made.poster.sha256] if made else [])), tuple(rows))

    def copy(self, n: int, back: timedelta, shared: _Shared, into: dict[Table, list[dict[str, Any]]]) -> None:
        """Add the rows of the n-th copy, so much older than this one."""
        again = {one: hashlib.sha256(f"{one} {n}".encode()).hexdigest()[: len(one)] for one in self.own}
        again[self.name] = f"crowd-{n:05d}"
        names = re.compile("|".join(map(re.escape, again)))
        ours = {row["cap_id"]: next(shared.ids) for table, row in self.rows if table is caps}
        for table, row in self.rows:
            new = {name: self._value(value, names, again, back) for name, value in row.items() if not _numbered(table, name)}
            if new.get("vendor_id"):
                new["vendor_id"] += f"-{n}"
            if "cap_id" in row:
                new["cap_id"] = ours.get(row["cap_id"]) or shared.on(row["cap_id"], back.days, into)
            if table is jobs and "kite" in row["spec"]:
                new["campaign"] = "summer"
            into.setdefault(table, []).append(new)

    @staticmethod
    def _value(value: Any, names: re.Pattern[str], again: Mapping[str, str], back: timedelta) -> Any:
        if isinstance(value, str):
            return names.sub(lambda found: again[found[0]], value)
        return value - back if isinstance(value, datetime) else value


def _numbered(table: Table, column: str) -> bool:
    """Whether the database counts this column."""
    return table is not caps and table.c[column].primary_key and table.c[column].autoincrement is True


def _rows_of(conn: Connection, table: Table, name: str, bought: Any) -> list[Any]:
    if table is caps:
        asked = or_(caps.c.key == name, caps.c.key.startswith(f"{name}/"))
    elif "job_id" in table.c:
        asked = table.c.job_id == name
    elif "purchase_id" in table.c or "take_id" in table.c:
        asked = table.c["purchase_id" if "purchase_id" in table.c else "take_id"].in_(bought)
    else:
        return []
    return list(conn.execute(select(table).where(asked)).mappings().all())


def _balance(conn: Connection) -> None:
    """Let the caps that many jobs share hold what their postings add up to."""

    def summed(column: Any) -> Any:
        mine = select(func.coalesce(func.sum(column), 0)).join(legs, legs.c.purchase_id == postings.c.purchase_id)
        return mine.where(legs.c.cap_id == caps.c.cap_id).scalar_subquery()

    reserved, settled = summed(postings.c.d_reserved), summed(postings.c.d_settled)
    over = reserved + settled - caps.c.cap
    values = {"reserved": reserved, "settled": settled, "overrun": case((over > 0, over), else_=0)}
    conn.execute(update(caps).where(caps.c.kind.not_in(("job", "envelope"))).values(**values))
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT setval(pg_get_serial_sequence('caps', 'cap_id'), (SELECT max(cap_id) FROM caps))"))


def _hang_posters(ledger: Ledger) -> None:
    """Keep a photograph where every one of the newest deliveries has its poster."""
    newest = select(jobs.c.job_id).where(jobs.c.job_id.startswith("crowd-")).order_by(jobs.c.created_at.desc()).limit(_POSTERS)
    with ledger.read() as conn:
        made = [results.delivery(conn, job_id, 1) for job_id in conn.execute(newest).scalars()]
    with tempfile.TemporaryDirectory() as folder:
        for n, one in enumerate(filter(None, made)):
            photograph = Path(folder) / f"{n}.jpg"
            cv2.imwrite(str(photograph), _photograph(n), [cv2.IMWRITE_JPEG_QUALITY, 90])
            Pipeline().storage.keep(photograph, one.poster.path)


def _photograph(seed: int) -> Any:
    """A picture with as much detail at every size as busy photographs have; 1280x720."""
    chance = np.random.default_rng(seed)
    picture = np.full((720, 1280, 3), 120.0, np.float32)
    for grain in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        for deviation, colours in ((60 / grain**0.4, 1), (15 / grain**0.4, 3)):
            coarse = chance.normal(0, deviation, (max(2, 720 * grain // 1280), grain, colours)).astype(np.float32)
            picture += cv2.resize(coarse, (1280, 720), interpolation=cv2.INTER_CUBIC).reshape(720, 1280, -1)
    return np.clip(picture, 0, 255).astype(np.uint8)
