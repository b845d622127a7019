"""The three paid vendors as shipped, with their emulators behind them: what a test buys, asks and waits for there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from aiprod import parking
from aiprod.catalog import Catalog, load
from aiprod.emulators.running import Vendors
from aiprod.ledger import Ledger
from aiprod.ledger.purchases import Purchase
from aiprod.parking import Parked
from tests.catalogue import CONFIG
from tests.market import Market

__all__ = ["BACKENDS", "NO_ANSWER_WITHIN", "Street", "shipped"]

BACKENDS = ("runway", "veo3", "replicate")
#: Real seconds, enough for a crowded machine; and for a vendor that does not answer, which costs a test this much.
ANSWER_WITHIN = 20.0
NO_ANSWER_WITHIN = 4.0


def shipped(**entry: Any) -> Catalog:
    """Return the shipped catalogue with short patience, and money that nobody has to be asked for."""
    known = load(CONFIG)
    changes = {"submit_timeout_seconds": ANSWER_WITHIN, "poll_seconds": 1.0, **entry}
    backends = {name: e.model_copy(update=changes if name in BACKENDS else {}) for name, e in known.backends.items()}
    preset = known.presets["quick_social"].model_copy(update={"auto_approve_usd": Decimal(1_000)})
    return known.model_copy(update={"backends": backends, "presets": {**known.presets, "quick_social": preset}})


@dataclass
class Street:
    """A ledger of one's own and vendors that keep books."""

    ledger: Ledger
    vendors: Vendors
    folder: Path
    catalog: Catalog = field(default_factory=shipped)

    @property
    def market(self) -> Market:
        return Market(self.ledger, self.catalog, self.folder)

    def order(self, prompt: str, *, job_id: str = "job-1", **spec: Any) -> str:
        """Order five silent seconds and approve them; nothing is held yet."""
        asked = {"seconds": 5, "audio": False, "budget_usd": "20", **spec}
        return self.market.approved(prompt, job_id=job_id, **asked)

    def attempt(self, job_id: str = "job-1", *, round: int = 1) -> list[str]:
        """Route what needs a take and push it as far as it goes now; return the backends that had work."""
        pipeline = self.market.pipeline
        names = pipeline.route([job_id], round)
        for name in names:
            pipeline.render([job_id], name, round)
        return names

    def passes(self, time: timedelta) -> None:
        """Let time pass for the vendors and for everything that was sent."""
        self.vendors.advance(time.total_seconds())
        for column in ("submitted_at", "lease_until", "slot_until", "retry_at"):
            self.market.age("purchases", column, by=time)

    def look_again(self) -> None:
        """One pass of `reconcile`: nothing new is sent."""
        self.market.pipeline.reconcile()

    def purchases(self, job_id: str = "job-1") -> list[Purchase]:
        return self.market.purchases(job_id)

    def waiting(self) -> list[Parked]:
        """What waits for a person."""
        return parking.listed(self.ledger)

    @property
    def billed(self) -> int:
        """What the vendors' own books say is owed, in micro-dollars."""
        return sum(line["billable_micros"] for line in self.vendors.accepts())
