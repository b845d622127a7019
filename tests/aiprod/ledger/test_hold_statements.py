"""The statements of T1: what they are is seen in `test_holds.py`, what they cost here."""

from __future__ import annotations

from sqlalchemy.dialects import postgresql

from aiprod.ledger import hold_statements


def test_the_statement_is_short_enough_to_be_prepared_once() -> None:
    """psycopg takes statements of more than 4096 characters apart anew at each execution."""
    assert len(str(hold_statements.in_one().compile(dialect=postgresql.psycopg.dialect()))) < 4096
