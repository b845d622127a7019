"""The first answer to a question stands, the last answer about a version counts, and what was shown first stays shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aiprod.ledger import approvals, jobs
from aiprod.models import USD, Estimate, JobSpec
from tests.desk import NOW, manifest, race, rows


@pytest.fixture
def job(ledger):
    with ledger.write() as conn:
        jobs.enter(conn, "job-1", JobSpec(prompt="a"), now=NOW)
        for version in (1, 2):
            priced = Estimate(tariff="list", lines=(), expected=0, worst_case=0)
            jobs.write_manifest(conn, manifest(version=version), priced, [], by="test", now=NOW)
    return "job-1"


def answer(ledger, word="approved", *, version=1, sequence=1, by="ann"):
    with ledger.write() as conn:
        return approvals.answer(
            conn,
            "job-1",
            version,
            word,
            sequence=sequence,
            amount=9 * USD,
            backends=("runway",),
            attempts_per_shot=3,
            expires_at=NOW + timedelta(hours=24),
            by=by,
            now=NOW,
        )


def in_force(ledger, version=1):
    with ledger.read() as conn:
        return approvals.envelope(conn, "job-1", version)


class TestAnswer:
    def test_an_approval_is_the_envelope(self, ledger, job):
        answer(ledger)
        envelope = in_force(ledger)
        assert (envelope.amount, envelope.backends, envelope.approved_by) == (9 * USD, ("runway",), "ann")
        assert (envelope.attempts_per_shot, envelope.expires_at) == (3, NOW + timedelta(hours=24))

    @pytest.mark.parametrize("word", ["rejected", "expired"])
    def test_anything_else_is_none(self, ledger, job, word):
        answer(ledger, word)
        assert in_force(ledger) is None

    def test_the_first_answer_stands_and_is_returned(self, ledger, job):
        answer(ledger, "rejected", by="ann")
        late = answer(ledger, "approved", by="bob")
        assert (late.answer, late.envelope.approved_by) == ("rejected", "ann")
        assert in_force(ledger) is None

    def test_of_two_at_once_one_stands_for_both(self, ledger, job):
        said = race(2, lambda n: answer(ledger, ("approved", "rejected")[n], by=str(n)).answer)
        assert said[0] == said[1]
        assert len(rows(ledger, "approvals")["approvals"]) == 1

    def test_the_last_answer_counts(self, ledger, job):
        answer(ledger, "approved")
        answer(ledger, "rejected", sequence=2)
        assert in_force(ledger) is None
        answer(ledger, "approved", sequence=3)
        assert in_force(ledger).sequence == 3

    def test_an_approval_of_one_version_is_none_for_another(self, ledger, job):
        answer(ledger, version=1)
        assert in_force(ledger, version=2) is None

    def test_a_version_that_does_not_exist_cannot_be_approved(self, ledger, job):
        with pytest.raises(Exception, match=r"(?i)foreign key"):
            answer(ledger, version=9)

    def test_the_next_question_has_the_next_number(self, ledger, job):
        with ledger.read() as conn:
            assert approvals.next_sequence(conn, "job-1", 1) == 1
        answer(ledger, sequence=1)
        with ledger.read() as conn:
            assert approvals.next_sequence(conn, "job-1", 1) == 2
            assert approvals.next_sequence(conn, "job-1", 2) == 1


class TestShown:
    def test_what_was_shown_first_stays_shown(self, ledger, job):
        with ledger.write() as conn:
            assert approvals.show(conn, "run", "approve", job, 1, now=NOW) == (1, "")
            assert approvals.show(conn, "run", "approve", job, 2, now=NOW, content="cut") == (1, "")
            assert approvals.first_shown(conn, "run", "approve", job) == (1, "")

    def test_each_question_has_its_own(self, ledger, job):
        with ledger.write() as conn:
            approvals.show(conn, "run", "approve", job, 1, now=NOW)
            assert approvals.show(conn, "run", "review", job, 2, now=NOW, content="cut") == (2, "cut")
            assert approvals.first_shown(conn, "other-run", "approve", job) is None


class TestReview:
    def test_the_first_word_on_a_cut_stands(self, ledger, job):
        with ledger.write() as conn:
            assert approvals.review(conn, job, 1, "sha", "rejected", by="ann", now=NOW).by == "ann"
            assert approvals.review(conn, job, 1, "sha", "accepted", by="bob", now=NOW).answer == "rejected"

    def test_another_cut_needs_a_word_of_its_own(self, ledger, job):
        with ledger.write() as conn:
            approvals.review(conn, job, 1, "sha", "accepted", by="ann", now=NOW)
            assert approvals.reviewed(conn, job, 1, "other") is None
