"""A render task buys once, waits without a worker, and shows the colour of the ledger."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.sdk.execution_time import task_runner

from aiprod.errors import OtherRevision, StorageError
from aiprod.ledger.engine import REVISION, _opened
from aiprod_airflow.operators.render import RenderOperator
from tests.aiprod_airflow.shop import Call, Shop, TaskInstance
from tests.aiprod_airflow.supervisor import Supervisor

RUNS_LONG = "[[runway=slow:100000]]"


def operator(*job_ids: str, backend: str = "runway", attempt: int = 1) -> RenderOperator:
    return RenderOperator(task_id=backend, job_ids=list(job_ids or ("job-1",)), backend=backend, attempt=attempt)


def test_without_a_held_attempt_nothing_is_bought_and_the_task_is_green(shop: Shop, call: Call) -> None:
    shop.order()

    call(operator())

    assert shop.accepts() == 0


def test_a_backend_that_was_not_chosen_buys_nothing(shop: Shop, call: Call) -> None:
    shop.routed()

    call(operator(backend="veo3"))

    assert shop.accepts() == 0


def test_a_take_that_is_there_at_once_ends_the_task_green(shop: Shop, call: Call) -> None:
    shop.routed()

    call(operator())

    assert [p.state for p in shop.purchases()] == ["succeeded"]


@pytest.mark.parametrize("revision", ["0001", "9999"], ids=["a-new-worker-on-an-older-ledger", "an-old-worker-on-a-newer-ledger"])
def test_a_worker_of_another_release_than_the_ledger_buys_nothing(shop: Shop, call: Call, revision: str) -> None:
    shop.routed()
    # The revision is looked at when a process opens the ledger, and every task is a process of its own.
    _opened.cache_clear()
    with shop.ledger.write() as conn:
        conn.exec_driver_sql("UPDATE ledger_alembic_version SET version_num = ?", (revision,))

    # Tried again by itself: the ledger may be upgraded, or this worker replaced, any minute.
    with pytest.raises(OtherRevision, match=rf"is at revision {revision}, .*this release.* needs? {REVISION}"):
        call(operator())

    with shop.ledger.write() as conn:
        conn.exec_driver_sql("UPDATE ledger_alembic_version SET version_num = ?", (REVISION,))
    assert ([p.state for p in shop.purchases()], shop.accepts()) == (["held"], 0)


class TestWaiting:
    def test_a_running_render_gives_the_worker_back(self, shop: Shop, call: Call) -> None:
        shop.routed(RUNS_LONG)

        with pytest.raises(TaskDeferred) as parked:
            call(operator())

        assert parked.value.method_name == "resume"
        assert parked.value.trigger.vendor_ids == [shop.purchases()[0].vendor_id]

    def test_the_wait_is_bounded_even_when_the_trigger_never_starts(self, shop: Shop, call: Call) -> None:
        shop.routed(RUNS_LONG)

        with pytest.raises(TaskDeferred) as parked:
            call(operator())

        assert parked.value.timeout is not None
        deadline = datetime.fromisoformat(parked.value.trigger.deadline) - datetime.now(UTC)
        assert deadline <= timedelta(seconds=60)  # the catalogue's max_run_seconds
        assert deadline < parked.value.timeout <= timedelta(minutes=10)

    def test_the_first_event_leaves_the_scheduler_time(self, shop: Shop, call: Call) -> None:
        shop.routed(RUNS_LONG)
        before = datetime.now(UTC)

        with pytest.raises(TaskDeferred) as parked:
            call(operator())

        assert datetime.fromisoformat(parked.value.trigger.first_event_at) >= before + timedelta(seconds=20)

    def test_a_retry_while_it_runs_attaches_to_the_same_render(self, shop: Shop, call: Call) -> None:
        shop.routed(RUNS_LONG)

        seen = []
        for _ in range(3):
            with pytest.raises(TaskDeferred) as parked:
                call(operator())
            seen.append(parked.value.trigger.vendor_ids)

        assert seen == [seen[0]] * 3
        assert shop.accepts() == 1

    def test_waking_up_brings_the_take_home(self, shop: Shop, call: Call) -> None:
        shop.routed(RUNS_LONG)
        with pytest.raises(TaskDeferred):
            call(operator())
        shop.finish()

        call(operator(), "resume", event={"pending": []})

        assert [p.state for p in shop.purchases()] == ["succeeded"]
        assert shop.accepts() == 1

    def test_waking_up_too_early_waits_again(self, shop: Shop, call: Call) -> None:
        shop.routed(RUNS_LONG)

        with pytest.raises(TaskDeferred):
            call(operator(), "resume", event={"pending": ["whatever it says"]})

    def test_a_failure_is_told_when_nothing_runs_any_more(self, shop: Shop, call: Call) -> None:
        shop.routed(shots=[{"prompt": "[[runway=fail]]", "seconds": 2}, {"prompt": RUNS_LONG, "seconds": 2}])
        with pytest.raises(TaskDeferred) as parked:
            call(operator())
        assert len(parked.value.trigger.vendor_ids) == 1
        shop.finish()

        with pytest.raises(AirflowFailException, match=r"\Ajob-1 shot 1 at runway: vendor_internal: INTERNAL\Z"):
            call(operator(), "resume", event={"pending": []})


class TestColour:
    """The task's colour is a function of the ledger, not of its try."""

    def test_a_vendor_failure_is_red_without_a_retry(self, shop: Shop, call: Call) -> None:
        shop.routed("[[runway=fail]]")

        with pytest.raises(AirflowFailException, match="job-1 shot 1 at runway: vendor_internal"):
            call(operator())

    def test_a_failure_stays_red_however_often_it_is_cleared(self, shop: Shop, call: Call) -> None:
        shop.routed("[[runway=fail]]")

        for _ in range(3):
            with pytest.raises(AirflowFailException):
                call(operator())

        assert shop.accepts() == 1

    def test_a_take_stays_green_however_often_it_is_cleared(self, shop: Shop, call: Call) -> None:
        shop.routed()

        for _ in range(3):
            call(operator())

        assert shop.accepts() == 1

    def test_a_success_elsewhere_in_a_later_attempt_changes_nothing(self, shop: Shop, call: Call) -> None:
        shop.routed("[[runway=fail]]")
        with pytest.raises(AirflowFailException):
            call(operator())
        shop.pipeline.route(["job-1"], 2)
        call(operator(backend="veo3", attempt=2))

        with pytest.raises(AirflowFailException):
            call(operator())

    def test_one_failed_shot_makes_the_batch_red_and_the_others_come_home(self, shop: Shop, call: Call) -> None:
        shop.routed(job_id="good")
        shop.routed("[[runway=fail]]", job_id="bad")

        with pytest.raises(AirflowFailException, match=r"\Abad shot 1 at runway[^\n]*\Z"):
            call(operator("good", "bad"))

        assert [p.state for p in shop.purchases("good")] == ["succeeded"]

    @pytest.mark.parametrize("shop", ["MuteVendor"], indirect=True)
    def test_a_lost_answer_that_cannot_be_looked_for_is_parked_red_and_never_bought_again(self, shop: Shop, call: Call) -> None:
        shop.routed("[[runway=lose]]")

        for _ in range(2):
            with pytest.raises(AirflowFailException, match="parked"):
                call(operator())

        assert shop.accepts() == 1

    def test_a_lost_answer_is_looked_for_and_found(self, shop: Shop, call: Call) -> None:
        shop.routed("[[runway=lose]]")

        call(operator())

        assert shop.accepts() == 1


class TestBeingKilled:
    """Airflow ends the process in the middle of something."""

    @pytest.mark.parametrize("shop", ["tests.keyed_vendor:Stoppable"], indirect=True)
    @pytest.mark.parametrize(("state", "stays"), [("failed", "cancelled"), ("running", "submitted")])
    def test_what_runs_is_stopped_when_a_person_wished_it_and_else_left_for_the_next_try(
        self, shop: Shop, call: Call, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, state: str, stays: str
    ) -> None:
        shop.routed(RUNS_LONG)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(states={ti.task_id: state}), raising=False)
        ran = operator()
        with pytest.raises(TaskDeferred):
            call(ran)

        before = set(threading.enumerate())
        ran.on_kill()
        for started in set(threading.enumerate()) - before:
            started.join(20)

        assert [p.state for p in shop.purchases()] == [stays]

    def test_before_it_did_anything_there_is_nothing_to_stop(self, shop: Shop) -> None:
        operator().on_kill()

        assert shop.accepts() == 0

    def test_the_process_that_is_ended_is_not_held_up_by_a_ledger_that_it_has_locked_itself(
        self, shop: Shop, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, call: Call
    ) -> None:
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(states={ti.task_id: "failed"}), raising=False)
        shop.routed()
        ran = operator()
        call(ran)

        with shop.ledger.write():
            started = time.monotonic()
            ran.on_kill()
            assert time.monotonic() - started < 1


def test_a_dry_run_asks_nobody(shop: Shop, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.routed()
    monkeypatch.setenv("AIPROD_DRY_RUN", "1")

    with pytest.raises(AirflowFailException, match="dry run"):
        call(operator())

    assert shop.accepts() == 0


def test_storage_that_is_down_fails_the_try_and_the_next_one_brings_the_take_home(
    shop: Shop, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop.routed()
    (tmp_path / "not-a-folder").touch()
    monkeypatch.setenv("AIPROD_STORAGE_URL", (tmp_path / "not-a-folder").as_uri())
    with pytest.raises(StorageError):
        call(operator())
    monkeypatch.delenv("AIPROD_STORAGE_URL")

    call(operator())

    assert shop.accepts() == 1
