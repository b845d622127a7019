"""The fallback without a key: Runway fails, Veo 3 delivers, both emulated: `python -m tools.demo_vendors [ORDER.yaml]`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiprod.emulators.running import Emulators
from aiprod.models import dollars
from tools import demo
from tools.airflow_api import AirflowError
from tools.airflow_env import CHECKOUT

HOME = CHECKOUT / ".airflow" / "demo-vendors"
#: A ledger of its own, new every time: what emulators bill is no money that anybody spent, and a Runway that failed three
#: demos in a row is not asked in the fourth.
VAR = HOME / "var"
ORDER = CHECKOUT / "examples" / "jobs" / "lighthouse-vendors.yaml"
#: Runway takes the request, and its render fails.
RULES = {"runway": "fail:INTERNAL"}
SECONDS_PER_RENDER = 4.0
#: A key of Google's would be used before the emulated one.
NOT_FOR_THE_DEMO = (*demo.NOT_FOR_THE_DEMO, "GOOGLE_CREDENTIALS_JSON")
#: A task's state as Airflow paints it.
COLOURS = {"success": ("✓", "green"), "failed": ("✗", "red")}
#: Where a charge comes from.
SOURCES = {"vendor": "so says the vendor", "quote": "its quote; this vendor tells no cost"}


def main(argv: list[str]) -> int:
    """Run one order against the vendors' emulators; return 0 when it was delivered, 1 with a plain message when not."""
    return demo.told(lambda started: _run(Path(argv[0]) if argv else ORDER, started), HOME)


def _run(file: Path, started: float) -> None:
    order = demo.order_in(file)
    shutil.rmtree(HOME, ignore_errors=True)
    with Emulators(HOME / "vendors", rules=RULES, seconds_per_render=SECONDS_PER_RENDER) as vendors:
        print(f"Runway, Google Veo 3 and Replicate are emulated at {vendors.url}; Runway is told to fail.", flush=True)
        env = {"AIPROD_VAR_DIR": str(VAR), **dict.fromkeys(NOT_FOR_THE_DEMO), **vendors.environment}
        with demo.running(HOME, env) as airflow:
            facts = demo.make(airflow, order, started)
            states = {task["task_id"]: str(task["state"]) for task in airflow.task_instances(demo.DAG, facts["job_id"])}
        manifest = json.loads(Path(facts["manifest"]).read_text(encoding="utf-8"))
        print(f"\nDone in {time.monotonic() - started:.0f} s: {facts['video']}\n")
        print("\n\n".join(_lines(attempt, states) for attempt in manifest["attempts"]))
        _compare(manifest["attempts"], vendors.accepts())


def _lines(attempt: Mapping[str, Any], states: Mapping[str, str]) -> str:
    """What became of one attempt: its task's colour, its decision and its money."""
    task = f"attempt_{attempt['sequence']}.{attempt['backend']}"
    state = states.get(task, "not there")
    sign, colour = COLOURS.get(state, ("?", state))
    became = f"{attempt['state']}: {attempt['message']} ({attempt['failure']})" if attempt["failure"] else attempt["state"]
    told = SOURCES.get(attempt["cost_source"], "nothing was told")
    return (
        f"  {sign} {task:<20} {colour}\n"
        f"      decided  {attempt['decision']}\n"
        f"      became   {became}\n"
        f"      money    held {dollars(attempt['hold'])}, charged {dollars(attempt['charged'] or 0)} ({told})"
    )


def _compare(attempts: Sequence[Mapping[str, Any]], accepts: Sequence[Mapping[str, Any]]) -> None:
    """Lay the vendors' books beside ours. Raises `AirflowError` when they differ."""
    billed = sum(line["billable_micros"] for line in accepts)
    charged = sum(attempt["charged"] or 0 for attempt in attempts)
    print(f"\n  The vendors' own books: {len(accepts)} requests accepted, {dollars(billed)} billed.")
    print(f"  Our ledger: {len(attempts)} attempts, {dollars(charged)} charged.")
    if billed != charged:
        raise AirflowError("The vendors' bill and the ledger differ.")
    print("  To the cent the same.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
