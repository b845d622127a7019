"""A campaign is looked at, paused, resumed and cancelled over HTTP, by who may, and only where all of it is theirs to see."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.bulk import holding
from tests.aiprod_airflow.api.people import API

WORDS = ("pause", "resume", "cancel")


def campaign(api: API, **order: Any) -> str:
    """A campaign of two previews, approved and waiting for a run."""
    name = api.name()
    rows = [{"prompt": prompt, "seconds": 1, "backend": "animatic", **order} for prompt in ("a lake", "a hill")]
    api.pipeline.enlist(rows, campaign=name, amount=0, by="ann")
    return name


def test_it_is_looked_at_row_by_row(api: API) -> None:
    name = campaign(api)
    said = api.client(role="viewer").get(f"/aiprod/campaigns/{name}").json()
    assert (said["campaign"], said["statuses"], said["paused"]) == (name, {"waiting": 2}, False)
    assert [row["title"] for row in said["rows"]] == ["a lake", "a hill"]


def test_a_word_counts_once_under_the_name_of_who_said_it(api: API) -> None:
    name = campaign(api)
    said = {word: [api.client("bob").post(f"/aiprod/campaigns/{name}/{word}").json() for _ in range(2)] for word in WORDS}
    assert {word: [one["fresh"] for one in twice] for word, twice in said.items()} == {word: [True, False] for word in WORDS}
    assert said["cancel"][0]["jobs"] == 2
    late = api.client("bob").post(f"/aiprod/campaigns/{name}/resume")
    assert (late.status_code, "was cancelled by bob" in late.text) == (409, True)
    with pytest.raises(Exception, match="was cancelled by bob"):
        holding.say(api.ledger, api.pipeline.catalog, name, "paused", by="ann")


def test_a_campaign_with_a_job_of_a_hidden_project_is_not_there_for_others(api: API) -> None:
    name = campaign(api, project="acme")
    for method, path in [("GET", ""), *(("POST", f"/{word}") for word in WORDS)]:
        hidden, nothing = (api.client("eve").request(method, f"/aiprod/campaigns/{one}{path}") for one in (name, "nobody"))
        assert hidden.status_code == nothing.status_code == 404
        assert hidden.json()["detail"].replace(name, "X") == nothing.json()["detail"].replace("nobody", "X")
    assert api.client("alice").get(f"/aiprod/campaigns/{name}").status_code == 200


def test_no_other_word_is_known(api: API) -> None:
    assert api.client().post(f"/aiprod/campaigns/{campaign(api)}/erase").status_code == 422
