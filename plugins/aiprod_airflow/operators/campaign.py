"""A campaign's two waits: for a person who approves it, and for its jobs to go through runs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from aiprod import settings
from aiprod.batching import VALID
from aiprod.bulk import entering, holding
from aiprod.errors import NotAMember, SamePerson
from aiprod.models import dollars
from aiprod_airflow.failures import told_to_airflow
from aiprod_airflow.operators.asking import Question, Word
from aiprod_airflow.pipelines import pipeline
from aiprod_airflow.starting import start_run
from aiprod_airflow.triggers.campaign import CampaignTrigger
from aiprod_airflow.wording import campaign_body

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["ApproveCampaignOperator", "CarryCampaignOperator"]

#: How often a waiting campaign is looked at: one read of the ledger.
_POLL_SECONDS = 15.0


class ApproveCampaignOperator(Question):
    """Ask a person, once, what a whole campaign may cost; pass when that much was approved before.

    What is approved is the plan that was stored, whatever the source says by then. A rejection skips the rest of the run,
    and no answer in time fails the task: nothing is entered. It waits as long as the most patient preset of its rows.

    :param plan: Where the plan is stored (templated).
    """

    template_fields: Collection[str] = ("plan",)

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def execute(self, context: Context) -> Any:
        orders = pipeline()
        with told_to_airflow():
            plan = entering.kept(orders.storage, self.plan)
            if entering.approved(orders.ledger, plan):
                self.log.info("Campaign %s may cost %s", plan.wanted.campaign, dollars(plan.amount))
                return None
            entering.show(orders.ledger, plan, run_id=str(context["run_id"]), task_id=self.task_id)
            self.response_timeout = entering.answer_within(orders.catalog, plan)
        self.subject = f"Spend up to {dollars(plan.amount)} on campaign {plan.wanted.campaign}?"
        self.body = campaign_body(plan)
        return super().execute(context)

    def answered(self, context: Context, word: Word, *, by: str) -> Any:
        """Write the answer down: it is about the plan that was shown, and no other."""
        if word == "expired":
            raise AirflowFailException("Nobody answered in time; nothing was entered. Clear this task to ask again.")
        if word == "rejected":
            return self.skip_rest(context)
        orders = pipeline()
        with told_to_airflow():
            plan = entering.kept(orders.storage, self.plan)
            entering.show(orders.ledger, plan, run_id=str(context["run_id"]), task_id=self.task_id)
            try:
                standing = entering.approve(orders.ledger, orders.catalog, plan, by=by)
            except (NotAMember, SamePerson) as refused:
                self.log.warning("%s; asking again", refused)
                return self.execute(context)
        self.log.info("Campaign %s may cost %s, approved by %s", plan.wanted.campaign, dollars(standing), by)
        return None


class CarryCampaignOperator(BaseOperator):
    """Start runs for jobs that wait until none of a campaign's is left, and hold no worker in between.

    It starts whatever is most urgent, be it another campaign's: `dispatch` does the same every few minutes, and nothing is
    lost when this task is not there. Paused, out of the day's money or without a free slot it only looks.

    :param campaign: Its name (templated).
    """

    template_fields: Collection[str] = ("campaign",)

    def __init__(self, *, campaign: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.campaign = campaign

    def execute(self, context: Context) -> None:
        self._push()

    def resume(self, context: Context, event: dict[str, Any]) -> None:
        """The trigger saw something change; what, the ledger says."""
        self._push()

    def _push(self) -> None:
        orders = pipeline()
        with told_to_airflow():
            while holding.standing(orders.ledger, orders.catalog, self.campaign) == "ready":
                batch = orders.next_batch()
                if batch is None:
                    break
                start_run("render_video", batch.run_id, {"batch": list(batch.job_ids)})
                self.log.info("%s carries %d jobs", batch.run_id, len(batch.job_ids))
            over = holding.standing(orders.ledger, orders.catalog, self.campaign) == "over"
        if over:
            self.log.info("No job of campaign %s waits or is under way", self.campaign)
            return
        first = datetime.now(UTC) + timedelta(seconds=settings.first_event_seconds())
        self.defer(
            trigger=CampaignTrigger(campaign=self.campaign, first_event_at=first.isoformat(), poll_seconds=_POLL_SECONDS),
            method_name=self.resume.__name__,
            # As long as its approval is good; after that its jobs are asked about one by one.
            timeout=VALID,
        )
