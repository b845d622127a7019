"""What people read before they answer: Markdown made from ledger facts, with the customer's words kept harmless."""

from __future__ import annotations

import re

from aiprod.models import Estimate, Manifest, dollars

__all__ = ["plain", "review_body", "spend_body"]

#: A prompt is shown, not published: the rest is in the studio.
_LONGEST = 160
#: GitHub Markdown looks for addresses in the finished text, so escapes do not keep it from linking them. A joiner that
#: nobody sees, put here, does.
_LINK_STARTS = re.compile(r"(https?://|www(?=\.)|@)", re.IGNORECASE)
_JOINER = "\N{WORD JOINER}"


def plain(text: str) -> str:
    """Return a customer's text as Markdown that renders as exactly that text: no links, images, tables or HTML."""
    short = " ".join(text.split())
    short = short if len(short) <= _LONGEST else short[: _LONGEST - 1] + "…"
    unlinked = _LINK_STARTS.sub(rf"\1{_JOINER}", short)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>&~:@$])", lambda m: f"&#{ord(m[1])};", unlinked)


def spend_body(manifest: Manifest, estimate: Estimate, *, amount: int, budget_left: int, preset: str) -> str:
    """Return the question about money: every shot at every backend, the envelope, and what the budget has left."""
    names = list(dict.fromkeys(line.backend for line in estimate.lines))
    prices = {(line.shot, line.backend): line for line in estimate.lines}
    head = f"| Shot | Seconds | {' | '.join(names)} | What it shows |"
    rule = f"|---:|---:|{'---:|' * len(names)}---|"
    rows = []
    for shot in manifest.shots:
        cells = []
        for name in names:
            line = prices.get((shot.index, name))
            cells.append("–" if line is None else dollars(line.quote) + (" ¹" if line.note else ""))
        rows.append(f"| {shot.index} | {shot.seconds:g} | {' | '.join(cells)} | {plain(shot.prompt)} |")
    notes = sorted({f"{line.backend}: {line.note}" for line in estimate.lines if line.note})
    sums = [
        f"**Job** `{manifest.job_id}` · **version** {manifest.version} · preset `{preset}` · tariff `{estimate.tariff}`",
        "",
        head,
        rule,
        *rows,
        "",
        *(f"¹ {plain(note)}" for note in notes),
        "",
        "| | |",
        "|---|---:|",
        f"| Expected | {dollars(estimate.expected)} |",
        f"| Worst case, every allowed attempt charged | {dollars(estimate.worst_case)} |",
        f"| Left in the job's budget | {dollars(budget_left)} |",
        f"| **You approve at most** | **{dollars(amount)}** |",
        "",
        "Approve: shots are bought inside this amount. Reject: nothing is bought.",
        f"The answer counts for version {manifest.version} only.",
    ]
    return "\n".join(sums)


def review_body(job_id: str, version: int, reasons: tuple[str, ...], video: str, poster: str) -> str:
    """Return the question about a finished video: why it is asked and where to look."""
    return "\n".join(
        [
            f"**Job** `{job_id}` · **version** {version}",
            "",
            "A person is asked because:",
            *(f"* {plain(reason)}" for reason in reasons),
            "",
            f"Video: `{video}`",
            "",
            f"Poster: `{poster}`",
            "",
            "Approve: this video is delivered. Reject: it is not; what was bought stays stored.",
        ]
    )
