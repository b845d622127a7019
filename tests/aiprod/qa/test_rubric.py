"""What a judge is asked: one line per thing that was ordered, and nothing a stranger wrote is an instruction."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.catalog import catalog
from aiprod.qa.rubric import _DECOYS, asked, checklist, judge_request


@pytest.mark.parametrize(
    ("prompt", "elements"),
    [
        ("a lighthouse", ("lighthouse",)),
        (
            "A fox runs through fresh snow at dawn, camera tracking, and warm light",
            ("fox runs through fresh snow at dawn", "camera tracking", "warm light"),
        ),
        ("Close-up of an espresso machine; steam, steam", ("Close-up of an espresso machine", "steam")),
        ("猫が走る", ("猫が走る",)),
        ("!!", ("!!",)),
    ],
)
def test_every_thing_that_a_prompt_asks_for_is_a_line_of_its_own(prompt: str, elements: tuple[str, ...]) -> None:
    assert checklist(prompt) == elements


@given(st.text(min_size=1, max_size=300))
def test_whatever_is_ordered_is_asked_as_one_json_string(prompt: str) -> None:
    one = asked(prompt, sample="take/1")
    data = json.loads(one.question)
    assert data["prompt"] == prompt
    assert one.question.isascii()
    assert [line["id"] for line in data["checklist"] if line["id"] != one.decoy] == list(one.elements)


def test_every_sample_has_a_line_that_is_not_there_and_not_always_in_the_same_place() -> None:
    several = [asked("a fox, snow, warm light", sample=f"take/{n}") for n in range(12)]
    hidden = [{line["id"]: line["is_there"] for line in json.loads(one.question)["checklist"]}[one.decoy] for one in several]
    assert set(hidden) <= set(_DECOYS)
    assert len({one.decoy for one in several}) > 1 and len(set(hidden)) > 1


def test_what_was_ordered_is_never_the_line_that_is_not_there() -> None:
    for n in range(20):
        one = asked("seven violins, a stopwatch counting, a magenta screen, a crossword puzzle", sample=f"take/{n}")
        shown = {line["id"]: line["is_there"] for line in json.loads(one.question)["checklist"]}
        assert "atlas" in shown[one.decoy]


def test_the_same_sample_is_asked_the_same() -> None:
    assert asked("a fox", sample="take/1") == asked("a fox", sample="take/1")


def test_the_most_a_judgement_can_be_billed_for_grows_with_the_clip_and_bounds_its_text() -> None:
    entry = catalog().judges["gemini"]
    short, long = (
        judge_request("gemini", entry, prompt="a fox", seconds=seconds, take_id="t", sha256="", sequence=1) for seconds in (5, 10)
    )
    assert long.input_tokens - short.input_tokens == 20 * entry.tokens_per_frame + 5 * entry.tokens_per_second
    assert short.input_tokens > 21 * 258 + 5 * 39 + len(short.instructions + short.question) / 4


def test_the_most_a_judgement_can_cost_is_the_same_for_every_sample() -> None:
    """An estimate is made before anybody knows which line a sample hides: a longer one must not make its hold any larger."""
    entry = catalog().judges["gemini"]

    def most(prompt: str, sequence: int) -> int:
        asked_ = judge_request("gemini", entry, prompt=prompt, seconds=5, take_id="t", sha256="", sequence=sequence)
        return asked_.input_tokens

    for length in range(0, 512, 16):
        assert len({most("a fox" + "x" * length, sequence) for sequence in range(1, 9)}) == 1
