"""A model is asked for exactly what was ordered, in its own words, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.backends.replicate_input import Unfit, misfits, model_input
from aiprod.catalog import Model
from aiprod.models import RenderRequest
from tests.aiprod.backends.test_reaching import site

TEXT, NUMBER, YES_NO = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def schema(openapi: str = "3.0.2", required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    """An `openapi_schema` as Cog writes it: choices are schemas of their own, referred to inside `allOf`."""
    choices = {name: {"type": "string", "enum": p} for name, p in properties.items() if isinstance(p, list)}
    referred = {name: {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "x-order": 1} for name in choices}
    given = {"prompt": TEXT, "duration": NUMBER, "seed": NUMBER} | properties | referred
    named = {name: p for name, p in given.items() if p is not None}
    inputs = {"type": "object", "title": "Input", "properties": named, "required": required or ["prompt"]}
    return {"openapi": openapi, "components": {"schemas": {"Input": inputs, **choices}}}


def wanted(**changes: Any) -> RenderRequest:
    asked = RenderRequest(
        backend="replicate", model="o/m", prompt="a lake", seconds=5, asked_seconds=4.5, aspect_ratio="16:9",
        resolution="720p", width=1280, height=720, fps=24, audio=True, seed=7,
    )  # fmt: skip
    return asked.model_copy(update=changes)


def told(document: dict[str, Any], request: RenderRequest | None = None, *, one_resolution: bool = False) -> dict[str, Any]:
    found = model_input(request or wanted(), document, one_resolution=one_resolution)
    assert (found.pop("prompt"), found.pop("seed")) == ("a lake", 7)
    return found


SIZES = ["832*480", "1280*720", "720*1280"]
SHAPE: dict[str, Any] = {"aspect_ratio": ["16:9", "9:16"], "resolution": ["720p", "1080p"]}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (schema(size=SIZES), {"duration": 5, "size": "1280*720"}),
        (schema(size=["1280x720"]), {"duration": 5, "size": "1280x720"}),
        (schema(**SHAPE), {"duration": 5, "aspect_ratio": "16:9", "resolution": "720p"}),
        (schema(aspect_ratio=["16:9"], resolution=["720P"]), {"duration": 5, "aspect_ratio": "16:9", "resolution": "720P"}),
        (schema(width=NUMBER, height=NUMBER), {"duration": 5, "width": 1280, "height": 720}),
        (schema(duration=["5", "10"], size=SIZES), {"duration": "5", "size": "1280*720"}),
        (schema(duration=["5s", "10s"], size=SIZES), {"duration": "5s", "size": "1280*720"}),
        (schema(duration={"type": "number"}, size=SIZES), {"duration": 5, "size": "1280*720"}),
        (schema(duration={"type": "integer", "enum": [5, 10]}, size=SIZES), {"duration": 5, "size": "1280*720"}),
        (schema(generate_audio=YES_NO, size=SIZES), {"duration": 5, "size": "1280*720", "generate_audio": True}),
        # A sound file to sing along with is no switch.
        (schema(audio={"type": "string", "format": "uri"}, size=SIZES), {"duration": 5, "size": "1280*720"}),
        (schema(fps={"type": "integer", "enum": [24, 30]}, size=SIZES), {"duration": 5, "size": "1280*720", "fps": 24}),
        (schema(fps={"type": "integer", "enum": [16]}, size=SIZES), {"duration": 5, "size": "1280*720"}),
        (schema("3.1.0", size=SIZES, duration={"exclusiveMinimum": 4}), {"duration": 5, "size": "1280*720"}),
    ],
)  # fmt: skip
def test_every_way_to_say_it_is_found(document: dict[str, Any], expected: dict[str, Any]) -> None:
    assert told(document) == expected


@pytest.mark.parametrize("name", ["image", "start_image", "first_frame_image"])
def test_a_reference_image_goes_where_the_model_takes_one(name: str) -> None:
    request = wanted(reference_image_url="https://example.com/a.png")
    document = schema(size=SIZES, required=["prompt", name], **{name: {"type": "string", "format": "uri"}})
    assert told(document, request) == {"duration": 5, "size": "1280*720", name: "https://example.com/a.png"}


def test_a_model_that_follows_the_image_needs_not_be_told_its_shape() -> None:
    request = wanted(reference_image_url="https://example.com/a.png")
    document = schema(image=TEXT, resolution=["720p"])
    assert told(document, request) == {"duration": 5, "resolution": "720p", "image": "https://example.com/a.png"}


def test_a_resolution_that_cannot_be_chosen_is_fine_where_there_is_only_one() -> None:
    assert told(schema(aspect_ratio=["16:9"]), one_resolution=True) == {"duration": 5, "aspect_ratio": "16:9"}


@pytest.mark.parametrize(
    ("document", "changes", "why"),
    [
        (schema(size=SIZES, prompt=None), {}, "no input 'prompt'"),
        (schema(size=SIZES, seed=None), {}, "no input 'seed'"),
        (schema(size=SIZES, duration=None), {}, "no input 'duration'"),
        (schema(size=["832*480"]), {}, "'size' does not take '1280"),
        (schema(**SHAPE), {"aspect_ratio": "1:1"}, "'aspect_ratio' does not take '1:1'"),
        (schema(**SHAPE), {"resolution": "4k"}, "'resolution' does not take '4k'"),
        (schema(size=SIZES, duration=["5", "10"]), {"seconds": 6}, "'duration' does not take"),
        (schema(size=SIZES), {"seconds": 5.5}, "'duration' does not take"),
        (schema(size=SIZES, duration={"type": "integer", "maximum": 4}), {}, "'duration' does not take"),
        (schema(), {}, "the shape of the picture"),
        (schema(aspect_ratio=["16:9"]), {}, "the resolution"),
        (schema(size=SIZES), {"reference_image_url": "https://example.com/a.png"}, "no reference image"),
        (schema(size=SIZES, image=TEXT, required=["prompt", "image"]), {}, "'image' is a required property"),
        (schema(size=SIZES, prompt={"type": "string", "maxLength": 3}), {}, "'prompt' does not take"),
        (schema(size=SIZES, seed={"type": "integer", "maximum": 9}), {"seed": 10, "seed_ordered": True}, "'seed' does not take"),
    ],
)
def test_what_a_model_has_no_word_for_is_refused_with_the_reason(
    document: dict[str, Any], changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unfit, match=why):
        model_input(wanted(**changes), document, one_resolution=False)


def test_a_seed_that_was_ordered_is_never_changed_and_a_drawn_one_fits_every_model() -> None:
    asked = [wanted(seed=2**31 + 5, seed_ordered=ordered) for ordered in (True, False)]
    assert [model_input(request, schema(size=SIZES), one_resolution=False)["seed"] for request in asked] == [2**31 + 5, 5]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"components": {"schemas": {}}},
        {"components": {"schemas": {"Input": {"properties": []}}}},
        {"components": None},
        schema(size={"$ref": "#/components/schemas/nowhere"}),
        schema(size={"$ref": "http://127.0.0.1:1/evil.json"}),
        schema(size={"type": "colour"}),
        schema(size={"type": "string", "pattern": "("}),
        schema(size={"$ref": "#/components/schemas/Input/properties/size"}),
    ],
)
def test_a_schema_that_is_none_is_refused_and_leads_nowhere(document: dict[str, Any]) -> None:
    with pytest.raises(Unfit, match=r"cannot be read|no input"):
        model_input(wanted(), document, one_resolution=False)


def test_a_reference_is_never_followed_to_another_host() -> None:
    with site() as canary:
        document = schema(size={"$ref": f"http://127.0.0.1:{canary.server_address[1]}/schema.json"})
        with pytest.raises(Unfit, match="cannot be read"):
            model_input(wanted(), document, one_resolution=False)
        assert canary.hits == 0


def test_what_the_catalogue_sells_and_the_model_does_not_is_told() -> None:
    sold = Model(
        name="o/m", seconds=(5, 10), aspect_ratios=("16:9", "1:1"), resolutions=("480p", "720p"), audio=True, image=False
    )
    told = misfits(sold, schema(size=SIZES))
    assert [line.partition(": ")[0] for line in told] == ["480p 16:9 5 s", "480p 1:1 5 s", "720p 1:1 5 s"]
    assert misfits(sold.model_copy(update={"resolutions": ("720p",), "aspect_ratios": ("16:9",)}), schema(size=SIZES)) == ()
