"""A request as one Replicate model takes it: our fields under its names, checked against the schema it publishes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from jsonschema import Draft4Validator, Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import UnknownType, ValidationError, best_match  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable

from aiprod.catalog import Model
from aiprod.models import RenderRequest
from aiprod.pricing import frame_size

__all__ = ["Unfit", "misfits", "model_input"]

#: What models call the picture to start from.
_IMAGES = ("image", "start_image", "first_frame_image", "first_frame", "input_image")
#: Switches for sound; where `audio` is a file to sing along with, it is no switch.
_SOUNDS = ("generate_audio", "audio", "enable_audio")
_RATES = ("fps", "frames_per_second")
#: What a schema that is none makes the validator raise.
_NO_SCHEMA = (UnknownType, Unresolvable, TypeError, ValueError, KeyError, AttributeError, RecursionError, re.error)
_MAX_SEED = 2**31 - 1


class Unfit(Exception):
    """The model cannot be asked for this; the message says why, in a few words."""


def model_input(request: RenderRequest, document: Mapping[str, Any], *, one_resolution: bool) -> dict[str, Any]:
    """Return the `input` that asks a model for exactly this request. `document` is the model's `openapi_schema`.

    `one_resolution`: the model makes only the resolution asked, so it need not be told. Raises `Unfit` where the model
    has no word for something that was asked, or its own schema refuses the result.
    """
    try:
        schema = _Schema(document)
        found = _filled(request, schema, one_resolution=one_resolution)
        problem = schema.problem(found)
    except _NO_SCHEMA as error:
        raise Unfit(f"its input schema cannot be read ({type(error).__name__})") from None
    if problem:
        raise Unfit(f"its input schema says: {problem}")
    return found


def misfits(model: Model, document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the catalogue says a model makes and its schema has no word for: `480p 16:9: …`, each once."""
    lengths = model.seconds or model.seconds_range or ()
    found: dict[str, str] = {}
    for resolution, ratio, seconds in product(model.resolutions, model.aspect_ratios, lengths):
        width, height = frame_size(ratio, resolution)
        request = RenderRequest(
            backend="replicate", model=model.name, prompt="a lake", seconds=seconds, asked_seconds=seconds, aspect_ratio=ratio,
            resolution=resolution, width=width, height=height, fps=model.fps, audio=model.audio, seed=1,
        )  # fmt: skip
        try:
            model_input(request, document, one_resolution=model.resolutions == (resolution,))
        except Unfit as error:
            found.setdefault(str(error), f"{resolution} {ratio} {seconds:g} s: {error}")
    return tuple(found.values())


def _filled(request: RenderRequest, schema: _Schema, *, one_resolution: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "prompt": schema.pick("prompt", [request.prompt]),
        "duration": schema.pick("duration", _lengths(request.seconds)),
        "seed": schema.pick("seed", _seeds(request)),
    }
    found |= _shape(request, schema, one_resolution=one_resolution)
    found |= _extras(request, schema)
    if request.reference_image_url:
        name = next((name for name in _IMAGES if schema.takes(name, request.reference_image_url)), None)
        if name is None:
            raise Unfit("it takes no reference image")
        found[name] = request.reference_image_url
    return found


def _shape(request: RenderRequest, schema: _Schema, *, one_resolution: bool) -> dict[str, Any]:
    """Width and height, by whichever of four ways the model has."""
    wide, high = request.width, request.height
    if schema.has("size"):
        return {"size": schema.pick("size", [f"{wide}*{high}", f"{wide}x{high}", f"{wide}:{high}"])}
    if schema.has("width") and schema.has("height"):
        return {"width": schema.pick("width", [wide]), "height": schema.pick("height", [high])}
    found: dict[str, Any] = {}
    if schema.has("aspect_ratio"):
        found["aspect_ratio"] = schema.pick("aspect_ratio", [request.aspect_ratio])
    elif not request.reference_image_url:
        raise Unfit("it cannot be told the shape of the picture (no size, width or aspect_ratio)")
    if schema.has("resolution"):
        name = request.resolution
        found["resolution"] = schema.pick("resolution", [name, name.upper(), name.removesuffix("p")])
    elif not one_resolution:
        raise Unfit("it cannot be told the resolution")
    return found


def _extras(request: RenderRequest, schema: _Schema) -> dict[str, Any]:
    """What is said where the model has a word for it, and is the model's own choice where not."""
    switches = [(name, request.audio) for name in _SOUNDS if schema.takes(name, True) and schema.takes(name, False)]
    rates = [(name, request.fps) for name in _RATES if schema.takes(name, request.fps)]
    return dict([*switches[:1], *rates[:1]])


def _lengths(seconds: float) -> list[Any]:
    """The spellings of a length; a fraction is never rounded away."""
    if not float(seconds).is_integer():
        return [seconds]
    whole = int(seconds)
    return [whole, float(whole), str(whole), f"{whole}s"]


def _seeds(request: RenderRequest) -> list[int]:
    """A seed that was ordered stays; one that we drew is folded to what every model can hold, said or not."""
    return [request.seed if request.seed_ordered else request.seed & _MAX_SEED]


class _Schema:
    """A model's published input schema. References are followed inside the document and nowhere else."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._validator = Draft202012Validator if str(document.get("openapi", "")).startswith("3.1") else Draft4Validator
        self._properties: Mapping[str, Any] = document["components"]["schemas"]["Input"]["properties"]

    def has(self, name: str) -> bool:
        return name in self._properties

    def takes(self, name: str, value: object) -> bool:
        """Whether the model has the input and would take the value."""
        return self.has(name) and not any(self._errors(self._properties[name], value))

    def pick(self, name: str, spellings: Iterable[Any]) -> Any:
        """Return the first spelling that the model takes."""
        spellings = list(spellings)
        if not self.has(name):
            raise Unfit(f"it has no input {name!r}")
        for value in spellings:
            if self.takes(name, value):
                return value
        raise Unfit(f"its input {name!r} does not take {str(spellings[0])[:40]!r}")

    def problem(self, found: Mapping[str, Any]) -> str:
        """What the whole schema says against an input, or an empty string."""
        error: ValidationError | None = best_match(self._errors({"$ref": "#/components/schemas/Input"}, found))
        return "" if error is None else error.message[:200]

    def _errors(self, schema: Mapping[str, Any], value: Any) -> Iterable[ValidationError]:
        whole = {"allOf": [schema], "components": self._document["components"]}
        # A registry of our own: the default one would fetch references from the network.
        errors: Iterable[ValidationError] = self._validator(whole, registry=Registry()).iter_errors(value)
        return errors
