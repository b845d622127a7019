"""The trigger form: Airflow params made from the `JobSpec` schema and the catalogue."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from airflow.sdk import Param

from aiprod.bulk.naming import DEFAULT
from aiprod.catalog import catalog
from aiprod.models import JobSpec, VideoBackend

__all__ = ["backend_tasks", "campaign_params", "campaigns", "job_name", "job_params", "zone"]

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


def campaigns() -> dict[str, str]:
    """Return the schedule of every campaign that has one, by name."""
    return {name: said.schedule for name, said in catalog().campaigns.items()}


def zone() -> str:
    """Return the time zone by which days and schedules are told."""
    return catalog().budgets.zone


def campaign_params(name: str | None = None) -> dict[str, Param]:
    """Return what a campaign is asked for; with a `name`, what the configuration says of it stands there already."""
    said = catalog().campaigns.get(name or "")
    budget = None if said is None or said.budget_usd is None else float(said.budget_usd)
    row = "one row per video: the fields of an order and a `key`, which names the row for good"
    return {
        "source": Param(
            said.source if said else "",
            type="string",
            minLength=1,
            title="Source",
            description=f"A .csv or .jsonl file or a folder of them, here or at gs://…, or a Google Sheet's address; {row}.",
        ),
        "campaign": Param(
            name or "",
            type="string",
            pattern="^[a-z0-9][a-z0-9_-]{0,63}$",
            title="Campaign",
            description="Its name: the same name again goes on with it, and the same rows buy nothing twice.",
        ),
        "budget_usd": Param(
            budget,
            type=["number", "null"],
            minimum=0,
            title="Budget (USD)",
            description="What all rows together may ever cost. Empty: as much as they may cost at worst. A person approves it.",
        ),
        "naming": Param(
            (said.naming if said else None) or DEFAULT,
            type="string",
            title="Naming",
            description="Names of the delivered videos, folders and all: {campaign} {row} {revision} {project} {preset} "
            "{aspect_ratio} {seconds} {prompt}.",
        ),
        "in_flight": Param(
            said.in_flight if said else None,
            type=["integer", "null"],
            minimum=1,
            title="At the same time",
            description="So many of its jobs go through runs at once. Empty: as many as the backends have room for.",
        ),
        "defaults": Param(
            dict(said.defaults) if said else {},
            type="object",
            title="Defaults",
            description='Fields of an order where a row leaves them empty, such as {"preset": "quick_social", "seconds": 4}.',
        ),
    }


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
