"""What was ordered, allowed, bought and made: the only room that speaks SQL.

Functions take a `Connection` and never open one; whoever calls owns the transaction. Every transition of a
purchase is one short transaction without a network call inside.
"""

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError as DatabaseError

from aiprod.ledger.engine import Ledger, open_ledger

__all__ = ["Connection", "DatabaseError", "Ledger", "open_ledger"]
