"""What Runway's models take: legal bodies of its two operations, for the models that have a list price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiprod.emulators.renders import Film

__all__ = ["MODELS", "Model", "problems", "wanted_film"]

_WIDE_AND_TALL = ("1280:720", "720:1280")
_FROM_IMAGE = (*_WIDE_AND_TALL, "1104:832", "960:960", "832:1104", "1584:672")
_VEO = (*_WIDE_AND_TALL, "1080:1920", "1920:1080")
_MOST_PROMPT = 1_000
_MOST_SEED = 4_294_967_295
_FORMATS = ("mp4",)


@dataclass(frozen=True)
class Model:
    """One model: the ratios of each operation it knows, its lengths in seconds, and what else it takes."""

    ratios: Mapping[str, Sequence[str]]
    seconds: Sequence[int]
    #: How long it is when nobody says; None: it must be said.
    default: int | None = None
    audio: bool = False
    options: frozenset[str] = frozenset()


_GEN = frozenset({"contentModeration", "outputFormat", "proresProfile"})
_VEO_OPTIONS = frozenset({"audio", "negativePrompt"})
MODELS: Mapping[str, Model] = {
    "gen4.5": Model({"text_to_video": _WIDE_AND_TALL, "image_to_video": _FROM_IMAGE}, range(2, 11), options=_GEN),
    "gen4_turbo": Model({"image_to_video": _FROM_IMAGE}, range(2, 11), 10, options=frozenset({"contentModeration"})),
    "veo3.1": Model({"text_to_video": _VEO, "image_to_video": _VEO}, (4, 6, 8), 8, audio=True, options=_VEO_OPTIONS),
    "veo3.1_fast": Model({"text_to_video": _VEO, "image_to_video": _VEO}, (4, 6, 8), 8, audio=True, options=_VEO_OPTIONS),
}


def problems(operation: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is wrong with a body, one issue per field; nothing when it is legal."""
    model = MODELS.get(str(body.get("model")))
    if model is None or operation not in model.ratios:
        return [_issue("model", f"Invalid model for {operation}")]
    found = []
    duration = body.get("duration", model.default)
    if type(duration) is not int or duration not in model.seconds:
        found.append(_issue("duration", f"Must be one of {', '.join(map(str, model.seconds))}"))
    if body.get("ratio") not in model.ratios[operation]:
        found.append(_issue("ratio", f"Must be one of {', '.join(model.ratios[operation])}"))
    found += _prompt(operation, str(body["model"]), body)
    if operation == "image_to_video" and not _image(body.get("promptImage")):
        found.append(_issue("promptImage", "Must be an HTTPS URL, a Runway upload URI or a data URI"))
    seed = body.get("seed", 0)
    if type(seed) is not int or not 0 <= seed <= _MOST_SEED:
        found.append(_issue("seed", f"Must be an integer from 0 to {_MOST_SEED}"))
    if not isinstance(body.get("audio", False), bool):
        found.append(_issue("audio", "Must be a boolean"))
    if body.get("outputFormat", "mp4") not in _FORMATS:
        found.append(_issue("outputFormat", "This emulator makes mp4 only"))
    known = {"model", "promptText", "ratio", "duration", "seed"} | model.options
    known |= {"promptImage"} if operation == "image_to_video" else set()
    return found + [_issue(name, "Unrecognized key") for name in sorted(set(body) - known)]


def wanted_film(body: Mapping[str, Any]) -> Film:
    """Return the shape of the film that a legal body orders; sound unless it says otherwise, where the model makes any."""
    model = MODELS[str(body["model"])]
    width, height = (int(side) for side in str(body["ratio"]).split(":"))
    seconds = float(body.get("duration", model.default))
    return Film(seconds=seconds, width=width, height=height, audio=model.audio and bool(body.get("audio", True)))


def _prompt(operation: str, model: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    if operation == "image_to_video" and model != "gen4.5" and "promptText" not in body:
        return []
    text = body.get("promptText")
    # Their limit counts UTF-16 code units: an emoji is two.
    if not isinstance(text, str) or not 1 <= len(text.encode("utf-16-le", "surrogatepass")) // 2 <= _MOST_PROMPT:
        return [_issue("promptText", f"Must be a string of 1 to {_MOST_PROMPT} characters")]
    return []


def _image(given: Any) -> bool:
    if isinstance(given, list):
        return bool(given) and all(
            isinstance(one, dict) and one.get("position") in ("first", "last") and _image(one.get("uri")) for one in given
        )
    return isinstance(given, str) and given.startswith(("https://", "runway://", "data:image/"))


def _issue(field: str, message: str) -> dict[str, Any]:
    return {"code": "custom", "path": [field], "message": message}
