"""A person is asked once, about what they see, and only when the ledger has no answer yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskAwaitingInput

from aiprod.catalog import Project, catalog
from aiprod.editing import ManifestEdit
from aiprod.ledger import approvals, jobs
from aiprod.models import ShotSpec
from aiprod_airflow.operators.approval import ApproveSpendOperator, ReviewVideoOperator
from aiprod_airflow.operators.render import RenderOperator
from tests.aiprod_airflow.shop import RUN, Call, Shop, TaskInstance

ANSWERED_AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TIMEOUT = {"error": "The Human-in-the-loop response timeout has passed without a response.", "error_type": "timeout"}


def answer(option: str) -> dict[str, Any]:
    """What the task is resumed with when somebody pressed a button."""
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": ANSWERED_AT,
        "responded_by_user": {"id": "7", "name": "Ada"},
        "timedout": False,
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every question sent to Airflow, as it was sent."""
    sent: list[dict[str, Any]] = []
    # The one call to Airflow's supervisor; there is none here.
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **question: sent.append(question))
    return sent


@pytest.fixture
def wired() -> dict[str, Any]:
    """Both questions in front of a task that goes on whatever happens, and a teardown."""
    with DAG("questions", start_date=pendulum.datetime(2026, 1, 1), schedule=None):
        tasks: dict[str, BaseOperator] = {
            "approve": ApproveSpendOperator(task_id="approve", job_ids=["job-1"]),
            "review": ReviewVideoOperator(task_id="review", job_ids=["job-1"]),
        }
        route = EmptyOperator(task_id="route")
        score = EmptyOperator(task_id="score", trigger_rule="all_done")
        settle = EmptyOperator(task_id="settle").as_teardown()
        tasks["approve"] >> route >> score >> tasks["review"] >> EmptyOperator(task_id="deliver") >> settle
    return tasks


def envelope(shop: Shop, job_id: str = "job-1") -> Any:
    with shop.ledger.read() as conn:
        return approvals.envelope(conn, job_id, jobs.latest(conn, job_id))


def said(shop: Shop, job_id: str = "job-1") -> Any:
    with shop.ledger.read() as conn:
        return approvals.latest(conn, job_id, jobs.latest(conn, job_id))


def two_people(monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    """Let a preset want another person than the one who ordered."""
    known = catalog()
    strict = known.presets[preset].model_copy(update={"approver_differs": True})
    changed = known.model_copy(update={"presets": {**known.presets, preset: strict}})
    monkeypatch.setattr("aiprod.verbs.catalog", lambda: changed)


def members_only(monkeypatch: pytest.MonkeyPatch, *members: str) -> None:
    """Let the project of every job here be its members'."""
    known = catalog()
    access = known.access.model_copy(update={"projects": {"default": Project(members=members)}})
    changed = known.model_copy(update={"access": access})
    monkeypatch.setattr("aiprod.verbs.catalog", lambda: changed)


class TestApprove:
    def operator(self, *job_ids: str) -> ApproveSpendOperator:
        return ApproveSpendOperator(task_id="approve", job_ids=list(job_ids or ("job-1",)))

    def parked(self, call: Call) -> TaskAwaitingInput:
        with pytest.raises(TaskAwaitingInput) as waiting:
            call(self.operator())
        return waiting.value

    def test_an_amount_the_preset_allows_passes_without_a_question(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order()

        call(self.operator())

        assert asked == []
        assert envelope(shop).approved_by == "preset quick_social"

    def test_an_amount_the_preset_does_not_allow_waits_for_a_person(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(preset="brand_campaign")

        assert self.parked(call).method_name == "execute_complete"

        assert len(asked) == 1
        assert asked[0]["options"] == ["Approve", "Reject"]
        assert asked[0]["defaults"] is None
        assert envelope(shop) is None

    def test_the_question_waits_as_long_as_the_preset_says(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(preset="brand_campaign")

        assert self.parked(call).timeout == timedelta(hours=72)

    def test_the_question_names_job_version_price_and_limit(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(preset="brand_campaign", budget_usd=50)

        self.parked(call)

        assert asked[0]["subject"] == "Spend on job-1, version 1?"
        for part in ("`job-1`", "**version** 1", "| Shot | Seconds | runway |", "$50.00", "You approve at most"):
            assert part in asked[0]["body"]

    def test_a_prompt_is_never_read_as_a_template(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order("{{ 1 / 0 }} {% raise %}", preset="brand_campaign")

        self.parked(call)

        assert set(self.operator().template_fields) == {"job_ids"}
        assert "1 / 0" in asked[0]["body"]
        assert "{{" not in asked[0]["body"]

    def test_approve_makes_an_envelope_in_the_name_of_who_pressed_it(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(preset="brand_campaign")
        self.parked(call)

        call(self.operator(), "execute_complete", event=answer("Approve"))

        assert envelope(shop).approved_by == "Ada"
        assert len(asked) == 1

    def test_reject_skips_everything_but_the_teardowns(
        self, shop: Shop, call: Call, asked: list[Any], wired: dict[str, Any], ti: TaskInstance
    ) -> None:
        shop.order(preset="brand_campaign")
        with pytest.raises(TaskAwaitingInput):
            call(wired["approve"])

        with pytest.raises(DownstreamTasksSkipped) as skipped:
            call(wired["approve"], "execute_complete", event=answer("Reject"))

        assert set(skipped.value.tasks) == {"route", "score", "review", "deliver"}
        assert set(ti.pushed["skipmixin_key"]["skipped"]) == set(skipped.value.tasks)
        assert envelope(shop) is None
        assert said(shop).answer == "rejected"

    def test_nobody_in_time_is_red_and_nothing_is_approved(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(preset="brand_campaign")
        self.parked(call)

        with pytest.raises(AirflowFailException, match="Nobody answered in time; nothing was bought"):
            call(self.operator(), "execute_complete", event=TIMEOUT)

        assert envelope(shop) is None
        assert said(shop).answer == "expired"

    def test_an_answer_that_cannot_be_read_is_none_and_the_next_try_asks_again(
        self, shop: Shop, call: Call, asked: list[Any]
    ) -> None:
        shop.order(preset="brand_campaign")
        self.parked(call)

        with pytest.raises(RuntimeError, match="could not be read: a field is missing"):
            call(self.operator(), "execute_complete", event={"error": "a field is missing", "error_type": "validation"})

        assert said(shop) is None

    def test_asked_again_after_the_run_was_settled(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(preset="brand_campaign")
        self.parked(call)
        with pytest.raises(AirflowFailException):
            call(self.operator(), "execute_complete", event=TIMEOUT)
        shop.pipeline.settle(RUN)

        self.parked(call)

        assert len(asked) == 2

    def test_an_answer_the_ledger_has_already_asks_nobody(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(preset="brand_campaign")
        self.parked(call)
        shop.pipeline.answer_spend("job-1", "approved", by="studio", run_id=RUN, task_id="approve")

        call(self.operator())

        assert len(asked) == 1

    def test_the_ledgers_answer_wins_over_airflows(self, shop: Shop, call: Call, asked: list[Any], wired: dict[str, Any]) -> None:
        shop.order(preset="brand_campaign")
        self.parked(call)
        shop.pipeline.answer_spend("job-1", "rejected", by="studio", run_id=RUN, task_id="approve")

        with pytest.raises(DownstreamTasksSkipped):
            call(wired["approve"], "execute_complete", event=answer("Approve"))

        assert envelope(shop) is None
        assert said(shop).envelope.approved_by == "studio"

    def test_a_second_reading_of_the_same_answer_changes_nothing(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(preset="brand_campaign")
        self.parked(call)

        for _ in range(2):
            call(self.operator(), "execute_complete", event=answer("Approve"))

        assert envelope(shop).sequence == 1

    @pytest.mark.parametrize("option", ["Approve", "Reject"])
    def test_an_answer_about_an_older_version_counts_for_nothing_and_is_asked_again(
        self, shop: Shop, call: Call, asked: list[Any], option: str
    ) -> None:
        shop.order(preset="brand_campaign")
        self.parked(call)
        shop.edit()

        with pytest.raises(TaskAwaitingInput):
            call(self.operator(), "execute_complete", event=answer(option))

        assert asked[-1]["subject"] == "job-1 changed to version 2: open the studio"
        assert said(shop) is None

    def test_what_was_shown_first_stays_what_was_shown(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        """Airflow keeps the first text, so an answer given after any number of edits is about that."""
        shop.order(preset="brand_campaign")
        self.parked(call)
        for _ in range(2):
            shop.edit()
            self.parked(call)

        with pytest.raises(TaskAwaitingInput):
            call(self.operator(), "execute_complete", event=answer("Approve"))

        with shop.ledger.read() as conn:
            assert approvals.first_shown(conn, RUN, "approve", "job-1") == (1, "")
        assert said(shop) is None

    def test_an_approval_of_the_edit_and_then_airflows_answer_finish_the_task(
        self, shop: Shop, call: Call, asked: list[Any]
    ) -> None:
        """The API writes the envelope of version 2 first and then answers Airflow, which still shows version 1."""
        shop.order(preset="brand_campaign")
        self.parked(call)
        change = ManifestEdit(shots=(ShotSpec(prompt="a boat", seconds=2),))
        amount = shop.pipeline.edit("job-1", change, base_version=1, by="Ann").estimate.worst_case
        shop.pipeline.answer_money("job-1", "approved", version=2, amount=amount, by="Ada")

        call(self.operator(), "execute_complete", event=answer("Approve"))

        assert (envelope(shop).version, envelope(shop).approved_by, len(asked)) == (2, "Ada", 1)

    def test_who_ordered_may_not_approve_where_the_preset_wants_two_and_is_asked_again(
        self, shop: Shop, call: Call, asked: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        two_people(monkeypatch, "brand_campaign")
        raw = {"preset": "brand_campaign", "job_id": "job-1", "prompt": "a lake", "seconds": 2}
        shop.pipeline.estimate([raw], run_id=RUN, job_id="job-1", by="Ada")
        self.parked(call)

        with pytest.raises(TaskAwaitingInput):
            call(self.operator(), "execute_complete", event=answer("Approve"))

        assert (said(shop), len(asked)) == (None, 2)
        assert "Ada ordered it: another person has to answer" in asked[0]["body"]

    def test_who_is_no_member_of_the_project_has_no_word_on_airflows_page_either(
        self, shop: Shop, call: Call, asked: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop.order(preset="brand_campaign")
        members_only(monkeypatch, "alice")
        self.parked(call)

        with pytest.raises(TaskAwaitingInput):
            call(self.operator(), "execute_complete", event=answer("Approve"))

        assert (said(shop), len(asked)) == (None, 2)

    def test_a_cancelled_job_asks_nobody_and_skips_the_rest(
        self, shop: Shop, call: Call, asked: list[Any], wired: dict[str, Any]
    ) -> None:
        shop.order(preset="brand_campaign")
        with pytest.raises(TaskAwaitingInput):
            call(wired["approve"])
        shop.pipeline.cancel("job-1", by="eve")

        with pytest.raises(DownstreamTasksSkipped):
            call(wired["approve"], "execute_complete", event=answer("Approve"))

        assert said(shop) is None

    def test_several_jobs_that_need_nobody_pass(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(job_id="one")
        shop.order(job_id="two")

        call(self.operator("one", "two"))

        assert envelope(shop, "one") is not None
        assert envelope(shop, "two") is not None

    def test_a_batch_cannot_ask_and_says_what_to_do(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order(job_id="one")
        shop.order(job_id="two", preset="brand_campaign")

        with pytest.raises(AirflowFailException, match=r"\Atwo wait for a person, but a run with several jobs cannot ask: .*"):
            call(self.operator("one", "two"))

        assert asked == []


class TestReview:
    @pytest.fixture
    def made(self, shop: Shop, call: Call, request: pytest.FixtureRequest) -> Shop:
        """A job with a video that is not delivered yet."""
        spec = {"preset": "premium_spot", "quality_floor": 0.5, **getattr(request, "param", {})}
        shop.order(**spec)
        if shop.pipeline.ask("job-1", run_id=RUN).answer is None:
            shop.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
            shop.pipeline.answer_spend("job-1", "approved", by="Ada", run_id=RUN, task_id="approve")
        shop.pipeline.route(["job-1"], 1)
        call(RenderOperator(task_id="runway", job_ids=["job-1"], backend="runway", attempt=1))
        shop.pipeline.score(["job-1"], 1)
        shop.pipeline.assemble(["job-1"])
        return shop

    def operator(self, *job_ids: str) -> ReviewVideoOperator:
        return ReviewVideoOperator(task_id="review", job_ids=list(job_ids or ("job-1",)))

    def word(self, shop: Shop) -> Any:
        return shop.pipeline.reviews(["job-1"])[0].answer

    @pytest.mark.parametrize("made", [{"preset": "quick_social"}], indirect=True)
    def test_a_preset_without_a_second_look_passes(self, made: Shop, call: Call, asked: list[Any]) -> None:
        call(self.operator())

        assert asked == []

    def test_a_second_look_shows_where_the_video_is_and_why_somebody_is_asked(
        self, made: Shop, call: Call, asked: list[Any]
    ) -> None:
        with pytest.raises(TaskAwaitingInput) as waiting:
            call(self.operator())

        question = made.pipeline.review_question("job-1", run_id=RUN, task_id="review")
        assert asked[0]["subject"] == "Deliver job-1, version 1?"
        for part in ("`job-1`", "the preset asks for a second look", f"`{question.video}`", f"`{question.poster}`"):
            assert part in asked[0]["body"]
        assert waiting.value.timeout == timedelta(hours=72)

    def test_approve_lets_it_go_out(self, made: Shop, call: Call, asked: list[Any]) -> None:
        with pytest.raises(TaskAwaitingInput):
            call(self.operator())

        call(self.operator(), "execute_complete", event=answer("Approve"))

        assert self.word(made) == "accepted"
        assert made.pipeline.deliver(["job-1"])[0].job_id == "job-1"

    def test_reject_skips_the_delivery_but_not_the_teardowns(
        self, made: Shop, call: Call, asked: list[Any], wired: dict[str, Any]
    ) -> None:
        with pytest.raises(TaskAwaitingInput):
            call(wired["review"])

        with pytest.raises(DownstreamTasksSkipped) as skipped:
            call(wired["review"], "execute_complete", event=answer("Reject"))

        assert skipped.value.tasks == ["deliver"]
        assert self.word(made) == "rejected"

    def test_nobody_in_time_is_red_and_nothing_goes_out(self, made: Shop, call: Call, asked: list[Any]) -> None:
        with pytest.raises(TaskAwaitingInput):
            call(self.operator())

        with pytest.raises(AirflowFailException, match="Nobody looked in time; the video is stored but not delivered"):
            call(self.operator(), "execute_complete", event=TIMEOUT)

        assert self.word(made) is None
        assert made.pipeline.view("job-1").status == "expired"

    def test_who_ordered_may_not_let_it_out_where_the_preset_wants_two_and_is_asked_again(
        self, made: Shop, call: Call, asked: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        two_people(monkeypatch, "premium_spot")
        with made.ledger.write() as conn:
            conn.exec_driver_sql("UPDATE jobs SET created_by = 'Ada'")
        for method, event in (("execute", None), ("execute_complete", answer("Approve"))):
            with pytest.raises(TaskAwaitingInput):
                call(self.operator(), method, **({"event": event} if event else {}))

        assert (self.word(made), len(asked)) == (None, 2)
        assert "Ada ordered it: another person has to answer" in asked[0]["body"]

    def test_who_is_no_member_of_the_project_lets_no_video_out(
        self, made: Shop, call: Call, asked: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        members_only(monkeypatch, "alice")
        for method, event in (("execute", None), ("execute_complete", answer("Approve"))):
            with pytest.raises(TaskAwaitingInput):
                call(self.operator(), method, **({"event": event} if event else {}))

        assert (self.word(made), len(asked)) == (None, 2)

    def test_the_ledgers_word_wins_over_airflows(self, made: Shop, call: Call, asked: list[Any], wired: dict[str, Any]) -> None:
        made.pipeline.review_question("job-1", run_id=RUN, task_id="review")
        made.pipeline.answer_review("job-1", "rejected", by="studio", run_id=RUN, task_id="review")

        with pytest.raises(DownstreamTasksSkipped):
            call(wired["review"], "execute_complete", event=answer("Approve"))

        assert self.word(made) == "rejected"

    def test_a_batch_asks_nobody_and_goes_on_without_the_video(self, made: Shop, call: Call, asked: list[Any]) -> None:
        made.order(job_id="other")

        assert call(self.operator("job-1", "other")) is None
        assert (asked, self.word(made)) == ([], None)

    def test_without_a_video_nobody_is_asked(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        shop.order()

        call(self.operator())

        assert asked == []
