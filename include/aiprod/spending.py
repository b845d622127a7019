"""What the last days cost and saved, day by day in the budget's zone: sums of sums, each tied to the ledger's postings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from weakref import WeakKeyDictionary

from aiprod.budgets import day_window
from aiprod.catalog import Catalog
from aiprod.ledger import Connection, Ledger, spending
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.spending import Spent
from aiprod.models import Micros, Noun

__all__ = ["Day", "days", "summed", "window"]

#: After this a day's money cannot move any more: a transaction that began in it was written long ago.
_SETTLED = timedelta(hours=1)
#: Whether a take is waste may still be decided; nothing shown is older than this.
_KEPT = timedelta(hours=1)
_Known = dict[tuple[datetime, datetime], tuple[datetime, tuple[Spent, ...]]]
_OVER: WeakKeyDictionary[Ledger, _Known] = WeakKeyDictionary()


class Day(Noun):
    """One day of the budget's zone; bounds half-open, UTC. `total` in micro-dollars is what the ledger settled in it."""

    day: date
    starts_at: datetime
    ends_at: datetime
    spent: tuple[Spent, ...]

    @property
    def total(self) -> Micros:
        return sum(one.total for one in self.spent)


def days(ledger: Ledger, catalog: Catalog, *, count: int = 30) -> list[Day]:
    """Return the last days, oldest first, today last.

    Days that are over are added up once an hour in a process: of a busy house's month only today is read for each look.
    """
    known = _OVER.setdefault(ledger, {})
    with ledger.read() as conn:
        now = database_now(conn)
        return [
            Day(day=day, starts_at=a, ends_at=z, spent=_of_day(conn, known, a, z, now))
            for day, a, z in _windows(catalog, count, now)
        ]


def window(ledger: Ledger, catalog: Catalog, *, count: int = 30) -> tuple[datetime, datetime]:
    """Return the bounds of the same days: half-open, UTC."""
    with ledger.read() as conn:
        found = _windows(catalog, count, database_now(conn))
    return found[0][1], found[-1][2]


def _windows(catalog: Catalog, count: int, now: datetime) -> list[tuple[date, datetime, datetime]]:
    # From noon to noon: a day is 23 hours long once a year.
    noon = now.astimezone(catalog.zone).replace(hour=12, minute=0)
    return [day_window(noon - timedelta(days=back), catalog.zone) for back in range(count - 1, -1, -1)]


def _of_day(conn: Connection, known: _Known, start: datetime, end: datetime, now: datetime) -> tuple[Spent, ...]:
    kept = known.get((start, end))
    if kept is not None and timedelta() <= now - kept[0] < _KEPT:
        return kept[1]
    found = tuple(spending.spent(conn, start, end))
    if now - end > _SETTLED:
        known[start, end] = (now, found)
    return found


def summed(rows: Iterable[Spent], *, by: Callable[[Spent], tuple[str, str, str]]) -> list[Spent]:
    """Return the rows added up under the project, backend and model that `by` names them; dearest first."""
    groups: dict[tuple[str, str, str], list[Spent]] = defaultdict(list)
    for row in rows:
        groups[by(row)].append(row)
    figures = [name for name, field in Spent.model_fields.items() if field.annotation is not str]
    found = [
        Spent(project=key[0], backend=key[1], model=key[2], **{name: _sum(several, name) for name in figures})
        for key, several in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.total, one.project, one.backend, one.model))


def _sum(rows: Sequence[Spent], name: str) -> int:
    return sum(int(getattr(row, name)) for row in rows)
