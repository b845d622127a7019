"""What a score means is what people said of takes with such a score, and nobody's guess."""

from __future__ import annotations

import random

import pytest

from aiprod.errors import SpecError
from aiprod.qa.calibration import fit


def words(count: int) -> list[tuple[float, bool]]:
    """People who accept a take of score s with probability s."""
    draw = random.Random(5)  # noqa: S311 - the same words every time
    scores = [draw.random() for _ in range(count)]
    return [(score, draw.random() < score) for score in scores]


def test_the_curve_rises_and_is_close_to_what_people_do() -> None:
    found = fit(words(5_000), source="test")
    scores, parts = zip(*found.points, strict=True)
    assert list(parts) == sorted(parts) and list(scores) == sorted(scores)
    assert all(abs(score - part) < 0.12 for score, part in found.points if 0.1 < score < 0.9)
    assert found.labels == 5_000


def test_few_words_make_no_curve() -> None:
    with pytest.raises(SpecError, match="99 are too few"):
        fit(words(99), source="test")


def test_people_who_accept_everything_say_nothing() -> None:
    with pytest.raises(SpecError, match="all say the same"):
        fit([(n / 200, True) for n in range(200)], source="test")


def test_a_score_that_says_nothing_is_told_and_not_used() -> None:
    with pytest.raises(SpecError, match="says nothing"):
        fit([(n / 200, n < 100) for n in range(200)], source="test")
