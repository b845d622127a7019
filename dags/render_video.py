"""Order one finished video: priced, approved, bought with fallback, judged, delivered and settled.

**What happens**

1. `estimate` reads the form, refuses bad input in plain lines, plans the shots and prices them.
2. `approve` passes where the preset allows the amount; else it waits for a person (*Required Actions*).
3. `attempt_1` … `attempt_3`: `route` chooses a backend per shot and sets the money aside, the backend's task buys
   and waits without a worker, `score` judges every take. Shots without a good take go on to the next attempt.
4. `assemble` cuts the takes together, `review` asks a person where the preset or a take needs it, `deliver` publishes.
5. `settle` gives back what was not used, `push_metrics` reports. Both run whatever happened before.

**What you may do with a run**

| You want to | Do this | What it costs |
|---|---|---|
| look again at a render that failed | clear the backend's task | nothing: it re-attaches to what was bought |
| buy the missing shots again | clear `route` with downstream | inside the approved amount |
| be asked again | clear `approve` with downstream | a new approval |
| stop | mark the run, or a backend's task, failed | vendors are asked to stop; what they do not is billed, watched and kept |

Colours follow the ledger: a backend's task is red while a shot sent there has failed, even when a later attempt
saved the video. The ledger, not this graph, decides what is bought: doing anything twice never pays twice.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import TaskGroup, dag, task
from airflow.sdk.definitions.param import ParamsDict

from aiprod_airflow import steps
from aiprod_airflow.assets import DELIVERED
from aiprod_airflow.failures import retry_unless_refused
from aiprod_airflow.forms import backend_tasks, job_params
from aiprod_airflow.operators.approval import ApproveSpendOperator, ReviewVideoOperator
from aiprod_airflow.operators.render import RenderOperator

ATTEMPTS = 3
#: Retries only re-attach: two are needed to survive the scheduler's resume race.
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=10)}


@dag(
    dag_display_name="Render video",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    # Parked approvals must never stop other jobs: backpressure is the backends' slots.
    max_active_runs=1_000,
    default_args={"owner": "aiprod", **RETRIES},
    tags=["aiprod", "video"],
    doc_md=__doc__,
)
def render_video():
    @task(doc_md="Reads the order, refuses bad input, plans and prices the shots.", retry_policy=retry_unless_refused())
    def estimate(**context):
        run = context["dag_run"]
        by_hand = run.run_type == "manual"
        return steps.estimate(params=context["params"], run_id=run.run_id, by=run.triggering_user_name, by_hand=by_hand)

    @task(
        trigger_rule="none_failed_min_one_success",
        doc_md="Cuts the takes together: timestamps, loudness, poster, contact sheet. Fails when a shot has no take.",
    )
    def assemble(job_ids):
        steps.assemble(job_ids)

    @task(
        doc_md="Publishes the video with poster, contact sheet and manifest. The result is in this task's XCom.",
    )
    def deliver(job_ids, **context):
        return steps.deliver(job_ids, push=context["ti"].xcom_push)

    # Here and not at `deliver`: a task that fails tells nothing, and a run that lost one video has delivered the others.
    @task(
        outlets=[DELIVERED],
        doc_md="Gives back money that was set aside and not used. Every delivered video is an event of the asset "
        "`aiprod://deliveries`.",
    )
    def settle(**context):
        steps.settle(run_id=context["run_id"], tell=context["outlet_events"][DELIVERED].add)

    @task(doc_md="Folds what happened into the exported metrics, best effort.")
    def push_metrics():
        steps.push_metrics()

    ordered = estimate()
    approved = ApproveSpendOperator(
        task_id="approve",
        job_ids=ordered,
        doc_md="Asks a person to approve the money, unless the preset allows the amount.",
    )
    assembled = assemble(ordered)
    reviewed = ReviewVideoOperator(
        task_id="review",
        job_ids=ordered,
        doc_md="Asks a person to look at the finished video, where the preset or a take needs it.",
    )
    delivered = deliver(ordered)

    def attempt(n: int):
        with TaskGroup(f"attempt_{n}"):

            @task.branch(doc_md="Chooses a backend for every shot without a take, and sets the money aside.")
            def route(job_ids):
                return steps.route(job_ids, attempt=n)

            @task.branch(trigger_rule="all_done", doc_md="Judges new takes; goes on to `assemble` or to the next attempt.")
            def score(job_ids):
                return steps.score(job_ids, attempt=n, attempts=ATTEMPTS)

            routed, scored = route(ordered), score(ordered)
            for name in backend_tasks():
                render = RenderOperator(
                    task_id=name,
                    job_ids=ordered,
                    backend=name,
                    attempt=n,
                    doc_md=f"Buys the shots routed to {name} and waits for them without a worker.",
                )
                routed >> render >> scored
            routed >> scored
        return routed, scored

    ordered >> approved
    before, earlier = approved, []
    for n in range(1, ATTEMPTS + 1):
        routed, scored = attempt(n)
        before >> routed
        # The branch that goes on to `assemble` has to skip every later score, which runs on all_done.
        for score in earlier:
            score >> scored
        scored >> assembled
        before, earlier = scored, [*earlier, scored]

    # No setups: a failed `estimate` must not stop the teardowns.
    assembled >> reviewed >> delivered >> settle().as_teardown() >> push_metrics().as_teardown()


video = render_video()
# Set last: every task copies the params its DAG has when it is made, and every task start pays for that again.
video.params = ParamsDict(job_params())
