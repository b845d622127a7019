"""What became of a campaign: every row, what was delivered and why not, money, waste, quality and time."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from aiprod.errors import JobUnknown
from aiprod.ledger import Ledger, campaign_results, campaigns, caps
from aiprod.ledger.campaign_results import JobResult
from aiprod.ledger.engine import now as database_now
from aiprod.models import Micros, Noun

__all__ = ["Report", "ReportRow", "as_csv", "report"]


class ReportRow(Noun):
    """One row of a campaign, as its newest revision stands. Seconds from its first run to its delivery.

    `charged` and `waste` in micro-dollars are its job's, earlier versions included.
    """

    row: str
    line: int
    revision: int
    job_id: str
    version: int
    title: str
    status: str
    why: str
    video: str | None
    poster: str | None
    contact_sheet: str | None
    quality: float | None
    technical: float | None
    labels: tuple[str, ...]
    charged: Micros
    waste: Micros
    seconds: float | None


class Report(Noun):
    """A campaign as it stands. Micro-dollars and seconds; `charged` and `waste` hold what replaced revisions cost, too."""

    campaign: str
    at: datetime
    source: str
    paused: bool
    cancelled: bool
    approved: Micros
    reserved: Micros
    charged: Micros
    waste: Micros
    statuses: dict[str, int]
    #: The lowest and the middle of what was scored; None where nothing was.
    quality_least: float | None
    quality_p50: float | None
    seconds_p50: float | None
    seconds_p95: float | None
    rows: tuple[ReportRow, ...]


def report(ledger: Ledger, campaign: str) -> Report:
    """Return how a campaign stands now. Raises `JobUnknown` for one that the ledger does not know."""
    with ledger.read() as conn:
        cap = caps.balance(conn, "campaign", campaign)
        terms = campaigns.terms(conn, campaign)
        now = database_now(conn)
        found = campaign_results.results_of(conn, campaign, now=now)
    if cap is None and terms is None:
        raise JobUnknown(f"campaign {campaign} is not in the ledger")
    rows = tuple(_row(result) for result in found if not result.replaced)
    took = sorted(row.seconds for row in rows if row.seconds is not None)
    scores = sorted(row.quality for row in rows if row.quality is not None)
    return Report(
        campaign=campaign,
        at=now,
        source=terms.source if terms else "",
        paused=terms is not None and terms.paused_at is not None,
        cancelled=terms is not None and terms.cancelled_at is not None,
        approved=cap.cap if cap else 0,
        reserved=cap.reserved if cap else 0,
        charged=cap.settled if cap else 0,
        waste=sum({result.job_id: result.waste for result in found}.values()),
        statuses=dict(sorted(Counter(row.status for row in rows).items())),
        quality_least=scores[0] if scores else None,
        quality_p50=_percentile(scores, 50),
        seconds_p50=_percentile(took, 50),
        seconds_p95=_percentile(took, 95),
        rows=rows,
    )


def _row(result: JobResult) -> ReportRow:
    made, order = result.delivery, result.order
    times = (result.started_at, result.delivered_at)
    return ReportRow(
        row=result.row_key or result.job_id,
        line=result.line,
        revision=result.revision,
        job_id=result.job_id,
        version=result.version,
        title=order.title(80),
        status=result.status,
        why=result.why,
        video=result.published or (made.video.path if made else None),
        poster=made.poster.path if made else None,
        contact_sheet=made.contact_sheet.path if made else None,
        quality=made.quality if made else None,
        technical=made.technical if made else None,
        labels=made.labels if made else (),
        charged=result.charged,
        waste=result.waste,
        seconds=(times[1] - times[0]).total_seconds() if times[0] and times[1] else None,
    )


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The least value that `percent` of the values do not exceed: one that occurred, never one in between."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def as_csv(found: Report) -> str:
    """Return the rows as CSV; amounts in micro-dollars. What a spreadsheet would read as a formula is quoted as text."""
    names = [name for name in ReportRow.model_fields if name != "labels"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "labels"])
    for row in found.rows:
        writer.writerow([_cell(getattr(row, name)) for name in names] + [_cell("; ".join(row.labels))])
    return text.getvalue()


def _cell(value: object) -> object:
    # The words are a customer's: a cell that begins like this is run by the program that opens the file.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
