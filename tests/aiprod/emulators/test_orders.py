"""What is ordered in words is what happens, in turn."""

from __future__ import annotations

import pytest

from aiprod.emulators import orders
from aiprod.emulators.orders import Orders, StrangeOrder, parse

PROMPT = "[[runway=refuse:503|lose|ok]] a kite"


def test_a_prompts_words_are_taken_in_turn_and_the_last_repeats() -> None:
    told = Orders()
    assert [dict(told.take("runway", PROMPT)) for _ in range(4)] == [{"refuse": "503"}, {"lose": ""}, {"ok": ""}, {"ok": ""}]


def test_every_prompt_has_its_own_turns() -> None:
    told = Orders()
    assert ["lose" in told.take("runway", f"[[runway=lose|ok]] {prompt}") for prompt in "abab"] == [True, True, False, False]


def test_a_storm_is_said_with_a_count() -> None:
    assert parse("refuse:503*3|ok") == [{"refuse": "503"}] * 3 + [{"ok": ""}]


def test_looking_takes_no_turn() -> None:
    told = Orders()
    assert told.peek("runway", PROMPT) == told.peek("runway", PROMPT) == told.take("runway", PROMPT)


def test_words_for_another_backend_are_not_ours() -> None:
    assert Orders().take("veo3", PROMPT) == {"ok": ""}


def test_a_rule_holds_for_every_prompt_and_is_counted_across_them() -> None:
    told = Orders({"runway": "refuse:503*2|ok"})
    assert ["refuse" in told.take("runway", prompt) for prompt in ("a", "b", "c")] == [True, True, False]
    told.rule("runway", "fail")
    assert "fail" in told.take("runway", "a")
    told.rule("runway", "")
    assert told.take("runway", "a") == {"ok": ""}


def test_a_prompts_own_words_come_before_the_rule() -> None:
    assert "lose" in Orders({"runway": "fail"}).take("runway", "[[runway=lose]]")


@pytest.mark.parametrize(
    "text",
    ["explode", "refuse", "refuse:soon", "slow:-1", "bill:", "lose|", "ok*0", "ok*x", "ok*99999", "", "fail,,ok", "reset:1"],
)
def test_what_nobody_knows_is_never_taken_for_silence(text: str) -> None:
    with pytest.raises(StrangeOrder, match="unknown order"):
        parse(text)
    with pytest.raises(StrangeOrder):
        Orders().take("runway", f"[[runway={text}]]" if text else "[[runway=|]]")


def test_every_word_is_in_the_table() -> None:
    documented = {
        w.strip().partition(":")[0]
        for row in str(orders.__doc__).splitlines()
        if "|" in row
        for w in row.split("|")[1].split(",")
    }
    assert set(orders._WORDS) <= documented
