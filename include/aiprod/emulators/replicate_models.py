"""The models Replicate runs here: their input schemas as the vendor publishes them, and what an input must be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from aiprod.emulators.renders import Film

__all__ = ["MODELS", "complete", "model_page", "problems", "version_of", "wanted_film"]

_TEXT: Mapping[str, Any] = {"type": "string", "format": "uri"}
_HEIGHTS = {"480p": 480, "720p": 720, "1080p": 1080}
#: Per model: the enumerations, and the properties of its input in their order. `$name` stands for an enumeration.
MODELS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "wan-video/wan-2.5-t2v": (
        {
            "duration": {"type": "integer", "enum": [5, 10]},
            "size": {
                "type": "string",
                "enum": ["832*480", "480*832", "1280*720", "720*1280", "1920*1080", "1080*1920"],
            },
        },
        {
            "prompt": {"type": "string", "title": "Prompt", "description": "What the video shows"},
            "audio": {**_TEXT, "title": "Audio", "nullable": True, "description": "wav or mp3, 3 to 30 s"},
            "size": {"default": "1280*720", "description": "Video resolution and aspect ratio"},
            "duration": {"default": 5, "description": "Seconds"},
            "negative_prompt": {"type": "string", "title": "Negative Prompt", "default": ""},
            "enable_prompt_expansion": {"type": "boolean", "title": "Enable Prompt Expansion", "default": True},
            "seed": {"type": "integer", "title": "Seed", "nullable": True, "minimum": 0, "maximum": 2_147_483_647},
        },
    ),
    "bytedance/seedance-1-lite": (
        {
            "resolution": {"type": "string", "enum": ["480p", "720p", "1080p"]},
            "aspect_ratio": {"type": "string", "enum": ["16:9", "4:3", "1:1", "3:4", "9:16"]},
        },
        {
            "prompt": {"type": "string", "title": "Prompt", "description": "What the video shows"},
            "image": {**_TEXT, "title": "Image", "nullable": True, "description": "First frame"},
            "duration": {"type": "integer", "title": "Duration", "default": 5, "minimum": 2, "maximum": 12},
            "resolution": {"default": "720p", "description": "Video resolution"},
            "aspect_ratio": {"default": "16:9", "description": "Shape of the picture"},
            "camera_fixed": {"type": "boolean", "title": "Camera Fixed", "default": False},
            "seed": {"type": "integer", "title": "Seed", "nullable": True},
        },
    ),
}


def version_of(model: str) -> str:
    """The id of a model's one version."""
    return hashlib.sha256(model.encode()).hexdigest()


def complete(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input with the defaults of what was not given."""
    properties = MODELS[model][1]
    return {name: prop["default"] for name, prop in properties.items() if "default" in prop} | dict(given)


def wanted_film(model: str, given: Mapping[str, Any]) -> Film:
    """Return the shape of the film that a legal input orders; wan makes sound whether asked or not."""
    full = complete(model, given)
    if "size" in full:
        width, height = (int(side) for side in full["size"].split("*"))
        return Film(seconds=float(full["duration"]), width=width, height=height, audio=True)
    across, down = (int(side) for side in full["aspect_ratio"].split(":"))
    short = _HEIGHTS[full["resolution"]]
    long = round(short * max(across, down) / min(across, down) / 2) * 2
    width, height = (long, short) if across >= down else (short, long)
    return Film(seconds=float(full["duration"]), width=width, height=height)


def problems(model: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with an input, by field; nothing when it is legal."""
    enums, properties = MODELS[model]
    wrong = {name: f"{name} is required" for name in ("prompt",) if not given.get(name)}
    for name, value in given.items():
        prop = properties.get(name)
        if prop is None:
            # Their own check lets strangers through; here a misspelt field must not pass for one that works.
            wrong[name] = "Additional property is not allowed"
        elif not (value is None and prop.get("nullable")) and (why := _misfit({**prop, **enums.get(name, {})}, value)):
            wrong[name] = why
    return wrong


def _misfit(prop: Mapping[str, Any], value: Any) -> str:
    kinds = {"string": str, "integer": int, "boolean": bool}
    if type(value) is not kinds[prop["type"]]:
        return f"Invalid type. Expected: {prop['type']}, given: {type(value).__name__}"
    if "enum" in prop and value not in prop["enum"]:
        return f"must be one of the following: {', '.join(map(repr, prop['enum']))}"
    if not prop.get("minimum", value) <= value <= prop.get("maximum", value):
        return f"Must be from {prop.get('minimum')} to {prop.get('maximum')}"
    return ""


def model_page(model: str) -> dict[str, Any]:
    """Return what the vendor says of a model, its input schema inside."""
    owner, _, name = model.partition("/")
    enums, properties = MODELS[model]
    fields = {
        field: {**({"allOf": [{"$ref": f"#/components/schemas/{field}"}]} if field in enums else {}), **prop, "x-order": n}
        for n, (field, prop) in enumerate(properties.items())
    }
    schemas: dict[str, Any] = {
        "Input": {"type": "object", "title": "Input", "required": ["prompt"], "properties": fields},
        "Output": {"type": "string", "title": "Output", "format": "uri"},
        **{field: {**enum, "title": field, "description": "An enumeration."} for field, enum in enums.items()},
    }
    info = {"title": "Cog", "version": "0.1.0"}
    return {
        "url": f"https://replicate.com/{model}",
        "owner": owner,
        "name": name,
        "description": "An emulated model",
        "visibility": "public",
        "is_official": True,
        "run_count": 0,
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": {
            "id": version_of(model),
            "created_at": "2026-01-01T00:00:00.000000Z",
            "cog_version": "0.16.8",
            "openapi_schema": {"openapi": "3.0.2", "info": info, "paths": {}, "components": {"schemas": schemas}},
        },
    }
