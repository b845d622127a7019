"""A delivery: one video, everything that was paid for it, no score that nobody gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiprod import delivering
from aiprod.errors import JobFailed
from aiprod.ledger import results
from aiprod.models import QAReport
from aiprod.qa.measure import measure
from tests.market import Market


def manifest_of(market: Market) -> dict[str, Any]:
    with market.ledger.read() as conn:
        made = results.delivery(conn, "job-1", 1)
    assert made is not None
    document: dict[str, Any] = json.loads(Path(made.manifest.url).read_text())
    return document


class TestDelivery:
    def test_it_is_one_video_of_the_asked_length_with_everything_that_was_paid_in_its_manifest(self, market: Market) -> None:
        market.approved(shots=[{"prompt": "a [[runway=fail-charged]]", "seconds": 1}, {"prompt": "b", "seconds": 2}])
        market.run("job-1")
        market.pipeline.assemble(["job-1"])
        (made,) = market.pipeline.deliver(["job-1"])
        document = manifest_of(market)

        assert measure(Path(made.video.url)).seconds == pytest.approx(3, abs=0.05)
        assert [(a["backend"], a["state"], a["charged"]) for a in document["attempts"]] == [
            ("runway", "failed", 120_000),
            ("veo3", "succeeded", 400_000),
            ("runway", "succeeded", 240_000),
        ]
        assert made.cost == document["cost"] == 760_000
        assert all(a["decision"].startswith("Shot") for a in document["attempts"])
        assert [s["take"]["sha256"] for s in document["shots"]] == [a["take_sha256"] for a in document["attempts"][1:]]
        assert document["files"]["video.mp4"]["sha256"] == made.video.sha256

    def test_a_quality_nobody_scored_is_null_and_says_so(self, market: Market) -> None:
        market.bought()
        market.pipeline.score(["job-1"], 1)
        market.pipeline.assemble(["job-1"])
        (made,) = market.pipeline.deliver(["job-1"])
        assert (made.quality, made.semantic, made.semantic_status) == (None, None, "unscored")
        assert "quality was not scored" in made.labels

    def test_a_preview_says_that_it_is_one(self, local_market: Market) -> None:
        local_market.bought(backend="animatic")
        local_market.pipeline.score(["job-1"], 1)
        local_market.pipeline.assemble(["job-1"])
        (made,) = local_market.pipeline.deliver(["job-1"])
        assert (made.semantic_status, made.labels) == ("not_applicable", ("shot 1 is a labelled preview",))

    def test_a_shot_made_below_the_floor_says_so(self, local_market: Market) -> None:
        local_market.bought(quality_floor=0.99)
        local_market.pipeline.score(["job-1"], 1)
        local_market.pipeline.assemble(["job-1"])
        (made,) = local_market.pipeline.deliver(["job-1"])
        assert "shot 1 was made below the quality floor" in made.labels

    def test_delivering_twice_is_one_delivery_and_counts_once(self, market: Market) -> None:
        market.bought()
        market.pipeline.score(["job-1"], 1)
        market.pipeline.assemble(["job-1"])
        assert market.pipeline.deliver(["job-1"]) == market.pipeline.deliver(["job-1"])
        assert market.count("deliveries") == 1
        assert market.count("metric_outbox WHERE name = 'jobs'") == 1

    def test_a_job_without_a_video_is_not_delivered(self, market: Market) -> None:
        market.bought("[[runway=fail]]")
        with pytest.raises(JobFailed, match="1 of 1 jobs were not delivered"):
            market.pipeline.deliver(["job-1"])
        assert market.pipeline.result("job-1")["video"] is None


def test_a_score_that_is_missing_for_one_shot_is_missing_for_the_video() -> None:
    report = QAReport(take_id="t", technical=1.0)
    assert report.quality is None
    assert delivering._worst([0.9, None]) is None
    assert delivering._worst([0.9, 0.7]) == 0.7
