"""Kill -9 at every step of a purchase at a real adapter: nothing is paid twice, and nothing paid is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from aiprod.errors import JobFailed
from tests.auditor import audit
from tests.market import killed
from tests.safety import points
from tests.safety.judge import Caps, judge, rows_of
from tests.safety.matching import owned
from tests.safety.shops import shipped_adapters
from tests.vendors.street import Street, shipped

#: Who is bought from, and whether a lost request can be looked for there.
SHOPS = {"runway": False, "veo3": True, "veo3 without a bucket": False, "replicate": True}
#: More than any test here can spend: what is judged is the rest.
CAPS = Caps(zone="UTC", day=10**12, job={"job-1": 10**12})


@dataclass(frozen=True)
class Road:
    """One way through a purchase, and where on it a process can die.

    `words` is what the vendor is told to do. With `minutes` the purchase is begun in peace, and who comes back after that
    time is killed: a retry, or `reconcile`. `finds`: only where a lost request can be looked for, or only where not.
    """

    words: str
    steps: tuple[str, ...]
    calls: tuple[str, ...]
    minutes: int = 0
    reconciles: bool = False
    finds: bool | None = None

    @property
    def points(self) -> Iterator[str]:
        yield from (f"{when} {step}" for step in self.steps for when in ("before", "in", "after"))
        yield from (f"{when} {call}" for call in self.calls for when in ("before", "after"))


_HOME = ("T5 close", "keep take")
_ASKED = ("poll", "fetch", "store file")
ROADS = {
    "bought": Road("ok", ("T1 hold", "decision", "T2 claim", "T3 accept", *_HOME), ("submit", *_ASKED)),
    "left to reconcile": Road("slow:600", _HOME, _ASKED, minutes=12, reconciles=True),
    "lost": Road("lose|ok", ("T4 lose", "park"), ("find",), finds=False),
    "lost and found": Road("lose|ok", ("T4 lose", "T3 accept"), ("find",), finds=True),
    "lost and found by reconcile": Road(
        "lose,lag:60,slow:60|ok", ("T3 accept", *_HOME), ("find",), minutes=2, reconciles=True, finds=True
    ),
    "never arrived": Road(
        "reset|ok", ("T5 close", "T1 hold", "decision", "T2 claim", "T3 accept"), ("find", "submit"), minutes=22, finds=True
    ),
}
#: One of each kind; the rest takes minutes.
EVERY_TIME = {
    ("runway", "bought", "before submit"), ("runway", "bought", "after submit"), ("runway", "bought", "after T3 accept"),
    ("runway", "bought", "in T5 close"), ("runway", "lost", "after T4 lose"),
    ("veo3", "bought", "after submit"), ("veo3", "lost and found", "after find"), ("veo3", "never arrived", "in T5 close"),
    ("veo3 without a bucket", "bought", "after submit"), ("veo3 without a bucket", "bought", "after fetch"),
    ("replicate", "bought", "after submit"), ("replicate", "never arrived", "after T1 hold"),
    ("replicate", "left to reconcile", "before keep take"),
}  # fmt: skip


def _cases() -> Iterator[Any]:
    for shop, finds in SHOPS.items():
        for name, road in ROADS.items():
            for point in road.points if road.finds in (None, finds) else ():
                for database in ("street", "street_on_postgres"):
                    daily = database == "street" and (shop, name, point) in EVERY_TIME
                    marks = [pytest.mark.slow] * (not daily) + [pytest.mark.postgres] * (database != "street")
                    yield pytest.param(shop, name, point, database, marks=marks, id=f"{shop}-{name}-{point}-{database}")


@pytest.fixture(scope="module", autouse=True)
def _loaded_once() -> None:
    """The adapters and their SDKs are there before a child is born: it dies in them, and need not load them."""
    shipped_adapters()


@pytest.mark.parametrize(("shop", "road", "point", "database"), list(_cases()))
def test_who_is_killed_anywhere_has_paid_once_and_lost_nothing(
    shop: str, road: str, point: str, database: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    street: Street = request.getfixturevalue(database)
    if shop == "veo3 without a bucket":
        monkeypatch.delenv("AIPROD_VEO3_BUCKET")
    backend, way = shop.split()[0], ROADS[road]
    # Nobody is late here but a crowded machine.
    street.catalog = shipped(submit_timeout_seconds=20.0)
    street.order(f"a lighthouse [[{backend}={way.words}]]", backend=backend)
    if way.minutes:
        street.attempt()
        street.passes(timedelta(minutes=way.minutes))

    def dies() -> None:
        points.install(point, 1, signal.SIGKILL)
        street.look_again() if way.reconciles else street.attempt()

    killed(dies)
    for minutes in (2, 14, 20):
        street.passes(timedelta(minutes=minutes))
        with suppress(JobFailed):  # nobody may make the shot again while its render may still run here
            street.attempt()
        street.look_again()
    with suppress(JobFailed):
        street.attempt(round=2)

    assert broken_promises(street) == []


def broken_promises(street: Street) -> list[str]:
    """What the vendors' books say against the ledger; and a shot without its one take, unless a person is asked about it."""
    with street.ledger.read() as conn:
        rows, books = rows_of(conn), audit(conn)
    purchases, accepts = rows["purchases"], owned(street.vendors.accepts(), rows["purchases"])
    wrong = [f"{finding.kind}: {finding.text}" for finding in judge(accepts, rows, CAPS)] + books
    given_up = {p["purchase_id"] for p in purchases if p["parked_at"] is not None}
    live = [accept for accept in accepts if accept["key"] not in given_up]
    if len(live) > 1:
        wrong.append(f"bought {len(live)} times, and only {len(given_up)} given up before")
    if {parked.purchase.purchase_id for parked in street.waiting()} != given_up:
        wrong.append("somebody is asked for another one than what is parked")
    if len(rows["takes"]) > 1 or not (rows["takes"] or given_up):
        wrong.append(f"{len(rows['takes'])} takes")
    return wrong
