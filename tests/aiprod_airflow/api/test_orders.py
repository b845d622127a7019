"""An order is taken once, its run is started once, and what changed since somebody looked is a conflict."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.aiprod_airflow.api.people import API, ORDER

CREATE = "/aiprod/job/create"


class TestCreate:
    def test_an_order_becomes_a_job_with_its_price_and_a_run_of_its_name(self, api: API) -> None:
        client, name = api.client(), api.name()
        said = client.post(CREATE, json={**ORDER, "job_id": name})

        assert (said.status_code, said.headers["location"]) == (201, f"/aiprod/job/{name}")
        job = said.json()
        assert (job["status"], job["created_by"], job["version"]) == ("created", "alice", 1)
        assert job["estimate"]["expected"] > 0
        run = client.get(f"/api/v2/dags/render_video/dagRuns/{name}").json()
        # Nothing of the order: whoever sees runs sees their conf, and it stays when the job is erased.
        assert (run["triggering_user_name"], run["conf"]) == ("alice", {"batch": [name]})

    @pytest.mark.parametrize(
        "key", [{"json": {"job_id": "{}"}}, {"headers": {"Idempotency-Key": "{}"}}], ids=["job_id", "header"]
    )
    def test_the_same_order_again_is_the_same_job(self, api: API, key: dict[str, dict[str, str]]) -> None:
        airflow, name = api.recorded(), api.name()
        named = {part: {k: v.format(name) for k, v in values.items()} for part, values in key.items()}
        sent = {"json": {**ORDER, **named.get("json", {})}, "headers": named.get("headers", {})}
        first, again = (api.client().post(CREATE, **sent) for _ in range(2))  # type: ignore[arg-type]

        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["job_id"] == again.json()["job_id"]
        # Nobody knows whether the first one arrived: Airflow takes one run of a name.
        assert len({run_id for run_id, _ in airflow.started}) == 1

    def test_a_key_is_its_callers_own(self, api: API) -> None:
        api.recorded()
        jobs = {
            api.client(who).post(CREATE, json=ORDER, headers={"Idempotency-Key": "k"}).json()["job_id"] for who in ("al", "bo")
        }

        assert len(jobs) == 2

    def test_another_order_under_a_used_name_is_a_conflict(self, api: API) -> None:
        api.recorded()
        job_id = api.order()
        said = api.client().post(CREATE, json={**ORDER, "job_id": job_id, "seconds": 3})

        assert (said.status_code, said.json()["type"]) == (409, "urn:aiprod:job-conflict")
        assert said.json()["errors"][0]["field"] == "job_id"

    def test_of_many_that_order_the_same_at_once_one_is_new(self, api: API) -> None:
        api.recorded()
        name = api.name()
        with ThreadPoolExecutor(6) as crowd:
            said = list(crowd.map(lambda _: api.client().post(CREATE, json={**ORDER, "job_id": name}).status_code, range(6)))

        assert sorted(said) == [200] * 5 + [201]

    def test_a_job_whose_run_could_not_be_started_is_started_by_the_same_order_again(self, api: API) -> None:
        name = api.name()
        order = {**ORDER, "job_id": name}
        api.recorded(down=503)
        refused = api.client().post(CREATE, json=order)
        airflow = api.recorded()
        again = api.client().post(CREATE, json=order)

        assert (refused.status_code, again.status_code) == (503, 200)
        assert [run_id for run_id, _ in airflow.started] == [name]

    def test_a_job_that_a_run_carries_is_not_started_again(self, api: API) -> None:
        airflow = api.recorded()
        job_id = api.asked()
        api.client().post(CREATE, json={**ORDER, "job_id": job_id})

        assert len(airflow.started) == 1

    def test_airflow_itself_takes_every_kind_of_order(self, api: API) -> None:
        shots = [{"prompt": "a", "seconds": 2, "camera": "slow pan"}, {"prompt": "b", "seconds": 3}]
        job_id = api.order(
            prompt=None, seconds=None, shots=shots, budget_usd="20", audio_style="calm", quality_floor=0.5, seed=7, project="acme"
        )

        assert api.client().get(f"/api/v2/dags/render_video/dagRuns/{job_id}").status_code == 200

    @pytest.mark.parametrize(
        ("order", "field"),
        [
            ({"prompt": ""}, "prompt"),
            ({"prompt": "x", "seconds": "long"}, "seconds"),
            ({"shots": [{"prompt": "x", "seconds": 0}]}, "shots.0.seconds"),
            ({"prompt": "x", "promt": "y"}, "promt"),
            ({"prompt": "x", "preset": "nobody"}, "preset"),
            ({"prompt": "x", "budget_usd": "0.01"}, "budget_usd"),
            ({"prompt": "x", "seconds": 999}, "seconds"),
            ({}, ""),
        ],
    )
    def test_a_wrong_order_is_told_by_field_and_writes_nothing(self, api: API, order: dict[str, Any], field: str) -> None:
        said = api.client().post(CREATE, json=order)

        assert said.status_code == 422
        assert [error["field"] for error in said.json()["errors"]] == [field]
        assert api.client().get("/aiprod/jobs").json()["jobs"] == []


class TestLook:
    def test_a_job_is_told_whole_and_then_only_when_it_changed(self, api: API) -> None:
        api.recorded()
        job_id, client = api.order(), api.client()
        first = client.get(f"/aiprod/job/{job_id}")
        tag = first.headers["etag"]

        assert client.get(f"/aiprod/job/{job_id}", headers={"If-None-Match": tag}).status_code == 304
        api.pipeline.carry([job_id], run_id=job_id)
        changed = client.get(f"/aiprod/job/{job_id}", headers={"If-None-Match": tag})
        assert (changed.status_code, changed.json()["status"]) == (200, "estimated")
        assert changed.headers["etag"] != tag

    def test_a_list_is_filtered_and_paged(self, api: API) -> None:
        api.recorded()
        made = [api.order(prompt=f"a lake {n}") for n in range(3)]
        other = api.order(preset="quick_social", prompt="a harbour")
        client = api.client()

        def ids(query: str) -> list[str]:
            return [row["job_id"] for row in client.get(f"/aiprod/jobs?{query}").json()["jobs"]]

        assert ids("preset=quick_social") == ids("q=harbour") == [other]
        assert ids("status=delivered") == []
        assert len(ids("status=created&status=delivered")) == 4
        page = client.get("/aiprod/jobs?preset=brand_campaign&limit=2").json()
        assert [row["job_id"] for row in page["jobs"]] + ids(f"preset=brand_campaign&before={page['next']}") == made[::-1]

    @pytest.mark.parametrize("query", ["limit=0", "limit=9999", "status=maybe", "before=nonsense", "q=%00"])
    def test_a_wrong_question_is_no_fault_of_ours(self, api: API, query: str) -> None:
        assert api.client().get(f"/aiprod/jobs?{query}").status_code == 422

    def test_a_manifest_is_told_by_version(self, api: API) -> None:
        api.recorded()
        job_id = api.order()
        path = f"/aiprod/job/{job_id}/manifest"

        assert api.client().get(path).json()["manifest"]["version"] == 1
        assert api.client().get(f"{path}?version=2").status_code == 404


class TestEdit:
    def test_an_edit_is_a_new_version_priced_at_once(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()
        change = {"base_version": 1, "shots": [{"prompt": "a lighthouse at noon", "seconds": 4, "camera": "drone"}]}
        edited = api.client("bob").post(f"/aiprod/job/{job_id}/manifest", json=change).json()

        assert edited["version"] == 2
        assert edited["manifest"]["shots"][0]["camera"] == "drone"
        job = api.look(job_id)
        assert job["approval"]["expected"] == edited["estimate"]["expected"] > job["versions"][0]["expected"]
        assert [version["created_by"] for version in job["versions"]] == ["alice", "bob"]

    def test_of_two_that_edit_the_same_version_the_second_is_told(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()
        path = f"/aiprod/job/{job_id}/manifest"
        codes = [
            api.client().post(path, json={"base_version": 1, "shots": [{"prompt": prompt, "seconds": 2}]}).status_code
            for prompt in ("one", "two")
        ]

        assert codes == [200, 409]

    @pytest.mark.parametrize("base", [0, 10**30, "x", None])
    def test_a_version_that_cannot_be_is_a_wrong_request(self, api: API, base: object) -> None:
        api.recorded()
        job_id = api.order()
        change = {"base_version": base, "shots": [{"prompt": "x"}]}

        assert api.client().post(f"/aiprod/job/{job_id}/manifest", json=change).status_code == 422


class TestRedo:
    def test_named_shots_are_made_again_by_a_run_of_their_own_and_the_others_cost_nothing(self, api: API) -> None:
        airflow = api.recorded()
        shots = [{"prompt": "one", "seconds": 1}, {"prompt": "two", "seconds": 1}]
        job_id = api.delivered(prompt=None, seconds=None, shots=shots)
        said = api.client("bob").post(f"/aiprod/job/{job_id}/redo", json={"base_version": 1, "shots": [2]})

        assert said.status_code == 201
        job = said.json()
        assert (job["version"], job["status"]) == (2, "created")
        assert [shot["reused_from"] for shot in job["shots"]] == [1, None]
        assert airflow.started[-1] == (f"{job_id}.v2", {"batch": [job_id]})

    def test_a_redo_does_not_wait_until_the_run_before_has_put_its_things_away(self, api: API) -> None:
        airflow = api.recorded()
        job_id = api.delivered(settled=False)
        api.client().post(f"/aiprod/job/{job_id}/redo", json={"base_version": 1, "shots": [1]})

        assert airflow.started[-1][0] == f"{job_id}.v2"

    def test_an_edited_job_that_was_refused_is_not_started_by_its_order(self, api: API) -> None:
        """Its run went along with the edit, and is over."""
        airflow = api.recorded()
        job_id = api.asked()
        edit = {"base_version": 1, "shots": [{"prompt": "longer", "seconds": 4}]}
        assert api.client().post(f"/aiprod/job/{job_id}/manifest", json=edit).status_code == 200
        assert api.client().post(f"/aiprod/job/{job_id}/reject", json={"version": 2}).status_code == 200
        api.pipeline.settle(job_id)
        assert api.client().post(CREATE, json={**ORDER, "job_id": job_id}).status_code == 200

        assert [run_id for run_id, _ in airflow.started] == [job_id]

    def test_a_redo_whose_run_could_not_be_started_is_started_by_the_order_again(self, api: API) -> None:
        api.recorded()
        job_id = api.delivered()
        order = {**ORDER, "preset": "quick_social", "backend": "animatic", "job_id": job_id}
        api.recorded(down=503)
        refused = api.client().post(f"/aiprod/job/{job_id}/redo", json={"base_version": 1, "shots": [1]})
        airflow = api.recorded()
        again = api.client().post(CREATE, json=order)

        assert (refused.status_code, again.status_code) == (503, 200)
        assert [run_id for run_id, _ in airflow.started] == [f"{job_id}.v2"]

    @pytest.mark.parametrize(
        ("redo", "status"),
        [
            ({"base_version": 1, "shots": [9]}, 422),
            ({"base_version": 1, "shots": []}, 422),
            ({"base_version": 2, "shots": [1]}, 409),
            ({"base_version": 1, "shots": [1], "changes": {"7": {"prompt": "x"}}}, 422),
        ],
    )
    def test_a_redo_of_what_is_not_there_is_refused(self, api: API, redo: dict[str, Any], status: int) -> None:
        api.recorded()
        job_id = api.delivered()

        assert api.client().post(f"/aiprod/job/{job_id}/redo", json=redo).status_code == status

    def test_a_job_that_goes_on_is_not_made_again(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()

        assert api.client().post(f"/aiprod/job/{job_id}/redo", json={"base_version": 1, "shots": [1]}).status_code == 409


def test_the_costs_of_a_job_are_every_purchase_and_their_sums(api: API) -> None:
    api.recorded()
    costs = api.client().get(f"/aiprod/job/{api.delivered()}/costs").json()

    assert [(row["backend"], row["charged"]) for row in costs["purchases"]] == [("animatic", 0)]
    assert costs["sums"]["charged"] == sum(row["charged"] for row in costs["purchases"])
