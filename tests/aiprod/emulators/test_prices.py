"""What is charged: the closest price that is known."""

from __future__ import annotations

import pytest

from aiprod.emulators.prices import cost, per_second


@pytest.mark.parametrize(
    ("model", "audio", "resolution", "price"),
    [("veo3.1", False, "", 200_000), ("veo3.1", True, "", 400_000), ("gen4.5", False, "720p", 120_000)],
)
def test_the_list_price_is_by_model_and_sound(model: str, audio: bool, resolution: str, price: int) -> None:
    assert per_second({}, "runway", model, audio=audio, resolution=resolution) == price


def test_a_resolution_can_have_its_own_price() -> None:
    assert per_second({}, "veo3", "veo-3.1-generate-001", audio=True, resolution="4k") == 600_000


@pytest.mark.parametrize("name", ["runway", "runway/gen4.5"])
def test_what_somebody_puts_in_its_place_comes_first(name: str) -> None:
    assert per_second({name: 7}, "runway", "gen4.5") == 7


def test_a_model_without_a_price_is_not_free() -> None:
    with pytest.raises(KeyError):
        per_second({}, "runway", "gen9")


def test_a_bill_is_rounded_up_to_whole_units() -> None:
    assert cost(120_000, 2.5) == 300_000
    assert cost(120_000, 1, times="1.01", unit=10_000) == 130_000
