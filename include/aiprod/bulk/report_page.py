"""A campaign's report as one self-contained page: figures, a contact sheet of what was delivered, and why the rest was not."""

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
_SIDE = 240
_PICTURES = 400
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin-top: 2.2rem }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1px; background: var(--line); padding: 1px }
dl div { background: Canvas; padding: .6rem .8rem } dt { font-size: .8rem; opacity: .7 } dd { margin: 0; font-size: 1.25rem }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; padding: 0 }
figure { margin: 0 }
figure img, .none { width: 100%; aspect-ratio: 16/9; object-fit: contain; background: var(--soft); display: block }
figcaption, th, td { overflow-wrap: anywhere } figcaption { font-size: .8rem }
table { border-collapse: collapse; width: 100%; font-size: .85rem }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top }
.number { text-align: right; font-variant-numeric: tabular-nums }
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
    state = " · cancelled" if found.cancelled else " · paused" if found.paused else ""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>Campaign {escape(found.campaign)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Campaign {escape(found.campaign)}</h1>",
            f"<p>{found.at:%Y-%m-%d %H:%M} UTC{state} · {escape(found.source)}</p>",
            _figures(found),
            f"<h2>Not delivered ({len(others)})</h2>{_table(others)}" if others else "",
            f"<h2>Delivered ({len(delivered)})</h2>",
            f'<div class="sheet">{"".join(_picture(row, pictures.get(row.job_id)) for row in delivered)}</div>',
            "</body></html>",
            "",
        ]
    )


def _figures(found: Report) -> str:
    def told(value: float | None, unit: str = "") -> str:
        return "–" if value is None else f"{value:.2f}" if not unit else f"{value:.0f}{unit}"

    figures = {
        "Delivered": f"{found.statuses.get('delivered', 0)} of {len(found.rows)}",
        "Failed": str(found.statuses.get("failed", 0)),
        "Spent": dollars(found.charged),
        "of that wasted": dollars(found.waste),
        "Approved": dollars(found.approved),
        "Quality, middle": told(found.quality_p50),
        "Quality, least": told(found.quality_least),
        "Time p50": told(found.seconds_p50, " s"),
        "Time p95": told(found.seconds_p95, " s"),
    }
    cells = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in figures.items())
    return f"<dl>{''.join(cells)}</dl>"


def _table(rows: list[ReportRow]) -> str:
    lines = (
        f'<tr><td>{escape(row.row)}</td><td>{escape(row.status)}</td><td>{escape(row.why)}</td><td class="number">'
        f"{dollars(row.charged)}</td><td>{escape(row.title)}</td></tr>"
        for row in rows
    )
    return f"<table><tr><th>Row</th><th>State</th><th>Why</th><th>Charged</th><th>What</th></tr>{''.join(lines)}</table>"


def _picture(row: ReportRow, picture: bytes | None) -> str:
    shown = '<div class="none"></div>'
    if picture is not None:
        shown = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'
    quality = "not scored" if row.quality is None else f"{row.quality:.2f}"
    said = f"{escape(row.row)} · {dollars(row.charged)} · {quality}"
    labels = f"<br>{escape('; '.join(row.labels))}" if row.labels else ""
    caption = f"{said}<br>{escape(row.video or '')}{labels}"
    return f'<figure title="{escape(row.title)}">{shown}<figcaption>{caption}</figcaption></figure>'
