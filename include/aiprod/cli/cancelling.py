"""`aiprod cancel`: nothing more is bought for a job, with a server or without."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from aiprod.cli.commands import subject
from aiprod.cli.person import By
from aiprod.cli.screen import Json, line, show_json
from aiprod.cli.server import Job, Local, asked, client
from aiprod.ledger import jobs, purchases
from aiprod.models import Micros, State, dollars
from aiprod.pipeline import Pipeline

__all__ = ["app"]

app = subject()

#: What a vendor has, or may have.
_SENT: tuple[State, ...] = ("submitting", "submitted", "unknown")


@app.command("cancel", epilog="Example: aiprod cancel lighthouse-1")
def _cancel(context: typer.Context, *, job_id: Job, by: By, local: Local = False, as_json: Json = False) -> None:
    """Hold and send nothing more for a job, and ask its vendors to stop. What they do not stop is still billed and kept.

    A server also answers the run's open question, and writes down who is logged in there. On the ledger alone (--local, or
    no server named) it is --by, and a run that waits for a person goes on waiting in Airflow.
    """
    if local or not asked(context):
        lines, sent = _here(job_id, by=by)
    else:
        with client(context) as aiprod:
            aiprod.cancel(job_id)
            lines = [f"{job_id} is cancelled: nothing more is held or sent for it"]
            sent = _holds((p.state, p.hold) for p in aiprod.costs(job_id).purchases)
    if as_json:
        return show_json({"job_id": job_id, "cancelled": True, "not_stopped": len(sent), "not_stopped_hold": sum(sent)})
    for told in lines:
        line(told)
    if sent:
        money = dollars(sum(sent))
        line(f"not stopped: {len(sent)} renders already sent, up to {money}; they are still billed, watched and kept")
    return None


def _here(job_id: str, *, by: str) -> tuple[list[str], list[Micros]]:
    """Cancel on this machine's ledger; return what came of it, and the holds of what was sent."""
    pipeline = Pipeline()
    done = pipeline.cancel(job_id, by=by)
    with pipeline.ledger.read() as conn:
        bought = [p for version in jobs.versions(conn, job_id) for p in purchases.of_job(conn, job_id, version)]
    lines = [f"{job_id} is cancelled{'' if done.fresh else ' since before'}: nothing more is held or sent for it"]
    if done.holds:
        lines.append(f"{done.holds} holds of {dollars(done.money)} were not sent and are given back")
    return [*lines, *done.renders], _holds((p.state, p.hold) for p in bought)


def _holds(purchases: Iterable[tuple[State, Micros]]) -> list[Micros]:
    return [hold for state, hold in purchases if state in _SENT]
