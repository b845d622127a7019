"""Jobs keep their order, manifests their version, runs their jobs, and decisions their reasons."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aiprod.errors import JobConflict, JobFailed
from aiprod.ledger import jobs
from aiprod.models import Candidate, Decision, Estimate, JobSpec
from tests.desk import NOW, manifest, race, rows

SPEC = JobSpec(prompt="a lighthouse", budget_usd="5")
PRICE = Estimate(tariff="list", lines=(), expected=1, worst_case=3)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def job(ledger):
    with ledger.write() as conn:
        jobs.enter(conn, "job-1", SPEC, now=NOW)
        jobs.write_manifest(conn, manifest(), PRICE, ["runway", "veo3"], by="test", now=NOW)
    return "job-1"


class TestEnter:
    def test_the_same_order_again_is_the_same_job(self, ledger, job):
        with ledger.write() as conn:
            assert jobs.enter(conn, job, SPEC, now=LATER) is False
        assert len(rows(ledger, "jobs")["jobs"]) == 1

    @pytest.mark.parametrize("budget", [5, 5.0, "5.00"])
    def test_a_budget_spelled_otherwise_is_the_same_order(self, ledger, job, budget):
        with ledger.write() as conn:
            assert jobs.enter(conn, job, JobSpec(prompt="a lighthouse", budget_usd=budget), now=LATER) is False

    @pytest.mark.parametrize("other", [{"prompt": "another"}, {"budget_usd": "5.01"}, {"seconds": 6}, {"seed": 1}], ids=str)
    def test_another_order_under_the_same_name_is_a_conflict_and_changes_nothing(self, ledger, job, other):
        before = rows(ledger, "jobs")
        with pytest.raises(JobConflict, match="job-1 already names another order"), ledger.write() as conn:
            jobs.enter(conn, job, SPEC.model_copy(update={}).model_validate({**SPEC.model_dump(), **other}), now=LATER)
        assert rows(ledger, "jobs") == before

    def test_of_many_that_order_the_same_at_once_one_is_new(self, ledger):
        def work(_):
            with ledger.write() as conn:
                return jobs.enter(conn, "job-1", SPEC, now=NOW)

        assert sorted(race(6, work)) == [False] * 5 + [True]

    def test_the_order_comes_back_as_it_was(self, ledger, job):
        with ledger.read() as conn:
            assert jobs.spec(conn, job) == SPEC
            assert jobs.known(conn, job)
            assert not jobs.known(conn, "ghost")
            with pytest.raises(JobFailed, match="ghost is not in the ledger"):
                jobs.spec(conn, "ghost")

    def test_text_that_looks_like_sql_is_text(self, ledger):
        nasty = JobSpec(prompt="'; DROP TABLE jobs; -- {{ conn.x.password }} \u0000")
        with ledger.write() as conn:
            jobs.enter(conn, "job-1", nasty, now=NOW)
            assert jobs.spec(conn, "job-1") == nasty


class TestManifest:
    def test_a_version_is_never_overwritten(self, ledger, job):
        with ledger.write() as conn:
            jobs.write_manifest(conn, manifest(shots=5), PRICE, ["veo3"], by="eve", now=LATER)
            kept = jobs.priced(conn, job, 1)
        assert (kept.manifest, kept.estimate, kept.backends, kept.created_at) == (manifest(), PRICE, ("runway", "veo3"), NOW)

    def test_the_latest_is_the_newest_version(self, ledger, job):
        with ledger.write() as conn:
            jobs.write_manifest(conn, manifest(version=2), PRICE, ["veo3"], by="ann", now=LATER)
            assert (jobs.versions(conn, job), jobs.latest(conn, job)) == ([1, 2], 2)

    def test_one_that_is_not_there_is_said_by_name(self, ledger, job):
        with ledger.read() as conn:
            with pytest.raises(JobFailed, match="ghost has no manifest"):
                jobs.latest(conn, "ghost")
            with pytest.raises(JobFailed, match="job-1 has no manifest version 7"):
                jobs.priced(conn, job, 7)


class TestRuns:
    def test_a_run_knows_its_jobs_and_when_it_was_over(self, ledger, job):
        with ledger.write() as conn:
            jobs.attach_run(conn, "run-1", job, 1, now=NOW)
            assert jobs.of_run(conn, "run-1") == {"job-1": 1}
            assert jobs.settled_at(conn, "run-1", job) is None
            jobs.settle_run(conn, "run-1", now=LATER)
            assert jobs.settled_at(conn, "run-1", job) == LATER

    def test_a_run_that_starts_again_is_not_over_and_keeps_its_beginning(self, ledger, job):
        with ledger.write() as conn:
            jobs.attach_run(conn, "run-1", job, 1, now=NOW)
            jobs.settle_run(conn, "run-1", now=NOW)
            jobs.attach_run(conn, "run-1", job, 1, now=LATER)
            assert jobs.settled_at(conn, "run-1", job) is None
            assert jobs.started_at(conn, job, 1) == NOW
            assert jobs.started_at(conn, job, 2) is None


def test_a_decision_is_kept_with_every_reason_in_order(ledger, job):
    decision = Decision(shot=1, chosen="veo3", candidates=(Candidate(backend="runway", model="m", lost="unhealthy"),))
    with ledger.write() as conn:
        jobs.decide(conn, job, 1, 1, decision, "p1", now=NOW)
        jobs.decide(conn, job, 1, 2, decision.model_copy(update={"chosen": None}), None, now=NOW)
        kept = jobs.decisions_of(conn, job, 1)
    assert [(round, purchase, d.chosen) for round, purchase, d in kept] == [(1, "p1", "veo3"), (2, None, None)]
    assert kept[0][2] == decision


def test_a_failure_is_kept_and_counted(ledger, job):
    with ledger.write() as conn:
        jobs.fail(conn, job, 1, "assemble", "shot 2 has no take", code="no_take", now=NOW)
        assert jobs.failures_of(conn, job, 1) == ["assemble: shot 2 has no take"]
    (point,) = [row for row in rows(ledger, "metric_outbox")["metric_outbox"] if row["name"] == "errors"]
    assert (point["name"], point["labels"]) == ("errors", '{"code": "no_take", "stage": "assemble"}')
