"""What Airflow's provider manager is told of us: three connection types with their forms. Read without importing a hook."""

from __future__ import annotations

from typing import Any

__all__ = ["provider_info"]

_HOOKS = "aiprod_airflow.hooks.vendors"


def provider_info() -> dict[str, Any]:
    """Return the description that the entry point `apache_airflow_provider` promises."""
    return {
        # Airflow refuses a provider whose name is not that of the distribution it came with.
        "package-name": "aiprod",
        "name": "AIPROD",
        "description": "Finished videos from paid AI backends.",
        "connection-types": [
            _with_one_key("aiprod_runway", "RunwayHook", "AIPROD: Runway", "API secret", "https://api.dev.runwayml.com"),
            _with_one_key("aiprod_replicate", "ReplicateHook", "AIPROD: Replicate", "API token", "https://api.replicate.com"),
            _veo3(),
        ],
    }


def _with_one_key(conn_type: str, hook: str, title: str, key: str, address: str) -> dict[str, Any]:
    return {
        "connection-type": conn_type,
        "hook-class-name": f"{_HOOKS}.{hook}",
        "hook-name": title,
        "ui-field-behaviour": {
            "hidden-fields": ["login", "schema", "port", "extra"],
            "relabeling": {"password": key, "host": "Address (empty for the vendor's own)"},
            "placeholders": {"host": address},
        },
    }


def _veo3() -> dict[str, Any]:
    return {
        "connection-type": "aiprod_veo3",
        "hook-class-name": f"{_HOOKS}.Veo3Hook",
        "hook-name": "AIPROD: Google Veo 3",
        "ui-field-behaviour": {
            "hidden-fields": ["login", "password", "schema", "port", "extra"],
            "relabeling": {"host": "Address (empty for Vertex AI's own)"},
        },
        "conn-fields": {
            "project": _field("Project", "Who pays; empty for the project of the key."),
            "location": _field("Location", "Empty for us-central1."),
            "bucket": _field("Bucket", "gs://bucket/prefix that renders are written to; without one a lost answer stays lost."),
            "keyfile_dict": _field(
                "Service account key", "Its JSON; empty for the machine's own credentials.", format="password"
            ),
            "key_path": _field("or file of the key", "A path on every worker and triggerer."),
            "storage_url": _field("Address of the storage", "Only for an emulator."),
        },
    }


def _field(label: str, description: str, **schema: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}
