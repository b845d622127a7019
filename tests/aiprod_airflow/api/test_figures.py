"""What a Prometheus server reads is what the ledger's series say, and nobody reads it without a login."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from aiprod.ledger import points
from tests.aiprod_airflow.api.people import API


def test_a_scrape_says_what_the_series_say(api: API) -> None:
    with api.ledger.write() as conn:
        points.emit(conn, "jobs", 1, now=datetime.now(UTC), status="delivered")
        points.fold(conn)
    said = api.client(role="viewer").get("/aiprod/metrics")

    assert said.headers["content-type"].startswith("text/plain")
    samples = [sample for family in text_string_to_metric_families(said.text) for sample in family.samples]
    assert [s.value for s in samples if s.name == "aiprod_jobs_total" and s.labels == {"status": "delivered"}] == [1.0]


def test_nobody_scrapes_without_a_login(api: API) -> None:
    assert api.client(role=None).get("/aiprod/metrics").status_code == 401
