"""Say what became of a purchase that waits for a person.

A request whose answer was lost at a vendor that cannot be asked, a render that never ends and a paid file that does not come
home are *parked*: their money stays held, they stay watched, and their shots may be bought elsewhere. Only a person who looks
at the vendor's page knows more. Trigger this DAG, with the beginning of a purchase's id or without one for the purchase that
waits longest, and answer under *Required Actions*. The answer stays in the books with your name and your reason.

The same from a shell: `python -m aiprod.cli parked`.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag

from aiprod_airflow.operators.parked import AnswerParkedOperator


@dag(
    dag_display_name="Answer for a parked purchase",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    # A question that nobody answers must never keep another from being asked.
    max_active_runs=1_000,
    default_args={"owner": "aiprod", "retries": 2, "retry_delay": timedelta(seconds=10)},
    params={"purchase": Param("", type="string", description="The beginning of its id; empty: the one that waits longest")},
    tags=["aiprod", "money"],
    doc_md=__doc__,
)
def parked():
    AnswerParkedOperator(
        task_id="ask",
        purchase="{{ params.purchase }}",
        doc_md="Shows one parked purchase, waits for a person without a worker, and does what they say.",
    )


parked()
