"""Each step calls the library once, names the tasks that come next, and says what happened."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from aiprod.catalog import Project, catalog
from aiprod.emulators.monitoring import Monitoring
from aiprod.ledger import jobs
from aiprod.models import JobSpec
from aiprod_airflow import steps
from aiprod_airflow.failures import OrderRefused
from aiprod_airflow.forms import job_params
from aiprod_airflow.operators.render import RenderOperator
from tests.aiprod_airflow.shop import RUN, Call, Shop, TaskInstance


def form(**filled: Any) -> dict[str, Any]:
    """A whole form, as Airflow hands it over."""
    return {**{name: param.value for name, param in job_params().items()}, "seconds": 2, **filled}


def unsaid(*_: Any, **__: Any) -> None:
    pytest.fail("a video was announced that this run did not deliver")


def buy(call: Call, *job_ids: str, backend: str = "runway", attempt: int = 1) -> None:
    call(RenderOperator(task_id=backend, job_ids=list(job_ids), backend=backend, attempt=attempt))


class TestEstimate:
    def test_a_run_without_a_job_id_names_its_job(self, shop: Shop) -> None:
        assert steps.estimate(params=form(prompt="a lake"), run_id=RUN) == [RUN]

    def test_the_customers_name_for_the_job_is_its_name(self, shop: Shop) -> None:
        assert steps.estimate(params=form(prompt="a lake", job_id="spring"), run_id=RUN) == ["spring"]

    def test_a_retry_takes_the_order_once(self, shop: Shop) -> None:
        assert [steps.estimate(params=form(prompt="a lake"), run_id=RUN) for _ in range(2)] == [[RUN], [RUN]]

    def test_a_bad_order_ends_before_anything_happens(self, shop: Shop) -> None:
        with pytest.raises(OrderRefused, match="promt: unknown field"):
            steps.estimate(params=form(prompt="a lake", promt="a typo"), run_id=RUN)

        assert shop.pipeline.settle(RUN) == []

    def test_several_machines_on_one_sqlite_file_are_refused(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")

        with pytest.raises(AirflowFailException, match="The ledger is on SQLite, but CeleryExecutor"):
            steps.estimate(params=form(prompt="a lake"), run_id=RUN)

    def test_of_a_listed_project_only_members_order_or_start_a_job(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        access = catalog().access.model_copy(update={"projects": {"acme": Project(members=("alice",))}})
        listed = catalog().model_copy(update={"access": access})
        monkeypatch.setattr("aiprod.verbs.catalog", lambda: listed)
        order = form(prompt="a lake", project="acme")

        with pytest.raises(AirflowFailException, match="mallory is not a member of acme"):
            steps.estimate(params=order, run_id=RUN, by="mallory")
        with shop.ledger.read() as conn:
            assert not jobs.known(conn, RUN)
        assert steps.estimate(params=order, run_id=RUN, by="alice") == [RUN]
        with pytest.raises(OrderRefused, match="is not in the ledger"):
            steps.estimate(params={"batch": [RUN]}, run_id="run-2", by="mallory", by_hand=True)
        # Another DAG's run carries what waits, whoever started that one.
        assert steps.estimate(params={"batch": [RUN]}, run_id="run-2", by="mallory") == [RUN]


class TestRoute:
    def test_it_names_the_backends_with_work_and_the_score_behind_them(self, shop: Shop) -> None:
        job_id = shop.order()
        shop.pipeline.ask(job_id, run_id=RUN)

        assert steps.route([job_id], attempt=1) == ["attempt_1.runway", "attempt_1.score"]

    def test_with_a_take_for_every_shot_only_score_is_left(self, shop: Shop, call: Call) -> None:
        job_id = shop.routed()
        buy(call, job_id)
        shop.pipeline.score([job_id], 1)

        assert steps.route([job_id], attempt=2) == ["attempt_2.score"]

    def test_without_an_approval_nothing_is_held(self, shop: Shop) -> None:
        job_id = shop.order(preset="brand_campaign")

        with pytest.raises(AirflowFailException, match="has no approval"):
            steps.route([job_id], attempt=1)

        assert shop.purchases() == []


class TestScore:
    def test_with_a_take_for_every_shot_the_video_is_cut(self, shop: Shop, call: Call) -> None:
        job_id = shop.routed()
        buy(call, job_id)

        assert steps.score([job_id], attempt=1, attempts=3) == ["assemble"]

    @pytest.mark.parametrize(
        ("attempt", "then"),
        [
            (1, ["attempt_2.route", "attempt_2.score", "attempt_3.score"]),
            (2, ["attempt_3.route", "attempt_3.score"]),
            (3, ["assemble"]),
        ],
    )
    def test_a_shot_without_a_take_gets_another_attempt_while_there_is_one(
        self, shop: Shop, call: Call, attempt: int, then: list[str]
    ) -> None:
        job_id = shop.routed("[[runway=fail]]", attempt=attempt)
        with pytest.raises(AirflowFailException):
            buy(call, job_id, attempt=attempt)

        assert steps.score([job_id], attempt=attempt, attempts=3) == then

    def test_a_still_picture_is_rejected_and_bought_elsewhere(
        self, shop: Shop, call: Call, caplog: pytest.LogCaptureFixture
    ) -> None:
        job_id = shop.routed("[[runway=bad]]")
        buy(call, job_id)

        with caplog.at_level(logging.INFO):
            assert steps.score([job_id], attempt=1, attempts=3)[0] == "attempt_2.route"

        assert any("job-1 shot 1 by runway: rejected" in record.getMessage() for record in caplog.records)
        assert steps.route([job_id], attempt=2) == ["attempt_2.replicate", "attempt_2.score"]

    def test_a_round_that_bought_nothing_ends_red(self, shop: Shop) -> None:
        job_id = shop.order()
        shop.pipeline.ask(job_id, run_id=RUN)

        with pytest.raises(AirflowFailException, match=r"Nothing was bought in attempt 1; the log of attempt_1\.route says why"):
            steps.score([job_id], attempt=1, attempts=3)

    @pytest.mark.parametrize("job_ids", [None, []])
    def test_without_an_order_it_is_skipped(self, job_ids: Any) -> None:
        """`score` runs on all_done, so it also runs after an estimate that failed."""
        with pytest.raises(AirflowSkipException):
            steps.score(job_ids, attempt=1, attempts=3)


class TestToTheEnd:
    def made(self, shop: Shop, call: Call, *job_ids: str, prompt: str = "a lake") -> None:
        for job_id in job_ids:
            shop.routed(prompt, job_id=job_id)
        buy(call, *job_ids)
        steps.score(job_ids, attempt=1, attempts=3)

    def test_one_job_hands_out_its_files_by_name(self, shop: Shop, call: Call, ti: TaskInstance) -> None:
        self.made(shop, call, "job-1")
        steps.assemble(["job-1"])

        delivered = steps.deliver(["job-1"], push=ti.xcom_push)

        assert set(ti.pushed) == {"video", "poster", "contact_sheet", "manifest"}
        assert all(Path(url.removeprefix("file://")).stat().st_size > 0 for url in ti.pushed.values())
        assert delivered[0]["video"] == ti.pushed["video"]
        assert (delivered[0]["attempts"], delivered[0]["problems"]) == (1, [])

    def test_a_batch_returns_a_list_and_no_names(self, shop: Shop, call: Call, ti: TaskInstance) -> None:
        self.made(shop, call, "one", "two")
        steps.assemble(["one", "two"])

        delivered = steps.deliver(["one", "two"], push=ti.xcom_push)

        assert [facts["job_id"] for facts in delivered] == ["one", "two"]
        assert ti.pushed == {}

    def test_a_shot_without_a_take_is_told_with_what_was_tried(self, shop: Shop, call: Call) -> None:
        shop.routed("[[runway=fail]]")
        with pytest.raises(AirflowFailException):
            buy(call, "job-1")

        with pytest.raises(AirflowFailException, match="shot 1 has no usable take: runway vendor_internal"):
            steps.assemble(["job-1"])

    def test_what_was_not_assembled_is_not_delivered(self, shop: Shop, call: Call, ti: TaskInstance) -> None:
        self.made(shop, call, "job-1")

        with pytest.raises(AirflowFailException, match="1 of 1 jobs were not delivered"):
            steps.deliver(["job-1"], push=ti.xcom_push)

    def test_settle_gives_back_what_was_held_and_never_sent(self, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
        shop.routed()

        with caplog.at_level(logging.INFO):
            steps.settle(run_id=RUN, tell=unsaid)

        assert "failed, 1 unused holds given back" in [record.getMessage() for record in caplog.records]
        assert [p.state for p in shop.purchases()] == ["voided"]

    def test_every_video_of_a_run_is_announced_though_another_was_lost(self, shop: Shop, call: Call, ti: TaskInstance) -> None:
        self.made(shop, call, "one", "two")
        shop.routed("[[runway=fail]]", job_id="lost")
        jobs = ["lost", "one", "two"]
        steps.assemble(jobs)
        with pytest.raises(AirflowFailException, match="1 of 3 jobs were not delivered"):
            steps.deliver(jobs, push=ti.xcom_push)

        told: list[dict[str, Any]] = []
        steps.settle(run_id=RUN, tell=lambda asset, extra: told.append({"asset": asset.name, **extra}))
        assert [(one["asset"], one["job_id"], one["version"], one["cost_usd"]) for one in told] == [
            ("aiprod://deliveries", "one", 1, 0.24),
            ("aiprod://deliveries", "two", 1, 0.24),
        ]
        shop.pipeline.carry(["one", "two"], run_id="later")
        steps.settle(run_id="later", tell=unsaid)

    def test_settle_of_a_run_that_took_no_order_is_fine(self, shop: Shop) -> None:
        steps.settle(run_id="another", tell=unsaid)


class TestPushMetrics:
    def test_it_folds_what_happened(self, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
        shop.routed()
        steps.settle(run_id=RUN, tell=unsaid)

        with caplog.at_level(logging.INFO):
            steps.push_metrics()

        assert "0 points folded" not in caplog.text
        assert "points folded" in caplog.text

    def test_figures_never_fail_a_video(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setenv("AIPROD_DATABASE_URL", "sqlite:////nowhere/ledger.db")

        steps.push_metrics()

        assert "Metrics were not pushed; they stay in the outbox" in caplog.text


class TestFlushMetrics:
    def test_it_says_what_was_told_and_which_alerts_came(
        self, shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIPROD_METRICS_SINKS", "otlp")
        monkeypatch.setenv("AIPROD_OTLP_ENDPOINT", "http://127.0.0.1:9")

        with caplog.at_level(logging.INFO):
            steps.flush_metrics()

        assert "points folded" in caplog.text
        assert "otlp: no answer" in caplog.text, "a sink in trouble is told, and fails nothing"
        assert "alert raised: Prices were not compared for long" in caplog.text

    def test_a_sink_that_nobody_knows_is_red(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIPROD_METRICS_SINKS", "nowhere")

        with pytest.raises(AirflowFailException, match="no sink is called 'nowhere'"):
            steps.flush_metrics()


class TestDeployMonitoring:
    def test_a_plan_changes_nothing_and_a_run_does(
        self, shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Monitoring() as service, caplog.at_level(logging.INFO):
            for name, value in {**service.environment, "GCP_PROJECT_ID": "p"}.items():
                monkeypatch.setenv(name, value)
            steps.deploy_monitoring(plan=True)
            assert service.plans.changes == []
            steps.deploy_monitoring(plan=False)

        assert "policy budget_warning: missing, would be created" in caplog.text
        assert "policy budget_warning: created" in caplog.text

    def test_without_a_project_it_is_red_and_says_so(self, shop: Shop) -> None:
        with pytest.raises(AirflowFailException, match="GCP_PROJECT_ID is not set"):
            steps.deploy_monitoring(plan=True)


class TestReconcile:
    def test_with_nothing_open_it_is_quiet_and_green(self, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            steps.reconcile()

        assert "0 open purchases looked at" in caplog.text

    def test_a_render_that_ended_unseen_is_brought_home(self, shop: Shop, call: Call) -> None:
        shop.routed("[[runway=slow:100000]]")
        with pytest.raises(TaskDeferred):
            buy(call, "job-1")
        shop.finish()

        steps.reconcile()

        assert [p.state for p in shop.purchases()] == ["succeeded"]
        assert shop.accepts() == 1

    def test_what_needs_a_person_is_red_and_says_why(
        self, shop: Shop, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        shop.routed("[[runway=slow:100000]]")
        with pytest.raises(TaskDeferred):
            buy(call, "job-1")
        shop.finish()
        (tmp_path / "not-a-folder").touch()
        monkeypatch.setenv("AIPROD_STORAGE_URL", (tmp_path / "not-a-folder").as_uri())

        with pytest.raises(AirflowFailException, match="job-1 shot 1 at runway"):
            steps.reconcile()


def test_every_field_of_the_form_is_part_of_the_order() -> None:
    assert JobSpec.parse(form(prompt="a lake")) == JobSpec(prompt="a lake", seconds=2)
