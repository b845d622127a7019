"""`aiprod costs`: what was quoted and what was charged, and every difference between them; of everything, or of one job."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from aiprod.catalog import catalog
from aiprod.cli.amounts import signed
from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.cli.server import Local, asked, client, here
from aiprod.costs import ModelCosts, costs_of, total
from aiprod.errors import JobFailed
from aiprod.ledger import open_ledger
from aiprod.ledger.charges import charges, settled_between
from aiprod.ledger.engine import now as database_now
from aiprod.models import Micros, dollars
from aiprod.pricing import old_prices
from aiprod.views import JobCosts

__all__ = ["app"]

app = subject()


@app.command("costs", epilog="Example: aiprod costs --days 7 --json")
def _costs(
    context: typer.Context,
    *,
    job_id: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Only this job's, purchase by purchase.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3_650, metavar="N", help="The last N times 24 hours.")] = 30,
    local: Local = False,
    as_json: Json = False,
) -> None:
    """What was quoted and what was charged, per backend and model, from the ledger of this machine; or of one job."""
    if job_id is not None:
        return _of_job(_costs_of(context, job_id, local=local), as_json=as_json)
    known = catalog()
    with open_ledger().read() as conn:
        now = database_now(conn)
        since, until = now - timedelta(days=days), now + timedelta(microseconds=1)
        found = costs_of(charges(conn, since, until))
        settled = settled_between(conn, since, until)
    if total(found) != settled:
        raise JobFailed(f"the report comes to {dollars(total(found))}, the ledger settled {dollars(settled)}: do not trust it")
    aged = old_prices(known.prices, now.date())
    if as_json:
        lines = [{**one.model_dump(), "difference_percent": one.difference, "total": one.total} for one in found]
        prices = [price.model_dump(mode="json", exclude_none=True) for price in aged]
        return show_json({"since": since.isoformat(), "lines": lines, "total": settled, "old_prices": prices})
    for one in found:
        line(_costs_line(one))
    line(f"total {signed(settled)} in {days} days, as settled in the ledger")
    for price in aged:
        kind = {True: " with sound", False: " silent", None: ""}[price.audio]
        sizes = f" {'/'.join(price.resolutions)}" if price.resolutions else ""
        line(
            f"old price: {price.backend} {price.model}{kind}{sizes} ${price.usd_per_second}/s since {price.valid_from} "
            f"({(now.date() - price.valid_from).days} days), {price.source}"
        )
    return None


def _costs_of(context: typer.Context, job_id: str, *, local: bool) -> JobCosts:
    if local or not asked(context):
        return here().costs_of_job(job_id)
    with client(context) as aiprod:
        return aiprod.costs(job_id)


def _of_job(costs: JobCosts, *, as_json: bool) -> None:
    """Print every purchase of a job and its sums."""
    if as_json:
        return show_json(costs.model_dump(mode="json"))
    rows = [
        (
            str(p.version),
            str(p.shot),
            p.kind,
            p.backend,
            p.model,
            p.state,
            dollars(p.hold),
            _charge(p.charged),
            p.cost_source or "-",
        )
        for p in costs.purchases
    ]
    if rows:
        header = ("version", "shot", "kind", "backend", "model", "state", "quoted", "charged", "told by")
        table(header, rows, right=("version", "shot", "quoted", "charged"))
    sums = costs.sums
    held = f", held {dollars(sums.held)}" if sums.held else ""
    saved = f", saved {dollars(sums.saved)}" if sums.saved else ""
    return line(f"charged {dollars(sums.charged)}{held}{saved}; {dollars(sums.budget_left)} of {dollars(sums.budget)} left")


def _charge(amount: Micros | None) -> str:
    return "-" if amount is None else dollars(amount)


def _costs_line(one: ModelCosts) -> str:
    off = "" if one.difference is None else f" ({one.difference:+.2f} %)"
    parts = [
        f"{one.backend} {one.model}: {one.purchases} purchases, quoted {dollars(one.quoted)}, charged {dollars(one.charged)}{off}"
    ]
    parts += [f"told by {', '.join(f'{word} {count}' for word, count in one.sources.items())}"] if one.sources else []
    extras = {
        "wasted": one.waste,
        "over its holds": one.overbilled,
        "late bills": one.late_bills,
        "refunds": one.refunds,
    }
    parts += [f"{word} {signed(amount)}" for word, amount in extras.items() if amount]
    return ", ".join([*parts, f"total {signed(one.total)}"])
