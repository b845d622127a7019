"""A file without an order is examined by the same rules as a take, for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aiprod.errors import SpecError
from aiprod.qa import examine_file
from tests.aiprod.qa.specimens import moving


def test_a_clean_file_passes_whatever_its_size_and_length(clean: Path) -> None:
    found = examine_file(clean, "brand_campaign")
    assert found["passes"] and found["technical"] == 1.0 and found["findings"] == []
    assert json.loads(json.dumps(found)) == found


def test_what_is_wrong_is_told_worst_first(clip: Callable[..., Path]) -> None:
    still = [moving(2)[0]] * 48
    found = examine_file(clip(pictures=still, sound=np.zeros(96_000, np.float32)), "quick_social")
    assert not found["passes"] and found["technical"] == 0.0
    assert found["findings"][0]["severity"] == "veto"
    assert {f["code"] for f in found["findings"]} >= {"static", "audio_silent"}


def test_what_is_meant_weighs_nothing_and_is_still_told(clip: Callable[..., Path]) -> None:
    still = clip(pictures=[moving(2)[0]] * 48)
    found = examine_file(still, "quick_social", allows=("stillness",))
    assert found["passes"]
    assert [(f["code"], f["severity"]) for f in found["findings"]] == [("static", "info")]


def test_a_preset_has_its_own_rules(clip: Callable[..., Path]) -> None:
    pictures = moving(96)
    with_a_jump = clip(pictures=pictures[:24] + pictures[60:84])
    severities = {
        preset: {f["code"]: f["severity"] for f in examine_file(with_a_jump, preset)["findings"]}
        for preset in ("quick_social", "premium_spot")
    }
    assert severities["quick_social"] != severities["premium_spot"]


def test_nonsense_is_refused_in_words(clean: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="unknown; known: quick_social"):
        examine_file(clean, "nice")
    with pytest.raises(SpecError, match="no such file"):
        examine_file(tmp_path / "none.mp4", "quick_social")
