"""`aiprod backends`: who makes videos, whether they can be bought from now, and what a second costs."""

from __future__ import annotations

from datetime import date
from typing import Any

import typer

from aiprod.backends import why_not_configured
from aiprod.catalog import Catalog, Price, catalog
from aiprod.cli.commands import subject
from aiprod.cli.screen import Json, line, show_json, table
from aiprod.cli.server import Local, asked, client
from aiprod.ledger import health, open_ledger
from aiprod.ledger.engine import now as database_now
from aiprod.models import dollars, micros

__all__ = ["app"]

app = subject()

_FIELDS = {"title", "embedded", "slots", "quality_prior", "expected_seconds", "models"}


@app.command("backends", epilog="Example: aiprod backends --json")
def _backends(context: typer.Context, *, local: Local = False, as_json: Json = False) -> None:
    """List the video vendors: configured or not, healthy or not, what is expected of them, and what a second costs.

    `aiprod doctor` asks each of them how our account stands.
    """
    if local or not asked(context):
        told = _here(catalog())
    else:
        with client(context) as aiprod:
            told = aiprod.backends()
    if as_json:
        return show_json(told)
    line(f"tariff {told['tariff']}")
    return table(("backend", "stands", "quality", "model", "a second"), [row for one in told["backends"] for row in _rows(one)])


def _here(known: Catalog) -> dict[str, Any]:
    """Return what `GET /backends` would say, as far as this machine knows it."""
    with open_ledger().read() as conn:
        now = database_now(conn)
        sick = health.unhealthy(conn, catalog=known, now=now)
    today = now.astimezone(known.zone).date()
    rows = []
    for name in known.backend_order:
        entry = known.backends[name]
        fields = entry.model_dump(
            mode="json", include={"title", "embedded", "slots", "quality_prior", "expected_seconds", "models"}
        )
        prices = [_price(price) for price in _in_force(known, name, today)]
        rows.append(
            {"name": name, "missing": why_not_configured(known, name), "healthy": name not in sick, **fields, "prices": prices}
        )
    return {"tariff": known.prices.name, "backends": rows}


def _in_force(known: Catalog, name: str, today: date) -> list[Price]:
    """The newest price of everything a backend sells."""
    newest = {}
    for price in sorted(known.prices.prices, key=lambda price: price.valid_from):
        if price.backend == name and price.valid_from <= today:
            newest[price.model, price.audio, price.resolutions] = price
    return list(newest.values())


def _price(price: Price) -> dict[str, Any]:
    kept = price.model_dump(mode="json", include={"model", "meter", "audio", "resolutions"})
    return {**kept, "per_second": micros(price.usd_per_second)}


def _rows(backend: dict[str, Any]) -> list[tuple[str, ...]]:
    stands = backend["missing"] or ("ready" if backend["healthy"] else "unhealthy: it rests after failures")
    quality = "-" if backend["quality_prior"] is None else f"{backend['quality_prior']:.2f}"
    prices = [(_what(price), f"{dollars(price['per_second'])}{_meter(price)}") for price in backend["prices"]] or [
        ("-", "no cost")
    ]
    first, *more = prices
    return [(backend["name"], stands, quality, *first), *(("", "", "", *price) for price in more)]


def _what(price: dict[str, Any]) -> str:
    sound = {True: " with sound", False: " silent", None: ""}[price["audio"]]
    return f"{price['model']}{sound}{' ' + '/'.join(price['resolutions']) if price['resolutions'] else ''}"


def _meter(price: dict[str, Any]) -> str:
    return " of work" if price["meter"] == "run_seconds" else ""
