"""The page for Prometheus is one that its own parser reads, with the ledger's totals."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aiprod.catalog import Catalog
from aiprod.ledger import Ledger, points
from aiprod.metrics import push, scrape
from tests.desk import NOW, rows


@pytest.fixture
def told(sqlite_url: str, config: Catalog) -> Ledger:
    ledger = Ledger(sqlite_url)
    with ledger.write() as conn:
        for value in (0.3, 0.6, 0.95):
            points.emit(conn, "quality_score", value, now=NOW, dimension="technical")
        points.emit(conn, "cost", 1.25, now=NOW, backend='run"way\\')
        points.emit(conn, "jobs", 1, now=NOW, status="delivered")
    push(ledger, config, sinks=[])
    return ledger


def samples(ledger: Ledger) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(scrape(ledger)[1].decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_totals_counts_and_buckets_are_the_ledgers(told: Ledger) -> None:
    seen = samples(told)
    technical = ("dimension", "technical")
    assert seen["aiprod_jobs_total", (("status", "delivered"),)] == 1
    assert seen["aiprod_cost_total", (("backend", 'run"way\\'),)] == 1.25
    assert seen["aiprod_quality_score_count", (technical,)] == 3
    assert seen["aiprod_quality_score_sum", (technical,)] == pytest.approx(1.85)
    assert [seen["aiprod_quality_score_bucket", (technical, ("le", le))] for le in ("0.5", "0.9", "+Inf")] == [1, 2, 3]
    assert seen["aiprod_budget_left", ()] == 100


def test_reading_it_changes_nothing_and_it_says_what_it_is(told: Ledger) -> None:
    before = rows(told, "metric_series", "metric_outbox", "metric_sent")
    kind, page = scrape(told)
    assert kind.startswith("text/plain")
    assert rows(told, "metric_series", "metric_outbox", "metric_sent") == before
    assert page.count(b"# HELP aiprod_") == page.count(b"# TYPE aiprod_") > 25


def test_an_empty_ledger_has_a_page_too(sqlite_url: str) -> None:
    assert samples(Ledger(sqlite_url)) == {}
