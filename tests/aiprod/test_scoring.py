"""What became of a take: measured once, judged where it is worth it, and a verdict that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod import scoring
from aiprod.ledger import results
from aiprod.models import Verdict
from tests.aiprod.qa.specimens import moving, tone, write
from tests.market import Market


def test_without_a_judge_a_take_is_unscored_and_the_presets_rule_decides(local_market: Market) -> None:
    local_market.bought()
    (line,) = local_market.pipeline.score(["job-1"], 1).lines
    assert "accepted, technical 1.00 (no findings); not scored: no judge is configured" in line
    with local_market.ledger.read() as conn:
        (found,) = results.judged(conn, "job-1", 1)
    assert (found.report.semantic, found.report.quality, found.report.judgement) == (None, None, None)


def test_where_unscored_takes_need_a_person_the_person_is_told_why(local_market: Market) -> None:
    local_market.with_preset(unscored="ask")
    local_market.bought()
    local_market.pipeline.score(["job-1"], 1)
    local_market.pipeline.assemble(["job-1"])
    (review,) = local_market.pipeline.reviews(["job-1"])
    assert review.reasons[0].startswith("shot 1 was not scored (no judge is configured")


def test_a_preview_is_never_judged_as_if_it_were_the_video(local_market: Market) -> None:
    local_market.bought(backend="animatic")
    (line,) = scoring.score_job(local_market.ledger, local_market.catalog, local_market.pipeline.storage, "job-1", 1)
    assert "by animatic: accepted" in line and "not scored" not in line
    with local_market.ledger.read() as conn:
        (found,) = results.judged(conn, "job-1", 1)
    assert found.report.semantic_status == "not_applicable" and found.verdict is Verdict.ACCEPTED


def test_a_judged_take_is_not_judged_again(local_market: Market) -> None:
    local_market.bought()
    local_market.pipeline.score(["job-1"], 1)
    assert local_market.pipeline.score(["job-1"], 1).lines == ()


def test_a_finding_that_has_a_place_has_a_picture_of_it_beside_the_take(local_market: Market, tmp_path: Path) -> None:
    local_market.bought()
    # The clip that came back stops in its middle.
    with local_market.ledger.read() as conn:
        (take,) = results.unjudged(conn, "job-1", 1)
    pictures = moving(24, 854, 480)
    frozen = write(tmp_path / "frozen.mp4", pictures[:6] + [pictures[6]] * 14 + pictures[6:10], tone(1))
    with local_market.pipeline.storage.local(take.path) as file:
        file.write_bytes(frozen.read_bytes())
    local_market.pipeline.score(["job-1"], 1)
    with local_market.ledger.read() as conn:
        (found,) = results.judged(conn, "job-1", 1)
    (freeze,) = [f for f in found.report.findings if f.code == "frozen"]
    assert freeze.thumbnail is not None
    assert freeze.thumbnail.path.startswith(take.path.removesuffix(".mp4"))
    with local_market.pipeline.storage.local(freeze.thumbnail.path) as jpeg:
        assert jpeg.read_bytes()[:2] == b"\xff\xd8" and jpeg.stat().st_size == freeze.thumbnail.size


@pytest.mark.parametrize("by", ["order", "preset"])
def test_what_was_ordered_on_purpose_is_no_defect(by: str, local_market: Market) -> None:
    if by == "preset":
        local_market.with_preset(allows=["stillness"])
    local_market.bought("a lighthouse [[runway=bad]]", **({"allows": ["stillness"]} if by == "order" else {}))
    (line,) = local_market.pipeline.score(["job-1"], 1).lines
    assert "accepted, technical 1.00 (static)" in line
