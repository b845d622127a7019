"""What every question to a person has in common: how it parks, how its answer is read, and what a no skips."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.standard.operators.hitl import ApprovalOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["Question", "Word"]

Word = Literal["approved", "rejected", "expired"]


class Question(ApprovalOperator):
    """Parks in *awaiting input* unless the ledger already has the answer; a rejection skips the rest of the run.

    Airflow keeps the first text it was given, even after a retry or a clear. So what was shown first is noted in
    the ledger, and an answer counts for that only. Subject and body are made in `execute` and hold the customer's words:
    they must never be among `template_fields`, which each question names itself.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="", body="", ignore_downstream_trigger_rules=True, **kwargs)

    def skip_rest(self, context: Context) -> None:
        """Skip everything downstream but the teardowns; the run ends green because a person decided so."""
        relatives = context["task"].get_flat_relatives(upstream=False)
        self.skip(ti=context["ti"], tasks=[task for task in relatives if not task.is_teardown])

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Write the answer down, or ask again when it was about something else."""
        if event.get("error_type") == "timeout":
            return self.answered(context, "expired", by="nobody")
        if "error" in event:
            # Nobody has answered anything; the next try asks again.
            raise RuntimeError(f"the answer could not be read: {event['error']}")
        word: Word = "approved" if event["chosen_options"] == [self.APPROVE] else "rejected"
        user = event.get("responded_by_user") or {}
        return self.answered(context, word, by=str(user.get("name") or user.get("id") or "somebody"))

    @abstractmethod
    def answered(self, context: Context, word: Word, *, by: str) -> Any:
        """What an answer leads to."""
