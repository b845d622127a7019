"""Ledger against books: what was overspent, bought twice, lost or left unexplained. Shares no code with the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiprod.budgets import job_budget
from aiprod.catalog import Catalog
from aiprod.ledger import Ledger
from aiprod.models import USD, JobSpec, limit_micros
from benchmarks.load.report import Figure
from tests.auditor import audit as unbalanced
from tests.safety.judge import Caps, Finding, judge, rows_of
from tests.safety.matching import owned

__all__ = ["Audit", "audited"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Audit:
    """What the vendors' books and the ledger's rows came to, laid side by side."""

    findings: tuple[Finding, ...]
    #: What the independent auditor says of balances.
    unbalanced: tuple[str, ...]
    #: Micro-dollars that caps were exceeded by, bills above their holds included.
    overrun: int
    accepts: int
    billed: int
    charged: int
    parked: int

    def count(self, kind: str) -> int:
        return sum(1 for finding in self.findings if finding.kind == kind)

    @property
    def lines(self) -> list[str]:
        """Everything that is wrong, one line each."""
        return [*(f"{finding.kind}: {finding.text}" for finding in self.findings), *self.unbalanced]

    def figures(self) -> list[Figure]:
        """The promises that hold in every scenario."""
        overspent = self.overrun + sum(f.micros for f in self.findings if f.kind == "overspend")
        books = f"{self.accepts} requests accepted, ${self.billed / USD:,.2f} billed, ${self.charged / USD:,.2f} in our ledger"
        return [
            Figure("overspend", overspent / USD, "$", most=0, said=books),
            Figure("duplicates", self.count("duplicate"), most=0),
            Figure("lost", self.count("lost"), most=0),
            Figure("unexplained holds", self.count("unexplained hold"), most=0, said=f"{self.parked} parked for a person"),
            Figure("balances that do not add up", len(self.unbalanced), most=0),
        ]


def audited(ledger: Ledger, catalog: Catalog, accepts: Sequence[Row]) -> Audit:
    """Judge everything that was ever bought here. Nothing may be under way: an open purchase is an unexplained hold."""
    with ledger.read() as conn:
        rows = rows_of(conn)
        wrong = unbalanced(conn)
    ours = [purchase for purchase in rows["purchases"] if purchase["kind"] == "render" and _sent(purchase)]
    mine = owned(accepts, ours)
    return Audit(
        findings=tuple(judge(mine, rows, _caps(catalog, rows["jobs"]))),
        unbalanced=tuple(wrong),
        overrun=sum(cap["overrun"] for cap in rows["caps"]),
        accepts=len(mine),
        billed=sum(accept["billable_micros"] for accept in mine),
        charged=sum(purchase["charged"] or 0 for purchase in rows["purchases"]),
        parked=sum(1 for purchase in rows["purchases"] if purchase["parked_at"] is not None),
    )


def _sent(purchase: Row) -> bool:
    """Whether a request may have left for it. The embedded backend has no books."""
    return bool(purchase["backend"] != "animatic")


def _caps(catalog: Catalog, jobs: Sequence[Row]) -> Caps:
    """What the catalogue and the orders allow, read from them and not from the ledger's caps."""
    specs = {job["job_id"]: JobSpec.model_validate_json(job["spec"]) for job in jobs}
    budgets = catalog.budgets
    return Caps(
        zone=budgets.zone,
        day=limit_micros(budgets.day_usd),
        job={job_id: job_budget(spec, catalog.presets[spec.preset]) for job_id, spec in specs.items()},
        project={name: limit_micros(usd) for name, usd in budgets.project_usd.items()},
        backend_day={name: limit_micros(usd) for name, usd in budgets.backend_day_usd.items()},
        projects={job_id: spec.project for job_id, spec in specs.items()},
    )
