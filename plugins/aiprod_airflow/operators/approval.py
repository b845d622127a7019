"""Asking a person: may this money be spent, may this video go out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.exceptions import AirflowFailException

from aiprod.errors import JobFailed, NotAMember, SamePerson
from aiprod.logs import about
from aiprod_airflow.failures import told_to_airflow
from aiprod_airflow.operators.asking import Question, Word
from aiprod_airflow.pipelines import pipeline
from aiprod_airflow.wording import review_body, spend_body

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["ApproveSpendOperator", "ReviewVideoOperator"]


class _AboutJobs(Question):
    """A question about the job of a run.

    :param job_ids: The jobs the run carries (templated, from `estimate`).
    """

    template_fields: Collection[str] = ("job_ids",)

    def __init__(self, *, job_ids: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_ids = job_ids

    def one_job(self, waiting: Sequence[str]) -> str:
        """The job a person is asked about. A batch holds only jobs that need nobody."""
        if len(self.job_ids) > 1:
            raise AirflowFailException(
                f"{', '.join(waiting)} wait for a person, but a run with several jobs cannot ask: "
                "order them one by one, or approve the campaign first"
            )
        return waiting[0]


class ApproveSpendOperator(_AboutJobs):
    """Ask a person to approve the envelope of a job, or pass where the preset allows it.

    The ledger's answer wins over Airflow's: API and studio write there first. No answer in time fails the task:
    nothing is bought, and a run that delivered nothing is not green.

    It waits as long as the preset says.

    :param job_ids: The jobs the run carries (templated, from `estimate`).
    """

    def execute(self, context: Context) -> Any:
        orders, run_id = pipeline(), str(context["run_id"])
        with told_to_airflow():
            asked = [orders.ask(job_id, run_id=run_id) for job_id in self.job_ids]
        waiting = [a for a in asked if a.answer is None]
        if waiting:
            job_id = self.one_job([a.job_id for a in waiting])
            with told_to_airflow():
                question = orders.spend_question(job_id, run_id=run_id, task_id=self.task_id)
            self.subject = f"Spend on {job_id}, version {question.manifest.version}?"
            if question.shown_version != question.manifest.version:
                self.subject = f"{job_id} changed to version {question.manifest.version}: open the studio"
            self.response_timeout = question.answer_within
            self.body = spend_body(
                question.manifest,
                question.estimate,
                amount=question.amount,
                budget_left=question.budget_left,
                preset=question.preset,
                not_by=question.not_by,
            )
            super().execute(context)
        for a in asked:
            with about(job_id=a.job_id):
                self.log.info("%s version %s: %s by %s", a.job_id, a.version, a.answer, a.by)
        if any(a.answer == "expired" for a in asked):
            raise AirflowFailException("Nobody answered in time; nothing was bought. Clear `approve` to ask again.")
        if all(a.answer == "rejected" for a in asked):
            self.skip_rest(context)
        return None

    def answered(self, context: Context, word: Word, *, by: str) -> Any:
        orders = pipeline()
        job_id = self.one_job(list(self.job_ids))
        try:
            orders.answer_spend(job_id, word, by=by, run_id=str(context["run_id"]), task_id=self.task_id)
        except JobFailed as moved_on:
            self.log.warning("%s; asking again", moved_on)
        return self.execute(context)


class ReviewVideoOperator(_AboutJobs):
    """Ask a person to look at a finished video where the preset or its takes need it; pass otherwise.

    :param job_ids: The jobs the run carries (templated, from `estimate`).
    """

    def execute(self, context: Context) -> Any:
        orders, run_id = pipeline(), str(context["run_id"])
        with told_to_airflow():
            reviews = orders.reviews(self.job_ids)
        waiting = [r for r in reviews if r.reasons and r.answer is None]
        if len(self.job_ids) > 1:
            # A batch asks nobody, and its other videos wait for nobody: `deliver` leaves these out and says so.
            for r in waiting:
                told = f"{r.job_id} waits for a person ({'; '.join(r.reasons)})"
                self.log.warning('%s: start a run of its own, with the conf {"batch": ["%s"]}', told, r.job_id)
        elif waiting:
            job_id = self.one_job([r.job_id for r in waiting])
            one = waiting[0]
            with told_to_airflow():
                question = orders.review_question(job_id, run_id=run_id, task_id=self.task_id)
            self.response_timeout = one.answer_within
            self.subject = f"Deliver {job_id}, version {one.version}?"
            if not question.shown:
                self.subject = f"The video of {job_id} changed: open the studio"
            self.body = review_body(job_id, one.version, one.reasons, question.video, question.poster, not_by=question.not_by)
            super().execute(context)
        for r in reviews:
            with about(job_id=r.job_id):
                self.log.info("%s: %s", r.job_id, r.answer or "nobody needs to look")
        if reviews and all(r.answer == "rejected" for r in reviews):
            self.skip_rest(context)
        return None

    def answered(self, context: Context, word: Word, *, by: str) -> Any:
        orders, job_id = pipeline(), self.one_job(list(self.job_ids))
        if word == "expired":
            orders.nobody_looked(job_id, run_id=str(context["run_id"]), task_id=self.task_id)
            raise AirflowFailException(
                "Nobody looked in time; the video is stored but not delivered. Clear `review` to ask again."
            )
        verdict: Literal["accepted", "rejected"] = "accepted" if word == "approved" else "rejected"
        with told_to_airflow():
            try:
                orders.answer_review(job_id, verdict, by=by, run_id=str(context["run_id"]), task_id=self.task_id)
            except (NotAMember, SamePerson) as refused:
                self.log.warning("%s; asking again", refused)
        return self.execute(context)
