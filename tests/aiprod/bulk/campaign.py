"""A campaign on a market: planned, approved, entered and run, from rows that a test writes down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiprod import settings
from aiprod.bulk import entering
from aiprod.bulk.entering import Entered
from aiprod.bulk.plan import Plan, Wanted, plan
from aiprod.bulk.rows import Raw, Table
from aiprod.errors import JobFailed
from aiprod.models import Micros
from aiprod.storage import Storage
from tests.market import Market

__all__ = ["Campaign", "keys"]


@dataclass
class Campaign:
    """One campaign and its market."""

    market: Market
    name: str = "spring"
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def storage(self) -> Storage:
        return Storage.at(settings.storage_url())

    def plan(self, *rows: dict[str, Any], budget: Micros | None = None, asked_by: str | None = None, **options: Any) -> Plan:
        """Plan rows of one second each, unless they say otherwise."""
        table = Table(rows=tuple(self.row(n, row) for n, row in enumerate(rows, start=1)))
        wanted = Wanted(campaign=self.name, source="rows.csv", budget=budget, by=asked_by, **{**self.options, **options})
        return plan(self.market.ledger, self.market.catalog, wanted, table)

    @staticmethod
    def row(line: int, cells: dict[str, Any]) -> Raw:
        return Raw(line=line, cells={"seconds": 1, "prompt": cells["key"], **cells}, columns={})

    def enter(self, *rows: dict[str, Any], budget: Micros | None = None, by: str = "ann", **options: Any) -> Entered:
        """Plan, approve and enter."""
        made = self.plan(*rows, budget=budget, **options)
        if made.asks:
            entering.approve(self.market.ledger, self.market.catalog, made, by=by)
        return entering.enter(self.market.ledger, self.market.catalog, made)

    def run(self, run_id: str = "run-b") -> list[str]:
        """One run of the jobs that wait; returns those that were delivered."""
        batch = self.market.pipeline.next_batch()
        assert batch is not None
        job_ids = self.market.pipeline.carry(batch.job_ids, run_id=run_id)
        try:
            self.market.run(*job_ids)
            self.market.pipeline.assemble(job_ids)
            return [made.job_id for made in self.market.pipeline.deliver(job_ids)]
        except JobFailed:
            return []
        finally:
            self.market.pipeline.settle(run_id)


def keys(*names: str, **more: Any) -> list[dict[str, Any]]:
    """Rows with these keys."""
    return [{"key": name, **more} for name in names]
