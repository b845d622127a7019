"""Takes, reports, cuts and deliveries: kept once, and never for a purchase that was not made."""

from __future__ import annotations

import pytest

from aiprod.ledger import results
from aiprod.models import USD, Delivery, Finding, QAReport, StoredFile, Take, Verdict
from tests.desk import NOW, rows

FILE = StoredFile(path="p", url="file:///p", sha256="s", size=1)


@pytest.fixture
def take(desk):
    key = desk.bring(desk.hold(desk.order(), amount=7 * USD).purchase_id, "succeeded").purchase_id
    return Take(take_id=key, job_id="job-1", version=1, shot=1, backend="runway", path="a.mp4", sha256="s", size=9)


@pytest.fixture
def kept(desk, take):
    with desk.ledger.write() as conn:
        results.keep(conn, take, now=NOW)
    return take


def report(take, **scores):
    return QAReport(take_id=take.take_id, technical=0.9, findings=(Finding(code="x", severity="minor", evidence="e"),), **scores)


class TestTakes:
    def test_a_take_is_kept_once_and_the_first_stands(self, desk, kept):
        with desk.ledger.write() as conn:
            results.keep(conn, kept.model_copy(update={"path": "b.mp4"}), now=NOW)
            assert results.take_of(conn, kept.take_id) == kept
            assert results.takes_by_id(conn, [kept.take_id, "ghost"]) == {kept.take_id: kept}
            assert results.take_of(conn, "ghost") is None

    def test_a_take_without_a_purchase_is_refused(self, desk, take):
        with pytest.raises(Exception, match=r"(?i)foreign key"), desk.ledger.write() as conn:
            results.keep(conn, take.model_copy(update={"take_id": "ghost"}), now=NOW)


class TestJudging:
    def test_a_take_is_unjudged_until_it_is_judged(self, desk, kept):
        with desk.ledger.write() as conn:
            assert results.unjudged(conn, "job-1", 1) == [kept]
            assert results.judged(conn, "job-1", 1) == []
            results.judge(conn, report(kept), Verdict.ACCEPTED, now=NOW)
            assert results.unjudged(conn, "job-1", 1) == []
            (judged,) = results.judged(conn, "job-1", 1)
        assert (judged.take, judged.report, judged.verdict) == (kept, report(kept), Verdict.ACCEPTED)

    def test_the_first_verdict_stands_and_is_counted_once(self, desk, kept):
        with desk.ledger.write() as conn:
            for verdict in (Verdict.REJECTED, Verdict.ACCEPTED):
                results.judge(conn, report(kept), verdict, now=NOW)
            assert results.judged(conn, "job-1", 1)[0].verdict is Verdict.REJECTED
        assert [p["name"] for p in rows(desk.ledger, "metric_outbox")["metric_outbox"]].count("quality_score") == 1

    def test_only_scores_that_exist_become_points(self, desk, kept):
        with desk.ledger.write() as conn:
            results.judge(conn, report(kept, semantic=0.8, semantic_status="scored", quality=0.85), Verdict.ACCEPTED, now=NOW)
        points = [p for p in rows(desk.ledger, "metric_outbox")["metric_outbox"] if p["name"] == "quality_score"]
        assert sorted(p["value"] for p in points) == [0.8, 0.85, 0.9]


class TestReuse:
    """A take of an earlier version, used again by a later one."""

    def again(self, desk, kept, verdict=Verdict.ACCEPTED, **found):
        said = report(kept).model_copy(update=found)
        desk.order(version=2)
        with desk.ledger.write() as conn:
            results.judge(conn, said, verdict, now=NOW)
            usable = results.reusable(conn, "job-1", 1)
            for shot, judged in usable.items():
                results.reuse(conn, "job-1", 2, results.Reuse(shot=shot, take_id=judged.take.take_id, saved=7 * USD))
            return usable

    def test_it_counts_for_the_later_version_as_if_it_were_its_own(self, desk, kept):
        assert set(self.again(desk, kept)) == {1}
        with desk.ledger.read() as conn:
            (judged,) = results.judged(conn, "job-1", 2)
            assert (judged.take, judged.verdict) == (kept, Verdict.ACCEPTED)
            assert results.unjudged(conn, "job-1", 2) == []
            assert results.reuses_of(conn, "job-1", 2)[1].take_id == kept.take_id
            assert (results.reuses_of(conn, "job-1", 1), results.saved(conn, "job-1")) == ({}, 7 * USD)

    @pytest.mark.parametrize(
        ("verdict", "severity"), [(Verdict.REJECTED, "minor"), (Verdict.ACCEPTED, "veto"), (Verdict.NEEDS_PERSON, "veto")]
    )
    def test_what_was_rejected_or_vetoed_is_never_used_again(self, desk, kept, verdict, severity):
        found = Finding(code="x", severity=severity, evidence="e")
        assert self.again(desk, kept, verdict, findings=(found,)) == {}

    def test_one_that_waits_for_a_persons_word_goes_on_waiting(self, desk, kept):
        assert self.again(desk, kept, Verdict.NEEDS_PERSON)[1].verdict is Verdict.NEEDS_PERSON


class TestDelivery:
    def test_a_later_cut_replaces_the_earlier(self, desk):
        def cut(*takes):
            return results.Cut(takes=takes, video=FILE, poster=FILE, contact_sheet=FILE)

        with desk.ledger.write() as conn:
            assert results.cut(conn, "job-1", 1) is None
            results.make_cut(conn, "job-1", 1, cut("a"), now=NOW)
            results.make_cut(conn, "job-1", 1, cut("b", "c"), now=NOW)
            assert results.cut(conn, "job-1", 1) == cut("b", "c")

    def test_a_delivery_is_written_once(self, desk):
        files = dict.fromkeys(("video", "poster", "contact_sheet", "manifest"), FILE)
        made = Delivery(
            job_id="job-1", version=1, **files, quality=None, technical=0.9, semantic=None, semantic_status="unscored", cost=USD
        )
        with desk.ledger.write() as conn:
            assert results.delivery(conn, "job-1", 1) is None
            assert results.deliver(conn, made, now=NOW) is True
            assert results.deliver(conn, made.model_copy(update={"cost": 0}), now=NOW) is False
            assert results.delivery(conn, "job-1", 1) == made
