"""Captions of a shot list: one cue per shot, and no text gets out of its cue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiprod.assembly import captions


def test_each_shot_is_a_cue_after_the_one_before() -> None:
    assert captions([("A lake", 2.5), ("A hill\n\nat dawn", 3_600)]) == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.500\nA lake\n\n2\n00:00:02.500 --> 01:00:02.500\nA hill at dawn\n"
    )


@given(st.lists(st.tuples(st.text(min_size=1), st.floats(0.1, 60)), min_size=1, max_size=5))
def test_no_text_ends_its_cue_or_begins_another(shots: list[tuple[str, float]]) -> None:
    said = captions(shots)
    assert said.count("-->") == len(shots)
    assert said.count("\n\n") == len(shots)
    assert "<" not in said
