"""Waiting, without a worker, until a campaign can go on or is over. Looks into the ledger, and does nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

__all__ = ["CampaignTrigger"]


class CampaignTrigger(BaseTrigger):
    """Look at a campaign until it is not waiting any more.

    Only its name travels. A restarted triggerer begins again and loses nothing; two copies look twice and change nothing.
    This class's import path is stored with every parked task and must never change.
    """

    def __init__(self, *, campaign: str, first_event_at: str, poll_seconds: float) -> None:
        super().__init__()
        self.campaign = campaign
        self.first_event_at = first_event_at
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "aiprod_airflow.triggers.campaign.CampaignTrigger",
            {"campaign": self.campaign, "first_event_at": self.first_event_at, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        soonest = datetime.fromisoformat(self.first_event_at)
        await asyncio.sleep(max(0.0, (soonest - datetime.now(UTC)).total_seconds()))
        while True:
            try:
                standing = await asyncio.to_thread(_standing, self.campaign)
            except Exception as error:  # noqa: BLE001 - a ledger that is busy or away for a while ends no campaign
                self.log.warning("campaign %s could not be looked at, looking again: %s", self.campaign, type(error).__name__)
                standing = "waits"
            if standing != "waits":
                yield TriggerEvent({"standing": standing})
                return
            await asyncio.sleep(self.poll_seconds)


def _standing(campaign: str) -> str:
    # Here, and not at the top: it loads the ledger, which a triggerer that watches renders only does not need.
    from aiprod.bulk import holding
    from aiprod_airflow.pipelines import pipeline

    orders = pipeline()
    return holding.standing(orders.ledger, orders.catalog, campaign)
