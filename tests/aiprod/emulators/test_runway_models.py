"""What Runway's models take here is what the types of Runway's own SDK say."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, Required, get_args, get_origin

import pytest
from runwayml.types.image_to_video_create_params import ImageToVideoCreateParams
from runwayml.types.text_to_video_create_params import TextToVideoCreateParams
from typing_extensions import get_type_hints

from aiprod.emulators.runway_models import MODELS, problems, wanted_film

OPERATIONS = {"text_to_video": TextToVideoCreateParams, "image_to_video": ImageToVideoCreateParams}


def bare(hint: Any) -> Any:
    while get_origin(hint) in (Required, NotRequired, Annotated):
        hint = get_args(hint)[0]
    return hint


def sdk_types(operation: str) -> dict[str, dict[str, Any]]:
    """Fields and their types, by model."""
    found = {}
    for variant in get_args(OPERATIONS[operation]):
        hints = {name: bare(hint) for name, hint in get_type_hints(variant, include_extras=True).items()}
        found[get_args(hints["model"])[0]] = hints
    return found


@pytest.mark.parametrize("operation", OPERATIONS)
def test_ratios_lengths_and_options_are_those_of_the_sdk(operation: str) -> None:
    theirs = sdk_types(operation)
    for name, model in MODELS.items():
        if operation not in model.ratios:
            assert name not in theirs
            continue
        fields = theirs[name]
        assert set(model.ratios[operation]) == set(get_args(fields["ratio"]))
        if get_origin(fields["duration"]) is Literal:
            assert set(model.seconds) == set(get_args(fields["duration"]))
        assert model.audio == ("audio" in fields)


@pytest.mark.parametrize("body", [{"audio": "yes"}, {"duration": 5}, {"outputFormat": "prores"}])
def test_what_is_not_legal_is_a_problem(body: dict[str, Any]) -> None:
    good = {"model": "veo3.1", "promptText": "a", "ratio": "1280:720"}
    assert problems("text_to_video", good) == []
    assert problems("text_to_video", good | body) != []


def test_a_length_that_nobody_said_is_the_models_own() -> None:
    film = wanted_film({"model": "veo3.1", "promptText": "a", "ratio": "720:1280"})
    assert (film.seconds, film.width, film.height, film.audio) == (8, 720, 1280, True)


def test_two_images_are_a_beginning_and_an_end() -> None:
    body = {"model": "gen4_turbo", "ratio": "1280:720", "promptImage": [{"uri": "https://a.b/c", "position": "first"}]}
    assert problems("image_to_video", body) == []
    assert problems("image_to_video", body | {"promptImage": [{"uri": "ftp://a.b/c", "position": "first"}]}) != []
