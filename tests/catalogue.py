"""The real catalogue with test vendors behind the three paid backends, small pictures and short times."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).parents[1] / "include" / "config"

__all__ = ["CONFIG", "write_catalogue"]


def write_catalogue(
    folder: Path,
    *,
    vendors: str = "ListingVendor",
    backends: dict[str, Any] | None = None,
    strikes: int | None = None,
    **changes: Any,
) -> Path:
    """Copy the catalogue to `folder` and return it.

    :param vendors: The class in `tests.vendor`, or `module:Class`, behind runway, veo3 and replicate.
    :param backends: Changes per backend, merged over its entry.
    :param strikes: Failures in a row that make a backend unhealthy, where the catalogue's number would get in the way.
    :param changes: Changes per file (`presets`, `budgets`, `quality`), merged at their top level.
    """
    shutil.copytree(CONFIG, folder)
    entries = yaml.safe_load((folder / "backends.yaml").read_text())
    for name in ("runway", "veo3", "replicate"):
        entry = entries["backends"][name]
        adapter = vendors if ":" in vendors else f"tests.vendor:{vendors}"
        entry.update(adapter=adapter, needs=[], poll_seconds=1, submit_timeout_seconds=5, max_run_seconds=60)
        entry.pop("deadline_seconds", None)
        entry["slots"] = 20
        entry["models"] = [entry["models"][0]]
        entry["models"][0].pop("seconds", None)
        entry["models"][0].update(
            seconds_range=[1, 10], resolutions=["480p", "720p"], audio=True, aspect_ratios=["16:9", "9:16", "1:1"]
        )
    for name, change in (backends or {}).items():
        entries["backends"][name].update(change)
    entries["strikes"] = strikes or entries["strikes"]
    (folder / "backends.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    prices = yaml.safe_load((folder / "prices" / "list.yaml").read_text())
    for row in prices["prices"]:
        row.pop("audio", None)
        row.pop("resolutions", None)
        row["valid_from"] = "2026-01-01"
    (folder / "prices" / "list.yaml").write_text(yaml.safe_dump(prices, sort_keys=False))
    presets = yaml.safe_load((folder / "presets.yaml").read_text())
    for preset in presets["presets"].values():
        preset["resolution"] = "480p"
    (folder / "presets.yaml").write_text(yaml.safe_dump(presets, sort_keys=False))
    for name, change in changes.items():
        file = folder / f"{name}.yaml"
        content = yaml.safe_load(file.read_text())
        _merge(content, change)
        file.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def _merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
