"""What was quoted and what was charged, per backend and model. Charges in, report out; the total is the ledger's. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from pydantic import Field

from aiprod.ledger.charges import Charge
from aiprod.ledger.states import BOUGHT
from aiprod.models import Micros, Noun

__all__ = ["ModelCosts", "costs_of", "total"]


class ModelCosts(Noun):
    """One model of one backend. Micro-dollars; refunds are negative, `overbilled` and `waste` are parts of `charged`."""

    backend: str
    model: str
    purchases: int = 0
    quoted: Micros = 0
    charged: Micros = 0
    #: How many charges the vendor told (`vendor`), were taken from the hold (`quote`), or are none.
    sources: dict[str, int] = Field(default_factory=dict)
    #: Charged for renders that failed, were cancelled or written off.
    waste: Micros = 0
    overbilled: Micros = 0
    late_bills: Micros = 0
    refunds: Micros = 0

    @property
    def difference(self) -> float | None:
        """How far the charge is from the quote, in per cent of the quote; None where nothing was quoted."""
        return None if not self.quoted else (self.charged - self.quoted) * 100 / self.quoted

    @property
    def total(self) -> Micros:
        return self.charged + self.late_bills + self.refunds


def costs_of(charges: Sequence[Charge]) -> list[ModelCosts]:
    """Return the costs of every backend and model that has charges, dearest first."""
    by_model: dict[tuple[str, str], list[Charge]] = defaultdict(list)
    for charge in charges:
        by_model[charge.backend, charge.model].append(charge)
    found = [_model(backend, model, rows) for (backend, model), rows in by_model.items()]
    return sorted(found, key=lambda costs: (-costs.total, costs.backend, costs.model))


def _model(backend: str, model: str, rows: Sequence[Charge]) -> ModelCosts:
    bought = [row for row in rows if row.ended and row.state in BOUGHT]
    late = [row.amount for row in rows if not row.ended]
    return ModelCosts(
        backend=backend,
        model=model,
        purchases=len(bought),
        quoted=sum(row.hold for row in bought),
        charged=sum(row.amount for row in bought),
        sources=dict(sorted(Counter(row.cost_source or "none" for row in bought).items())),
        waste=sum(row.amount for row in bought if row.state != "succeeded"),
        overbilled=sum(max(0, row.amount - row.hold) for row in bought),
        late_bills=sum(amount for amount in late if amount > 0),
        refunds=sum(amount for amount in late if amount < 0),
    )


def total(costs: Sequence[ModelCosts]) -> Micros:
    """Return what all of them come to: to the micro-dollar what the ledger settled in the same period."""
    return sum(one.total for one in costs)
