"""A waiting campaign is looked at until it can go on, whatever the ledger says in between."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from aiprod_airflow.triggers import campaign as triggers
from aiprod_airflow.triggers.campaign import CampaignTrigger


def run(monkeypatch: pytest.MonkeyPatch, *found: Any, first: timedelta = timedelta()) -> tuple[TriggerEvent, list[float]]:
    """The one event of a trigger that finds these standings in turn, and how long it slept each time."""
    answers, slept = iter(found), list[float]()

    def standing(_: str) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def first_event() -> TriggerEvent:
        soonest = (datetime.now(UTC) + first).isoformat()
        trigger = CampaignTrigger(campaign="spring", first_event_at=soonest, poll_seconds=15)
        return await anext(aiter(trigger.run()))

    monkeypatch.setattr(triggers, "_standing", standing)
    monkeypatch.setattr(triggers.asyncio, "sleep", sleep)
    return asyncio.run(first_event()), slept


@pytest.mark.parametrize("standing", ["ready", "over"])
def test_it_wakes_its_operator_when_the_campaign_waits_no_more(monkeypatch: pytest.MonkeyPatch, standing: str) -> None:
    event, slept = run(monkeypatch, "waits", "waits", standing)
    assert event == TriggerEvent({"standing": standing})
    assert slept[1:] == [15, 15]


def test_it_never_wakes_it_so_soon_that_the_scheduler_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    _, slept = run(monkeypatch, "ready", first=timedelta(seconds=20))
    assert 15 < slept[0] <= 20


def test_a_ledger_that_is_away_for_a_while_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    event, slept = run(monkeypatch, OSError("down"), "over")
    assert event == TriggerEvent({"standing": "over"}) and slept[1:] == [15]


def test_a_restarted_triggerer_begins_again_with_the_same() -> None:
    trigger = CampaignTrigger(campaign="spring", first_event_at="2026-01-01T00:00:00+00:00", poll_seconds=15)
    path, arguments = trigger.serialize()
    assert path == f"{CampaignTrigger.__module__}.{CampaignTrigger.__name__}"
    assert CampaignTrigger(**arguments).serialize() == (path, arguments)
