"""Insert-if-absent tells the truth on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from aiprod.ledger.insertion import insert_once
from aiprod.ledger.schema import leases, postings
from tests.desk import NOW, race


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
