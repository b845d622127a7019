"""A campaign is asked about once and carried through, without a worker while it waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskAwaitingInput, TaskDeferred

from aiprod.batching import VALID
from aiprod.bulk import entering, holding
from aiprod.bulk.plan import Wanted, plan
from aiprod.bulk.rows import from_csv
from aiprod_airflow.operators import campaign as operators
from aiprod_airflow.operators.campaign import ApproveCampaignOperator, CarryCampaignOperator
from aiprod_airflow.triggers.campaign import CampaignTrigger
from tests.aiprod_airflow.shop import Call, Shop

ROWS = "key,prompt,seconds\na,a lake,1\nb,a hill,1\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every question sent to Airflow, as it was sent."""
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **question: sent.append(question))
    return sent


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """Every run that Airflow was asked to start."""
    runs: list[tuple[str, str, dict[str, Any]]] = []
    monkeypatch.setattr(operators, "start_run", lambda *run: runs.append(run))
    return runs


def stored(shop: Shop, text: str = ROWS, **options: Any) -> str:
    """A plan of these rows, where the task before left it."""
    wanted = Wanted(campaign="spring", source="rows.csv", **options)
    made = plan(shop.ledger, shop.pipeline.catalog, wanted, from_csv(text))
    return entering.keep(shop.pipeline.storage, made)


def enlisted(shop: Shop, text: str = ROWS) -> None:
    made = entering.kept(shop.pipeline.storage, stored(shop, text))
    entering.approve(shop.ledger, shop.pipeline.catalog, made, by="ann")
    entering.enter(shop.ledger, shop.pipeline.catalog, made)


def answer(option: str) -> dict[str, Any]:
    user = {"id": "7", "name": "Ada"}
    return {"chosen_options": [option], "params_input": {}, "responded_by_user": user, "responded_at": None, "timedout": False}


class TestApprove:
    def operator(self, place: str) -> ApproveCampaignOperator:
        return ApproveCampaignOperator(task_id="approve", plan=place)

    def parked(self, call: Call, place: str) -> TaskAwaitingInput:
        with pytest.raises(TaskAwaitingInput) as waiting:
            call(self.operator(place))
        return waiting.value

    def test_one_question_shows_every_row_its_price_and_the_whole_amount(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        place = stored(shop, ROWS + "c,x,0\n", budget=1_000_000)
        assert self.parked(call, place).timeout == timedelta(hours=24), "as long as the preset of its rows says"
        (question,) = asked
        assert question["subject"] == "Spend up to $1.00 on campaign spring?"
        for part in ("`spring`", "2 new rows, 0 changed, 0 as before, 1 problems", "**$1.00**", "a lake", "a hill", "line 4"):
            assert part in question["body"]

    def test_a_customers_words_are_neither_template_nor_markup(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        self.parked(call, stored(shop, 'key,prompt\na,"{{ 1 / 0 }} [x](http://evil.example) <b>"\n'))
        assert set(self.operator("x").template_fields) == {"plan"}
        assert not any(word in asked[0]["body"] for word in ("{{", "](http", "<b>"))

    def test_the_answer_opens_the_campaigns_cap_and_is_not_asked_again(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        place = stored(shop)
        self.parked(call, place)
        call(self.operator(place), "execute_complete", event=answer("Approve"))
        made = entering.kept(shop.pipeline.storage, place)
        assert entering.approved(shop.ledger, made)
        assert entering.enter(shop.ledger, shop.pipeline.catalog, made).new == 2
        call(self.operator(place))
        assert len(asked) == 1, "what was approved is not asked again"

    def test_an_answer_about_other_rows_approves_nothing(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        """Airflow keeps a question's first text; a cleared `plan` may have found other rows since."""
        self.parked(call, stored(shop))
        changed = stored(shop, ROWS + "c,a dune,1\n")
        with pytest.raises(AirflowFailException, match="rows changed after they were shown"):
            call(self.operator(changed), "execute_complete", event=answer("Approve"))
        assert not entering.approved(shop.ledger, entering.kept(shop.pipeline.storage, changed))

    def test_reject_skips_the_rest_and_writes_nothing(self, shop: Shop, call: Call, asked: list[Any]) -> None:
        place = stored(shop)
        with DAG("campaigns", start_date=pendulum.datetime(2026, 1, 1), schedule=None):
            question = self.operator(place)
            question >> EmptyOperator(task_id="enlist") >> EmptyOperator(task_id="report", trigger_rule="all_done")
        with pytest.raises(TaskAwaitingInput):
            call(question)
        with pytest.raises(DownstreamTasksSkipped) as skipped:
            call(question, "execute_complete", event=answer("Reject"))
        assert set(skipped.value.tasks) == {"enlist", "report"}
        assert not entering.approved(shop.ledger, entering.kept(shop.pipeline.storage, place))

    def test_no_answer_in_time_fails_and_an_unreadable_one_is_asked_again(self, shop: Shop, call: Call) -> None:
        place = stored(shop)
        with pytest.raises(AirflowFailException, match="Nobody answered in time"):
            call(self.operator(place), "execute_complete", event={"error": "x", "error_type": "timeout"})
        with pytest.raises(RuntimeError, match="could not be read"):
            call(self.operator(place), "execute_complete", event={"error": "x", "error_type": "unknown"})


class TestCarry:
    def operator(self) -> CarryCampaignOperator:
        return CarryCampaignOperator(task_id="carry", campaign="spring")

    def deferred(self, call: Call, method: str = "execute", **arguments: Any) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as waiting:
            call(self.operator(), method, **arguments)
        return waiting.value

    def test_it_starts_one_run_for_all_that_can_go_and_waits_in_the_triggerer(
        self, shop: Shop, call: Call, started: list[Any]
    ) -> None:
        enlisted(shop)
        waiting = self.deferred(call)
        assert [(dag, conf) for dag, _, conf in started] == [("render_video", {"batch": ["spring-a", "spring-b"]})]
        assert isinstance(waiting.trigger, CampaignTrigger) and waiting.timeout == VALID
        assert waiting.trigger.serialize()[1]["campaign"] == "spring"
        self.deferred(call, "resume", event={"standing": "ready"})
        assert len(started) == 1, "a run that was asked for is not asked for again"

    def test_a_paused_campaign_waits_and_starts_nothing(self, shop: Shop, call: Call, started: list[Any]) -> None:
        enlisted(shop)
        holding.say(shop.ledger, shop.pipeline.catalog, "spring", "paused", by="ann")
        self.deferred(call)
        assert started == []

    def test_it_ends_when_nothing_is_left(self, shop: Shop, call: Call, started: list[Any]) -> None:
        enlisted(shop)
        holding.say(shop.ledger, shop.pipeline.catalog, "spring", "cancelled", by="ann")
        call(self.operator())
        assert started == []
