"""Insert-if-absent tells the truth on both databases, and insert-or-update writes what it should."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from aiprod.ledger import Ledger
from aiprod.ledger.insertion import insert_many, insert_once, upsert
from aiprod.ledger.schema import leases, metric_sent, postings
from tests.desk import NOW, race, rows


def row(owner):
    return {"name": "relay", "owner": owner, "expires_at": NOW}


def test_the_first_insert_says_yes_and_the_second_no(ledger):
    with ledger.write() as conn:
        assert insert_once(conn, leases, row("a")) is True
        assert insert_once(conn, leases, row("b")) is False
        assert conn.execute(select(leases.c.owner)).scalars().all() == ["a"]


def test_of_many_at_once_exactly_one_is_told_that_it_inserted(ledger):
    def work(n):
        with ledger.write() as conn:
            return insert_once(conn, leases, row(str(n)))

    assert sorted(race(8, work)) == [False] * 7 + [True]


def test_a_broken_reference_is_an_error_and_not_a_repeat(ledger):
    missing = {"purchase_id": "nobody", "kind": "hold", "d_reserved": 1, "d_settled": 0, "dedup": "x", "at": NOW}
    with pytest.raises(IntegrityError), ledger.write() as conn:
        insert_once(conn, postings, missing)


class TestMany:
    def row(self, count: int, **changes: object) -> dict[str, object]:
        return {"sink": "s", "name": f"n{count}", "labels": "{}", "ended_at": NOW, "revision": count, **changes}

    def stored(self, ledger: Ledger) -> dict[str, int]:
        return {row["name"]: row["revision"] for row in rows(ledger, "metric_sent")["metric_sent"]}

    def test_those_that_are_there_stay_as_they_are(self, ledger: Ledger) -> None:
        with ledger.write() as conn:
            insert_many(conn, metric_sent, [self.row(1)])
            insert_many(conn, metric_sent, [self.row(1, revision=9), self.row(2)])
            insert_many(conn, metric_sent, [])
        assert self.stored(ledger) == {"n1": 1, "n2": 2}

    def test_those_that_are_there_get_their_new_values(self, ledger: Ledger) -> None:
        with ledger.write() as conn:
            upsert(conn, metric_sent, [self.row(1), self.row(2)])
            upsert(conn, metric_sent, [self.row(1, revision=9)])
            upsert(conn, metric_sent, [])
        assert self.stored(ledger) == {"n1": 9, "n2": 2}

    def test_only_forward_where_that_is_asked(self, ledger: Ledger) -> None:
        with ledger.write() as conn:
            upsert(conn, metric_sent, [self.row(1)], forward="ended_at")
            late = self.row(1, revision=7, ended_at=NOW - timedelta(seconds=1))
            upsert(conn, metric_sent, [late], forward="ended_at")
        assert self.stored(ledger) == {"n1": 1}
