"""What is refused here costs nothing; what gets through is what the model takes."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.backends import runway_input
from aiprod.backends.runway_input import Unfit, arguments
from tests.runway import wanted

IMAGE = "https://example.com/lake.png"


def test_a_text_becomes_the_arguments_of_text_to_video() -> None:
    given = {"model": "gen4.5", "prompt_text": "a lake", "ratio": "1280:720", "duration": 5, "seed": 7}
    assert arguments(wanted()) == ("text_to_video", given)


def test_an_image_goes_along_as_the_address_that_was_ordered() -> None:
    operation, given = arguments(wanted(reference_image_url=IMAGE))
    assert (operation, given["prompt_image"]) == ("image_to_video", IMAGE)


@pytest.mark.parametrize("audio", [True, False])
def test_sound_is_always_said_where_the_model_makes_any(audio: bool) -> None:
    """Left out, it makes sound, and sound is billed."""
    veo = wanted(model="veo3.1", seconds=6, audio=audio)
    for request in (veo, veo.model_copy(update={"reference_image_url": IMAGE})):
        assert arguments(request)[1]["audio"] is audio


@pytest.mark.parametrize(
    ("width", "height", "aspect", "resolution"),
    [(1280, 720, "16:9", "720p"), (720, 1280, "9:16", "720p"), (1920, 1080, "16:9", "1080p"), (1080, 1920, "9:16", "1080p")],
)
def test_the_ratio_is_the_picture_that_was_priced(width: int, height: int, aspect: str, resolution: str) -> None:
    request = wanted(model="veo3.1", seconds=8, width=width, height=height, aspect_ratio=aspect, resolution=resolution)
    assert arguments(request)[1]["ratio"] == f"{width}:{height}"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": "gen9"}, "there is no gen9 for text_to_video"),
        ({"model": "gen4_turbo"}, "there is no gen4_turbo for text_to_video"),
        ({"width": 720, "aspect_ratio": "1:1"}, "1:1 in 720p would be 720:720; it has 1280:720, 720:1280"),
        ({"seconds": 1}, "no clips of 1 s"),
        ({"seconds": 11}, "no clips of 11 s"),
        ({"seconds": 4.5}, "no clips of 4.5 s"),
        ({"model": "veo3.1", "seconds": 5}, "no clips of 5 s"),
        ({"audio": True}, "makes no sound"),
        ({"prompt": "x" * 1_001}, "1001 characters"),
        ({"prompt": "🎬" * 501}, "1002 characters"),
        ({"prompt": ""}, "0 characters"),
        ({"prompt": "a \ud800"}, "half a character"),
    ],
)
def test_what_the_model_does_not_take_is_refused_with_the_reason(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Unfit, match=why):
        arguments(wanted(**change))


def test_a_length_that_the_sdk_does_not_limit_is_left_to_the_vendor() -> None:
    assert arguments(wanted(model="gen4_turbo", reference_image_url=IMAGE, seconds=17))[1]["duration"] == 17


def test_a_model_that_wants_more_than_an_order_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    takes = {"required": ["mood", "prompt_text"], "optional": [], "ratio": ["1280:720"], "duration": {"one_of": [5]}}
    monkeypatch.setattr(runway_input, "models", lambda operation: {"gen4.5": takes})
    with pytest.raises(Unfit, match="it wants mood, which no order has"):
        arguments(wanted())


def test_every_model_of_the_file_is_taken_or_refused_and_nothing_else() -> None:
    for operation, image in (("text_to_video", None), ("image_to_video", IMAGE)):
        for name in runway_input.models(operation):
            try:
                chosen, given = arguments(wanted(model=name, reference_image_url=image))
            except Unfit:
                continue
            takes = runway_input.models(operation)[name]
            assert chosen == operation
            assert set(takes["required"]) <= set(given) <= {"model", "duration", *takes["required"], *takes["optional"]}
