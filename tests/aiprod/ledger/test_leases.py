"""One process at a time has a lease, and who died gives it back by dying."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiprod.ledger import Ledger, leases
from tests.desk import NOW, race

MINUTE = timedelta(minutes=1)


def take(ledger: Ledger, owner: str, at: datetime = NOW) -> bool:
    with ledger.write() as conn:
        return leases.take(conn, "x", owner, lasts=MINUTE, now=at)


def test_of_many_one_gets_it(ledger: Ledger) -> None:
    assert sum(got is True for got in race(4, lambda n: take(ledger, f"{n}"))) == 1


def test_it_is_free_when_it_ran_out_and_its_owners_until_then(ledger: Ledger) -> None:
    assert take(ledger, "a")
    assert not take(ledger, "b", NOW + MINUTE / 2)
    assert take(ledger, "a", NOW + MINUTE / 2), "its owner may stay"
    assert not take(ledger, "b", NOW + MINUTE)
    assert take(ledger, "b", NOW + 2 * MINUTE)


def test_only_its_owner_gives_it_back(ledger: Ledger) -> None:
    take(ledger, "a")
    with ledger.write() as conn:
        leases.release(conn, "x", "b")
    assert not take(ledger, "b")
    with ledger.write() as conn:
        leases.release(conn, "x", "a")
    assert take(ledger, "b")
