"""A job is cancelled wherever it may stand: nothing more is bought for it, its run ends, and what was held comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx

from aiprod.ledger import purchases, queue
from aiprod.ledger.engine import now as database_now
from aiprod.models import USD
from benchmarks.load.report import Figure
from benchmarks.load.world import CLIP, DAG, World

__all__ = ["cancelling"]

_ENDLESS = "[[runway=slow:30000]]"
#: Each state, and the order that comes to stand there.
_RUNS: Mapping[str, Mapping[str, Any]] = {
    "waiting_approval": {"preset": "brand_campaign"},
    "rendering": {"prompt": _ENDLESS, "backend": "runway"},
    "final_approval": {"preset": "premium_spot", "quality_floor": 0.5},
    "failed": {"prompt": "[[runway=fail]]", "backend": "runway"},
    "rejected": {"preset": "brand_campaign"},
    "delivered": {},
}
_ESTIMATED, _HELD, _QUEUED, _LOST = "estimated", "held, not sent", "waits for a run", "answer lost"


def cancelling(world: World) -> list[Figure]:
    """Bring a job into every state, cancel each, twice; say how many did as they should."""
    world.renders_take(0)
    names = {state: f"stop-{state.replace('_', '-')}" for state in _RUNS}
    world.start({names[state]: {"prompt": "rain", **order} for state, order in _RUNS.items()})
    others = {_ESTIMATED: _estimated(world), _HELD: _held(world), _QUEUED: _queued(world), _LOST: _lost(world)}
    _stand(world, names)
    wrong: list[str] = []
    before = len(world.vendors.accepts())
    with world.program() as program:
        for state, job_id in {**names, **others}.items():
            wrong += _cancelled(world, program, state, job_id)
    run_ids = [*names.values(), others[_LOST]]
    world.ended(run_ids, timeout=180)
    wrong += [
        f"{job_id} is {world.status(job_id)}" for job_id in _should_be(names, others) if world.status(job_id) != "cancelled"
    ]
    wrong += _still_held(world, [*names.values(), *others.values()])
    states = len(names) + len(others)
    return [
        Figure("states a job was cancelled in", states, least=states, said=", ".join([*names, *others])),
        Figure("did not go as they should", len(wrong), most=0, said="; ".join(wrong)),
        Figure("bought after the word", len(world.vendors.accepts()) - before, most=0),
    ]


def _stand(world: World, names: Mapping[str, str]) -> None:
    """Bring every job where its name says; questions are answered once the scheduler knows that they are asked."""
    _asked(world, names["final_approval"], "approve")
    world.airflow.respond(DAG, names["final_approval"], "approve", ["Approve"])
    _asked(world, names["rejected"], "approve")
    world.airflow.respond(DAG, names["rejected"], "approve", ["Reject"])
    for state, job_id in names.items():
        _until(world, f"{job_id} does not become {state}", lambda job_id=job_id, state=state: world.status(job_id) == state)  # type: ignore[misc]
    _until(world, "the endless render is not under way", lambda: _state(world, names["rendering"]) == "submitted")
    _asked(world, names["waiting_approval"], "approve")
    _asked(world, names["final_approval"], "review")
    world.ended([names[state] for state in ("failed", "rejected", "delivered")], timeout=180)


def _asked(world: World, job_id: str, task: str) -> None:
    """An answer that overtakes the executor's report of the first leg fails the task (facts/engine.md section 3)."""
    world.airflow.wait_task(DAG, job_id, task, ["awaiting_input"], timeout=240)
    log = world.airflow.home / "logs" / "scheduler.log"
    report = f"TaskInstance Finished: dag_id={DAG}, task_id={task}, run_id={job_id},"
    _until(world, f"{task} of {job_id} is not reported", lambda: report in log.read_text())


def _estimated(world: World) -> str:
    """Taken and priced, and no run carries it."""
    world.pipeline.enter({**CLIP, "prompt": "dew"}, job_id="stop-estimated", by="load")
    return "stop-estimated"


def _held(world: World) -> str:
    """A hold that nobody has sent yet, as between `route` and the render task."""
    ids = world.pipeline.estimate([{**CLIP, "prompt": "hail"}], run_id="stop-held", job_id="stop-held")
    world.pipeline.ask("stop-held", run_id="stop-held")
    world.pipeline.route(ids, 1)
    return "stop-held"


def _queued(world: World) -> str:
    """A row of a campaign that waits for its run."""
    (job_id,) = world.pipeline.enlist([{**CLIP, "prompt": "snow"}], campaign="stop-queued", amount=10 * USD, by="load")
    with world.ledger.write() as conn:
        queue.postpone(conn, [job_id], database_now(conn) + timedelta(hours=1))
    return job_id


def _lost(world: World) -> str:
    """A request whose answer was lost, at a vendor that offers no way to look: parked for a person."""
    job_id = "stop-lost"
    world.start({job_id: {"prompt": "frost [[runway=lose|fail]]", "backend": "runway"}})
    _until(world, f"{job_id} is not parked", lambda: _state(world, job_id) == "unknown")
    return job_id


def _cancelled(world: World, program: httpx.Client, state: str, job_id: str) -> list[str]:
    """Cancel a job twice; return what was wrong with the answers."""
    wanted = 409 if state == "delivered" else 200
    answers = [program.post(f"/job/{job_id}/cancel").status_code for _ in range(2)]
    return [] if answers == [wanted] * 2 else [f"{state}: answered {answers}, not {wanted}"]


def _should_be(names: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    return [job_id for state, job_id in {**names, **others}.items() if state != "delivered"]


def _still_held(world: World, job_ids: list[str]) -> list[str]:
    """Money that is set aside for what nobody sent."""
    with world.ledger.read() as conn:
        bought = [purchase for job_id in job_ids for purchase in purchases.of_job(conn, job_id, 1)]
    return [f"{purchase.purchase_id} is still held" for purchase in bought if purchase.state == "held"]


def _state(world: World, job_id: str) -> str:
    with world.ledger.read() as conn:
        bought = purchases.of_job(conn, job_id, 1)
    return bought[-1].state if bought else ""


def _until(world: World, problem: str, there: Callable[[], bool]) -> None:
    def look() -> bool | None:
        time.sleep(0.7)
        return True if there() else None

    world.airflow.wait(look, problem, timeout=240)
