"""Asking a person what became of a purchase that nobody can look up."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from aiprod import parking
from aiprod.errors import MoneyError, SpecError
from aiprod.ledger.parked import AnswerWord
from aiprod.models import micros
from aiprod_airflow.failures import told_to_airflow
from aiprod_airflow.pipelines import pipeline
from aiprod_airflow.wording import parked_body

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["AnswerParkedOperator"]

#: Button → the answer it means, and what it does.
_BUTTONS: dict[str, tuple[AnswerWord, str]] = {
    "It ran": ("ran", "give the vendor's id; the render is watched, paid for and fetched"),
    "It did not run": ("did_not_run", "its money is given back"),
    "Write it off": ("write_off", "it is closed at what is held, or at the charge you give"),
    "Its file is gone": ("file_gone", "it stays paid, and nobody fetches it any more"),
}
_LATER = "Not now"


def _form() -> ParamsDict:
    """The boxes beside the buttons. Marked as the task's own: those of the DAG's trigger form are no part of an answer."""
    texts = {
        "why": ("Why", "Needed for every answer but Not now"),
        "vendor_id": ("Vendor's id", "For It ran: see the vendor's page"),
    }
    form = {
        name: Param("", description=hint, source="task", title=title, type=["string", "null"])
        for name, (title, hint) in texts.items()
    }
    hint = "For Write it off: what the vendor billed; empty for what is held"
    title = "Charged, in dollars"
    form["charged_usd"] = Param(None, description=hint, source="task", title=title, type=["number", "null"], minimum=0)
    return ParamsDict(form)


class AnswerParkedOperator(HITLOperator):
    """Show one parked purchase and do what a person says about it; pass when nothing waits.

    A run asks about one purchase only, the one it showed first: Airflow keeps a question's first text. The ledger's
    answer wins over Airflow's: one that was given elsewhere meanwhile ends the question.

    :param purchase: The purchase's id or the beginning of it; empty for the one that waits longest (templated).
    """

    # Subject and body are made in `execute` and hold the customer's words: they must never be rendered as templates.
    template_fields: Collection[str] = ("purchase",)

    def __init__(self, *, purchase: str = "", **kwargs: Any) -> None:
        # Inside a DAG Airflow hands over the DAG's params; they reach the task by its context.
        kwargs.pop("params", None)
        super().__init__(subject="", body="", options=[*_BUTTONS, _LATER], params=_form(), **kwargs)
        self.purchase = purchase

    def execute(self, context: Context) -> Any:
        line = self._asked(context)
        if line is None:
            self.log.info("Nothing waits for a person")
            return None
        p = line.purchase
        if not line.answers:
            for told in parking.said(pipeline().ledger, p.purchase_id) or [f"{p.purchase_id} is {p.state}"]:
                self.log.info("It waits no more: %s", told)
            return None
        buttons = {button: does for button, does in _BUTTONS.items() if does[0] in line.answers}
        self.options = [*buttons, _LATER]
        self.subject = f"What became of {p.job_id} shot {p.subject} at {p.backend}?"
        self.body = parked_body(
            line,
            {button: what for button, (_, what) in buttons.items()},
            {button: parking.consequence(p, word) for button, (word, _) in buttons.items()},
        )
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Do what was said, or ask again when something is missing from the answer."""
        given = super().execute_complete(context, event)
        (button,) = given["chosen_options"]
        if button == _LATER:
            self.log.info("Nothing was changed; run this DAG again to answer")
            return None
        line = self._asked(context)
        if line is None or not line.answers:
            return self.execute(context)
        form, user = given["params_input"], event.get("responded_by_user") or {}
        charged = form.get("charged_usd")
        orders = pipeline()
        try:
            told = parking.answer(
                orders.ledger,
                orders.catalog,
                line.purchase.purchase_id,
                _BUTTONS[button][0],
                by=str(user.get("name") or user.get("id") or "somebody"),
                why=str(form.get("why") or ""),
                vendor_id=str(form.get("vendor_id") or ""),
                charged=None if charged is None else micros(Decimal(str(charged))),
            )
        except (SpecError, MoneyError) as missing:
            self.log.warning("Nothing was changed, asking again: %s", missing)
            return self.execute(context)
        self.log.info("%s", told)
        return None

    def _asked(self, context: Context) -> parking.Parked | None:
        with told_to_airflow():
            return parking.asked(pipeline().ledger, self.purchase, run_id=str(context["run_id"]), task_id=self.task_id)
