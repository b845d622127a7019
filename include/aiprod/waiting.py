"""Why a shot is placed later rather than now: nobody has room, or money comes later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from aiprod.budgets import Cap
from aiprod.catalog import Catalog
from aiprod.choosing import Chosen, JobOrder, Situation
from aiprod.models import Decision, Noun
from aiprod.routing import Facts, fits_but_for_money

__all__ = ["Wait", "for_money", "short_caps"]

#: How soon a campaign whose own money is used up is looked at again: somebody may have given it more.
_CAMPAIGN_PAUSE = timedelta(hours=1)


class Wait(Noun):
    """Why a shot is placed later rather than now, and when to try again."""

    reason: Literal["slots", "money"]
    message: str
    due_at: datetime


def for_money(
    catalog: Catalog, order: JobOrder, found: Situation, decision: Decision, known: Sequence[Facts], chosen: Chosen
) -> Wait | None:
    """Until when a shot that only money keeps back waits; None when the job would rather fail, or waiting cannot help."""
    if not decision.short_of_money or (order.spec.at_cap != "wait" and not found.under_campaign):
        return None
    moments = []
    for short in short_caps(catalog, order, found, known, chosen):
        ends = [found.now + _CAMPAIGN_PAUSE if cap.kind == "campaign" else cap.ends_at for cap in short]
        moments += [max(end for end in ends if end is not None)] if ends and None not in ends else []
    if not moments:
        return None
    return Wait(reason="money", message=str(decision), due_at=min(moments))


def short_caps(catalog: Catalog, order: JobOrder, found: Situation, known: Sequence[Facts], chosen: Chosen) -> list[list[Cap]]:
    """For every backend that only money keeps from the shot: the caps that are short."""
    short = []
    for facts in known:
        if fits_but_for_money(facts, order.floor(catalog)):
            limits = found.limits[facts.backend]
            free = found.free(limits, chosen)
            short.append([cap for cap in limits if free[cap.kind, cap.key] < (facts.quote or 0)])
    return short
