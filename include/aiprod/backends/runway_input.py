"""A request as one of Runway's models takes it, by what its SDK says of the model (`runway_models.json`)."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from aiprod.models import RenderRequest

__all__ = ["Unfit", "arguments", "models"]


class Unfit(ValueError):
    """The model does not take this; the message says what."""


@cache
def models(operation: str) -> dict[str, dict[str, Any]]:
    """Return what every model of an operation takes. Made by `python -m tools.runway_models`; none for an unknown operation."""
    said = json.loads((resources.files("aiprod.backends") / "runway_models.json").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = said.get(operation, {})
    return found


def arguments(request: RenderRequest) -> tuple[str, dict[str, Any]]:
    """Return the operation of the SDK and its arguments. Raises `Unfit` for what the SDK says the model does not take."""
    operation = "image_to_video" if request.reference_image_url else "text_to_video"
    takes = models(operation).get(request.model)
    if takes is None:
        raise Unfit(f"there is no {request.model} for {operation}")
    fields = {*takes["required"], *takes["optional"]}
    given: dict[str, Any] = {
        "model": request.model,
        "prompt_text": _prompt(request.prompt, takes),
        "ratio": _ratio(request, takes),
        "duration": _duration(request.seconds, takes),
    }
    if request.reference_image_url:
        given["prompt_image"] = request.reference_image_url
    if "seed" in fields:
        given["seed"] = request.seed
    if "audio" in fields:
        # Always said: left out, these models make sound, and bill it.
        given["audio"] = request.audio
    elif request.audio:
        raise Unfit("it makes no sound")
    missing = sorted(set(takes["required"]) - set(given))
    if missing:
        raise Unfit(f"it wants {', '.join(missing)}, which no order has")
    return operation, given


def _prompt(prompt: str, takes: dict[str, Any]) -> str:
    try:
        length = len(prompt.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise Unfit("the prompt holds half a character") from None
    most = takes.get("prompt_most")
    if not length or (most is not None and length > most):
        raise Unfit(f"the prompt has {length} characters; it takes 1 to {most or 'many'}")
    return prompt


def _ratio(request: RenderRequest, takes: dict[str, Any]) -> str:
    """The picture's size in pixels, which is what Runway calls a ratio."""
    wanted = f"{request.width}:{request.height}"
    if wanted not in takes.get("ratio", ()):
        raise Unfit(
            f"{request.aspect_ratio} in {request.resolution} would be {wanted}; it has {', '.join(takes.get('ratio', ()))}"
        )
    return wanted


def _duration(seconds: float, takes: dict[str, Any]) -> int:
    length = takes.get("duration", {})
    # Where the SDK names no limits, the vendor says no, and that is free.
    within = length.get("whole") and length.get("least", seconds) <= seconds <= length.get("most", seconds)
    if seconds != int(seconds) or not (within or seconds in length.get("one_of", ())):
        raise Unfit(f"it makes no clips of {seconds:g} s")
    return int(seconds)
