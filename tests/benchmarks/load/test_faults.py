"""Faults are dealt the same way twice, as many as were asked for, and in words that the vendors know."""

from __future__ import annotations

import re
from collections import Counter

from aiprod.emulators.orders import parse
from benchmarks.load.faults import FAULTS, POISON, dealt

NAMES = [f"clip{n}" for n in range(2_000)]


def test_a_seed_deals_the_same_faults_to_the_same_clips() -> None:
    assert dealt(NAMES, part=0.05, seed=9) == dealt(list(reversed(NAMES)), part=0.05, seed=9)
    assert dealt(NAMES, part=0.05, seed=9) != dealt(NAMES, part=0.05, seed=10)


def test_one_in_twenty_is_a_hundred_of_two_thousand_and_every_kind_comes_up_equally() -> None:
    counts = Counter(dealt(NAMES, part=0.05, seed=9).values())

    assert sum(counts.values()) == 100
    assert set(counts) == set(FAULTS)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_there_is_always_one() -> None:
    assert len(dealt(["only"], part=0.05, seed=9)) == 1


def test_vendors_know_every_word() -> None:
    words = [word for text in (*FAULTS, POISON) for word in re.findall(r"\[\[\w+=([^\]]*)\]\]", text)]

    assert len(words) == len(FAULTS) + 3
    assert all(parse(word) for word in words)
