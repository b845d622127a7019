"""Insert-if-absent, the same on both databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, literal_column
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["insert_once"]


def insert_once(conn: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless a unique key already holds it; return whether it was inserted.

    Asks the database by RETURNING: psycopg reports a rowcount of -1 for inserted and conflicting rows alike.
    """
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row).on_conflict_do_nothing().returning(literal_column("1"))
    return conn.execute(statement).first() is not None
