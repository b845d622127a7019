"""What an answer was is read in one place, and a word that nobody gave is no answer."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod_airflow.operators.asking import Question


class Noted(Question):
    """Notes what it was answered."""

    def answered(self, context: Any, word: str, *, by: str) -> Any:
        return word, by


@pytest.mark.parametrize(
    ("event", "heard"),
    [
        ({"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "Ada"}}, ("approved", "Ada")),
        ({"chosen_options": ["Reject"], "responded_by_user": {"id": "7"}}, ("rejected", "7")),
        ({"chosen_options": []}, ("rejected", "somebody")),
        ({"error_type": "timeout", "error": "late"}, ("expired", "nobody")),
    ],
)
def test_every_answer_is_a_word_and_somebodys_name(event: dict[str, Any], heard: tuple[str, str]) -> None:
    assert Noted(task_id="ask").execute_complete({}, event) == heard


def test_an_answer_that_cannot_be_read_is_asked_for_again() -> None:
    with pytest.raises(RuntimeError, match="could not be read: gone"):
        Noted(task_id="ask").execute_complete({}, {"error": "gone"})


def test_customers_words_are_never_templates() -> None:
    assert not {"subject", "body"} & set(Question.template_fields) or Noted(task_id="ask").subject == ""
