"""The Airflow that stays: `python -m tools.stack up|down|status`."""

from __future__ import annotations

import argparse
import sys

from tools import ledger
from tools.airflow_api import AirflowError
from tools.airflow_env import CHECKOUT
from tools.local_airflow import LocalAirflow

HOME = CHECKOUT / ".airflow" / "up"
DAG = "render_video"


def main(argv: list[str]) -> int:
    """Do one verb and say what came of it; return 0 when things are as asked."""
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    parser.add_argument("verb", choices=("up", "down", "status"))
    verb = parser.parse_args(argv).verb
    airflow = LocalAirflow(HOME, env={"AIPROD_VAR_DIR": str(CHECKOUT / "var")}, detached=True)
    try:
        return {"up": _up, "down": _down, "status": _status}[verb](airflow)
    except AirflowError as error:
        print(f"{error}\nLogs: {airflow.home}/logs", file=sys.stderr)
        return 1


def _up(airflow: LocalAirflow) -> int:
    if airflow.running():
        airflow.wait_ready()
        print(f"Airflow is already up: {airflow.url}")
        return 0
    print("Starting Airflow …", flush=True)
    try:
        airflow.start()
        ledger.upgrade(airflow)
        airflow.wait_ready(dags=[DAG])
    except BaseException:
        airflow.stop()
        raise
    print(f"Airflow is up: {airflow.url}/dags/{DAG}\n`make down` ends it.")
    return 0


def _down(airflow: LocalAirflow) -> int:
    was = airflow.running()
    airflow.stop()
    print("Airflow is down." if was else "Airflow was not running.")
    return 0


def _status(airflow: LocalAirflow) -> int:
    print(f"Airflow is up: {airflow.url}" if airflow.running() else "Airflow is down.")
    return 0 if airflow.running() else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
