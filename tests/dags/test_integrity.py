"""The DAGs as Airflow reads them: what runs after what, and what every task promises."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.bases.branch import BranchMixIn
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.taskgroup import MappedTaskGroup, TaskGroup
from airflow.serialization.serialized_objects import DagSerialization

from aiprod.catalog import catalog
from aiprod_airflow.forms import job_params
from tests.catalogue import write_catalogue

DAGS = Path(__file__).parents[2] / "dags"
ATTEMPTS = (1, 2, 3)
TEARDOWNS = {"settle", "push_metrics"}


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=str(DAGS), safe_mode=False)


@pytest.fixture(scope="module")
def video(bag: DagBag) -> Any:
    return bag.dags["render_video"]


def tasks(bag: DagBag) -> list[tuple[str, Any]]:
    return [(f"{dag.dag_id}.{task.task_id}", task) for dag in bag.dags.values() for task in dag.tasks]


def groups(group: TaskGroup) -> list[TaskGroup]:
    return [group, *(inner for child in group.children.values() if isinstance(child, TaskGroup) for inner in groups(child))]


def is_branch(task: Any) -> bool:
    return isinstance(task, BranchMixIn)


class TestEveryDag:
    def test_every_file_is_read_without_an_error(self, bag: DagBag) -> None:
        assert bag.import_errors == {}
        assert {Path(dag.fileloc).stem for dag in bag.dags.values()} == {file.stem for file in DAGS.glob("*.py")}

    def test_every_file_is_read_without_a_warning(self, bag: DagBag) -> None:
        assert bag.captured_warnings == {}

    def test_every_dag_says_what_it_is(self, bag: DagBag) -> None:
        for dag in bag.dags.values():
            assert dag.doc_md
            assert "aiprod" in dag.tags
            assert dag.dag_display_name != dag.dag_id

    def test_no_dag_catches_up_on_the_past(self, bag: DagBag) -> None:
        assert [dag.dag_id for dag in bag.dags.values() if dag.catchup] == []

    def test_every_task_has_an_owner_and_says_what_it_does(self, bag: DagBag) -> None:
        assert [name for name, task in tasks(bag) if task.owner != "aiprod" or not task.doc_md] == []

    def test_nothing_is_mapped_so_no_branch_is_ignored(self, bag: DagBag) -> None:
        """Airflow 3.2 to 3.3.2 ignore a branch inside a mapped task group and run every sibling (apache/airflow#67265)."""
        assert [name for name, task in tasks(bag) if isinstance(task, MappedOperator)] == []
        inside = [
            f"{dag.dag_id}.{group.group_id}"
            for dag in bag.dags.values()
            for group in groups(dag.task_group)
            if isinstance(group, MappedTaskGroup) and any(is_branch(task) for task in group.iter_tasks())
        ]
        assert inside == []

    def test_no_run_is_ended_by_a_clock_that_skips_the_teardowns(self, bag: DagBag) -> None:
        assert [dag.dag_id for dag in bag.dags.values() if dag.dagrun_timeout is not None] == []

    def test_every_dag_survives_being_stored(self, bag: DagBag) -> None:
        for dag in bag.dags.values():
            assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_dict.keys() == dag.task_dict.keys()


class TestRenderVideo:
    def ids(self, dag: Any, task_id: str) -> tuple[set[str], set[str]]:
        task = dag.get_task(task_id)
        return set(task.upstream_task_ids), set(task.downstream_task_ids)

    def test_parked_approvals_never_stop_other_jobs(self, video: Any) -> None:
        assert video.max_active_runs == 1_000
        assert video.max_active_tasks >= 16

    def test_it_runs_when_it_is_ordered_and_at_no_other_time(self, video: Any) -> None:
        assert video.schedule is None

    def test_it_asks_for_an_order(self, video: Any) -> None:
        assert list(video.params) == list(job_params())

    def test_every_task_survives_the_resume_race(self, video: Any) -> None:
        """A retry only re-attaches; with fewer than two of them a scheduler that is late fails a paid render."""
        late = [task.task_id for task in video.tasks if task.retries < 2 or task.retry_delay > timedelta(minutes=1)]

        assert late == []

    def test_the_steps_follow_each_other(self, video: Any) -> None:
        begin = ["estimate", "approve", "attempt_1.route"]
        end = ["assemble", "review", "deliver", "settle", "push_metrics"]

        for before, after in [*pairwise(begin), *pairwise(end)]:
            assert before in self.ids(video, after)[0]

    @pytest.mark.parametrize("n", ATTEMPTS)
    def test_every_backend_has_a_task_between_route_and_score(self, video: Any, n: int) -> None:
        names = {f"attempt_{n}.{name}" for name in catalog().backends}

        assert self.ids(video, f"attempt_{n}.route")[1] == {*names, f"attempt_{n}.score"}
        for name in names:
            assert self.ids(video, name) == ({f"attempt_{n}.route", "estimate"}, {f"attempt_{n}.score"})

    @pytest.mark.parametrize("n", ATTEMPTS[1:])
    def test_an_attempt_begins_where_the_one_before_was_scored(self, video: Any, n: int) -> None:
        assert self.ids(video, f"attempt_{n}.route")[0] == {f"attempt_{n - 1}.score", "estimate"}

    @pytest.mark.parametrize("n", ATTEMPTS)
    def test_every_score_can_skip_every_later_one_and_go_on(self, video: Any, n: int) -> None:
        later = {f"attempt_{m}.score" for m in ATTEMPTS if m > n}
        after = {f"attempt_{n + 1}.route"} if n < ATTEMPTS[-1] else set()

        assert self.ids(video, f"attempt_{n}.score")[1] == {*later, *after, "assemble"}

    def test_route_and_score_are_the_only_branches(self, video: Any) -> None:
        branches = {task.task_id for task in video.tasks if is_branch(task)}

        assert branches == {f"attempt_{n}.{name}" for n in ATTEMPTS for name in ("route", "score")}

    def test_the_trigger_rules_are_those_that_were_tried_out(self, video: Any) -> None:
        special = {task.task_id: task.trigger_rule for task in video.tasks if task.trigger_rule != "all_success"}

        assert special == {
            **{f"attempt_{n}.score": "all_done" for n in ATTEMPTS},
            "assemble": "none_failed_min_one_success",
            **dict.fromkeys(TEARDOWNS, "all_done_setup_success"),
        }

    def test_teardowns_run_whatever_happened_and_decide_nothing(self, video: Any) -> None:
        teardowns = {task.task_id: task for task in video.tasks if task.is_teardown}

        assert set(teardowns) == TEARDOWNS
        # A setup that failed would stop them; a teardown that counts as the leaf turns a failed run green.
        assert [task.task_id for task in video.tasks if task.is_setup] == []
        assert not any(task.on_failure_fail_dagrun for task in teardowns.values())

    def test_a_rejection_skips_what_runs_on_all_done_too(self, video: Any) -> None:
        for name in ("approve", "review"):
            assert video.get_task(name).ignore_downstream_trigger_rules
            assert not video.get_task(name).fail_on_reject

    def test_what_airflow_renders_as_templates_are_ids(self, video: Any) -> None:
        """A prompt that is rendered could read connections and variables."""
        ours = [task for task in video.tasks if not task.task_type.startswith(("_Python", "_Branch"))]
        assert {name for task in ours for name in task.template_fields} == {"job_ids"}

        python = [task for task in video.tasks if task not in ours]
        given = {task.task_id: [*task.op_args, *task.op_kwargs.values()] for task in python}
        ids = "{{ task_instance.xcom_pull(task_ids='estimate', dag_id='render_video', key='return_value') }}"
        assert {str(value) for values in given.values() for value in values} == {ids}

    def test_only_a_delivery_is_announced_to_other_dags(self, video: Any) -> None:
        """By the teardown, which runs and succeeds however the others went; `steps.settle` tells what this run delivered."""
        assert {task.task_id for task in video.tasks if task.outlets} == {"settle"}

    def test_no_retry_can_order_again_what_was_refused(self, video: Any) -> None:
        assert video.get_task("estimate").retry_policy is not None


class TestReconcile:
    def test_it_runs_by_itself_and_never_twice_at_once(self, bag: DagBag) -> None:
        dag = bag.dags["reconcile"]

        assert dag.schedule == timedelta(minutes=10)
        assert dag.max_active_runs == 1


class TestNotify:
    def test_it_runs_by_itself_every_minute_and_never_twice_at_once(self, bag: DagBag) -> None:
        dag = bag.dags["notify"]

        assert dag.schedule == timedelta(minutes=1)
        assert dag.max_active_runs == 1


class TestDispatch:
    def test_it_starts_one_run_at_a_time_and_only_for_jobs_that_wait(self, bag: DagBag) -> None:
        dag = bag.dags["dispatch"]

        assert dag.max_active_runs == 1
        assert dag.get_task("start").trigger_dag_id == "render_video"
        assert set(dag.get_task("start").upstream_task_ids) == {"choose"}
        assert not dag.get_task("start").wait_for_completion


class TestParked:
    def test_it_asks_when_somebody_wants_to_answer_and_stops_nobody(self, bag: DagBag) -> None:
        dag = bag.dags["parked"]

        assert dag.schedule is None
        assert dag.max_active_runs == 1_000
        assert list(dag.params) == ["purchase"]

    def test_its_question_survives_the_resume_race_and_renders_an_id_only(self, bag: DagBag) -> None:
        ask = bag.dags["parked"].get_task("ask")

        assert ask.retries >= 2
        assert set(ask.template_fields) == {"purchase"}
        assert list(ask.serialized_params) == ["why", "vendor_id", "charged_usd"]


class TestBulkRender:
    def test_a_plan_is_approved_before_anything_is_entered_and_reported_at_the_end(self, bag: DagBag) -> None:
        dag = bag.dags["bulk_render"]

        for before, after in pairwise(["plan", "approve", "enlist", "carry", "report"]):
            assert before in dag.get_task(after).upstream_task_ids
        assert {task.trigger_rule for task in dag.tasks} == {"all_success"}, "what nobody approved is neither carried nor green"

    def test_waiting_campaigns_never_stop_another_and_every_wait_survives_the_resume_race(self, bag: DagBag) -> None:
        dag = bag.dags["bulk_render"]

        assert dag.schedule is None
        assert dag.max_active_runs == 1_000
        assert min(task.retries for task in dag.tasks) >= 2

    def test_a_question_renders_a_place_and_no_customers_words(self, bag: DagBag) -> None:
        assert set(bag.dags["bulk_render"].get_task("approve").template_fields) == {"plan"}

    def test_a_campaign_of_the_configuration_has_a_dag_on_its_schedule(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        campaigns = {"postcards": {"source": "gs://b/x.csv", "schedule": "0 6 * * 1-5", "budget_usd": 50, "in_flight": 9}}
        folder = write_catalogue(tmp_path / "config", campaigns={"campaigns": campaigns}, budgets={"zone": "Europe/Berlin"})
        monkeypatch.setenv("AIPROD_CONFIG_DIR", str(folder))
        made = DagBag(dag_folder=str(DAGS / "bulk_render.py"), safe_mode=False).dags["bulk_render_postcards"]

        assert made.schedule == "0 6 * * 1-5" and str(made.timezone) == "Europe/Berlin"
        assert {name: param.value for name, param in made.params.items()} == {
            "source": "gs://b/x.csv",
            "campaign": "postcards",
            "budget_usd": 50.0,
            "naming": "{campaign}/{row}.mp4",
            "in_flight": 9,
            "defaults": {},
        }
