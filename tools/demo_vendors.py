"""The fallback without a key: Runway fails, Veo 3 delivers, both emulated: `python -m tools.demo_vendors [ORDER.yaml]`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from aiprod.emulators.running import Emulators
from aiprod.models import dollars
from tools import demo
from tools.airflow_api import AirflowError
from tools.airflow_env import CHECKOUT
from tools.local_airflow import LocalAirflow

HOME = CHECKOUT / ".airflow" / "demo-vendors"
#: A ledger of its own: what emulators bill is no money that anybody spent.
VAR = CHECKOUT / "var" / "demo-vendors"
ORDER = CHECKOUT / "examples" / "jobs" / "lighthouse-vendors.yaml"
#: Runway takes the request, and its render fails.
RULES = {"runway": "fail:INTERNAL"}
SECONDS_PER_RENDER = 4.0


def main(argv: list[str]) -> int:
    """Run one order against the vendors' emulators; return 0 when it was delivered, 1 with a plain message when not."""
    return demo.told(lambda started: _run(Path(argv[0]) if argv else ORDER, started), HOME)


def _run(file: Path, started: float) -> None:
    order = demo.order_in(file)
    shutil.rmtree(HOME, ignore_errors=True)
    with Emulators(HOME / "vendors", rules=RULES, seconds_per_render=SECONDS_PER_RENDER) as vendors:
        print(f"Runway, Google Veo 3 and Replicate are emulated at {vendors.url}; Runway is told to fail.", flush=True)
        env = {"AIPROD_VAR_DIR": str(VAR), **dict.fromkeys(demo.NOT_FOR_THE_DEMO), **vendors.environment}
        with demo.running(HOME, env) as airflow:
            facts = demo.make(airflow, order, started)
            _tell(airflow, facts, vendors.accepts(), started)


def _tell(airflow: LocalAirflow, facts: dict[str, Any], accepts: list[dict[str, Any]], started: float) -> None:
    manifest = json.loads(Path(facts["manifest"]).read_text(encoding="utf-8"))
    states = {task["task_id"]: task["state"] for task in airflow.task_instances(demo.DAG, facts["job_id"])}
    billed = sum(line["billable_micros"] for line in accepts)
    charged = sum(attempt["charged"] or 0 for attempt in manifest["attempts"])
    print(f"\nDone in {time.monotonic() - started:.0f} s: {facts['video']}\n")
    for n, attempt in enumerate(manifest["attempts"], start=1):
        task = f"attempt_{n}.{attempt['backend']}"
        why = f" ({attempt['failure']}: {attempt['message']})" if attempt["failure"] else ""
        print(f"  {task:<22} {states[task]:<9} {attempt['state']}{why}")
        print(
            f"  {'':<22} held {dollars(attempt['hold'])}, charged {dollars(attempt['charged'] or 0)} ({attempt['cost_source']})"
        )
        print(f"  {'':<22} {attempt['decision']}\n")
    print(f"  the vendors' own books: {len(accepts)} requests, {dollars(billed)} billed; our ledger: {dollars(charged)} charged")
    if billed != charged:
        raise AirflowError("the vendors' bill and the ledger differ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
