"""What waits for a person is on one page with its money spelled out, and an answer there is the API's own."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from aiprod.errors import AiprodError
from aiprod_airflow.api.rest import Question
from tests.aiprod_airflow.api.people import API

PAGE = "/aiprod/studio/needs-you"
OURS = {"Origin": "http://testserver"}


def test_an_empty_page_says_that_nothing_waits(api: API) -> None:
    assert "Nothing waits for you" in api.browser().get(PAGE).text


def test_an_approval_says_its_amount_on_its_button(api: API) -> None:
    api.recorded()
    job_id = api.asked()
    amount = api.look(job_id)["approval"]["amount"]
    said = api.browser("bob").get(PAGE).text

    assert f'name="amount" value="{amount}"' in said and f"Approve ${amount / 1e6:.2f}" in said


def test_a_campaigns_question_leads_to_its_answer_in_airflow(api: API) -> None:
    words = "Spend up to $12.00 on campaign spring?"
    asked = Question("bulk_render", "manual__1", "approve", words, datetime(2026, 11, 23, tzinfo=UTC))
    api.recorded().asks.append(asked)
    said = api.browser("bob").get(PAGE).text

    assert words in said
    assert 'href="/dags/bulk_render/runs/manual__1/tasks/approve/required_actions"' in said


def test_airflow_itself_is_asked_for_open_questions_and_has_none(api: API) -> None:
    """Not a recorder: the address, its filters and the caller's own credential are those that Airflow takes."""
    assert "Nothing waits for you" in api.browser("bob").get(PAGE).text


def test_an_airflow_that_cannot_say_is_not_taken_for_one_that_asks_nothing(api: API) -> None:
    api.recorded(down=503)
    said = api.browser("bob").get(PAGE)

    assert said.status_code == 200
    assert "Nothing waits for you" not in said.text and "cannot be seen here now" in said.text


def test_who_ordered_is_told_that_a_second_person_is_wanted(api: API) -> None:
    api.recorded()
    api.asked(preset="premium_spot")

    assert "Wants a second person" in api.browser("alice").get(PAGE).text
    assert "Approve $" in api.browser("bob").get(PAGE).text


@pytest.mark.usefixtures("mute")
def test_a_lost_answer_is_explained_and_answered(api: API) -> None:
    api.recorded()
    job_id = api.asked(prompt="x [[runway=lose]]", backend="runway")
    amount = api.look(job_id)["approval"]["amount"]
    api.client("bob").post(f"/aiprod/job/{job_id}/approve", json={"version": 1, "amount": amount})
    work = api.pipeline
    work.route([job_id], 1)
    with suppress(AiprodError):
        work.render([job_id], "runway", 1)
    client = api.browser("bob", **OURS)
    shown = client.get(PAGE).text
    bought = re.search(r'name="purchase_id" value="([^"]+)"', shown)

    assert bought is not None and "stays set aside until somebody answers" in shown
    typed = {"purchase_id": bought[1], "answer": "did_not_run", "why": ""}
    assert client.post("/aiprod/studio/parked", data=typed).status_code == 422
    assert client.post("/aiprod/studio/parked", data={**typed, "why": "the vendor lists nothing"}).status_code == 200
    assert "Nothing waits for you" in client.get(PAGE).text
