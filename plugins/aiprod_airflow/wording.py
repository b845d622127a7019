"""What people read before they answer: Markdown made from ledger facts, with the customer's words kept harmless."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiprod.bulk.plan import Plan, PlannedRow
from aiprod.models import Estimate, Manifest, dollars
from aiprod.parking import Parked

__all__ = ["campaign_body", "parked_body", "plain", "review_body", "spend_body"]

#: A prompt is shown, not published: the rest is in the studio.
_LONGEST = 160
#: So many rows of a campaign are shown, and problems; the rest is in the stored plan.
_ROWS = 25
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


def spend_body(
    manifest: Manifest, estimate: Estimate, *, amount: int, budget_left: int, preset: str, not_by: str | None = None
) -> str:
    """Return the question about money: every shot at every backend, the envelope, and what the budget has left.

    :param not_by: Who may not answer.
    """
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
        *([f"| of which judging every take, at most | {dollars(estimate.judging)} |"] if estimate.judging else []),
        f"| Left in the job's budget | {dollars(budget_left)} |",
        f"| **You approve at most** | **{dollars(amount)}** |",
        "",
        "Approve: shots are bought inside this amount. Reject: nothing is bought.",
        f"The answer counts for version {manifest.version} only.",
        *_not_by(not_by),
    ]
    return "\n".join(sums)


def _not_by(name: str | None) -> list[str]:
    return [] if name is None else ["", f"{plain(name)} ordered it: another person has to answer."]


def campaign_body(plan: Plan) -> str:
    """Return the question about a campaign's money: its rows, what they may cost in all, and what is left out."""
    wanted, new = plan.wanted, [row for row in plan.rows if row.change == "new"]
    changed = len(plan.to_enter) - len(new)
    same = sum(row.change == "same" for row in plan.rows)
    shown = [_line(row) for row in plan.to_enter]
    left = [f"* {plain(str(problem))}" for problem in plan.problems]
    before = "" if plan.approved is None else f" · {dollars(plan.approved)} approved before"
    return "\n".join(
        [
            f"**Campaign** `{wanted.campaign}` · {plain(wanted.source)}{before}",
            "",
            f"{len(new)} new rows, {changed} changed, {same} as before, {len(left)} problems.",
            "",
            "| | |",
            "|---|---:|",
            f"| Expected for what is new or changed | {dollars(plan.expected)} |",
            f"| Worst case, every allowed attempt charged | {dollars(plan.worst_case)} |",
            f"| Rows that today's budget ({dollars(plan.today_left)} left) reaches | {plan.fits_today} |",
            f"| Rows that this amount reaches | {plan.fits_campaign} |",
            f"| **You approve at most, for the whole campaign** | **{dollars(plan.amount)}** |",
            "",
            "| Line | Row | Expected | At most | What it shows |",
            "|---:|---|---:|---:|---|",
            *shown[:_ROWS],
            *([f"| … | {len(shown) - _ROWS} more rows | | | |"] if len(shown) > _ROWS else []),
            "",
            *(["Not now:", *(f"* {plain(told)}" for told in plan.later[:_ROWS]), ""] if plan.later else []),
            *(["Left out:", *left[:_ROWS]] if left else []),
            *([f"* … and {len(left) - _ROWS} more"] if len(left) > _ROWS else []),
            *(["", "Ordered twice:", *(f"* {plain(line)}" for line in plan.duplicates[:_ROWS])] if plan.duplicates else []),
            "",
            "Approve: these rows are bought inside this amount, and what no day's budget reaches waits for the next. "
            "Reject: nothing is entered.",
            *_not_by(wanted.by if plan.two_people else None),
        ]
    )


def _line(row: PlannedRow) -> str:
    words = row.order.prompt or " / ".join(shot.prompt for shot in row.order.shots or ())
    kept = f" (changed; {row.again} takes used again)" if row.change == "changed" else ""
    return f"| {row.line} | {plain(row.key)}{kept} | {dollars(row.expected)} | {dollars(row.most)} | {plain(words)} |"


def review_body(
    job_id: str, version: int, reasons: tuple[str, ...], video: str, poster: str, *, not_by: str | None = None
) -> str:
    """Return the question about a finished video: why it is asked and where to look.

    :param not_by: Who may not answer.
    """
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
            *_not_by(not_by),
        ]
    )


def parked_body(line: Parked, answers: Mapping[str, str], risks: Mapping[str, str]) -> str:
    """Return the question about a parked purchase: what is known, what to look for, and what each answer does.

    :param answers: What each button does.
    :param risks: What a button could cost, where it could pay twice.
    """
    p = line.purchase
    money = "Charged" if p.closed_at else "Held"
    return "\n".join(
        [
            f"**Job** `{p.job_id}` · **version** {p.version} · shot {p.subject} · **{p.backend}** `{p.model}`",
            "",
            f"{plain(line.why)}. Waiting since {line.since:%Y-%m-%d %H:%M} UTC.",
            "",
            "| Look for on the vendor's page | |",
            "|---|---|",
            f"| Prompt | {plain(line.prompt)} |",
            f"| Sent | {line.sent_at:%Y-%m-%d %H:%M:%S} UTC |",
            f"| Key | `{p.purchase_id}` |",
            f"| Vendor's id | {plain(p.vendor_id) if p.vendor_id else 'unknown'} |",
            f"| {money} | {dollars(p.charged or 0 if p.closed_at else p.hold)} |",
            "",
            *(
                f"* **{button}**: {what}.{f' **{risks[button]}.**' if risks.get(button) else ''}"
                for button, what in answers.items()
            ),
            "",
            "Say why in the form below: it stays in the books with your name.",
        ]
    )
