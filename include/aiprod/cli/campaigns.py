"""`aiprod campaign`: how a campaign stands, its report, and pausing, going on with or cancelling it."""

from __future__ import annotations

from typing import Annotated

import typer

from aiprod.bulk import holding, publishing
from aiprod.bulk.report import Report, ReportRow, report
from aiprod.catalog import catalog
from aiprod.cli.commands import subject
from aiprod.cli.person import By
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.ledger import campaigns, open_ledger
from aiprod.ledger.campaigns import Word
from aiprod.models import dollars
from aiprod.pipeline import Pipeline

__all__ = ["app"]

app = subject()
_verbs = subject("How a campaign stands, its report, and pausing, going on with or cancelling it.")
app.add_typer(_verbs, name="campaign")

Name = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's name.")]

#: What each word means for the jobs of a campaign.
_MEANS: dict[Word, str] = {
    "paused": "no more of its jobs are started; what a run carries goes on",
    "resumed": "its jobs are started again",
    "cancelled": "nothing more is bought for it; what was delivered stays",
}


@_verbs.command("list", epilog="Example: aiprod campaign list")
def _list(*, as_json: Json = False) -> None:
    """List the campaigns, and how their rows stand."""
    ledger = open_ledger()
    with ledger.read() as conn:
        names = campaigns.all_of(conn)
    found = [report(ledger, name) for name in names]
    if as_json:
        return show_json({"campaigns": [one.model_dump(mode="json", exclude={"rows"}) for one in found]})
    if not found:
        return line("no campaign was approved yet")
    rows = [(one.campaign, _state(one), _statuses(one), dollars(one.charged), dollars(one.approved)) for one in found]
    return table(("campaign", "state", "rows", "charged", "approved"), rows, right=("charged", "approved"))


@_verbs.command("show", epilog="Example: aiprod campaign show spring --json")
def _show(*, campaign: Name, as_json: Json = False) -> None:
    """Show every row: what became of it, why not, and what it cost. With --json as the report has it."""
    found = report(open_ledger(), campaign)
    if as_json:
        return show_json(found.model_dump(mode="json"))
    line(f"{found.campaign} is {_state(found)}: {_statuses(found)}; {found.source or 'enlisted without a source'}")
    money = f"{dollars(found.charged)} charged, {dollars(found.reserved)} held, of {dollars(found.approved)} approved"
    line(f"{money}; {dollars(found.waste)} of it wasted")
    columns = ("line", "row", "job", "stands", "quality", "charged", "why")
    return table(columns, [_row(row) for row in found.rows], right=("line", "quality", "charged"))


def _row(row: ReportRow) -> tuple[str, ...]:
    job = row.job_id if row.version <= 1 else f"{row.job_id} v{row.version}"
    quality = "-" if row.quality is None else f"{row.quality:.2f}"
    return (str(row.line), row.row, job, row.status, quality, dollars(row.charged), row.why)


def _state(found: Report) -> str:
    if found.cancelled:
        return "cancelled"
    if found.paused:
        return "paused"
    return "going on" if {"waiting", "running"} & set(found.statuses) else "over"


def _statuses(found: Report) -> str:
    return ", ".join(f"{count} {status}" for status, count in found.statuses.items()) or "no rows"


@_verbs.command("report", epilog="Example: aiprod campaign report spring")
def _report(*, campaign: Name, as_json: Json = False) -> None:
    """Name the delivered videos, write the report (HTML, CSV, JSON) into the storage, and say where."""
    pipeline = Pipeline()
    made = publishing.publish(pipeline.ledger, pipeline.storage, campaign)
    where = {kind: file.url for kind, file in made.files.items()}
    if as_json:
        return show_json({"campaign": campaign, "files": where, "unnamed": list(made.unnamed)})
    line(f"{campaign} is {_state(made.report)}: {_statuses(made.report)}")
    for url in where.values():
        line(url)
    for told in made.unnamed:
        line(f"not named: {told}")
    return None


@_verbs.command("pause", epilog="Example: aiprod campaign pause spring")
def _pause(*, campaign: Name, by: By, as_json: Json = False) -> None:
    """Start no more of its jobs, until it is resumed; what a run carries goes on, for it is paid."""
    _say(campaign, "paused", by=by, as_json=as_json)


@_verbs.command("resume", epilog="Example: aiprod campaign resume spring")
def _resume(*, campaign: Name, by: By, as_json: Json = False) -> None:
    """Start its jobs again."""
    _say(campaign, "resumed", by=by, as_json=as_json)


@_verbs.command("cancel", epilog="Example: aiprod campaign cancel spring")
def _cancel(*, campaign: Name, by: By, as_json: Json = False) -> None:
    """Buy nothing more for it, ever, and ask its vendors to stop. What was delivered stays; the name is used up."""
    _say(campaign, "cancelled", by=by, as_json=as_json)


def _say(campaign: str, word: Word, *, by: str, as_json: bool) -> None:
    said = holding.say(open_ledger(), catalog(), campaign, word, by=by)
    if as_json:
        return show_json(said.model_dump(mode="json"))
    line(f"{campaign} is {word}{'' if said.fresh else ' since before'}: {_MEANS[word]}")
    if said.jobs:
        line(f"{said.jobs} jobs cancelled; {dollars(said.money)} of holds given back")
    for told in said.renders:
        line(told)
    return None
