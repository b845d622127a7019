"""The score of a storm can find: one of each is planted here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.safety.designs.score import Record, score
from tests.safety.judge import Caps

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
CAPS = Caps(
    zone="UTC", day=1_000, job={"job-1": 500}, project={"acme": 400}, backend_day={"veo3": 200}, projects={"job-1": "acme"}
)


def accept(id: str = "v1", key: str = "m1", price: int = 100, **changes: Any) -> dict[str, Any]:
    return {
        "id": id, "key": key, "backend": "runway", "at": NOON, "price_micros": price, "billable_micros": price, "order": {},
    } | changes  # fmt: skip


def record(marker: str = "m1", vendor_id: str | None = "v1", **changes: Any) -> Record:
    return Record(**({"job": "job-1", "shot": 1, "decided_at": NOON, "home": True} | changes), marker=marker, vendor_id=vendor_id)


def test_a_clip_that_was_bought_once_and_came_home_is_in_order() -> None:
    found = score([accept()], [record()], {("job-1", 1): NOON + 1}, CAPS)

    assert (found.accepts, found.overspend, found.duplicates, found.lost, found.delivered) == (1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("bought", "over"),
    [([accept(price=400)], 0), ([accept(price=401)], 1), ([accept(price=201, backend="veo3")], 1), ([accept(price=600)], 200)],
)
def test_the_cap_that_is_crossed_furthest_counts(bought: list[dict[str, Any]], over: int) -> None:
    assert score(bought, [record()], {}, CAPS).overspend == over


def test_what_nobody_decided_on_is_overspent_and_lost() -> None:
    found = score([accept()], [], {}, CAPS)

    assert (found.overspend, found.lost) == (100, 1)


def test_each_day_has_its_own_cap() -> None:
    late = [record(f"m{n}", f"v{n}", decided_at=NOON + n * 86_400) for n in range(2)]
    caps = Caps(zone="UTC", day=100, job={"job-1": 10_000})

    assert score([accept(f"v{n}", f"m{n}") for n in range(2)], late, {}, caps).overspend == 0


def test_one_request_that_was_accepted_twice_is_a_duplicate_and_the_one_nobody_knows_is_lost() -> None:
    found = score([accept("v1"), accept("v2")], [record(vendor_id="v2")], {}, CAPS)

    assert (found.duplicates, found.lost) == (1, 1)


def test_a_shot_that_had_its_take_is_bought_for_nothing() -> None:
    again = [record(), record("m2", "v2", decided_at=NOON + 10)]

    assert score([accept(), accept("v2", "m2")], again, {("job-1", 1): NOON + 5}, CAPS).duplicates == 1


@pytest.mark.parametrize("changes", [{"home": False}, {"vendor_id": None}])
def test_a_paid_clip_that_never_came_home_is_lost_unless_a_person_was_told(changes: dict[str, Any]) -> None:
    assert score([accept()], [record(**changes)], {}, CAPS).lost == 1
    assert score([accept()], [record(**changes, told=True)], {}, CAPS).lost == 0


@pytest.mark.parametrize("order", [{"fail-charged": ""}, {"hang": ""}])
def test_what_never_became_a_clip_cannot_be_lost(order: dict[str, str]) -> None:
    assert score([accept(order=order)], [record(home=False)], {}, CAPS).lost == 0


def test_what_failed_for_free_costs_nothing() -> None:
    assert score([accept(billable_micros=0, price=9_999)], [], {}, CAPS).overspend == 0
