"""What happens every minute: figures are sent, campaigns are told of, alerts are raised and resolved."""

from __future__ import annotations

from aiprod import alerting, metrics
from aiprod.alerting import Change
from aiprod.catalog import Catalog
from aiprod.ledger import Ledger
from aiprod.metrics import Flushed
from aiprod.models import Noun

__all__ = ["Minute", "minute"]


class Minute(Noun):
    """What one minute came to."""

    flushed: Flushed
    changes: tuple[Change, ...]
    #: The campaigns that were told of.
    campaigns: tuple[str, ...] = ()


def minute(ledger: Ledger, catalog: Catalog) -> Minute:
    """Do all of it, what people wait for first. Twice at the same moment does no harm."""
    flushed = metrics.flush(ledger, catalog)
    changes = alerting.watch(ledger, catalog)
    told = alerting.digest(ledger)
    # Last: a vendor that does not answer must not hold up what somebody waits to be told. The next minute carries its word.
    metrics.ask_for_credits(ledger, catalog)
    return Minute(flushed=flushed, changes=tuple(changes), campaigns=tuple(digest.campaign for digest in told))
