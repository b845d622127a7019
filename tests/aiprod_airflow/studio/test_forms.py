"""An empty field was left out, a row left empty is no shot, and numbers are whole."""

from __future__ import annotations

import pytest
from fastapi import HTTPException

from aiprod.models import JobSpec
from aiprod_airflow.studio.forms import Typed, order_of, shots_of, whole_number


def test_an_empty_field_is_one_that_was_left_out() -> None:
    form = Typed(prompt=[" a boat "], seconds=[""], project=[" "], preset=["quick_social"], audio=["on"])

    assert order_of(form) == {"prompt": "a boat", "preset": "quick_social", "audio": True}


def test_sound_that_is_not_ticked_is_not_ordered() -> None:
    assert JobSpec.parse(order_of(Typed(prompt=["x"]))).audio is False


def test_a_shot_list_has_its_own_lengths() -> None:
    form = Typed(by=["shots"], prompt=["left over"], seconds=["9"], shot_prompt=["a", "", "b"], shot_seconds=["2", "5", ""])

    assert order_of(form)["shots"] == [{"prompt": "a", "seconds": "2"}, {"prompt": "b"}]
    assert JobSpec.parse(order_of(form)).total_seconds == 7


def test_a_shot_keeps_what_its_form_does_not_show() -> None:
    form = Typed(shot_prompt=["a"], shot_seconds=["2"], shot_seed=["7"], shot_reference_image_url=[""])

    assert shots_of(form) == [{"prompt": "a", "seconds": "2", "seed": "7"}]


@pytest.mark.parametrize("said", ["", "x", "-1", "1.5", "٣", "9" * 17])
def test_a_number_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(HTTPException, match="whole number"):
        whole_number(Typed(amount=[said]), "amount")
