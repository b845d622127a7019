"""What the fields of a vendor's Airflow connection stand for, in the names that its adapter reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from aiprod.errors import ConfigError

__all__ = ["SECRETS", "Fields", "secrets_in", "values"]

#: Values of these names must never be seen; wherever they come from.
SECRETS = (
    "RUNWAYML_API_SECRET",
    "REPLICATE_API_TOKEN",
    "GOOGLE_CREDENTIALS_JSON",
    "GEMINI_API_KEY",
    "OTEL_EXPORTER_OTLP_HEADERS",
)


class Fields(Protocol):
    """What is read of a connection, whichever of Airflow's classes it is."""

    conn_id: str
    host: str | None
    port: int | None
    schema: str | None
    password: str | None
    extra: str | None


class _Plain(NamedTuple):
    """The names that a connection's password and address stand for."""

    key: str
    address: str


_PLAIN = {
    "runway": _Plain("RUNWAYML_API_SECRET", "RUNWAYML_BASE_URL"),
    "replicate": _Plain("REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"),
    # A judge on Vertex has no password: its extra names AIPROD_JUDGE_PROJECT and GOOGLE_CREDENTIALS_JSON.
    "gemini": _Plain("GEMINI_API_KEY", "GEMINI_BASE_URL"),
}

#: Extra of a Google connection → the name it stands for.
_GOOGLE = {
    "project": "GCP_PROJECT_ID",
    "location": "GOOGLE_CLOUD_LOCATION",
    "bucket": "AIPROD_VEO3_BUCKET",
    "storage_url": "STORAGE_EMULATOR_HOST",
}
#: Ways of Google's provider to come by credentials that we do not go; with another identity than the one named, somebody
#: else would pay.
_GOOGLE_ELSEWHERE = ("key_secret_name", "credential_config_file", "impersonation_chain", "is_anonymous")


def values(backend: str, connection: Fields, *, needs: Collection[str] = ()) -> dict[str, str]:
    """Return what a connection says about a backend, by the names of the environment; no empty values.

    Raises `ConfigError` for a connection that cannot be used, without a word of what it holds.
    """
    extra = _extra(connection)
    if backend in ("veo3", "cloud_monitoring"):
        found = _google(connection, extra)
    else:
        # A vendor that is added later: its first need is its key, and its extra may name what else its adapter reads.
        plain = _PLAIN.get(backend) or _Plain(next(iter(needs), ""), "")
        named = {name: value for name, value in extra.items() if name.isupper() and isinstance(value, str)}
        found = {**named, plain.key: connection.password or "", plain.address: _address(connection)}
    return {name: value for name, value in found.items() if name and value}


def secrets_in(found: Mapping[str, str], *, needs: Collection[str] = ()) -> list[str]:
    """Return every value that must not be seen: keys, and of a service account's key its parts too."""
    told = [value for name, value in found.items() if name in SECRETS or (name in needs and name not in _GOOGLE.values())]
    for text in list(told):
        key = _json(text)
        told += [str(key[part]) for part in ("private_key", "private_key_id") if isinstance(key, dict) and key.get(part)]
    return told


def _google(connection: Fields, extra: Mapping[str, Any]) -> dict[str, str]:
    """Our own type, or any Google connection: the same extras, with the prefix of old ones or without."""
    extra = {name.removeprefix("extra__google_cloud_platform__"): value for name, value in extra.items()}
    elsewhere = [name for name in _GOOGLE_ELSEWHERE if extra.get(name)]
    if elsewhere:
        raise ConfigError(
            f"connection {connection.conn_id}: {', '.join(elsewhere)} is not understood here; "
            "put the key into keyfile_dict or its file into key_path, or leave both empty for the machine's own credentials"
        )
    key = _service_account(connection, extra)
    found = {name: str(extra.get(field) or "") for field, name in _GOOGLE.items()}
    found["GOOGLE_CREDENTIALS_JSON"] = json.dumps(key) if key else ""
    found["GCP_PROJECT_ID"] = found["GCP_PROJECT_ID"] or str(key.get("project_id") or "")
    # A Google connection has no use for a host: what is there was not meant as the address of Vertex.
    if getattr(connection, "conn_type", None) == "aiprod_veo3":
        found["GOOGLE_VERTEX_BASE_URL"] = _address(connection)
    return found


def _service_account(connection: Fields, extra: Mapping[str, Any]) -> dict[str, Any]:
    raw, where = extra.get("keyfile_dict"), "keyfile_dict"
    if not raw and extra.get("key_path"):
        where = "key_path"
        try:
            raw = Path(str(extra["key_path"])).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(f"connection {connection.conn_id}: the file of key_path cannot be read ({reason})") from None
    key = _json(raw) if isinstance(raw, str) and raw else raw or {}
    if not isinstance(key, dict):
        raise ConfigError(f"connection {connection.conn_id}: {where} is not the JSON of a service account's key")
    return key


def _extra(connection: Fields) -> dict[str, Any]:
    if not connection.extra:
        return {}
    extra = _json(connection.extra)
    if not isinstance(extra, dict):
        raise ConfigError(f"connection {connection.conn_id}: its extra is no JSON object")
    return extra


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _address(connection: Fields) -> str:
    """The vendor's address, for a proxy or an emulator; Airflow takes an address apart when it is given as one."""
    host = (connection.host or "").rstrip("/")
    if not host:
        return ""
    port = f":{connection.port}" if connection.port else ""
    return f"{host}{port}" if "://" in host else f"{connection.schema or 'https'}://{host}{port}"
