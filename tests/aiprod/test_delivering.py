"""A delivery: one video, everything that was paid for it, no score that nobody gave."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from aiprod import delivering
from aiprod.errors import JobFailed
from aiprod.ledger import results
from aiprod.models import QAReport, Verdict
from aiprod.provenance import Claim
from aiprod.qa.measure import measure
from aiprod.storage import Storage
from tests.aiprod.test_finishing import rejudge
from tests.desk import race_of_processes
from tests.market import Market, killed, lethal


def manifest_of(market: Market) -> dict[str, Any]:
    with market.ledger.read() as conn:
        made = results.delivery(conn, "job-1", 1)
    assert made is not None
    document: dict[str, Any] = json.loads(Path(made.manifest.url).read_text())
    return document


class TestDelivery:
    def test_it_is_one_video_of_the_asked_length_with_everything_that_was_paid_in_its_manifest(
        self, local_market: Market
    ) -> None:
        local_market.approved(shots=[{"prompt": "a [[runway=fail-charged]]", "seconds": 1}, {"prompt": "b", "seconds": 2}])
        local_market.run("job-1")
        local_market.pipeline.assemble(["job-1"])
        (made,) = local_market.pipeline.deliver(["job-1"])
        document = manifest_of(local_market)

        assert measure(Path(made.video.url)).seconds == pytest.approx(3, abs=0.05)
        assert [(a["backend"], a["state"], a["charged"]) for a in document["attempts"]] == [
            ("runway", "failed", 120_000),
            ("veo3", "succeeded", 400_000),
            ("runway", "succeeded", 240_000),
        ]
        assert made.cost == document["cost"] == 760_000
        assert all(a["decision"].startswith("Shot") for a in document["attempts"])
        assert [s["take"]["sha256"] for s in document["shots"]] == [a["take_sha256"] for a in document["attempts"][1:]]
        assert document["files"]["default_job-1_v1.mp4"]["sha256"] == made.video.sha256

    def test_a_quality_nobody_scored_is_null_and_says_so(self, local_market: Market) -> None:
        local_market.bought()
        local_market.pipeline.score(["job-1"], 1)
        local_market.pipeline.assemble(["job-1"])
        (made,) = local_market.pipeline.deliver(["job-1"])
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

    def test_a_job_without_a_video_is_not_delivered(self, local_market: Market) -> None:
        local_market.bought("[[runway=fail]]")
        with pytest.raises(JobFailed, match="1 of 1 jobs were not delivered"):
            local_market.pipeline.deliver(["job-1"])
        assert local_market.pipeline.result("job-1")["video"] is None


def test_a_score_that_is_missing_for_one_shot_is_missing_for_the_video() -> None:
    report = QAReport(take_id="t", technical=1.0)
    assert report.quality is None
    assert delivering._worst([0.9, None]) is None
    assert delivering._worst([0.9, 0.7]) == 0.7


def _ready(market: Market, prompt: str = "a lake") -> None:
    market.approved(prompt)
    market.run("job-1")
    market.pipeline.assemble(["job-1"])


def test_an_attempt_that_was_not_used_is_in_the_manifest_with_its_price_hash_and_score(local_market: Market) -> None:
    _ready(local_market, "[[runway=bad]]")
    local_market.pipeline.deliver(["job-1"])
    unused, used = manifest_of(local_market)["attempts"]
    assert (unused["backend"], unused["verdict"], unused["technical"], unused["findings"]) == (
        "runway",
        "rejected",
        0.0,
        ["static"],
    )
    assert (used["verdict"], used["technical"], used["quality"]) == ("accepted", 1.0, None)
    assert all(len(a["take_sha256"]) == 64 and a["charged"] == a["hold"] and a["decision"] for a in (unused, used))


def test_a_cut_that_changed_under_the_hands_of_who_publishes_it_is_not_published(
    local_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ready(local_market)
    real = delivering.review_job
    monkeypatch.setattr(delivering, "review_job", lambda *args: real(*args).model_copy(update={"cut_sha": "0" * 64}))
    with pytest.raises(JobFailed, match="cut again meanwhile"):
        local_market.pipeline.deliver(["job-1"])
    assert local_market.count("deliveries") == 0


@pytest.mark.parametrize("point", ["keep", "keep_text"])
def test_a_process_killed_while_publishing_leaves_a_job_that_can_be_published(local_market: Market, point: str) -> None:
    _ready(local_market)

    def work() -> None:
        lethal(Storage, point, after=True)
        local_market.pipeline.deliver(["job-1"])

    killed(work)
    (made,) = local_market.pipeline.deliver(["job-1"])
    assert Path(made.video.url).stat().st_size == made.video.size
    assert local_market.count("metric_outbox WHERE name = 'jobs'") == 1


def test_processes_that_publish_at_the_same_moment_publish_once(market: Market) -> None:
    _ready(market)
    told = race_of_processes(2, lambda n: market.pipeline.deliver(["job-1"])[0].video.sha256)
    assert len(set(map(str, told))) == 1
    assert (market.count("deliveries"), market.count("metric_outbox WHERE name = 'jobs'")) == (1, 1)


def test_a_job_cut_again_after_a_killed_publish_can_still_be_delivered(local_market: Market) -> None:
    local_market.approved("[[runway=bad]]")
    local_market.run("job-1")
    local_market.pipeline.assemble(["job-1"])

    def work() -> None:
        lethal(Storage, "keep", after=True)
        local_market.pipeline.deliver(["job-1"])

    killed(work)
    rejudge(local_market, "replicate", Verdict.REJECTED)
    rejudge(local_market, "runway", Verdict.ACCEPTED, findings=())
    local_market.pipeline.assemble(["job-1"])
    local_market.pipeline.deliver(["job-1"])


def test_who_publishes_second_leaves_the_first_delivery_as_it_is(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    local_market.approved("[[runway=bad]]")
    local_market.run("job-1")
    local_market.pipeline.assemble(["job-1"])
    real = delivering._final_manifest

    def overtaken(*args: Any) -> Any:
        made = real(*args)
        monkeypatch.setattr(delivering, "_final_manifest", real)
        local_market.sql("UPDATE purchases SET message = 'learned later' WHERE backend = 'runway'")
        other = threading.Thread(target=local_market.pipeline.deliver, args=(["job-1"],))
        other.start()
        other.join()
        return made

    monkeypatch.setattr(delivering, "_final_manifest", overtaken)
    (told,) = local_market.pipeline.deliver(["job-1"])
    with local_market.ledger.read() as conn:
        standing = results.delivery(conn, "job-1", 1)
    assert standing is not None and told == standing
    assert hashlib.sha256(Path(standing.manifest.url).read_bytes()).hexdigest() == standing.manifest.sha256


class TestFiles:
    def test_they_are_called_what_the_template_says_and_can_be_checked(self, local_market: Market) -> None:
        local_market.approved("a lake", project="acme")
        local_market.run("job-1")
        local_market.pipeline.assemble(["job-1"])
        (made,) = local_market.pipeline.deliver(["job-1"])
        folder = Path(made.video.url).parent
        assert sorted(file.name for file in folder.iterdir()) == [
            "acme_job-1_v1-contact-sheet.jpg",
            "acme_job-1_v1-manifest.json",
            "acme_job-1_v1-poster.jpg",
            "acme_job-1_v1.mp4",
            "acme_job-1_v1.sha256",
            "acme_job-1_v1.vtt",
        ]
        checked = subprocess.run(["sha256sum", "--check", "acme_job-1_v1.sha256"], cwd=folder, capture_output=True, check=False)
        assert checked.returncode == 0 and checked.stdout.count(b": OK") == 5

    def test_captions_say_what_each_shot_shows(self, local_market: Market) -> None:
        local_market.approved(shots=[{"prompt": "a lake", "seconds": 1}, {"prompt": "a <hill>", "seconds": 1}])
        local_market.run("job-1")
        local_market.pipeline.assemble(["job-1"])
        (made,) = local_market.pipeline.deliver(["job-1"])
        assert made.captions is not None
        assert "00:00:01.000 --> 00:00:02.000\na &lt;hill&gt;" in Path(made.captions.url).read_text()

    def test_a_delivery_can_be_a_webm_without_captions(self, local_market: Market) -> None:
        rules = local_market.catalog.delivery.model_copy(update={"container": "webm", "captions": False})
        local_market.catalog = local_market.catalog.model_copy(update={"delivery": rules})
        _ready(local_market)
        (made,) = local_market.pipeline.deliver(["job-1"])
        assert made.video.url.endswith("default_job-1_v1.webm") and made.captions is None
        assert measure(Path(made.video.url)).codec == "vp9"

    def test_a_delivery_from_before_there_were_captions_can_still_be_read(self, local_market: Market) -> None:
        _ready(local_market)
        (made,) = local_market.pipeline.deliver(["job-1"])
        old = made.model_dump(mode="json", exclude={"captions", "checksums", "signed"})
        local_market.sql("UPDATE deliveries SET delivery = :d", d=json.dumps(old))
        assert local_market.pipeline.result("job-1")["video"] == made.video.url


class TestProvenance:
    def required(self, market: Market) -> None:
        rules = market.catalog.delivery.model_copy(update={"provenance": "required"})
        market.catalog = market.catalog.model_copy(update={"delivery": rules})

    def test_required_and_impossible_delivers_nothing(self, local_market: Market) -> None:
        self.required(local_market)
        _ready(local_market)
        with pytest.raises(JobFailed, match="provenance is required, and no certificate is configured"):
            local_market.pipeline.deliver(["job-1"])
        assert local_market.count("deliveries") == 0

    def test_a_signature_that_does_not_come_about_delivers_nothing(
        self, local_market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object) -> None:
            raise JobFailed("the signature that was just made does not hold: Invalid")

        self.required(local_market)
        _ready(local_market)
        monkeypatch.setattr(delivering, "why_not_signed", lambda rules: "")
        monkeypatch.setattr(delivering, "sign", fails)
        with pytest.raises(JobFailed, match="does not hold"):
            local_market.pipeline.deliver(["job-1"])
        assert local_market.count("deliveries") == 0

    def test_what_is_delivered_is_the_signed_file(self, local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        def signs(video: Path, into: Path, claim: Claim) -> None:
            assert claim.job_id == "job-1" and [o.backend for o in claim.origins] == ["runway"] and claim.origins[0].ai
            into.write_bytes(video.read_bytes() + b"signed")

        _ready(local_market)
        monkeypatch.setattr(delivering, "why_not_signed", lambda rules: "")
        monkeypatch.setattr(delivering, "sign", signs)
        (made,) = local_market.pipeline.deliver(["job-1"])
        assert made.signed and Path(made.video.url).read_bytes().endswith(b"signed")
        assert manifest_of(local_market)["provenance"] == {"signed": True, "why_not": ""}
