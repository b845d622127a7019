"""`aiprod estimate|enlist|result|reconcile`: what orders cost, what became of them, and what is left to finish; no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiprod.catalog import catalog
from aiprod.cli.amounts import typed_usd
from aiprod.cli.commands import subject
from aiprod.cli.files import order_in, read
from aiprod.cli.person import By
from aiprod.cli.screen import Json, line, show_json
from aiprod.errors import SpecError
from aiprod.models import JobSpec, dollars, limit_micros
from aiprod.offering import Offer, offer
from aiprod.pipeline import Pipeline

__all__ = ["app"]

app = subject()


@app.command("estimate", epilog="Example: aiprod estimate examples/jobs/lighthouse.yaml")
def _estimate(
    *,
    order: Annotated[Path, typer.Argument(metavar="ORDER", help="A YAML or JSON file with the fields of the trigger form.")],
    as_json: Json = False,
) -> None:
    """Price an order without entering it."""
    pipeline = Pipeline()
    told = offer(pipeline.ledger, pipeline.catalog, JobSpec.parse(order_in(order)))
    if told.recommendation is not None:
        raise SpecError([f"budget_usd: {dollars(told.budget)} cannot pay for this video; {told.recommendation}"])
    if as_json:
        return show_json(told.model_dump(mode="json"))
    manifest, priced = told.manifest, told.estimate
    for one in priced.lines:
        line(f"shot {one.shot}  {one.backend:<10} {one.model:<22} {one.bought_seconds:g} s  {dollars(one.quote)}  {one.note}")
    for sentence in told.decisions:
        line(sentence)
    backends = ", ".join(one.backend for one in told.backends)
    line(f"{len(manifest.shots)} shots, {manifest.seconds:g} s, tariff {priced.tariff}, backends {backends}")
    line(f"expected {dollars(priced.expected)}, worst case {dollars(priced.worst_case)}")
    return line(_allowed(told))


def _allowed(told: Offer) -> str:
    """What a person would be asked, and what today's money says to it."""
    asked = "approved by itself" if told.automatic else "a person is asked"
    today = "no cap today" if told.left_today is None else f"{dollars(told.left_today)} left today"
    short = "" if told.fits_today else ", which is not enough"
    return f"to approve: {dollars(told.amount)} ({asked}); {today}{short}"


@app.command("enlist", epilog="Example: aiprod enlist examples/campaigns/postcards.yaml --campaign postcards --amount 5")
def _enlist(
    *,
    orders: Annotated[Path, typer.Argument(metavar="ORDERS", help="A YAML or JSON file with a list of orders.")],
    campaign: Annotated[str, typer.Option(metavar="NAME", help="The campaign's name; the same again adds to it.")],
    amount: Annotated[str, typer.Option(metavar="AMOUNT", help="What all its jobs may cost together, in dollars.")],
    by: By,
    as_json: Json = False,
) -> None:
    """Enter the jobs of a campaign, approved together; the DAG `dispatch` starts them."""
    rows = read(orders)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise SpecError([f"{orders}: must be a list of orders, such as `- prompt: a lake`"])
    try:
        money = limit_micros(typed_usd(amount))
    except SpecError as error:
        raise SpecError([f"--amount: {problem}" for problem in error.problems]) from None
    entered = Pipeline().enlist(rows, campaign=campaign, amount=money, by=by)
    if as_json:
        return show_json({"campaign": campaign, "amount": money, "job_ids": entered})
    return line(f"{len(entered)} jobs of campaign {campaign} wait for a run; the DAG `dispatch` starts it")


@app.command("result", epilog="Example: aiprod result lighthouse-1")
def _result(
    *,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    local: Annotated[bool, typer.Option("--local", help="Without effect: it always reads this machine's ledger.")] = True,
    as_json: Json = True,
) -> None:
    """What became of a job, as JSON: files, scores, cost, attempts, and what went wrong."""
    show_json(Pipeline().result(job_id))


@app.command("reconcile", epilog="Example: aiprod reconcile")
def _reconcile(*, as_json: Json = False) -> int:
    """Finish what nobody watched, once; ends with 1 when something is in trouble. Never sends what costs money."""
    done = Pipeline(catalogue=catalog()).reconcile()
    if as_json:
        show_json(done.model_dump(mode="json"))
    else:
        for told in (*done.moved, *done.troubles):
            line(told)
        line(f"{done.looked_at} open purchases looked at, {len(done.moved)} moved, {len(done.troubles)} in trouble")
    return 1 if done.troubles else 0
