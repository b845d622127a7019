"""`docs/api_documentation.md` from the API's own OpenAPI document: `python -m tools.api_docs`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from tools.airflow_env import CHECKOUT

FILE = CHECKOUT / "docs" / "api_documentation.md"

_HEAD = """<!-- Made by `python -m tools.api_docs` from the OpenAPI document; a test holds it current. Do not edit. -->
# The API

Served by Airflow's own api-server at `/aiprod`: no second server, no second login. The document itself is at
`/aiprod/openapi.json`, behind the login like every other route.

{about}
```sh
TOKEN=$(curl -s -X POST $AIRFLOW/auth/token -H 'Content-Type: application/json' \\
  -d '{{"username": "…", "password": "…"}}' | jq -r .access_token)
curl -s $AIRFLOW/aiprod/job/create -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -H 'Idempotency-Key: 2026-11-23/1' -d '{{"prompt": "a lighthouse at dusk", "preset": "quick_social", "seconds": 5}}'
```

## Rules that hold everywhere

- **Who may what** is Airflow's word: each route names the permission it asks for. A project listed in
  `include/config/projects.yaml` is its members' alone: to everybody else its jobs do not exist here (404).
  What Airflow's own pages show of them is in [security](security.md).
- **Nothing is lost or doubled by asking again.** `POST /job/create` under the same `job_id` or `Idempotency-Key` is the same
  job; approving names the version and the amount that were seen, and anything that moved on since is a 409.
- **Errors** are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, and for a wrong request `errors`,
  a list of `field` and `message`.
- A request is at most 1 MB. A person orders at most `orders_per_minute` new jobs a minute (429 with `Retry-After`).
- A browser's cookie is taken for changes only from Airflow's own pages; a program sends a token.
- A run that could not be started (503) is started by the same order again.

## Watching a job

`GET /job/{{job_id}}/events` (server-sent events) and `WS /ws/job/{{job_id}}` (JSON messages `{{"event", "id", "data"}}`)
tell the same:

| event | data |
|---|---|
| `snapshot` | the whole JobView |
| `change` | the fields of the JobView that changed, and `revision`; within two seconds |
| `end` | `{{"over": true}}` when nothing can change any more; else the stream had its time (30 s, a WebSocket 10 min) |

Come back with the `id` of the last event, as the header `Last-Event-ID` or as `?last_event_id=`: only what changed since is told,
by whichever api-server answers. The WebSocket takes the same credentials as every route.
"""


def main() -> int:
    """Write the page."""
    # Airflow writes its settings where it is first imported.
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        FILE.write_text(page(), encoding="utf-8")
    print(FILE)
    return 0


def page() -> str:
    """Return the page for the API as it is."""
    from aiprod_airflow.api.app import create_app

    document = create_app().openapi()
    parts = [_HEAD.format(about=document["info"]["description"]), "## Routes\n", *_routes(document), "## What is sent and told\n"]
    parts += ["Times are ISO 8601 in UTC, amounts micro-dollars unless the name says otherwise.\n", *_schemas(document)]
    return "\n".join(parts).rstrip() + "\n"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _routes(document: Mapping[str, Any]) -> Iterator[str]:
    tag = ""
    for method, path, operation in _operations(document):
        if operation["tags"][0] != tag:
            tag = operation["tags"][0]
            yield f"### {tag}\n"
        yield f"#### `{method} {path}`\n"
        yield f"{operation['description'].strip()}\n"
        yield f"Asks for: {operation['x-permission']}.\n"
        given = [_parameter(one) for one in operation.get("parameters", []) if one["in"] != "path"]
        if given:
            yield "\n".join(["| given as | name | what |", "|---|---|---|", *given, ""])
        if "requestBody" in operation:
            schema = next(iter(operation["requestBody"]["content"].values()))["schema"]
            yield f"Body: {_kind(schema)}.\n"
        yield f"Answers: {_answers(operation)}.\n"


def _parameter(one: Mapping[str, Any]) -> str:
    says = one.get("description") or one["schema"].get("description") or ""
    needed = " (needed)" if one.get("required") else ""
    return f"| {one['in']} | `{one['name']}`{needed} | {_kind(one['schema'])}{'. ' + says if says else ''} |"


def _answers(operation: Mapping[str, Any]) -> str:
    told = []
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        if "application/problem+json" in content:
            continue
        kinds = [_kind(one["schema"]) if one.get("schema", {}).get("$ref") else f"`{name}`" for name, one in content.items()]
        told.append(f"{status} {' or '.join(kinds)}".strip())
    return ", ".join(told)


def _schemas(document: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"### {name}\n"
        if schema.get("description"):
            yield f"{schema['description'].strip()}\n"
        if "enum" in schema:
            yield f"One of {', '.join(f'`{one}`' for one in schema['enum'])}.\n"
            continue
        rows = [_field(key, field, key in schema.get("required", [])) for key, field in schema.get("properties", {}).items()]
        yield "\n".join(["| field | type | what |", "|---|---|---|", *rows, ""])


def _field(name: str, field: Mapping[str, Any], required: bool) -> str:
    says = str(field.get("description", "")).replace("\n", " ").replace("|", "\\|")
    default = field.get("default")
    if not required and default not in (None, [], {}):
        says = f"{says} Default `{default}`.".strip()
    return f"| `{name}` | {_kind(field)} | {says} |"


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(_kind(one) for one in schema['prefixItems'])}]"
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_kind(inner)}" if isinstance(inner, Mapping) else "object"
    return "time" if schema.get("format") == "date-time" else str(schema.get("type", "anything"))


if __name__ == "__main__":
    sys.exit(main())
