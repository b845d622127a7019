"""The steps that are plain tasks: each reads ids, calls the library once and says what happened."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from aiprod import settings
from aiprod.delivering import delivered_by
from aiprod.errors import SpecError
from aiprod_airflow.assets import DELIVERIES
from aiprod_airflow.failures import told_to_airflow
from aiprod_airflow.forms import job_name
from aiprod_airflow.pipelines import pipeline

__all__ = [
    "assemble",
    "deliver",
    "deploy_monitoring",
    "estimate",
    "flush_metrics",
    "next_batch",
    "notify",
    "push_metrics",
    "reconcile",
    "route",
    "score",
    "settle",
]

log = logging.getLogger(__name__)


def estimate(*, params: dict[str, Any], run_id: str, by: str | None = None, by_hand: bool = False) -> list[str]:
    """Take the order, price it, and return the job ids. Bad input ends here, before anything else happens.

    A run whose conf holds `batch`, a list of job ids, carries these jobs instead: they were entered before. `by` is who
    started the run, and with it ordered what nobody had entered. A run that another DAG started carries what waits, whoever
    started that one; `by_hand`, what its starter may see.
    """
    from airflow.configuration import conf

    with told_to_airflow():
        settings.require_distributed_safe(conf.get("core", "executor"))
        if "batch" in params:
            return pipeline().carry(_job_ids(params["batch"]), run_id=run_id, by=by if by_hand else None)
        return pipeline().estimate([dict(params)], run_id=run_id, job_id=job_name(run_id), by=by)


def _job_ids(batch: object) -> list[str]:
    if not isinstance(batch, list) or not batch or not all(isinstance(job_id, str) for job_id in batch):
        raise SpecError(["batch: must be a list of job ids"])
    return list(dict.fromkeys(batch))


def route(job_ids: Sequence[str], *, attempt: int) -> list[str]:
    """Place every shot that needs a take; return the tasks that have work, and `score` behind them."""
    with told_to_airflow():
        work = pipeline().route(job_ids, attempt)
    group = f"attempt_{attempt}"
    return [*(f"{group}.{name}" for name in work), f"{group}.score"]


def score(job_ids: Sequence[str] | None, *, attempt: int, attempts: int) -> list[str]:
    """Judge new takes; return the next attempt when a shot still needs one, else `assemble`."""
    if not job_ids:
        raise AirflowSkipException("estimate did not take the order, so there is nothing to score")
    with told_to_airflow():
        scored = pipeline().score(job_ids, attempt)
    if scored.then == "stuck":
        raise AirflowFailException(f"Nothing was bought in attempt {attempt}; the log of attempt_{attempt}.route says why.")
    if scored.then == "waits":
        raise AirflowFailException("Every job of this run waits and is picked up by itself later; route's log says for what.")
    if scored.then == "assemble" or attempt == attempts:
        return ["assemble"]
    later = range(attempt + 1, attempts + 1)
    return [f"attempt_{attempt + 1}.route", *(f"attempt_{n}.score" for n in later)]


def assemble(job_ids: Sequence[str]) -> None:
    """Cut the takes of every job together."""
    with told_to_airflow():
        pipeline().assemble(job_ids)


def deliver(job_ids: Sequence[str], *, push: Callable[..., None]) -> list[dict[str, Any]]:
    """Publish every finished video and return where it is, what it scored and what it cost."""
    with told_to_airflow():
        made = pipeline().deliver(job_ids)
        facts = [pipeline().result(delivery.job_id) for delivery in made]
    if len(facts) == 1:
        for name in ("video", "poster", "contact_sheet", "manifest"):
            push(key=name, value=facts[0][name])
    return facts


def next_batch() -> dict[str, Any]:
    """Return run id and conf of the next run for jobs that wait; skip when none can go on now."""
    with told_to_airflow():
        batch = pipeline().next_batch()
    if batch is None:
        raise AirflowSkipException("No job waits that could go on now")
    log.info("%s carries %s", batch.run_id, ", ".join(batch.job_ids))
    return {"run_id": batch.run_id, "conf": {"batch": list(batch.job_ids)}}


def settle(*, run_id: str, tell: Callable[..., None]) -> None:
    """Give back what was held and never sent. `reconcile` is the guarantee; this is the convenience.

    `tell` is called with an asset and the facts of one video, for every video that this run delivered.
    """
    orders = pipeline()
    orders.settle(run_id)
    for made in delivered_by(orders.ledger, run_id):
        tell(DELIVERIES, extra=made)


def push_metrics() -> None:
    """Fold the metric outbox, best effort: figures must never fail a video."""
    try:
        log.info("%d points folded", pipeline().push_metrics())
    except Exception:
        log.exception("Metrics were not pushed; they stay in the outbox for the next time")


def notify() -> None:
    """Tell every channel what is due for it; fail visibly when something was given up."""
    # Not at the top: only this step tells anybody.
    from aiprod_airflow.telling import senders

    with told_to_airflow():
        told = pipeline().relay(senders())
    for line in told.troubles:
        log.warning("%s; it is tried again", line)
    log.info("%d events, %d messages sent", told.events, told.sent)
    if told.given_up:
        raise AirflowFailException("\n".join(told.given_up))


def flush_metrics() -> None:
    """Tell every sink what it has not heard, and say which alerts were raised or resolved. A sink in trouble fails nothing."""
    with told_to_airflow():
        minute = pipeline().flush_metrics()
    flushed = minute.flushed
    log.info("%d points folded%s", flushed.folded, "" if flushed.leader else "; another process tells the sinks")
    for sink, count in flushed.sent.items():
        log.info("%s took %d series", sink, count)
    for trouble in flushed.troubles:
        log.warning("%s", trouble)
    for change in minute.changes:
        log.log(logging.WARNING if change.became == "raised" else logging.INFO, "alert %s: %s", change.became, change.message)


def deploy_monitoring(*, plan: bool) -> None:
    """Bring policies, dashboard and objectives in Cloud Monitoring up to this release; with `plan` only say what would change."""
    # Only here: Google's client takes a second to load.
    from aiprod.monitoring.deploying import deploy

    with told_to_airflow():
        changes = deploy(pipeline().catalog, apply=not plan)
    for change in changes:
        log.info("%s", change)


def reconcile() -> None:
    """Finish what nobody watched, and fail visibly when something needs a person or the books are out of order."""
    with told_to_airflow():
        done = pipeline().reconcile()
    for line in (*done.moved, *done.tidied):
        log.info("%s", line)
    log.info("%d open purchases looked at", done.looked_at)
    if done.troubles:
        raise AirflowFailException("\n".join(done.troubles))
