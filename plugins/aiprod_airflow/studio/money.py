"""Where the money went and how well it was spent: caps, thirty days, objectives, backends, alerts. It only adds up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import pairwise

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from aiprod import objectives, spending, supply
from aiprod.ledger import alerts, charges, strikes
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.spending import Spent
from aiprod.models import USD
from aiprod.objectives import Standing
from aiprod.pipeline import Pipeline
from aiprod.spending import Day
from aiprod_airflow.api.access import Orders, Who
from aiprod_airflow.studio.people import May
from aiprod_airflow.studio.refusals import PageRoute
from aiprod_airflow.studio.rendering import PATH, page, span

__all__ = ["router"]

router = APIRouter(route_class=PageRoute, include_in_schema=False)

#: How far back a failure is still told of beside its backend.
_LATELY = timedelta(hours=24)
#: Where the money of projects goes that the reader may not see: the sums stay those of the house.
_OTHERS = "other projects"


@router.get(PATH + "/money")
def money(request: Request, caller: Who, orders: Orders, may: May) -> Response:
    """The page. Every figure is the ledger's own; the thirty days end now and are days of the budget's zone."""
    hidden = orders.catalog.access.hidden_from(caller.name)
    budget = supply.budget(orders.ledger, orders.catalog, hidden_projects=hidden)
    backends = supply.backends(orders.ledger, orders.catalog)
    days = spending.days(orders.ledger, orders.catalog)
    with orders.ledger.read() as conn:
        wrong = alerts.of_now(conn)
        standings = strikes.standings(conn)
        troubles = strikes.troubles(conn, since=database_now(conn) - _LATELY, hidden_projects=hidden)
    spent = [one for day in days for one in day.spent]
    return page(
        request,
        "money.html",
        here="money",
        may=may,
        exports=not hidden,
        budget=budget,
        backends=backends,
        strikes=standings,
        most_strikes=orders.catalog.strikes,
        troubles=troubles,
        alerts=[one for one in wrong if one.raised_at is not None],
        objectives=[(one, _histogram(one)) for one in objectives.standings(orders.ledger, orders.catalog)],
        projects=_by_project(spent, hidden),
        models=spending.summed(spent, by=lambda one: ("", one.backend, one.model)),
        together=next(iter(spending.summed(spent, by=lambda one: ("", "", ""))), None),
        total=sum(day.total for day in days),
        today=days[-1].total,
        series=_series(days),
    )


def _by_project(spent: Sequence[Spent], hidden: Collection[str]) -> list[tuple[Spent, list[Spent]]]:
    """Each project's sum with its backends below it, the dearest first."""

    def named(one: Spent) -> str:
        return _OTHERS if one.project in hidden else one.project

    backends = spending.summed(spent, by=lambda one: (named(one), one.backend, ""))
    sums = spending.summed(spent, by=lambda one: (named(one), "", ""))
    return [(each, [one for one in backends if one.project == each.project]) for each in sums]


def _series(days: Sequence[Day]) -> str:
    # Days are the budget's, wherever the reader is: names, not moments.
    return json.dumps({"labels": [f"{each.day:%d %b}" for each in days], "y": [each.total / USD for each in days], "unit": "$"})


def _histogram(one: Standing) -> str:
    """The values of an objective by bucket, those on the wrong side of its bound apart."""
    told = span if one.unit == "s" else "{:g}".format
    labels = [f"below {told(one.bounds[0])}", *(f"{told(a)}–{told(z)}" for a, z in pairwise(one.bounds))]
    labels.append(f"{told(one.bounds[-1])} and more")
    split = one.bounds.index(one.bound) + 1
    low, high = [*one.buckets[:split]], [*one.buckets[split:]]
    low, high = [*low, *[0] * len(high)], [*[0] * len(low), *high]
    good, bad = (low, high) if one.good_below else (high, low)
    return json.dumps({"labels": labels, "y": good, "bad": bad, "unit": ""})


@router.get(PATH + "/money.csv")
def export(caller: Who, orders: Orders) -> Response:
    """Every charge of the thirty days, in micro-dollars and exact dollars. Their sum is what the page shows.

    Only for who sees every project: it names single purchases, and a purchase does not say whose it is.
    """
    if orders.catalog.access.hidden_from(caller.name):
        raise HTTPException(403, "the export lists purchases of every project; ask somebody who is a member of all of them")
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(("purchase_id", "backend", "model", "state", "kind", "set_aside_micros", "charged_micros", "charged_usd"))
    for row in _charges(orders):
        kind = "charge" if row.ended else "correction"
        exact = f"{'-' if row.amount < 0 else ''}{abs(row.amount) // USD}.{abs(row.amount) % USD:06d}"
        out.writerow((row.purchase_id, row.backend, row.model, row.state, kind, row.hold, row.amount, exact))
    headers = {"Content-Disposition": 'attachment; filename="aiprod-charges.csv"', "Cache-Control": "no-store"}
    return Response(text.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")


def _charges(orders: Pipeline) -> list[charges.Charge]:
    start, end = spending.window(orders.ledger, orders.catalog)
    with orders.ledger.read() as conn:
        return charges.charges(conn, start, end)
