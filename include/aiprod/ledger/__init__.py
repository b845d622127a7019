"""What was ordered, allowed, bought and made: the only room that speaks SQL.

Functions take a `Connection` and never open one; whoever calls owns the transaction. Every transition of a
purchase is one short transaction without a network call inside.
"""

from aiprod.ledger.engine import Ledger, open_ledger

__all__ = ["Ledger", "open_ledger"]
