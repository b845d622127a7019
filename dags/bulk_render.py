"""Order many videos at once: the rows of a file, a folder or a sheet, approved together.

**What happens**

1. `plan` reads the source and says, in its log, which row is wrong, in which line and column; what the others would cost; and how
   far today's money goes. It writes nothing and buys nothing.
2. `approve` asks one person what the whole campaign may cost (*Required Actions*); it passes when that was approved before.
3. `enlist` enters the rows. The same rows again buy nothing, a changed row is a new version of its job, a new row is added.
4. `carry` starts runs of *Render video*, up to fifty jobs each, as backends have room, and waits without a worker: over midnight
   where the day's budget is used up, behind more urgent jobs, and while the campaign is paused.
5. `report` names the delivered videos and writes the report (HTML, CSV, JSON). Red means that a row was left out or failed.

Clearing a task buys nothing twice. A campaign of `config/campaigns.yaml` has a DAG of its own, on its schedule.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, task

from aiprod_airflow import campaigns
from aiprod_airflow.failures import retry_unless_refused
from aiprod_airflow.forms import campaign_params, zone
from aiprod_airflow.forms import campaigns as scheduled
from aiprod_airflow.operators.campaign import ApproveCampaignOperator, CarryCampaignOperator


def bulk(dag_id, title, name=None, schedule=None):
    @dag(
        dag_id=dag_id,
        dag_display_name=title,
        schedule=schedule,
        start_date=pendulum.datetime(2026, 1, 1, tz=zone()),
        catchup=False,
        # A campaign that waits for a person or for tomorrow's money must not stop another.
        max_active_runs=1_000,
        default_args={"owner": "aiprod", "retries": 2, "retry_delay": timedelta(seconds=10)},
        params=campaign_params(name),
        tags=["aiprod", "video"],
        doc_md=__doc__,
    )
    def build():
        @task(doc_md="Reads the source, names bad rows, prices the others. Costs nothing.", retry_policy=retry_unless_refused())
        def plan(**context):
            return campaigns.plan(params=context["params"], by=context["dag_run"].triggering_user_name)

        @task(doc_md="Enters the rows of the plan that was approved; each once.")
        def enlist(place):
            campaigns.enlist(place)

        @task(doc_md="Names the delivered videos and writes the report. Red when a row is missing.")
        def report(place):
            return campaigns.report(place)

        planned = plan()
        approved = ApproveCampaignOperator(
            task_id="approve",
            plan=planned,
            doc_md="Asks a person what the whole campaign may cost, unless that was approved before.",
        )
        carried = CarryCampaignOperator(
            task_id="carry",
            campaign="{{ params.campaign }}",
            doc_md="Starts runs for its jobs and waits for them without a worker.",
        )
        planned >> approved >> enlist(planned) >> carried >> report(planned)

    return build()


bulk("bulk_render", "Render a campaign")
for campaign, cron in scheduled().items():
    bulk(f"bulk_render_{campaign}", f"Render campaign {campaign}", campaign, cron)
