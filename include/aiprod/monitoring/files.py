"""The files of include/monitoring: what is deployed from here, for whoever deploys with tools of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from aiprod.catalog import Catalog
from aiprod.metrics.google_words import descriptor
from aiprod.monitoring import google_plans, grafana, promql

__all__ = ["files", "write"]

_MADE = "# Made by `python -m aiprod.monitoring files` from include/config; edited there, not here.\n"


def files(catalog: Catalog) -> dict[str, str]:
    """Return every file by its path below include/monitoring."""
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

    made: dict[str, str] = {
        "grafana/aiprod.json": _json(grafana.dashboard(catalog)),
        "prometheus/rules.yaml": _MADE + yaml.safe_dump(promql.rules(catalog), sort_keys=False, width=200, allow_unicode=True),
        "cloud/dashboard.json": _json(google_plans.dashboard(catalog)),
    }
    made["cloud/descriptors.json"] = _json([MessageToDict(descriptor(name, metric)) for name, metric in catalog.metrics.items()])
    for name, policy in {**google_plans.policies(catalog), **google_plans.burn_policies(catalog)}.items():
        made[f"cloud/policies/{name}.json"] = _json(policy)
    for name, objective in google_plans.objectives(catalog).items():
        made[f"cloud/objectives/{name}.json"] = _json(objective)
    return made


def write(catalog: Catalog, folder: Path) -> list[str]:
    """Write the files that differ and delete those that are made no more; return what was done, one line each."""
    done = []
    made = files(catalog)
    for path, text in made.items():
        file = folder / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            done.append(f"wrote {path}")
    for file in sorted(folder.glob("cloud/*/*.json")):
        path = file.relative_to(folder).as_posix()
        if path not in made and not path.startswith("cloud/channels/"):
            file.unlink()
            done.append(f"deleted {path}")
    return done


def _json(said: Any) -> str:
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"
