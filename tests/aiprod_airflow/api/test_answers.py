"""An answer is about what was seen, counts once, is in the ledger before Airflow hears of it, and survives its deafness."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aiprod_airflow.api import answers
from tests.aiprod_airflow.api.people import API


def approve(api: API, job_id: str, who: str = "bob", **said: Any) -> Any:
    return api.client(who).post(f"/aiprod/job/{job_id}/approve", json={"version": 1, **said})


def amount(api: API, job_id: str) -> int:
    return int(api.look(job_id)["approval"]["amount"])


class TestMoney:
    def test_an_approval_is_the_callers_envelope_and_wakes_the_run(self, api: API) -> None:
        airflow = api.recorded()
        job_id = api.asked()
        said = approve(api, job_id, amount=amount(api, job_id))

        assert (said.status_code, said.json()["status"]) == (200, "rendering")
        assert (said.json()["envelope"]["approved_by"], said.json()["approval"]) == ("bob", None)
        assert airflow.answered == [(job_id, "approve", "Approve")]

    def test_an_amount_or_version_that_was_not_shown_is_not_approved(self, api: API) -> None:
        airflow = api.recorded()
        job_id = api.asked()
        seen = amount(api, job_id)
        codes = [
            approve(api, job_id, amount=seen + 1).status_code,
            approve(api, job_id, amount=seen, version=2).status_code,
            approve(api, job_id, amount=seen - 1).status_code,
        ]

        assert codes == [409, 409, 409]
        assert api.look(job_id)["status"] == "waiting_approval"
        assert airflow.answered == []

    def test_the_old_versions_price_is_refused_after_an_edit(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()
        seen = amount(api, job_id)
        edit = {"base_version": 1, "shots": [{"prompt": "longer", "seconds": 8}]}
        api.client().post(f"/aiprod/job/{job_id}/manifest", json=edit)

        assert approve(api, job_id, amount=seen).status_code == 409
        assert approve(api, job_id, amount=amount(api, job_id), version=2).status_code == 200

    def test_of_two_who_approve_at_once_one_is_told(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()
        seen = amount(api, job_id)
        with ThreadPoolExecutor(2) as both:
            codes = list(both.map(lambda who: approve(api, job_id, who, amount=seen).status_code, ("bob", "carol")))

        assert sorted(codes) == [200, 409]

    def test_the_same_approval_again_is_the_same_and_wakes_the_run_again(self, api: API) -> None:
        airflow = api.recorded()
        job_id = api.asked()
        seen = amount(api, job_id)

        assert [approve(api, job_id, amount=seen).status_code for _ in range(2)] == [200, 200]
        assert len(airflow.answered) == 2
        with api.ledger.read() as conn:
            from aiprod.ledger import approvals

            assert approvals.next_sequence(conn, job_id, 1) == 2

    def test_who_ordered_does_not_approve_where_two_people_are_wanted(self, api: API) -> None:
        api.recorded()
        job_id = api.asked(preset="premium_spot")
        seen = amount(api, job_id)
        said = approve(api, job_id, "alice", amount=seen)

        assert (said.status_code, said.json()["type"]) == (403, "urn:aiprod:same-person")
        assert approve(api, job_id, "bob", amount=seen).status_code == 200

    def test_a_refusal_buys_nothing_and_keeps_its_reason(self, api: API) -> None:
        airflow = api.recorded()
        job_id = api.asked()
        said = api.client("bob").post(f"/aiprod/job/{job_id}/reject", json={"version": 1, "why": "too dear"})

        assert (said.status_code, said.json()["status"]) == (200, "rejected")
        assert "too dear" in "".join(said.json()["problems"])
        assert airflow.answered == [(job_id, "approve", "Reject")]
        assert api.client().get(f"/aiprod/job/{job_id}/costs").json()["purchases"] == []

    @pytest.mark.parametrize(
        "said", [{}, {"amount": 1, "cut_sha": "a" * 64}, {"cut_sha": "x"}, {"amount": -1}, {"amount": 10**30}]
    )
    def test_an_approval_of_nothing_in_particular_is_a_wrong_request(self, api: API, said: dict[str, Any]) -> None:
        api.recorded()
        assert approve(api, api.asked(), **said).status_code == 422

    def test_an_airflow_that_does_not_answer_is_no_error_of_the_answer(self, api: API, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answers, "_AGAIN", ())
        api.recorded()
        job_id = api.asked()
        seen = amount(api, job_id)
        api.recorded(down=503)

        assert approve(api, job_id, amount=seen).status_code == 200
        assert api.pipeline.ask(job_id, run_id=job_id).by == "bob"

    def test_a_question_that_was_not_asked_yet_is_no_error_either(self, api: API) -> None:
        """Nothing has parked in this Airflow: its own API says 404."""
        job_id = api.order()
        api.pipeline.carry([job_id], run_id=job_id)
        look = api.look(job_id)
        said = approve(api, job_id, amount=min(look["costs"]["budget_left"], look["estimate"]["worst_case"]))

        assert said.status_code == 200
        assert api.pipeline.ask(job_id, run_id=job_id).answer == "approved"


class TestVideo:
    def reviewed(self, api: API) -> tuple[str, dict[str, Any]]:
        job_id = api.asked(client=api.client("carol"), preset="premium_spot", quality_floor=0.5)
        assert approve(api, job_id, amount=amount(api, job_id)).status_code == 200
        api.cut(job_id)
        return job_id, api.look(job_id)

    def test_the_video_that_was_seen_is_accepted_by_its_sum(self, api: API) -> None:
        airflow = api.recorded()
        job_id, job = self.reviewed(api)
        assert job["status"] == "final_approval"
        codes = [approve(api, job_id, cut_sha=sha).status_code for sha in ("0" * 64, job["review"]["cut_sha"])]

        assert codes == [409, 200]
        assert airflow.answered[-1] == (job_id, "review", "Approve")
        api.pipeline.deliver([job_id])
        assert api.look(job_id)["status"] == "delivered"

    def test_a_video_that_is_refused_is_not_delivered(self, api: API) -> None:
        airflow = api.recorded()
        job_id, job = self.reviewed(api)
        refusal = {"version": 1, "cut_sha": job["review"]["cut_sha"], "why": "wrong logo"}
        said = api.client("bob").post(f"/aiprod/job/{job_id}/reject", json=refusal)

        assert (said.status_code, said.json()["status"]) == (200, "rejected")
        assert airflow.answered[-1] == (job_id, "review", "Reject")
        # And is not to be had any more: what was refused must not pass as good.
        assert api.client().get(f"/aiprod/job/{job_id}/video").status_code == 404


class TestCancel:
    def test_a_parked_question_is_answered_so_that_the_run_ends(self, api: API) -> None:
        airflow = api.recorded()
        job_id = api.asked()
        said = api.client().post(f"/aiprod/job/{job_id}/cancel")

        assert (said.status_code, said.json()["status"]) == (200, "cancelled")
        assert airflow.answered == [(job_id, "approve", "Reject"), (job_id, "review", "Reject")]
        assert api.pipeline.ask(job_id, run_id=job_id).answer == "rejected"

    def test_in_every_state_it_stays_cancelled_and_again_is_the_same(self, api: API) -> None:
        api.recorded()
        fresh, asked = api.order(), api.asked()
        bought = api.asked()
        approve(api, bought, amount=amount(api, bought))
        for job_id in (fresh, asked, bought):
            assert [api.client().post(f"/aiprod/job/{job_id}/cancel").json()["status"] for _ in range(2)] == ["cancelled"] * 2
        with pytest.raises(Exception, match="cancelled"):
            api.pipeline.route([bought], 1)

    def test_what_is_delivered_stays_delivered(self, api: API) -> None:
        api.recorded()
        job_id = api.delivered()

        assert api.client().post(f"/aiprod/job/{job_id}/cancel").status_code == 409
        assert api.client().get(f"/aiprod/job/{job_id}/video").status_code == 200
