"""Where the money is: today's caps, thirty days of charges, the backends, and what is wrong now. It only adds up."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from aiprod import supply
from aiprod.budgets import day_window
from aiprod.costs import costs_of, total
from aiprod.ledger import alerts, charges
from aiprod.ledger.engine import now as database_now
from aiprod.models import USD, Micros
from aiprod.pipeline import Pipeline
from aiprod_airflow.api.access import Orders, Who
from aiprod_airflow.studio.people import May
from aiprod_airflow.studio.refusals import PageRoute
from aiprod_airflow.studio.rendering import PATH, page

__all__ = ["router"]

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_DAYS = 30


@router.get(PATH + "/money")
def money(request: Request, caller: Who, orders: Orders, may: May) -> Response:
    """The page. Every figure is the ledger's own; the thirty days end now and are days of the budget's zone."""
    hidden = orders.catalog.access.hidden_from(caller.name)
    budget = supply.budget(orders.ledger, orders.catalog, hidden_projects=hidden)
    backends = supply.backends(orders.ledger, orders.catalog)
    days = _days(orders)
    with orders.ledger.read() as conn:
        found = charges.charges(conn, days[0][0], days[-1][1])
        wrong = alerts.of_now(conn)
    costs = costs_of(found)
    # Days are the budget's, wherever the reader is: names, not moments.
    names = [start.astimezone(orders.catalog.zone).strftime("%d %b") for start, _, _ in days]
    series = {"days": names, "y": [spent / USD for _, _, spent in days]}
    return page(
        request,
        "money.html",
        here="money",
        may=may,
        exports=not hidden,
        budget=budget,
        backends=backends,
        alerts=[one for one in wrong if one.raised_at is not None],
        costs=costs,
        total=total(costs),
        quoted=sum(one.quoted for one in costs),
        charged=sum(one.charged for one in costs),
        waste=sum(one.waste for one in costs),
        days=days,
        series=json.dumps(series),
    )


def _days(orders: Pipeline) -> list[tuple[datetime, datetime, Micros]]:
    """Every day up to today: its start, its end, and what was settled in it."""
    with orders.ledger.read() as conn:
        now = database_now(conn)
        found = []
        # From noon to noon: a day is 23 hours long once a year.
        noon = now.astimezone(orders.catalog.zone).replace(hour=12, minute=0)
        for back in range(_DAYS - 1, -1, -1):
            _, start, end = day_window(noon - timedelta(days=back), orders.catalog.zone)
            found.append((start, end, charges.settled_between(conn, start, end)))
    return found


@router.get(PATH + "/money.csv")
def export(caller: Who, orders: Orders) -> Response:
    """Every charge of the thirty days, in micro-dollars and exact dollars. Their sum is what the page shows.

    Only for who sees every project: it names single purchases, and a purchase does not say whose it is.
    """
    if orders.catalog.access.hidden_from(caller.name):
        raise HTTPException(403, "the export lists purchases of every project; ask somebody who is a member of all of them")
    days = _days(orders)
    with orders.ledger.read() as conn:
        rows = charges.charges(conn, days[0][0], days[-1][1])
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(("purchase_id", "backend", "model", "state", "kind", "set_aside_micros", "charged_micros", "charged_usd"))
    for row in rows:
        kind = "charge" if row.ended else "correction"
        exact = f"{'-' if row.amount < 0 else ''}{abs(row.amount) // USD}.{abs(row.amount) % USD:06d}"
        out.writerow((row.purchase_id, row.backend, row.model, row.state, kind, row.hold, row.amount, exact))
    headers = {"Content-Disposition": 'attachment; filename="aiprod-charges.csv"', "Cache-Control": "no-store"}
    return Response(text.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")
