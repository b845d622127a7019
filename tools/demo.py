"""One order, from a file to a finished video, through a real Airflow: `python -m tools.demo [ORDER.yaml]`."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from tools import ledger
from tools.airflow_api import FINAL, AirflowError
from tools.airflow_env import CHECKOUT
from tools.local_airflow import LocalAirflow
from tools.progress import Progress

DAG = "render_video"
HOME = CHECKOUT / ".airflow" / "demo"
VAR = CHECKOUT / "var"
DEFAULT = CHECKOUT / "examples" / "jobs" / "lighthouse.yaml"
RESULT = VAR / "demo" / "result.json"

#: Twice what the slowest machine measured needed; a run that takes longer hangs.
RUN_SECONDS = 600.0

#: Ours would lead to another ledger; the vendors' keys would make the demo cost money.
NOT_FOR_THE_DEMO = (
    "AIPROD_CONFIG_DIR",
    "AIPROD_DATABASE_URL",
    "AIPROD_DRY_RUN",
    "AIPROD_STORAGE_URL",
    "AIPROD_TARIFF",
    "RUNWAYML_API_SECRET",
    "REPLICATE_API_TOKEN",
    "GCP_PROJECT_ID",
    "GOOGLE_CLOUD_PROJECT",
    "AIRFLOW_CONN_AIPROD_RUNWAY",
    "AIRFLOW_CONN_AIPROD_VEO3",
    "AIRFLOW_CONN_AIPROD_REPLICATE",
)


def main(argv: list[str]) -> int:
    """Run one order; return 0 when its video is there, 1 with a plain message when not, 130 after Ctrl-C."""
    return told(lambda started: _run(Path(argv[0]) if argv else DEFAULT, started), HOME)


def _run(file: Path, started: float) -> None:
    order = order_in(file)
    RESULT.unlink(missing_ok=True)
    shutil.rmtree(HOME, ignore_errors=True)
    with running(HOME, {"AIPROD_VAR_DIR": str(VAR), **dict.fromkeys(NOT_FOR_THE_DEMO)}) as airflow:
        facts = make(airflow, order, started)
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        written = {key: value for key, value in facts.items() if key not in ("link", "semantic_status")}
        RESULT.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    _tell(facts)


def told(run: Callable[[float], None], home: Path) -> int:
    """Run something from its start on; return 0, or an exit code with a plain message."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        run(time.monotonic())
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.", file=sys.stderr)
        return 130
    except AirflowError as error:
        print(f"\n{error}\n\nAll logs: {home}/logs", file=sys.stderr)
        return 1
    return 0


@contextmanager
def running(home: Path, env: Mapping[str, str | None]) -> Iterator[LocalAirflow]:
    """An Airflow that is not started yet, and is stopped in any case."""
    airflow = LocalAirflow(home, env=env)
    try:
        yield airflow
    finally:
        # A second Ctrl-C must not leave half of it running; this takes seconds.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        airflow.stop()


def order_in(path: Path) -> dict[str, Any]:
    """Return the order with a job id of its own, so that every demo makes a new video."""
    try:
        order = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise AirflowError(f"{path} cannot be read: {error}") from None
    if not isinstance(order, dict):
        raise AirflowError(f"{path} is not an order: it must be a mapping of fields")
    return {**order, "job_id": f"{order.get('job_id', path.stem)}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"}


def make(airflow: LocalAirflow, order: dict[str, Any], started: float) -> dict[str, Any]:
    """Start Airflow, run the order, and return the facts of result.json."""
    print("Starting Airflow (SQLite, LocalExecutor, loopback) …", flush=True)
    job_id = order["job_id"]
    airflow.start()
    ledger.upgrade(airflow)
    airflow.wait_ready(dags=[DAG])
    airflow.trigger(DAG, order, job_id)
    link = f"{airflow.url}/dags/{DAG}/runs/{job_id}"
    print(f"Airflow is up after {time.monotonic() - started:.0f} s. Order {job_id}:\n  {link}", flush=True)
    state = _watch(airflow, job_id)
    if state != "success":
        raise AirflowError(_why(airflow, job_id))
    facts = ledger.result(airflow, job_id)
    keys = ("job_id", "video", "poster", "contact_sheet", "manifest", "quality", "technical", "semantic", "cost_usd", "attempts")
    chosen = {key: facts[key] for key in keys}
    chosen |= {"dag_run_state": state, "seconds": round(time.monotonic() - started, 1)}
    return chosen | {"link": link, "semantic_status": facts.get("semantic_status")}


def _watch(airflow: LocalAirflow, job_id: str) -> str:
    progress = Progress(sys.stdout)

    def over() -> str | None:
        state = str(airflow.run(DAG, job_id)["state"])
        progress.show(airflow.task_instances(DAG, job_id))
        return state if state in FINAL else None

    return airflow.wait(over, f"{job_id} did not end", timeout=RUN_SECONDS, run=(DAG, job_id))


def _why(airflow: LocalAirflow, job_id: str) -> str:
    """Name the first task that failed, and the end of its log."""
    tasks = sorted(airflow.task_instances(DAG, job_id), key=lambda task: str(task["end_date"]))
    failed = next((task for task in tasks if task["state"] == "failed"), None)
    if failed is None:
        return f"{job_id} failed, though no task did"
    lines = airflow.log(DAG, job_id, failed["task_id"], failed["try_number"])
    said = "\n".join(f"  {line}" for line in lines[-12:])
    return f"{job_id} failed at {failed['task_id']}. The end of its log:\n{said}"


def _tell(facts: dict[str, Any]) -> None:
    scores = ", ".join(f"{name} {_score(facts[name])}" for name in ("quality", "technical", "semantic"))
    status = f" (semantic: {facts['semantic_status']})" if facts["semantic"] is None and facts["semantic_status"] else ""
    print(
        f"\nDone in {facts['seconds']:.0f} s: {facts['job_id']}\n"
        f"  video          {facts['video']}\n"
        f"  poster         {facts['poster']}\n"
        f"  contact sheet  {facts['contact_sheet']}\n"
        f"  manifest       {facts['manifest']}\n"
        f"  scores         {scores}{status}\n"
        f"  cost           ${facts['cost_usd']:.2f} in {facts['attempts']} attempts\n"
        f"  in Airflow     {facts['link']} (stopped now; `make up` starts one that stays)\n"
        f"  all of this    {RESULT}"
    )


def _score(value: float | None) -> str:
    return "not scored" if value is None else f"{value:.2f}"


def _leave(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
