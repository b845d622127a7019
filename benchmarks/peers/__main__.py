"""`python -m benchmarks.peers`: Prefect and LiteLLM beside AIPROD, each in an environment of its own under var/peers.

Three questions: CPU of orchestration per job, how often a clip is bought when one answer is lost, and what is spent beyond a
cap by eight callers at once. Peers are asked with their defaults and with what their documentation recommends.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.kept import CHECKOUT, FOLDER, keep
from benchmarks.peers import ours

HERE = Path(__file__).parent
HOMES = CHECKOUT / "var" / "peers"
CALLERS = 8
IDLE_SECONDS = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=10, help="jobs per round of the CPU comparison")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of two jobs, ours as it was last measured")
    args = parser.parse_args()
    jobs, rounds = (2, 1) if args.quick else (args.jobs, args.rounds)
    homes = {name: environment(name) for name in ("prefect", "litellm")}
    report = {
        "versions": {name: _version(python, name) for name, python in homes.items()},
        "cpu": _cpu_rows(homes["prefect"], jobs, rounds, measured_anew=not args.quick),
        "lost_answer": _lost(homes),
        "ours_where_nobody_can_look": ours.lost("runway"),
        "overspend": _overspend(homes["litellm"]),
    }
    print(json.dumps(report, indent=2))
    print(f"written to {keep('peers', report)}")


def environment(name: str) -> Path:
    """Make a peer's environment from its pinned list, once; return its Python."""
    wanted = HERE / f"{name}.txt"
    home = HOMES / name
    python, stamp = home / "bin" / "python", home / ".installed"
    told = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != told:
        print(f"Installing {name} into {home}; this happens once.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "--no-compile", "--only-binary", ":all:", "--require-hashes", "-r", str(wanted)], check=True)
        stamp.write_text(told)
    return python


def _cpu_rows(python: Path, jobs: int, rounds: int, *, measured_anew: bool) -> list[dict[str, Any]]:
    """Prefect in two settings, and ours from `benchmarks.overhead` in the same session."""
    with tempfile.TemporaryDirectory() as folder, prefect_server(python, Path(folder)) as (server, env):
        idle = _idle([server])
        inside = [_script(python, env, server, jobs, idle) for _ in range(rounds)]
        served = _served(python, env, server, jobs, rounds)
    if measured_anew:
        subprocess.run([sys.executable, "-m", "benchmarks.overhead", f"--rounds={rounds}"], cwd=CHECKOUT, check=True)
    file = FOLDER / "overhead.json"
    if not file.exists():
        return []
    mine = json.loads(file.read_text())["dags"]["render_video"]["orchestration_cpu_seconds_per_job"]
    return [
        {"who": "Prefect", "setting": "a process per run, served", "ours": mine, "theirs": served},
        {"who": "Prefect", "setting": "all runs in one script, no process per run", "ours": mine, "theirs": inside},
    ]


@contextmanager
def prefect_server(python: Path, home: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """A server on SQLite, as `prefect server start` makes it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIPROD_", "AIRFLOW", "PYTHONPATH"))},
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [str(python), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with (home / "server.log").open("w") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/health")
            yield psutil.Process(process.pid), env
        finally:
            _end(process)


def _wait_for(address: str) -> None:
    over = time.monotonic() + 120
    while time.monotonic() < over:
        try:
            if httpx.get(address, timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise SystemExit(f"{address} did not answer within two minutes")


def _script(python: Path, env: dict[str, str], server: psutil.Process, jobs: int, idle: float) -> float:
    """CPU-seconds per job of one process that runs flows one after the other, and of the server."""
    command = [str(python), str(HERE / "prefect_flow.py"), "script", str(jobs)]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stdin is not None and run.stdout is not None
        for line in run.stdout:
            if line.strip() == "ready":
                break
        started, before = time.monotonic(), _cpu([server])
        run.stdin.write("\n")
        run.stdin.flush()
        said = json.loads(run.stdout.read().strip().splitlines()[-1])
        spent = _cpu([server]) - before - idle * (time.monotonic() - started)
    return (float(said["cpu"]) + spent) / jobs


def _served(python: Path, env: dict[str, str], server: psutil.Process, jobs: int, rounds: int) -> list[float]:
    """CPU-seconds per job of server, runner and the process of each run."""
    program = [str(python), str(HERE / "prefect_flow.py")]
    quiet = {"env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*program, "serve"], cwd=HERE, **quiet) as process:  # type: ignore[call-overload]
        try:
            both = [server, psutil.Process(process.pid)]
            time.sleep(10)
            _ordered(program, env, 1)
            idle = _idle(both)
            return [_round(program, env, both, jobs, idle) for _ in range(rounds)]
        finally:
            _end(process)


def _round(program: list[str], env: dict[str, str], both: list[psutil.Process], jobs: int, idle: float) -> float:
    started, before = time.monotonic(), _cpu(both)
    _ordered(program, env, jobs)
    return (_cpu(both) - before - idle * (time.monotonic() - started)) / jobs


def _ordered(program: list[str], env: dict[str, str], jobs: int) -> None:
    """What orders and waits is not counted, as our trigger is not."""
    done = subprocess.run([*program, "order", str(jobs)], env=env, capture_output=True, text=True, check=False)
    if done.returncode or json.loads(done.stdout.strip().splitlines()[-1])["completed"] != jobs:
        raise SystemExit(f"Prefect did not run {jobs} jobs: {done.stdout[-500:]}{done.stderr[-1000:]}")


def _idle(family: list[psutil.Process]) -> float:
    before, started = _cpu(family), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (_cpu(family) - before) / (time.monotonic() - started)


def _cpu(family: list[psutil.Process]) -> float:
    """User and system seconds of processes, of their children, and of those already ended."""
    total = 0.0
    for parent in family:
        for process in (parent, *parent.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def _lost(homes: dict[str, Path]) -> list[dict[str, Any]]:
    mine = ours.lost("replicate")
    with tempfile.TemporaryDirectory() as folder, prefect_server(homes["prefect"], Path(folder)) as (_, env):
        flow = str(HERE / "prefect_flow.py")
        prefect = {n: _asked([str(homes["prefect"]), flow, "lost", n], env) for n in ("0", "2")}
    router = str(HERE / "litellm_router.py")
    litellm = {name: _asked([str(homes["litellm"]), router, "lost", name]) for name in ("default", "fallbacks", "careful")}
    rows = [
        ("Prefect", "default: no retries", prefect["0"]),
        ("Prefect", "retries=2 on the task", prefect["2"]),
        ("LiteLLM router", "defaults", litellm["default"]),
        ("LiteLLM router", "num_retries=2 and fallbacks", litellm["fallbacks"]),
        ("LiteLLM router", "num_retries=0", litellm["careful"]),
    ]
    return [{"who": who, "setting": setting, "ours": mine, **said} for who, setting, said in rows]


def _overspend(python: Path) -> list[dict[str, Any]]:
    router = str(HERE / "litellm_router.py")
    rows = []
    for callers in (CALLERS, 1):
        theirs = _asked([str(python), router, "budget", str(callers)])
        cap = {"who": "LiteLLM router, provider budget", "setting": "provider_budget_config", "callers": callers}
        rows.append({**cap, "cap_usd": 1.0, "clip_usd": 0.4, "ours": ours.budget(callers), **theirs})
    return rows


def _asked(command: list[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    """The last line that a peer's script prints, as JSON."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AIPROD_", "AIRFLOW", "PYTHONPATH"))}
    done = subprocess.run(command, env=env or bare, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-1500:]}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def _version(python: Path, package: str) -> str:
    tell = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([str(python), "-c", tell], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
