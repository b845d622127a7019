"""A campaign's videos under the names its template gives them, and its report beside them."""

from __future__ import annotations

from aiprod.bulk.naming import DEFAULT, Naming
from aiprod.bulk.report import Report, as_csv, report
from aiprod.bulk.report_page import as_html, thumbnails
from aiprod.errors import StorageError
from aiprod.ledger import Ledger, campaign_results, campaigns
from aiprod.ledger.engine import now as database_now
from aiprod.models import Noun, StoredFile
from aiprod.storage import Storage

__all__ = ["Published", "publish"]


class Published(Noun):
    """A report, where its files are by kind, and one line per video that could not be given its name."""

    report: Report
    files: dict[str, StoredFile]
    unnamed: tuple[str, ...]


def publish(ledger: Ledger, storage: Storage, campaign: str) -> Published:
    """Give every delivered video its name, once, and write the report as JSON, CSV and HTML over the one before.

    Can be done at any time, and again. Raises `JobUnknown` for a campaign that the ledger does not know.
    """
    unnamed = _name(ledger, storage, campaign)
    found = report(ledger, campaign)
    texts = {
        "json": found.model_dump_json(indent=2) + "\n",
        "csv": as_csv(found),
        "html": as_html(found, thumbnails(storage, found)),
    }
    files = {kind: storage.keep_text(text, f"campaigns/{campaign}/report.{kind}") for kind, text in texts.items()}
    return Published(report=found, files=files, unnamed=tuple(unnamed))


def _name(ledger: Ledger, storage: Storage, campaign: str) -> list[str]:
    with ledger.read() as conn:
        terms = campaigns.terms(conn, campaign)
        results = campaign_results.results_of(conn, campaign, now=database_now(conn))
        found = {(result.row_key, result.revision): result for result in results}
        rows = [row for row in campaigns.rows(conn, campaign) if row.published is None]
    naming = Naming(terms.naming if terms else DEFAULT)
    unnamed = []
    for row in rows:
        result = found[row.row_key, row.revision]
        if result.delivery is None:
            continue
        name = naming.name(campaign, row.row_key, row.revision, result.order)
        try:
            with storage.local(result.delivery.video.path) as file:
                storage.keep(file, name)
        except StorageError as error:
            unnamed.append(f"{row.row_key}: {error}")
            continue
        with ledger.write() as conn:
            campaigns.publish(conn, campaign, row, name)
    return unnamed
