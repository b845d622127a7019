"""Every planted bug still has its place in the source, and its tests still exist: else it would notice nothing, unnoticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutants.planted import PLANTED, Mutant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", PLANTED, ids=lambda m: m.name.replace(" ", "-"))
def test_a_planted_bug_has_one_place_and_tests_that_are_there(mutant: Mutant) -> None:
    for name, old, new in mutant.edits:
        source = (ROOT / "include" / "aiprod" / name).read_text()
        assert source.count(old) == 1, f"{name} moved on: plant this bug anew"
        assert old != new
    for test in mutant.noticed_by:
        file, *names = test.split("::")
        text = (ROOT / file).read_text()
        missing = [n for n in names if not re.search(rf"(def|class) {re.escape(n.split('[')[0])}\b", text)]
        assert missing == [], f"{file} has no {missing}"


def test_no_two_bugs_have_the_same_name() -> None:
    assert len({mutant.name for mutant in PLANTED}) == len(PLANTED)
