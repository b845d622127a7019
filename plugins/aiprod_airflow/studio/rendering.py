"""Pages out of templates: the words and the tone of every state, amounts to the micro-dollar, and what a page may load."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aiprod.models import JobStatus, Micros, dollars
from aiprod_airflow.api.problems import Problem

__all__ = ["FOLDER", "PATH", "PURCHASE_WORDS", "STATUS_WORDS", "page", "span"]

FOLDER = Path(__file__).parent
#: Below the application's own address.
PATH = "/studio"

#: Only our own files: no script inside a page, no other site around it.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; object-src 'none'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: What a person reads, and the tone it is shown in.
STATUS_WORDS: dict[str, tuple[str, str]] = {
    JobStatus.CREATED: ("Ordered", "idle"),
    JobStatus.ESTIMATED: ("Priced", "idle"),
    JobStatus.WAITING_APPROVAL: ("Needs approval", "asks"),
    JobStatus.WAITING_BUDGET: ("Waits for money", "asks"),
    JobStatus.RENDERING: ("Rendering", "works"),
    JobStatus.SCORING: ("Being judged", "works"),
    JobStatus.FINAL_APPROVAL: ("Needs review", "asks"),
    JobStatus.DELIVERED: ("Delivered", "good"),
    JobStatus.REJECTED: ("Refused", "idle"),
    JobStatus.CANCELLED: ("Cancelled", "idle"),
    JobStatus.FAILED: ("Failed", "bad"),
    JobStatus.EXPIRED: ("Nobody answered", "idle"),
}
PURCHASE_WORDS: dict[str, tuple[str, str]] = {
    "held": ("Money set aside", "idle"),
    "submitting": ("Being sent", "works"),
    "submitted": ("Rendering", "works"),
    "unknown": ("Answer lost", "asks"),
    "succeeded": ("Rendered", "good"),
    "failed": ("Failed", "bad"),
    "cancelled": ("Stopped", "idle"),
    "rejected": ("Refused by the vendor", "bad"),
    "absent": ("Never ran", "idle"),
    "expired": ("Hold ran out", "idle"),
    "voided": ("Given back unsent", "idle"),
    "written_off": ("Written off", "bad"),
}
SHOT_WORDS: dict[str, tuple[str, str]] = {
    "waiting": ("Waiting", "idle"),
    "rendering": ("Rendering", "works"),
    "judging": ("Being judged", "works"),
    "rejected": ("Not good enough", "bad"),
    "accepted": ("Accepted", "good"),
    "needs_person": ("Needs a person", "asks"),
    "reused": ("Used again", "good"),
    "failed": ("Failed", "bad"),
}
VERDICT_WORDS: dict[str, tuple[str, str]] = {
    "accepted": ("Accepted", "good"),
    "rejected": ("Not good enough", "bad"),
    "needs_person": ("Needs a person", "asks"),
}


def _badge(words: dict[str, tuple[str, str]], name: str) -> Markup:
    said, tone = words.get(name, (name, "idle"))
    return Markup('<span class="badge {}">{}</span>').format(tone, said)


def _time(at: datetime) -> Markup:
    """A time that the page's script writes in the reader's zone; without it, UTC."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M UTC"))


def _difference(amount: Micros) -> str:
    """An amount with its sign; nothing where there is none."""
    return "no change" if amount == 0 else f"{'+' if amount > 0 else '−'}{dollars(abs(amount))}"


def _percent(part: float | None) -> str:
    """A part of one in per cent, cut and never rounded up to a goal it did not reach."""
    return "–" if part is None else f"{math.floor(part * 1000 + 1e-9) / 10:g} %"


def span(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min, 1.5 h."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 3600 else f"{seconds / 3600:.3g} h"


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _score(value: float | None) -> str:
    """0 to 1 as people compare it: three digits, cut and never rounded up to a floor it did not reach."""
    return "–" if value is None else f"{int(value * 1000) / 1000:.3f}"


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"dollars": dollars, "time": _time, "seconds": _seconds, "score": _score, "clock": _clock}
    made.filters |= {"difference": _difference, "percent": _percent, "span": span}
    made.globals |= {
        "status": lambda name: _badge(STATUS_WORDS, name),
        "purchase_state": lambda name: _badge(PURCHASE_WORDS, name),
        "shot_state": lambda name: _badge(SHOT_WORDS, name),
        "verdict": lambda name: _badge(VERDICT_WORDS, name),
    }
    return made


_PAGES = _environment()


def page(request: Request, template: str, *, trouble: Problem | None = None, **shown: Any) -> HTMLResponse:
    """Return a page, or a part of one. Whatever is `shown` is escaped; one that tells of `trouble` has its status."""
    api = request.scope.get("root_path", "")
    text = _PAGES.get_template(template).render(
        api=api, root=api + PATH, airflow=api.removesuffix("/aiprod"), trouble=trouble, **shown
    )
    return HTMLResponse(text, trouble.status if trouble else 200, _HEADERS)
