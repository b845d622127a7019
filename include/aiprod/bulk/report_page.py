"""A campaign's report as one self-contained page: figures, why rows were not delivered, and a contact sheet of the others."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape

from aiprod.bulk.report import Report, ReportRow
from aiprod.errors import StorageError
from aiprod.models import dollars
from aiprod.storage import Storage

__all__ = ["as_html", "thumbnails"]

#: Longer side of a picture in pixels, and how many a page carries: it is opened in one go.
_SIDE = 360
_PICTURES = 400
#: States in the order of the bar, with the colour of each.
_COLOURS = {"delivered": "#2e9e6b", "running": "#3b82c4", "waiting": "#8fa3b8", "cancelled": "#b9a16b", "failed": "#d1495b"}
_STYLE = """
:root { color-scheme: light dark; --ink: #17202a; --soft: #66727f; --line: #dfe4ea; --paper: #f5f7f9; --card: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf2; --soft: #97a3b0; --line: #2c3640; --paper: #12181e; --card: #1a222a }
}
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: var(--ink); background: var(--paper); margin: 0 }
main { margin: 0 auto; max-width: 76rem; padding: 2.5rem 1.5rem 4rem }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -.01em; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .9rem }
.over { color: var(--soft); font-size: .8rem; letter-spacing: .08em; margin: 0 0 .3rem; text-transform: uppercase }
.under { color: var(--soft); margin: .4rem 0 0; overflow-wrap: anywhere }
.chip { border-radius: 99px; color: #fff; display: inline-block; font-size: .78rem; font-weight: 500; letter-spacing: 0 }
.chip { line-height: 1.5; padding: .1rem .6rem; vertical-align: middle; white-space: nowrap }
.bar { border-radius: 99px; display: flex; gap: 2px; height: .8rem; margin: 1.6rem 0 .6rem; overflow: hidden }
.legend { color: var(--soft); display: flex; flex-wrap: wrap; font-size: .85rem; gap: .2rem 1.2rem; margin: 0; padding: 0 }
.legend i { border-radius: 50%; display: inline-block; height: .6rem; margin-right: .4rem; width: .6rem }
dl { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); margin: 1.6rem 0 0 }
dl div, figure, .rows { background: var(--card); border: 1px solid var(--line); border-radius: 12px }
dl div { padding: .8rem 1rem } dt { color: var(--soft); font-size: .8rem }
dd { font-size: 1.45rem; font-variant-numeric: tabular-nums; line-height: 1.3; margin: 0 }
dd + dd { color: var(--soft); font-size: .8rem }
.sheet { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
figure { margin: 0; overflow: hidden }
figure img, .none { aspect-ratio: 16/9; background: #0b0f13; display: block; object-fit: contain; width: 100% }
figcaption { font-size: .85rem; padding: .7rem .9rem .8rem } figcaption, td { overflow-wrap: anywhere }
figcaption b { display: block; font-size: .95rem } figcaption p { margin: .1rem 0 .5rem }
small { color: var(--soft); display: block }
.rows { overflow-x: auto } table { border-collapse: collapse; font-size: .88rem; width: 100% }
th { color: var(--soft); font-size: .78rem; font-weight: 500 } tr + tr td { border-top: 1px solid var(--line) }
th, td { padding: .55rem .9rem; text-align: left; vertical-align: top }
.number { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap }
"""


def thumbnails(storage: Storage, found: Report) -> dict[str, bytes]:
    """Return small JPEGs of the first posters by job; one that cannot be read has none."""
    # Not at the top: only who draws a page pays for it.
    from PIL import Image

    pictures: dict[str, bytes] = {}
    for row in [row for row in found.rows if row.poster][:_PICTURES]:
        try:
            with storage.local(row.poster or "") as file, Image.open(file) as image:
                image.thumbnail((_SIDE, _SIDE))
                small = io.BytesIO()
                image.convert("RGB").save(small, "JPEG", quality=70)
        except (StorageError, OSError):
            continue
        pictures[row.job_id] = small.getvalue()
    return pictures


def as_html(found: Report, pictures: Mapping[str, bytes]) -> str:
    """Return the page. Every word that came with an order is escaped; the page fetches nothing and runs nothing."""
    delivered = [row for row in found.rows if row.status == "delivered"]
    others = [row for row in found.rows if row.status != "delivered"]
    sheet = "".join(_picture(row, pictures.get(row.job_id)) for row in delivered)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Campaign {escape(found.campaign)}</title><style>{_STYLE}</style></head><body><main>",
            f'<p class="over">Campaign</p><h1>{escape(found.campaign)} {_state(found)}</h1>',
            f'<p class="under">As of {found.at:%Y-%m-%d %H:%M} UTC{f" · {escape(found.source)}" if found.source else ""}</p>',
            _bar(found),
            _figures(found),
            f"<h2>Not delivered ({len(others)})</h2>{_table(others)}" if others else "",
            f'<h2>Delivered ({len(delivered)})</h2><div class="sheet">{sheet}</div>',
            "</main></body></html>",
            "",
        ]
    )


def _state(found: Report) -> str:
    """One word beside the name, where there is something to say."""
    word, colour = "", _COLOURS["waiting"]
    if found.cancelled:
        word, colour = "cancelled", _COLOURS["cancelled"]
    elif found.paused:
        word = "paused"
    elif found.rows and set(found.statuses) == {"delivered"}:
        word, colour = "complete", _COLOURS["delivered"]
    return f'<span class="chip" style="background:{colour}">{word}</span>' if word else ""


def _bar(found: Report) -> str:
    """How the rows stand, as a bar and in words."""
    counts = [(name, found.statuses.get(name, 0), colour) for name, colour in _COLOURS.items()]
    parts = "".join(f'<span style="background:{colour};flex:{count}"></span>' for _, count, colour in counts if count)
    words = "".join(f'<span><i style="background:{colour}"></i>{count} {name}</span>' for name, count, colour in counts if count)
    return f'<div class="bar">{parts}</div><p class="legend">{words}</p>' if parts else ""


def _figures(found: Report) -> str:
    waste = f"{found.waste / found.charged:.0%} of what was spent" if found.charged else ""
    least = "" if found.quality_least is None else f"least {found.quality_least:.2f}"
    figures = {
        "Delivered": (f"{found.statuses.get('delivered', 0)} of {len(found.rows)}", ""),
        "Failed": (str(found.statuses.get("failed", 0)), ""),
        "Spent": (dollars(found.charged), f"of {dollars(found.approved)} approved"),
        "Wasted": (dollars(found.waste), waste),
        "Quality, middle": ("–" if found.quality_p50 is None else f"{found.quality_p50:.2f}", least or "nothing was scored"),
        "Time, p50": (_time(found.seconds_p50), "from first run to delivery"),
        "Time, p95": (_time(found.seconds_p95), ""),
    }
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd>{f'<dd>{escape(beside)}</dd>' if beside else ''}</div>"
        for name, (value, beside) in figures.items()
    )
    return f"<dl>{''.join(cells)}</dl>"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def _table(rows: list[ReportRow]) -> str:
    lines = (
        f"<tr><td>{escape(row.row)}<small>line {row.line}</small></td><td>{_chip(row.status)}</td>"
        f'<td>{escape(row.why)}</td><td class="number">{dollars(row.charged)}</td><td>{escape(row.title)}</td></tr>'
        for row in rows
    )
    head = '<tr><th>Row</th><th>State</th><th>Why</th><th class="number">Charged</th><th>What</th></tr>'
    return f'<div class="rows"><table>{head}{"".join(lines)}</table></div>'


def _chip(status: str) -> str:
    return f'<span class="chip" style="background:{_COLOURS[status]}">{status}</span>'


def _picture(row: ReportRow, picture: bytes | None) -> str:
    shown = '<div class="none"></div>'
    if picture is not None:
        shown = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'
    quality = "not scored" if row.quality is None else f"quality {row.quality:.2f}"
    facts = " · ".join([dollars(row.charged), quality, _time(row.seconds)])
    labels = f"<small>{escape('; '.join(row.labels))}</small>" if row.labels else ""
    words = f"<b>{escape(row.row)}</b><p>{escape(row.title)}</p><small>{facts}</small>{labels}"
    return f"<figure>{shown}<figcaption>{words}<small>{escape(row.video or '')}</small></figcaption></figure>"
