"""`aiprod backends`: who makes videos, whether they can be bought from now, and what a second costs."""

from __future__ import annotations

import typer

from aiprod import supply
from aiprod.catalog import catalog
from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.cli.server import Local, asked, client
from aiprod.client import as_noun
from aiprod.ledger import open_ledger
from aiprod.models import dollars
from aiprod.supply import BackendRow, Backends, PriceRow

__all__ = ["app"]

app = subject()


@app.command("backends", epilog="Example: aiprod backends --json")
def _backends(context: typer.Context, *, local: Local = False, as_json: Json = False) -> None:
    """List the video vendors: configured or not, healthy or not, what is expected of them, and what a second costs.

    `aiprod doctor` asks each of them how our account stands.
    """
    if local or not asked(context):
        told = supply.backends(open_ledger(), catalog())
    else:
        with client(context) as aiprod:
            told = as_noun(Backends, aiprod.backends())
    if as_json:
        return show_json(told.model_dump(mode="json"))
    line(f"tariff {told.tariff}")
    return table(("backend", "stands", "quality", "model", "a second"), [row for one in told.backends for row in _rows(one)])


def _rows(backend: BackendRow) -> list[tuple[str, ...]]:
    stands = backend.missing or ("ready" if backend.healthy else "unhealthy: it rests after failures")
    quality = "-" if backend.quality_prior is None else f"{backend.quality_prior:.2f}"
    prices = [(_what(price), f"{dollars(price.per_second)}{_meter(price)}") for price in backend.prices] or [("-", "no cost")]
    first, *more = prices
    return [(backend.name, stands, quality, *first), *(("", "", "", *price) for price in more)]


def _what(price: PriceRow) -> str:
    sound = {True: " with sound", False: " silent", None: ""}[price.audio]
    return f"{price.model}{sound}{' ' + '/'.join(price.resolutions) if price.resolutions else ''}"


def _meter(price: PriceRow) -> str:
    return " of work" if price.meter == "run_seconds" else ""
