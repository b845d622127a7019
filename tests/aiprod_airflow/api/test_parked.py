"""A person answers for a purchase that nobody can look up, with their name, once, and only for jobs they may see."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.ledger import parked
from tests.aiprod_airflow.api.people import API

PATH = "/aiprod/parked"


def lost(api: API, **order: Any) -> tuple[str, str]:
    """A render whose answer was lost at a vendor that cannot be asked; its job and its id."""
    api.recorded()
    job_id = api.order(prompt="[[runway=lose]]", preset="quick_social", backend="runway", **order)
    work = api.pipeline
    work.carry([job_id], run_id=job_id)
    assert work.ask(job_id, run_id=job_id).answer == "approved"
    work.route([job_id], 1)
    work.render([job_id], "runway", 1)
    work.render([job_id], "runway", 1)
    (found,) = [one for one in api.client().get(PATH).json()["parked"] if one["purchase"]["job_id"] == job_id]
    return job_id, str(found["purchase"]["purchase_id"])


@pytest.mark.usefixtures("mute")
class TestAnswers:
    def test_it_is_told_what_waits_and_what_may_be_answered(self, api: API) -> None:
        job_id, _ = lost(api)
        (one,) = api.client(role="viewer").get(PATH).json()["parked"]

        assert (one["purchase"]["job_id"], one["answers"]) == (job_id, ["ran", "did_not_run", "write_off"])
        assert one["purchase"]["hold"] > 0

    def test_an_answer_is_kept_with_who_and_why_and_counts_once(self, api: API) -> None:
        _, purchase_id = lost(api)
        said = {"purchase_id": purchase_id[:16], "answer": "did_not_run", "why": "not on their page"}
        codes = [api.client("bob").post(PATH, json=said).status_code for _ in range(2)]

        assert codes == [200, 409]
        with api.ledger.read() as conn:
            (kept,) = parked.resolutions_of(conn, purchase_id)
        assert (kept.resolved_by, kept.why, kept.answer) == ("bob", "not on their page", "did_not_run")
        assert api.client().get(PATH).json()["parked"] == []

    @pytest.mark.parametrize(
        "said",
        [
            {"answer": "did_not_run", "why": ""},
            {"answer": "did_not_run"},
            {"answer": "ran", "why": "x"},
            {"answer": "perhaps", "why": "x"},
            {"answer": "write_off", "why": "x", "charged": -1},
            {"answer": "write_off", "why": "a\x00b"},
        ],
    )
    def test_half_an_answer_changes_nothing(self, api: API, said: dict[str, Any]) -> None:
        _, purchase_id = lost(api)

        assert api.client().post(PATH, json={"purchase_id": purchase_id, **said}).status_code == 422
        assert len(api.client().get(PATH).json()["parked"]) == 1

    def test_others_neither_see_nor_answer_for_a_projects_purchase(self, api: API) -> None:
        _, purchase_id = lost(api, project="acme")
        said = {"purchase_id": purchase_id, "answer": "write_off", "why": "x"}

        assert api.client("eve", "admin").get(PATH).json()["parked"] == []
        assert api.client("eve", "admin").post(PATH, json=said).status_code == 404
        assert len(api.client().get(PATH).json()["parked"]) == 1


def test_an_answer_about_nothing_is_a_conflict(api: API) -> None:
    said = {"purchase_id": "nothing", "answer": "write_off", "why": "x"}

    assert api.client().post(PATH, json=said).status_code == 409
