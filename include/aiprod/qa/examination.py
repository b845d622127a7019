"""Any video file, examined as a take would be: for whoever has a file and no order (`aiprod qa FILE`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiprod.catalog import Catalog, catalog
from aiprod.errors import SpecError
from aiprod.models import Allowance
from aiprod.qa.apart import measure_apart
from aiprod.qa.checks import Expected
from aiprod.qa.judge import report
from aiprod.qa.measure import Measurements

__all__ = ["examine_file"]


def examine_file(path: Path, preset: str, *, allows: Sequence[Allowance] = (), known: Catalog | None = None) -> dict[str, Any]:
    """Return what the technical check finds in a file by a preset's rules, ready for JSON. Nothing is bought, nobody is asked.

    Keys: `file`, `preset`, `thresholds` (their version), `passes`, `technical` (0 to 1), `findings` (worst first; each with
    `code`, `severity`, `evidence`, `when` in seconds, `measured`, `threshold`, `unit`) and `measured`. Without an order there is
    nothing that length, size and rate could differ from. Raises `SpecError` for an unknown preset or a file that is not there,
    `MeasuringInterrupted` when the machine is too busy.
    """
    rules = known or catalog()
    if preset not in rules.presets:
        raise SpecError([f"preset: {preset!r} is unknown; known: {', '.join(rules.presets)}"])
    if not path.is_file():
        raise SpecError([f"{path}: there is no such file"])
    thresholds = rules.quality.of(preset)
    measured = measure_apart(path)
    expected = _as_it_is(measured, (*rules.presets[preset].allows, *allows))
    said = report(path.name, measured, expected, thresholds, semantic_status="unscored")
    worst_first = sorted(said.findings, key=lambda f: ("veto", "major", "minor", "info").index(f.severity))
    return {
        "file": str(path),
        "preset": preset,
        "thresholds": said.thresholds,
        "passes": not said.vetoed and said.technical >= thresholds.technical_floor,
        "technical": said.technical,
        "findings": [finding.model_dump(mode="json", exclude={"thumbnail"}) for finding in worst_first],
        "measured": dict(said.measured),
    }


def _as_it_is(m: Measurements, allows: tuple[Allowance, ...]) -> Expected:
    """An order for exactly this file; sound is missed only where other things are bought."""
    return Expected(
        seconds=m.seconds or 1.0,
        fps=m.fps or 24.0,
        width=m.width or 16,
        height=m.height or 9,
        audio=m.has_audio,
        allows=allows,
    )
