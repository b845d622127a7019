"""The steps of a campaign that are plain tasks: each calls the library once and says what happened."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from aiprod.bulk import entering, publishing
from aiprod.bulk.naming import DEFAULT
from aiprod.bulk.plan import Wanted
from aiprod.bulk.plan import plan as planned
from aiprod.bulk.sources import load
from aiprod.errors import SpecError
from aiprod.models import dollars, limit_micros
from aiprod_airflow.failures import told_to_airflow
from aiprod_airflow.pipelines import pipeline

__all__ = ["enlist", "plan", "report"]

log = logging.getLogger(__name__)

#: A wall of text is not read; the rest is in the stored plan.
_TOLD = 50


def plan(*, params: dict[str, Any], by: str | None = None) -> str:
    """Read the source, say what is wrong with which row and what the rest would cost; store the plan and return where.

    `by` is who started the run; nobody, where a schedule did. Nothing is written to the ledger, and nothing can be bought by
    this. Fails when no row at all can be ordered.
    """
    # Not at the top: it loads every file system Airflow knows.
    from airflow.sdk import ObjectStoragePath

    with told_to_airflow():
        wanted = _wanted(params, by)
        orders = pipeline()
        made = planned(orders.ledger, orders.catalog, wanted, load(wanted.source, opened=ObjectStoragePath))
        for problem in made.problems[:_TOLD]:
            log.error("Row left out: %s", problem)
        for line in [*made.duplicates, *made.later][:_TOLD]:
            log.warning("%s", line)
        if not made.rows:
            raise SpecError(["source: no row of it can be ordered", *map(str, made.problems[:_TOLD])])
        log.info(
            "%d rows: %d to enter, %d left out; %s expected, %s at most; today's money reaches %d, the campaign's %d",
            *(len(made.rows) + len(made.problems), len(made.to_enter), len(made.problems)),
            *(dollars(made.expected), dollars(made.worst_case), made.fits_today, made.fits_campaign),
        )
        return entering.keep(orders.storage, made)


def _wanted(params: dict[str, Any], by: str | None) -> Wanted:
    budget = params.get("budget_usd")
    return Wanted(
        campaign=str(params.get("campaign") or ""),
        source=str(params.get("source") or ""),
        budget=None if budget is None else limit_micros(Decimal(str(budget))),
        naming=params.get("naming") or DEFAULT,
        in_flight=params.get("in_flight"),
        defaults=params.get("defaults") or {},
        by=by,
    )


def enlist(place: str) -> None:
    """Enter the rows of the plan that was approved; they wait for runs."""
    orders = pipeline()
    with told_to_airflow():
        entered = entering.enter(orders.ledger, orders.catalog, entering.kept(orders.storage, place))
    for line in entered.refused:
        log.error("Row left out: %s", line)
    for line in entered.later:
        log.warning("Not now: %s", line)
    counts = (entered.new, entered.changed, entered.same, len(entered.later), len(entered.refused))
    log.info("%d new, %d changed, %d as before, %d later, %d refused", *counts)


def report(place: str) -> dict[str, Any]:
    """Name the delivered videos, write the report, and fail when a row was left out or not delivered."""
    orders = pipeline()
    with told_to_airflow():
        plan = entering.kept(orders.storage, place)
        made = publishing.publish(orders.ledger, orders.storage, plan.wanted.campaign)
    found = made.report
    counts = ", ".join(f"{count} {status}" for status, count in found.statuses.items())
    log.info("%s; %s spent, %s of it wasted; %s", counts, dollars(found.charged), dollars(found.waste), made.files["html"].url)
    missing = [f"{row.row}: {row.status}, {row.why}" for row in found.rows if row.status not in ("delivered", "cancelled")]
    wrong = [*(str(problem) for problem in plan.problems), *missing, *made.unnamed]
    for line in wrong[:_TOLD]:
        log.error("%s", line)
    if wrong:
        raise AirflowFailException(f"{len(wrong)} rows were left out or not delivered; the report is {made.files['html'].url}")
    return {"campaign": found.campaign, "statuses": found.statuses, **{kind: file.url for kind, file in made.files.items()}}
