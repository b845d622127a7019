"""The migrated schema is the declared one, to the last CHECK; and the database itself refuses what the code must not do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from aiprod.ledger import Ledger
from aiprod.ledger.engine import VERSION_TABLE
from aiprod.ledger.schema import STATES, Utc, caps, leases, metadata, postings, purchases
from aiprod.ledger.states import State
from tests.desk import NOW


@pytest.fixture
def declared(request, ledger, tmp_path):
    """A database made from `schema.py` alone, of the same kind as `ledger`."""
    on_postgres = ledger.engine.dialect.name == "postgresql"
    url = request.getfixturevalue("empty_postgres") if on_postgres else f"sqlite:///{tmp_path}/declared.db"
    made = Ledger(url)
    metadata.create_all(made.engine)
    return made


def _words(sql):
    return re.sub(r"\s+", " ", str(sql)).strip()


def described(ledger):
    """Everything the database can tell about its tables, in a comparable form."""
    inspector = inspect(ledger.engine)
    tables = [key for key in inspector.get_multi_columns() if key[1] != VERSION_TABLE]
    columns, keys, checks = (
        inspector.get_multi_columns(),
        inspector.get_multi_pk_constraint(),
        inspector.get_multi_check_constraints(),
    )
    unique, references = inspector.get_multi_unique_constraints(), inspector.get_multi_foreign_keys()
    indexes = inspector.get_multi_indexes()
    return {
        table[1]: {
            "columns": sorted((c["name"], str(c["type"]), c["nullable"], str(c["default"])) for c in columns[table]),
            "key": keys[table]["constrained_columns"],
            "checks": sorted((c["name"], _words(c["sqltext"])) for c in checks[table]),
            "unique": sorted(tuple(c["column_names"]) for c in unique[table]),
            "references": sorted(
                (tuple(f["constrained_columns"]), f["referred_table"], tuple(f["referred_columns"])) for f in references[table]
            ),
            "indexes": sorted(
                (
                    i["name"],
                    tuple(i["column_names"]),
                    bool(i["unique"]),
                    _words(sorted((k, str(v)) for k, v in i.get("dialect_options", {}).items())),
                )
                for i in indexes[table]
            ),
        }
        for table in tables
    }


class TestMigrations:
    def test_autogenerate_finds_nothing_to_add(self, ledger):
        with ledger.engine.connect() as conn:
            options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
            assert compare_metadata(MigrationContext.configure(conn, opts=options), metadata) == []
            conn.rollback()

    def test_the_migrated_schema_is_the_declared_one_with_its_checks_and_partial_indexes(self, ledger, declared):
        migrated, meant = described(ledger), described(declared)
        assert migrated.keys() == meant.keys()
        for table in meant:
            assert migrated[table] == meant[table], table

    def test_the_comparison_would_see_a_missing_check_or_a_changed_condition(self, ledger):
        seen = described(ledger)
        assert ("never_over_cap" in str(seen["caps"]["checks"])) and ("submitting" in str(seen["purchases"]["indexes"]))
        assert "delivered_at IS NULL" in str(seen["outbox"]["indexes"])

    def test_the_states_of_the_check_are_the_states_of_the_code(self):
        assert set(STATES) == set(State.__args__)


class TestLastLineOfDefence:
    def _cap(self, conn, **values):
        row = {"kind": "day", "key": "d", "lock_rank": 5, "cap": 100, **values}
        conn.execute(caps.insert().values(**row))

    @pytest.mark.parametrize(
        "values", [{"reserved": 101}, {"settled": 101}, {"reserved": 60, "settled": 41}, {"reserved": -1}, {"cap": -1}]
    )
    def test_a_cap_over_its_limit_cannot_be_written(self, ledger, values):
        with pytest.raises(IntegrityError), ledger.write() as conn:
            self._cap(conn, **values)

    def test_code_that_admits_too_much_aborts(self, ledger):
        with pytest.raises(IntegrityError, match="never_over_cap"), ledger.write() as conn:  # noqa: PT012 - the transaction around the error is what is tested
            self._cap(conn, reserved=100)
            conn.execute(update(caps).values(reserved=caps.c.reserved + 1))
        with ledger.read() as conn:
            assert conn.execute(select(caps)).all() == []

    def test_an_exact_fit_is_allowed(self, ledger):
        with ledger.write() as conn:
            self._cap(conn)
            conn.execute(update(caps).values(settled=100))
            conn.execute(delete(caps))

    def test_a_purchase_cannot_be_submitted_without_the_vendors_id(self, desk):
        key = desk.hold(desk.order()).purchase_id
        with pytest.raises(IntegrityError, match="vendor_id_when_submitted"), desk.ledger.write() as conn:
            conn.execute(update(purchases).where(purchases.c.purchase_id == key).values(state="submitted"))

    def test_a_state_nobody_knows_cannot_be_written(self, desk):
        key = desk.hold(desk.order()).purchase_id
        with pytest.raises(IntegrityError, match="purchase_state"), desk.ledger.write() as conn:
            conn.execute(update(purchases).where(purchases.c.purchase_id == key).values(state="paid"))


class TestJournal:
    @pytest.mark.parametrize("change", [update(postings).values(d_settled=0), delete(postings)], ids=["update", "delete"])
    def test_postings_cannot_be_changed(self, desk, change):
        desk.hold(desk.order())
        with pytest.raises(DBAPIError, match="append-only"), desk.ledger.write() as conn:
            conn.execute(change)

    @pytest.mark.postgres
    def test_nor_emptied(self, postgres_url):
        with pytest.raises(DBAPIError, match="append-only"), Ledger(postgres_url).write() as conn:
            conn.execute(text("TRUNCATE postings"))


class TestUtc:
    @pytest.mark.parametrize(
        "moment",
        [
            NOW,
            NOW.replace(microsecond=1),
            datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(9999, 12, 31, tzinfo=UTC),
        ],
    )
    def test_a_moment_comes_back_to_the_microsecond(self, ledger, moment):
        with ledger.write() as conn:
            conn.execute(leases.insert().values(name="x", owner="y", expires_at=moment))
            back = conn.execute(select(leases.c.expires_at)).scalar_one()
        assert back == moment
        assert back.tzinfo is UTC

    def test_another_zone_is_the_same_moment(self, ledger):
        there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
        with ledger.write() as conn:
            conn.execute(leases.insert().values(name="x", owner="y", expires_at=there))
            assert conn.execute(select(leases.c.name).where(leases.c.expires_at == NOW)).scalar() == "x"

    def test_a_time_without_a_zone_is_refused(self):
        with pytest.raises((TypeError, StatementError)):
            Utc().process_bind_param(datetime(2026, 11, 23), None)  # noqa: DTZ001 - a time without a zone is the point
