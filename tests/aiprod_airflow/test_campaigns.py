"""The steps of a campaign: plan, enlist, report, from a file to named videos."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from aiprod.bulk import entering
from aiprod_airflow import campaigns
from aiprod_airflow.failures import OrderRefused
from tests.aiprod_airflow.shop import Shop


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text("key,prompt,seconds\na,a lake,1\nb,a hill,soon\n")
    return file


def params(file: Path, **changes: Any) -> dict[str, Any]:
    said = {"source": str(file), "campaign": "spring", "budget_usd": None, "naming": None, "defaults": None}
    return {**said, **changes}


def approved(shop: Shop, place: str) -> None:
    entering.approve(shop.ledger, shop.pipeline.catalog, entering.kept(shop.pipeline.storage, place), by="ann")


def test_a_plan_names_bad_rows_in_the_log_and_keeps_the_good_ones(
    shop: Shop, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        place = campaigns.plan(params=params(source, budget_usd=0.5))
    assert "Row left out: line 3, column 3 (seconds)" in caplog.text
    assert "2 rows: 1 to enter, 1 left out" in caplog.text
    assert entering.kept(shop.pipeline.storage, place).amount == 500_000


@pytest.mark.parametrize(
    ("change", "why"),
    [({"campaign": "No!"}, "campaign: "), ({"source": "http://x/y.csv"}, "source: "), ({"naming": "{x}.mp4"}, "naming: ")],
)
def test_a_campaign_that_cannot_be_is_refused_in_plain_lines(shop: Shop, source: Path, change: dict[str, str], why: str) -> None:
    with pytest.raises(OrderRefused, match=why):
        campaigns.plan(params=params(source, **change))


def test_a_source_without_a_good_row_is_refused(shop: Shop, source: Path) -> None:
    source.write_text("key,prompt\n,x\n")
    with pytest.raises(OrderRefused, match="no row of it can be ordered; line 2, column 1"):
        campaigns.plan(params=params(source))


def test_a_report_is_red_while_a_row_is_missing_and_has_every_file(
    shop: Shop, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = campaigns.plan(params=params(source))
    with pytest.raises(AirflowFailException, match="nobody approved"):
        campaigns.enlist(place)
    approved(shop, place)
    campaigns.enlist(place)
    with pytest.raises(AirflowFailException, match=r"2 rows were left out or not delivered; .*report\.html"):
        campaigns.report(place)
    assert "a: waiting, for campaign" in caplog.text
    assert (Path(shop.pipeline.storage.keep_text("", "x").url).parent / "campaigns" / "spring" / "report.csv").exists()


def test_a_row_that_changed_while_it_is_made_is_named_and_nobody_is_asked_about_it(
    shop: Shop, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source.write_text("key,prompt,seconds\na,a lake,1\n")
    place = campaigns.plan(params=params(source))
    approved(shop, place)
    campaigns.enlist(place)
    shop.pipeline.carry(["spring-a"], run_id="run-b")
    source.write_text("key,prompt,seconds\na,a hill,1\n")
    with caplog.at_level(logging.INFO):
        place = campaigns.plan(params=params(source))
        assert not entering.kept(shop.pipeline.storage, place).asks
        campaigns.enlist(place)
    told = "line 2 (a): job spring-a is being made; its change is picked up by the next run"
    assert caplog.text.count(told) == 2 and "0 new, 0 changed, 0 as before, 1 later, 0 refused" in caplog.text


def test_a_report_is_green_when_every_row_was_delivered(shop: Shop, source: Path) -> None:
    source.write_text("key,prompt,seconds\na,a lake,1\n")
    place = campaigns.plan(params=params(source))
    approved(shop, place)
    campaigns.enlist(place)
    orders = shop.pipeline
    job_ids = orders.carry(["spring-a"], run_id="run-b")
    orders.route(job_ids, 1)
    orders.render(job_ids, "runway", 1)
    orders.score(job_ids, 1)
    orders.assemble(job_ids)
    orders.deliver(job_ids)
    orders.settle("run-b")
    told = campaigns.report(place)
    assert told["statuses"] == {"delivered": 1}
    assert Path(told["html"]).with_name("a.mp4").exists()
