"""The trigger form: Airflow params made from the `JobSpec` schema and the catalogue."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from airflow.sdk import Param

from aiprod.catalog import catalog
from aiprod.models import JobSpec, VideoBackend

__all__ = ["backend_tasks", "job_name", "job_params"]

#: The form opens on these; the rest waits in a folded section (Airflow shows one section at a time).
_FIRST = ("prompt", "preset", "seconds", "aspect_ratio", "audio", "backend", "budget_usd")
_MORE = "More"


def job_params() -> dict[str, Param]:
    """Return one Param per field of `JobSpec`, in form order, presets and backends as the catalogue has them."""
    schema = JobSpec.model_json_schema()
    definitions = schema.get("$defs", {})
    params = {}
    for name, raw in schema["properties"].items():
        field = _inlined(raw, definitions)
        default = field.pop("default", None)
        if name == "preset":
            field["enum"] = list(catalog().presets)
            field["values_display"] = {key: preset.title for key, preset in catalog().presets.items()}
        elif name == "backend":
            field["enum"] = [VideoBackend.AUTO.value, *catalog().backend_order]
            titles = {key: catalog().backends[key].title for key in catalog().backend_order}
            field["values_display"] = {VideoBackend.AUTO.value: "Choose for me, and fall back", **titles}
        if name not in _FIRST:
            field["section"] = _MORE
        params[name] = Param(default, description=field.pop("description", None), **field)
    return params


def _inlined(raw: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A property without references, `anyOf [X, null]` told as a list of types: what Airflow's form understands."""
    field = {k: v for k, v in raw.items() if k not in ("anyOf", "$ref")}
    if "$ref" in raw:
        field = {**_inlined(definitions[raw["$ref"].rsplit("/", 1)[-1]], definitions), **field}
    variants = [_inlined(variant, definitions) for variant in raw.get("anyOf", [])]
    # Pydantic takes a Decimal as a number or as a string of one; a form has one box, for the number.
    if any(v.get("type") == "number" for v in variants):
        variants = [v for v in variants if v.get("type") != "string"]
    types = [v["type"] for v in variants if "type" in v]
    for variant in variants:
        field.update({k: v for k, v in variant.items() if k not in ("type", "title")})
    if types:
        field["type"] = types
    for nested in ("items",):
        if isinstance(field.get(nested), dict):
            field[nested] = _inlined(field[nested], definitions)
    if isinstance(field.get("properties"), dict):
        field["properties"] = {k: _inlined(v, definitions) for k, v in field["properties"].items()}
    return field


def backend_tasks() -> tuple[str, ...]:
    """Return the backends that get a task in every attempt: all the catalogue knows, vendors first."""
    return catalog().backend_order


def job_name(run_id: str) -> str:
    """Return the job id that a run without one gets: its run id, shortened and made safe. Same run, same job."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", run_id.lower()).strip("-_")
    if plain and plain == run_id and len(plain) <= 64:
        return plain
    return f"{plain[:48].rstrip('-_') or 'job'}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"
