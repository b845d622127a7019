"""A model's input: what its published schema says is what is taken."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from aiprod.emulators.replicate_models import MODELS, complete, model_page, problems, wanted_film

WAN, SEEDANCE = MODELS


def schema(model: str) -> dict[str, Any]:
    document = model_page(model)["latest_version"]["openapi_schema"]
    return {"$ref": "#/components/schemas/Input", "components": document["components"]}


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (WAN, {"prompt": "a"}),
        (WAN, {"prompt": "a", "duration": 10, "size": "720*1280", "seed": 7, "negative_prompt": "b"}),
        (WAN, {"prompt": "a", "duration": 7}),
        (WAN, {"prompt": "a", "size": "16:9"}),
        (WAN, {"prompt": "a", "seed": -1}),
        (WAN, {"duration": 5}),
        (SEEDANCE, {"prompt": "a", "aspect_ratio": "9:16", "resolution": "480p", "duration": 12}),
        (SEEDANCE, {"prompt": "a", "duration": 13}),
    ],
)
def test_what_is_taken_is_what_the_published_schema_takes(model: str, given: dict[str, Any]) -> None:
    assert (problems(model, given) == {}) == jsonschema.Draft7Validator(schema(model)).is_valid(given)


@pytest.mark.parametrize(
    ("model", "given", "shape"),
    [
        (WAN, {}, (5, 1280, 720)),
        (WAN, {"size": "480*832", "duration": 10}, (10, 480, 832)),
        (SEEDANCE, {"aspect_ratio": "9:16"}, (5, 720, 1280)),
        (SEEDANCE, {"aspect_ratio": "1:1", "resolution": "480p"}, (5, 480, 480)),
    ],
)
def test_a_film_has_the_shape_that_was_asked(model: str, given: dict[str, Any], shape: tuple[float, int, int]) -> None:
    film = wanted_film(model, {"prompt": "a", **given})
    assert (film.seconds, film.width, film.height) == shape


def test_what_was_not_said_is_the_models_default() -> None:
    assert complete(WAN, {"prompt": "a", "duration": 10}) == {
        "prompt": "a", "duration": 10, "size": "1280*720", "negative_prompt": "", "enable_prompt_expansion": True,
    }  # fmt: skip
