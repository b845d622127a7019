"""A campaign shows how far it is, and a word about it is the library's own, said by whoever may."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.bulk import entering
from aiprod.bulk.plan import Wanted, plan
from aiprod.bulk.rows import Raw, Table
from aiprod.ledger import campaigns
from tests.aiprod_airflow.api.people import API

PAGE = "/aiprod/studio/campaigns"
OURS = {"Origin": "http://testserver"}


@pytest.fixture
def spring(api: API) -> str:
    """A campaign of three rows, approved by ann."""
    api.recorded()
    rows = tuple(Raw(line=n, cells={"key": k, "prompt": f"a {k}", "seconds": 1}, columns={}) for n, k in enumerate("abc", 1))
    name = f"spring-{api.name()}"
    made = plan(api.ledger, api.pipeline.catalog, Wanted(campaign=name, source="rows.csv"), Table(rows=rows))
    entering.approve(api.ledger, api.pipeline.catalog, made, by="ann")
    assert entering.enter(api.ledger, api.pipeline.catalog, made).new == 3
    return name


def say(api: API, campaign: str, word: str, role: str = "user", who: str = "bob") -> Any:
    client = api.browser(who, role, **OURS)
    return client.post(PAGE, data={"campaign": campaign, "word": word}, follow_redirects=False)


def terms(api: API, campaign: str) -> campaigns.Terms:
    with api.ledger.read() as conn:
        found = campaigns.terms(conn, campaign)
    assert found is not None
    return found


def test_an_empty_house_says_how_to_start_one(api: API) -> None:
    api.recorded()
    assert "No campaign yet" in api.browser().get(PAGE).text


def test_its_progress_stands_above_the_list_of_its_jobs_and_of_all_jobs(api: API, spring: str) -> None:
    for path in ("/aiprod/studio", f"/aiprod/studio?campaign={spring}", PAGE):
        said = api.browser().get(path).text
        assert f'href="/aiprod/studio?campaign={spring}"' in said
        assert "0 of 3 delivered" in said and "3 waiting" in said
    assert "of 3 delivered" not in api.browser().get("/aiprod/studio?q=fish").text


def test_a_campaign_is_paused_and_taken_up_again(api: API, spring: str) -> None:
    assert say(api, spring, "pause").status_code == 303
    assert terms(api, spring).paused_by == "bob"
    assert "Paused by bob" in api.browser().get(PAGE).text
    assert say(api, spring, "resume").status_code == 303
    assert terms(api, spring).paused_by is None


def test_cancelling_is_asked_about_first_and_then_done(api: API, spring: str) -> None:
    asked = api.browser("bob").get(f"{PAGE}?ask={spring}").text
    assert f"Cancel campaign {spring}?" in asked and "3 jobs end here" in asked
    assert terms(api, spring).cancelled_by is None
    assert say(api, spring, "cancel").status_code == 303
    assert terms(api, spring).cancelled_by == "bob"
    refused = say(api, spring, "resume")
    assert refused.status_code >= 400 and "was cancelled by bob" in refused.text


def test_who_may_only_look_is_shown_no_button_and_is_refused(api: API, spring: str) -> None:
    assert 'name="word"' not in api.browser("vera", "viewer").get(PAGE).text
    assert say(api, spring, "pause", role="viewer", who="vera").status_code == 403
    assert terms(api, spring).paused_by is None


def test_another_sites_page_and_a_word_that_is_none_do_nothing(api: API, spring: str) -> None:
    foreign = api.browser("bob", Origin="https://evil.example").post(PAGE, data={"campaign": spring, "word": "cancel"})
    assert foreign.status_code == 403
    assert say(api, spring, "burn").status_code == 422
    assert say(api, "nobody", "pause").status_code == 404
    assert terms(api, spring).cancelled_by is None


def test_a_campaign_of_a_hidden_project_is_not_there(api: API) -> None:
    api.recorded()
    rows = (Raw(line=1, cells={"key": "a", "prompt": "a", "seconds": 1, "project": "acme"}, columns={}),)
    made = plan(api.ledger, api.pipeline.catalog, Wanted(campaign="acme-1", source="rows.csv"), Table(rows=rows))
    entering.approve(api.ledger, api.pipeline.catalog, made, by="alice")
    entering.enter(api.ledger, api.pipeline.catalog, made)
    assert "acme-1" in api.browser("alice").get(PAGE).text
    assert "acme-1" not in api.browser("eve").get(PAGE).text
    assert say(api, "acme-1", "pause", who="eve").status_code == 404
