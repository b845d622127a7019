"""A person is shown one parked purchase, and what they say about it is done once, in their name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from aiprod import parking
from aiprod.ledger import parked
from aiprod_airflow.operators.parked import AnswerParkedOperator
from aiprod_airflow.operators.render import RenderOperator
from tests import vendor
from tests.aiprod_airflow.shop import Call, Shop

pytestmark = pytest.mark.parametrize("shop", ["MuteVendor"], indirect=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every question sent to Airflow, as it was sent."""
    sent: list[dict[str, Any]] = []
    # The one call to Airflow's supervisor; there is none here.
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **question: sent.append(question))
    return sent


def lost(shop: Shop, call: Call, prompt: str = "a lighthouse", job_id: str = "job-1") -> str:
    """A purchase whose answer was lost, parked."""
    shop.routed(f"[[runway=lose]] {prompt}", job_id=job_id)
    with pytest.raises(AirflowFailException):
        call(RenderOperator(task_id="runway", job_ids=[job_id], backend="runway", attempt=1))
    return shop.purchases(job_id)[0].purchase_id


def operator(purchase: str = "") -> AnswerParkedOperator:
    return AnswerParkedOperator(task_id="ask", purchase=purchase)


def ask(call: Call, purchase: str = "") -> None:
    with pytest.raises(TaskAwaitingInput):
        call(operator(purchase))


def answer(call: Call, button: str, purchase: str = "", **form: Any) -> None:
    event = {
        "chosen_options": [button],
        "params_input": {"why": "seen on their page", "vendor_id": "", "charged_usd": None, **form},
        "responded_at": datetime(2026, 11, 23, 12, tzinfo=UTC),
        "responded_by_user": {"id": "7", "name": "Ada"},
        "timedout": False,
    }
    call(operator(purchase), "execute_complete", event=event)


def words(shop: Shop, purchase_id: str) -> list[tuple[str, str]]:
    with shop.ledger.read() as conn:
        return [(r.answer, r.resolved_by) for r in parked.resolutions_of(conn, purchase_id)]


def test_with_nothing_parked_nobody_is_asked(shop: Shop, call: Call, asked: list[Any]) -> None:
    call(operator())
    assert asked == []


def test_the_question_says_what_to_look_for_and_what_each_answer_may_cost(shop: Shop, call: Call, asked: list[Any]) -> None:
    key = lost(shop, call)
    ask(call)
    (question,) = asked
    assert question["subject"] == "What became of job-1 shot 1 at runway?"
    assert question["options"] == ["It ran", "It did not run", "Write it off", "Not now"]
    assert list(question["params"]) == ["why", "vendor_id", "charged_usd"]
    for part in (f"`{key}`", "$0.24", "if it did run after all, you pay twice", "lighthouse", "read timeout"):
        assert part in question["body"]


def test_a_prompt_is_never_read_as_a_template_or_a_table(shop: Shop, call: Call, asked: list[Any]) -> None:
    lost(shop, call, "{{ 1 / 0 }} | x |")
    ask(call)
    assert "{{" not in asked[0]["body"] and "| x |" not in asked[0]["body"]


def test_it_ran_attaches_the_vendors_id(shop: Shop, call: Call, asked: list[Any]) -> None:
    key = lost(shop, call)
    ask(call)
    (booked,) = vendor.accepts(shop.books)
    answer(call, "It ran", vendor_id=booked["id"])
    (purchase,) = shop.purchases()
    assert (purchase.state, purchase.vendor_id, words(shop, key)) == ("submitted", booked["id"], [("ran", "Ada")])
    shop.pipeline.reconcile()
    assert shop.purchases()[0].state == "succeeded"


def test_it_did_not_run_gives_the_money_back(shop: Shop, call: Call, asked: list[Any]) -> None:
    key = lost(shop, call)
    ask(call)
    answer(call, "It did not run")
    assert (shop.purchases()[0].state, words(shop, key)) == ("absent", [("did_not_run", "Ada")])


@pytest.mark.parametrize(("charged", "books"), [(None, 240_000), (0, 0), (0.1, 100_000)])
def test_a_write_off_books_what_is_held_or_what_was_said(
    shop: Shop, call: Call, asked: list[Any], charged: float | None, books: int
) -> None:
    lost(shop, call)
    ask(call)
    answer(call, "Write it off", charged_usd=charged)
    assert (shop.purchases()[0].state, shop.purchases()[0].charged) == ("written_off", books)


def test_not_now_changes_nothing(shop: Shop, call: Call, asked: list[Any]) -> None:
    key = lost(shop, call)
    ask(call)
    answer(call, "Not now", why="")
    assert (shop.purchases()[0].state, words(shop, key)) == ("unknown", [])


@pytest.mark.parametrize(
    ("button", "form"),
    [("It did not run", {"why": " "}), ("It ran", {"vendor_id": ""}), ("It ran", {"vendor_id": "typo"})],
)
def test_an_answer_that_lacks_something_is_asked_for_again(
    shop: Shop, call: Call, asked: list[Any], button: str, form: dict[str, Any]
) -> None:
    key = lost(shop, call)
    ask(call)
    with pytest.raises(TaskAwaitingInput):
        answer(call, button, **form)
    assert (len(asked), shop.purchases()[0].state, words(shop, key)) == (2, "unknown", [])


def test_a_run_answers_for_the_purchase_it_showed_first_whatever_waits_longest_later(
    shop: Shop, call: Call, asked: list[Any]
) -> None:
    first, second = lost(shop, call, job_id="first"), lost(shop, call, job_id="second")
    ask(call, second[:12])
    answer(call, "It did not run", purchase="")
    assert [shop.purchases(job_id)[0].state for job_id in ("first", "second")] == ["unknown", "absent"]
    assert words(shop, first) == []


def test_an_answer_given_elsewhere_meanwhile_wins(shop: Shop, call: Call, asked: list[Any]) -> None:
    key = lost(shop, call)
    ask(call)
    parking.answer(shop.ledger, shop.pipeline.catalog, key, "write_off", by="Bob", why="no time")
    answer(call, "It did not run")
    assert words(shop, key) == [("write_off", "Bob")]
    call(operator())
    assert len(asked) == 1


def test_a_purchase_nobody_knows_is_red_in_one_line(shop: Shop, call: Call, asked: list[Any]) -> None:
    with pytest.raises(AirflowFailException, match="no purchase begins with 'feed'"):
        call(operator("feed"))
