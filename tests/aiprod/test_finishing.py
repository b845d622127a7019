"""From takes to a delivery: the best take of every shot, nothing invented, nothing bad passed as good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiprod import assembly, finishing
from aiprod.errors import JobFailed
from aiprod.ledger import approvals, results
from aiprod.ledger.engine import now as database_now
from aiprod.models import Verdict
from aiprod.storage import Storage
from tests.desk import NOW
from tests.market import Market, killed, lethal


def judged(market: Market, job_id: str = "job-1") -> list[tuple[int, str, str]]:
    with market.ledger.read() as conn:
        return [(j.take.shot, j.take.backend, j.verdict.value) for j in results.judged(conn, job_id, 1)]


def rejudge(market: Market, backend: str, verdict: Verdict, **report: Any) -> None:
    """Somebody's other opinion about the take of a backend."""
    with market.ledger.read() as conn:
        found = next(j for j in results.judged(conn, "job-1", 1) if j.take.backend == backend)
    changed = found.report.model_copy(update=report)
    market.sql(
        "UPDATE qa_reports SET verdict = :v, report = :r WHERE take_id = :t",
        v=verdict.value,
        r=changed.model_dump_json(),
        t=found.take.take_id,
    )


def tried_by_all(market: Market, prompt: str) -> None:
    """Veo 3, which is expected to be best, then Runway, then Replicate: where a dollar gains most after each rejection."""
    market.with_backend("veo3", quality_prior=0.99)
    market.approved(prompt)
    market.run("job-1")


class TestTakes:
    def test_what_is_no_good_is_rejected_and_the_next_backend_delivers(self, local_market: Market) -> None:
        tried_by_all(local_market, "[[veo3=bad]] [[runway=html]]")
        assert judged(local_market) == [(1, "veo3", "rejected"), (1, "runway", "rejected"), (1, "replicate", "accepted")]

    def test_a_vetoed_take_is_never_used(self, local_market: Market) -> None:
        tried_by_all(local_market, "[[veo3=bad]] [[runway=bad]] [[replicate=html]]")
        with pytest.raises(JobFailed, match="shot 1 has no usable take: veo3 static, runway static, replicate unreadable"):
            finishing.assemble_job(local_market.ledger, local_market.catalog, local_market.pipeline.storage, "job-1", 1)

    def test_an_accepted_take_goes_before_one_that_waits_for_a_person_and_that_before_a_rejected_one(
        self, local_market: Market
    ) -> None:
        tried_by_all(local_market, "[[runway=bad]] [[veo3=bad]]")
        for verdicts, best in (
            ((Verdict.REJECTED, Verdict.NEEDS_PERSON, Verdict.ACCEPTED), "replicate"),
            ((Verdict.REJECTED, Verdict.NEEDS_PERSON, Verdict.REJECTED), "veo3"),
            ((Verdict.REJECTED, Verdict.REJECTED, Verdict.ACCEPTED), "replicate"),
        ):
            for backend, verdict in zip(("runway", "veo3", "replicate"), verdicts, strict=True):
                rejudge(local_market, backend, verdict, findings=())
            made = finishing.assemble_job(local_market.ledger, local_market.catalog, local_market.pipeline.storage, "job-1", 1)
            with local_market.ledger.read() as conn:
                assert results.takes_by_id(conn, made.takes)[made.takes[0]].backend == best

    def test_the_same_takes_are_assembled_once(self, local_market: Market) -> None:
        local_market.bought()
        local_market.pipeline.score(["job-1"], 1)
        first = finishing.assemble_job(local_market.ledger, local_market.catalog, local_market.pipeline.storage, "job-1", 1)
        before = Path(first.video.url).stat().st_mtime_ns
        assert (
            finishing.assemble_job(local_market.ledger, local_market.catalog, local_market.pipeline.storage, "job-1", 1) == first
        )
        assert Path(first.video.url).stat().st_mtime_ns == before


def word(market: Market, said: Any, *, by: str) -> str:
    """Somebody is shown the video as it is, and says something."""
    market.pipeline.review_question("job-1", run_id="run-1", task_id="review")
    return market.pipeline.answer_review("job-1", said, by=by, run_id="run-1", task_id="review")


class TestReview:
    @pytest.fixture
    def doubtful(self, local_market: Market) -> Market:
        """The only take was rejected, without a veto."""
        local_market.bought()
        local_market.pipeline.score(["job-1"], 1)
        rejudge(local_market, "runway", Verdict.REJECTED, technical=0.55)
        local_market.pipeline.assemble(["job-1"])
        return local_market

    def test_a_rejected_take_is_delivered_only_after_a_person_said_so(self, doubtful: Market) -> None:
        (review,) = doubtful.pipeline.reviews(["job-1"])
        assert "shot 1 was rejected" in review.reasons[0]
        with pytest.raises(JobFailed, match="waits for a person"):
            doubtful.pipeline.deliver(["job-1"])

        word(doubtful, "accepted", by="ada")

        (made,) = doubtful.pipeline.deliver(["job-1"])
        assert any(label.startswith("accepted by a person although shot 1 was rejected") for label in made.labels)

    def swap(self, market: Market) -> None:
        """The takes change, and with them the video."""
        with market.ledger.write() as conn:
            made = results.cut(conn, "job-1", 1)
            assert made is not None
            other = made.model_copy(update={"video": made.video.model_copy(update={"sha256": "0" * 64})})
            results.make_cut(conn, "job-1", 1, other, now=database_now(conn))

    def test_a_word_about_one_cut_says_nothing_about_another(self, doubtful: Market) -> None:
        word(doubtful, "accepted", by="ada")
        self.swap(doubtful)
        (review,) = doubtful.pipeline.reviews(["job-1"])
        assert review.answer is None
        with pytest.raises(JobFailed, match="waits for a person"):
            doubtful.pipeline.deliver(["job-1"])

    def test_a_word_is_about_the_cut_that_was_shown_and_not_about_the_one_that_replaced_it(self, doubtful: Market) -> None:
        """Airflow keeps the first question, even after a clear."""
        doubtful.pipeline.review_question("job-1", run_id="run-1", task_id="review")
        self.swap(doubtful)
        assert not doubtful.pipeline.review_question("job-1", run_id="run-1", task_id="review").shown
        word(doubtful, "accepted", by="ada")
        (review,) = doubtful.pipeline.reviews(["job-1"])
        assert review.answer is None

    def test_a_word_without_a_question_is_refused(self, doubtful: Market) -> None:
        with pytest.raises(JobFailed, match="no video was shown"):
            doubtful.pipeline.answer_review("job-1", "accepted", by="ada", run_id="run-1", task_id="review")

    def test_no_is_no(self, doubtful: Market) -> None:
        word(doubtful, "rejected", by="ada")
        word(doubtful, "accepted", by="bob")
        with pytest.raises(JobFailed, match="was looked at and rejected"):
            doubtful.pipeline.deliver(["job-1"])

    def test_a_preset_that_asks_for_unscored_takes_or_a_second_look_says_why(self, local_market: Market) -> None:
        local_market.with_preset(unscored="ask", second_review=True)
        local_market.bought()
        local_market.pipeline.score(["job-1"], 1)
        local_market.pipeline.assemble(["job-1"])
        (review,) = local_market.pipeline.reviews(["job-1"])
        assert review.reasons[0] == "the preset asks for a second look"
        assert review.reasons[1].startswith("shot 1 was not scored (no judge is configured")


def test_a_process_killed_while_cutting_leaves_a_job_that_can_be_cut_by_another_encoder(
    local_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with other cores cuts the same takes into other bytes; what the dead one stored must not refuse them."""
    local_market.bought()
    local_market.pipeline.score(["job-1"], 1)

    def work() -> None:
        lethal(Storage, "keep", after=True)
        local_market.pipeline.assemble(["job-1"])

    killed(work)
    real = assembly.assemble

    def on_another_machine(clips: Any, into: Path, **options: Any) -> None:
        real(clips, into, **options)
        with into.open("ab") as file:
            file.write(b"\x00\x00\x00\x08free")

    monkeypatch.setattr(assembly, "assemble", on_another_machine)
    assert local_market.pipeline.assemble(["job-1"]) == ["job-1"]


def test_a_take_is_judged_once(local_market: Market) -> None:
    local_market.bought()
    assert len(local_market.pipeline.score(["job-1"], 1).lines) == 1
    assert local_market.pipeline.score(["job-1"], 1).lines == ()
    assert local_market.count("qa_reports") == 1


def test_a_person_who_says_no_without_having_been_asked_is_heard(local_market: Market) -> None:
    local_market.bought()
    local_market.pipeline.score(["job-1"], 1)
    local_market.pipeline.assemble(["job-1"])
    (review,) = local_market.pipeline.reviews(["job-1"])
    assert review.reasons == ()
    with local_market.ledger.write() as conn:
        approvals.show(conn, "run-1", "review", "job-1", 1, now=NOW, content=review.cut_sha)
    local_market.pipeline.answer_review("job-1", "rejected", by="ada", run_id="run-1", task_id="review")
    with pytest.raises(JobFailed, match="was looked at and rejected"):
        local_market.pipeline.deliver(["job-1"])


def test_of_two_good_takes_the_better_one_is_used(local_market: Market) -> None:
    """By quality where it was scored, else by technical; never by who came first."""
    tried_by_all(local_market, "[[runway=bad]] [[veo3=bad]]")
    for scores, best in (
        ({"runway": (0.7, 0.9), "veo3": (0.8, 0.7), "replicate": (0.6, 1.0)}, "veo3"),
        ({"runway": (None, 0.8), "veo3": (None, 0.7), "replicate": (None, 0.9)}, "replicate"),
        ({"runway": (None, 0.8), "veo3": (0.8, 0.7), "replicate": (None, 0.9)}, "veo3"),
    ):
        for backend, (quality, technical) in scores.items():
            rejudge(local_market, backend, Verdict.ACCEPTED, findings=(), quality=quality, technical=technical)
        made = finishing.assemble_job(local_market.ledger, local_market.catalog, local_market.pipeline.storage, "job-1", 1)
        with local_market.ledger.read() as conn:
            assert results.takes_by_id(conn, made.takes)[made.takes[0]].backend == best


def test_every_shot_without_a_take_is_named_with_what_was_tried(local_market: Market) -> None:
    local_market.approved(shots=[{"prompt": f"{n} [[runway=fail]]", "seconds": 1} for n in (1, 2)])
    local_market.run("job-1", rounds=1)
    with pytest.raises(JobFailed) as told:
        finishing.assemble_job(local_market.ledger, local_market.catalog, local_market.pipeline.storage, "job-1", 1)
    assert str(told.value) == (
        "shot 1 has no usable take: runway vendor_internal; shot 2 has no usable take: runway vendor_internal"
    )
