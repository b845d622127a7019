"""Insert-if-absent and insert-or-update, the same on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, literal_column
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["insert_many", "insert_once", "upsert"]


def insert_once(conn: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless a unique key already holds it; return whether it was inserted.

    Asks the database by RETURNING: psycopg reports a rowcount of -1 for inserted and conflicting rows alike.
    """
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing().returning(literal_column("1"))
    return conn.execute(statement).first() is not None


def insert_many(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, except those whose key is there. All name the same columns."""
    if rows:
        conn.execute(_statement(conn.dialect.name, table, "", ""), rows)


def upsert(conn: Connection, table: Table, rows: Sequence[dict[str, Any]], *, forward: str = "") -> None:
    """Insert rows, or give those whose primary key is there their new values. All name every column.

    With `forward`, a column, only where it grows: who is late changes nothing.
    """
    if rows:
        conn.execute(_statement(conn.dialect.name, table, "update", forward), rows)


@cache
def _statement(dialect: str, table: Table, then: str, forward: str) -> Any:
    """Built once: for a row or two, building it costs more than running it."""
    insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    if not then:
        return insert.on_conflict_do_nothing()
    key = [column.name for column in table.primary_key]
    new = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in key}
    grows = table.c[forward] < insert.excluded[forward] if forward else None
    return insert.on_conflict_do_update(index_elements=key, set_=new, where=grows)
