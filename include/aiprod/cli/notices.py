"""`aiprod notices` and `aiprod alerts`: what could not be told to whom and why, and what was raised lately."""

from __future__ import annotations

from typing import Annotated

import typer

from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.ledger import alerts, notices, open_ledger

__all__ = ["app"]

app = subject()

Limit = Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="How many.")]


@app.command("notices", epilog="Example: aiprod notices")
def _notices(*, limit: Limit = 100, as_json: Json = False) -> int:
    """What could not be told, to which channel, and why; ends with 1 when there is any. What is still tried is not listed."""
    with open_ledger().read() as conn:
        found = notices.given_up(conn, limit=limit)
    if as_json:
        show_json({"given_up": [one.model_dump(mode="json") for one in found]})
    elif not found:
        line("everything was told, or is still being tried")
    else:
        columns = ("channel", "event", "topic", "written (UTC)", "tries", "why")
        rows = [
            (n.channel, n.event_key, n.topic, f"{n.created_at:%Y-%m-%d %H:%M}", str(n.tries), n.trouble or "-") for n in found
        ]
        table(columns, rows, right=("tries",))
    return 1 if found else 0


@app.command("alerts", epilog="Example: aiprod alerts")
def _alerts(*, limit: Limit = 20, as_json: Json = False) -> None:
    """Alerts that were raised, the newest first; those that are over too."""
    with open_ledger().read() as conn:
        found = alerts.latest(conn, limit=limit)
    if as_json:
        return show_json({"alerts": [one.model_dump(mode="json") for one in found]})
    if not found:
        return line("no alert was ever raised")
    rows = []
    for one in found:
        over = "goes on" if one.resolved_at is None else f"over {one.resolved_at:%Y-%m-%d %H:%M}"
        rows.append((f"{one.raised_at:%Y-%m-%d %H:%M}", over, one.severity, one.alert, one.subject or "-", one.message))
    return table(("raised (UTC)", "now", "severity", "alert", "of", "what"), rows)
