"""What can be ordered is told as it is now, in micro-dollars, and asking changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aiprod.budgets import Scope
from aiprod.catalog import catalog
from aiprod.ledger import campaigns, gates, limits
from tests.aiprod_airflow.api.people import API, ORDER


def test_presets_say_their_money_in_micro_dollars(api: API) -> None:
    found = {row["name"]: row for row in api.client().get("/aiprod/presets").json()["presets"]}

    assert (found["quick_social"]["budget"], found["quick_social"]["auto_approve"]) == (10_000_000, 5_000_000)
    assert (found["brand_campaign"]["auto_approve"], found["premium_spot"]["approver_differs"]) == (None, True)


def test_backends_say_what_they_cost_now_and_whether_they_can_be_used(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {row["name"]: row for row in api.client().get("/aiprod/backends").json()["backends"]}

    assert list(found) == ["runway", "veo3", "replicate", "animatic"]
    assert (found["runway"]["missing"], found["runway"]["healthy"], found["runway"]["free_slots"]) == ("", True, 20)
    assert found["runway"]["prices"][0]["per_second"] == 120_000


def test_a_backend_without_a_key_says_what_is_missing_and_no_key_is_ever_told(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    known = catalog()
    needy = {**known.backends, "runway": known.backends["runway"].model_copy(update={"needs": ("RUNWAYML_API_SECRET",)})}
    monkeypatch.setattr("aiprod.verbs.catalog", lambda: known.model_copy(update={"backends": needy}))
    without = api.client().get("/aiprod/backends").text
    monkeypatch.setenv("RUNWAYML_API_SECRET", "CANARY-key")
    with_key = api.client().get("/aiprod/backends").text

    assert "RUNWAYML_API_SECRET is not set" in without
    assert "is not set" not in with_key
    assert "CANARY" not in with_key


def test_an_estimate_says_who_would_make_it_and_enters_nothing(api: API) -> None:
    said = api.client(role="viewer").post("/aiprod/cost-estimate", json={**ORDER, "budget_usd": "0.05"})

    assert said.status_code == 200
    assert (said.json()["fits_budget"], said.json()["budget"]) == (False, 50_000)
    assert said.json()["decisions"] and said.json()["recommendation"]
    assert api.client().get("/aiprod/jobs").json()["jobs"] == []


def test_the_budget_of_the_day_without_other_peoples_projects(api: API) -> None:
    now = datetime.now(UTC)
    with api.ledger.write() as conn:
        campaigns.approve(conn, "acme-superbowl", 5_000_000, by="alice")
        for scope in ("project:acme", "project:other"):
            limits.set_cap(conn, Scope.parse(scope), 1_000_000, by="admin", catalog=catalog(), now=now, today_only=False)
        gates.stop_purchasing(conn, "a drill", by="admin", now=now)
    mine, theirs = (api.client(who).get("/aiprod/budget").json() for who in ("alice", "eve"))

    assert {cap["scope"] for cap in mine["caps"]} - {cap["scope"] for cap in theirs["caps"]} == {
        "project:acme",
        "campaign:acme-superbowl",
    }
    day = next(cap for cap in mine["caps"] if cap["scope"] == "day")
    assert (day["cap"], day["left"], mine["stopped"]["why"]) == (100_000_000, 100_000_000, "a drill")
