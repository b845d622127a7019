"""Our ten steps as a Prefect flow with instant work. Runs in Prefect's own environment; prints one line of JSON.

prefect_flow.py script JOBS       runs one after the other in this process
prefect_flow.py serve             a runner that starts a process per run, until it is ended
prefect_flow.py order JOBS        orders runs from that runner and waits for all of them
prefect_flow.py lost RETRIES      buys one clip whose first answer is lost
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import httpx
from prefect import flow, get_client, task
from prefect.deployments import run_deployment

sys.path.insert(0, str(Path(__file__).parent))
from vendor import Vendor

STEPS = ("estimate", "approve", "route", "render", "score", "assemble", "review", "deliver", "settle", "push_metrics")


def _step(name: str):
    @task(name=name)
    def step(job_id: str) -> str:
        return job_id

    return step


TASKS = [_step(name) for name in STEPS]


@flow(name="render-video")
def render_video(job_id: str) -> str:
    for step in TASKS:
        job_id = step(job_id)
    return job_id


def script(jobs: int) -> dict[str, object]:
    """CPU is of this process; whoever started us counts the server's."""
    render_video("warm")
    print("ready", flush=True)
    sys.stdin.readline()
    before = time.process_time()
    for n in range(jobs):
        render_video(f"job-{n}")
    return {"cpu": time.process_time() - before}


def order(jobs: int) -> dict[str, object]:
    """Order all, then ask now and then until each has ended."""
    ids = [run_deployment("render-video/bench", parameters={"job_id": f"job-{n}"}, timeout=0).id for n in range(jobs)]
    over = time.monotonic() + 300
    with get_client(sync_client=True) as client:
        while True:
            states = [client.read_flow_run(run).state.type.value for run in ids]
            if all(state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") for state in states):
                return {"completed": states.count("COMPLETED")}
            if time.monotonic() > over:
                raise SystemExit(f"not ended after five minutes: {states}")
            time.sleep(1.0)


def lost(retries: int) -> dict[str, object]:
    """What a vendor books when its first answer is lost."""
    with Vendor(lose=1) as vendor:

        @task(retries=retries, retry_delay_seconds=0)
        def buy() -> str:
            answer = httpx.post(f"{vendor.url}/videos", json={"prompt": "a lake", "seconds": "4"}, timeout=5)
            return answer.raise_for_status().json()["id"]

        @flow
        def one() -> str:
            return buy()

        try:
            got = one()
        except httpx.HTTPError:
            got = None
        return {"sent": len(vendor.accepted), "delivered": int(got is not None), "lost": len(vendor.accepted) - (got is not None)}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["script", jobs]:
            said = script(int(jobs))
        case ["serve"]:
            said = render_video.serve(name="bench")
        case ["order", jobs]:
            said = order(int(jobs))
        case ["lost", retries]:
            said = lost(int(retries))
        case _:
            raise SystemExit(__doc__)
    print(json.dumps(said))
