"""Runs of frames become stretches of time."""

from __future__ import annotations

import numpy as np
import pytest

from aiprod.qa.spans import Span, longest, runs, spans, together


def mask(text):
    return np.array([letter == "x" for letter in text])


@pytest.mark.parametrize(
    ("text", "found"), [("", []), ("...", []), ("xxx", [(0, 3)]), (".xx.x", [(1, 3), (4, 5)]), ("x..", [(0, 1)])]
)
def test_every_run_is_found_once(text, found):
    assert list(runs(mask(text))) == found


def test_a_stretch_ends_where_the_next_entry_starts_and_the_last_at_the_end():
    assert spans(mask(".x.x"), [0, 1, 2, 4], 7) == (Span(start=1, seconds=1), Span(start=4, seconds=3))


def test_lengths_of_none_are_zero():
    some = (Span(start=0, seconds=1), Span(start=3, seconds=2))
    assert (longest(some), together(some), longest(()), together(())) == (2, 3, 0, 0)
