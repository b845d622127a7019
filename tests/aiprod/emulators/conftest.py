"""One way to talk to the emulated vendors over the wire, and their answers held against other people's schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
import httpx
import jsonschema
import pytest
import yaml

from aiprod.emulators.running import Vendors

_REPLICATE = Path(__file__).parents[2] / "data" / "replicate-openapi.yaml"
_GOOGLE = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
_RUNWAY_VERSION = {"X-Runway-Version": "2024-11-06"}


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """One for all tests: making one costs more than most of what they ask."""
    with httpx.Client(timeout=10, trust_env=False) as made:
        yield made


@pytest.fixture
def ask(vendors: Vendors, client: httpx.Client) -> Callable[..., httpx.Response]:
    """Send a request to a vendor with its key: `ask("runway", "GET", "/v1/organization")`."""

    def asked(backend: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        key = {"Authorization": f"Bearer {vendors.key(backend)}"} | (_RUNWAY_VERSION if backend == "runway" else {})
        sent = key | {name.replace("_", "-"): value for name, value in headers.items()}
        return client.request(method, vendors.url + path, json=body, headers=sent)

    return asked


@cache
def _replicate() -> dict[str, Any]:
    return _nullable(yaml.safe_load(_REPLICATE.read_text()))


def _nullable(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it; a property may also be called `nullable`, or `type`."""
    if isinstance(node, list):
        return [_nullable(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _nullable(value) for key, value in node.items()}
    if plain.get("nullable") is True and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    return plain


@cache
def _google(document: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_GOOGLE / f"{document}.json").read_text())["schemas"]
    return found


@pytest.fixture(scope="session")
def fits_replicate() -> Callable[[str, Any], list[str]]:
    """What an answer breaks of a schema in Replicate's own OpenAPI document."""

    def misfits(name: str, said: Any) -> list[str]:
        document = _replicate()
        # `version` is one of two schemas there, and the word "hidden" fits both.
        version = document["components"]["schemas"]["schemas_prediction_response"]["properties"]["version"]
        version["anyOf"] = version.pop("oneOf", version.get("anyOf"))
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        return [f"{list(e.path)}: {e.message}" for e in jsonschema.Draft7Validator(schema).iter_errors(said)]

    return misfits


@pytest.fixture(scope="session")
def fits_google() -> Callable[[str, str, Any], list[str]]:
    """What an answer breaks of a schema in one of Google's discovery documents; a field it does not list is a misfit."""

    def misfits(document: str, name: str, said: Any) -> list[str]:
        return list(_misfits(_google(document), {"$ref": name}, said, name))

    return misfits


def _misfits(schemas: dict[str, Any], schema: dict[str, Any], said: Any, where: str) -> Iterator[str]:
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kinds = {"string": str, "integer": int, "boolean": bool, "number": (int, float), "array": list, "object": dict}
    kind = kinds.get(schema.get("type", ""))
    if kind is not None and not isinstance(said, kind):
        yield f"{where}: {said!r} is no {schema['type']}"
    elif isinstance(said, list):
        for n, one in enumerate(said):
            yield from _misfits(schemas, schema["items"], one, f"{where}[{n}]")
    elif isinstance(said, dict) and "properties" in schema:
        for key, value in said.items():
            if key == "@type":
                continue
            if key not in schema["properties"]:
                yield f"{where}.{key} is not in the document"
            else:
                yield from _misfits(schemas, schema["properties"][key], value, f"{where}.{key}")
