"""The parent of one local Airflow: imports Airflow once, forks its four components, ends them all together.

Started by `LocalAirflow` in a session of its own, with the environment of the instance:
`python -m tools.airflow_parts [OWNER]`. OWNER is a file descriptor that closes when the process that wanted this
Airflow is gone, however it went; without one this Airflow runs until it is told to stop.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

import psutil

from tools import processes

#: Log servers are left out: logs are read from the disk, and two instances would want the same ports.
COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}

#: What components and tasks would each import for themselves; with ours every task start costs 0.05 CPU-seconds less.
#: The price: edited library code counts after a restart, as it does for plugins everywhere. DAG files are read anew.
PRELOAD = (
    "airflow.__main__",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.dag_processing.manager",
    "airflow.dag_processing.dagbag",
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.definitions.decorators",
    "airflow.providers.standard.decorators.branch_python",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.hitl",
)
OURS = (
    "aiprod_airflow.steps",
    "aiprod_airflow.forms",
    "aiprod_airflow.operators.approval",
    "aiprod_airflow.operators.render",
)

#: Long enough for a task's `on_kill`, short enough for a person who pressed Ctrl-C.
GRACE = 5.0

#: How long a triggerer may take to sign off.
SIGN_OFF = 12.0


def main(argv: list[str]) -> int:
    """Run the components until one ends, the owner goes or a signal comes; return 0 unless a component failed."""
    home = Path(os.environ[processes.MARK])
    owner = int(argv[0]) if argv else None
    if sys.platform != "darwin":
        # An Airflow with another plugins folder has none of ours.
        ours = OURS if importlib.util.find_spec("aiprod_airflow") else ()
        for name in (*PRELOAD, *ours):
            importlib.import_module(name)
        build_models()
        # Shared pages stay shared when the collector has nothing to mark in them.
        gc.freeze()
    components = {_start(name, home): name for name in COMPONENTS}

    stopping: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    ended = ""
    while not (stopping or ended or _owner_gone(owner)):
        ended = _ended(components)
    print(f"{ended} ended; ending the rest" if ended else "stopping", flush=True)
    _end(home, components, lasting=owner is None)
    return 1 if ended else 0


def _end(home: Path, components: dict[int, str], *, lasting: bool) -> None:
    """End everything in the order in which nobody waits for somebody who is gone.

    The API server is last: without it a task cannot report that it was stopped, and tries again. The triggerer ends its
    own child, and may then sit out ten seconds for nothing. Only an Airflow that will be started again lets it: a
    triggerer that did not sign off is missed for half a minute.
    """
    pids = {name: pid for pid, name in components.items()}

    def working() -> list[psutil.Process]:
        parents = {process: _parent(process) for process in processes.marked(home)}
        idle = {pids["api-server"]} | ({pids["triggerer"]} - set(parents.values()))
        return [process for process, parent in parents.items() if process.pid not in idle and parent != pids["triggerer"]]

    processes.end(working, grace=GRACE)
    processes.end(lambda: processes.marked(home), grace=SIGN_OFF if lasting else 0.5)
    _ended(components)


def _parent(process: psutil.Process) -> int:
    """Return the pid of a process's parent, 0 when it has just gone."""
    try:
        return int(process.ppid())
    except psutil.Error:
        return 0


def build_models() -> None:
    """Build what our models that are loaded check their fields with: every task would do it anew, 0.1 CPU-seconds each.

    Left out at import for the sake of commands, which need few of them. It depends on code alone, not on configuration.
    """
    if "aiprod.models" in sys.modules:
        left = list(sys.modules["aiprod.models"].Noun.__subclasses__())
        while left:
            model = left.pop()
            left += model.__subclasses__()
            model.model_rebuild(raise_errors=False)


def run(name: str) -> None:
    """Be one component, until it ends."""
    # Not before the fork: each process has its own idea of what an import of Airflow starts.
    from airflow.__main__ import main as airflow

    if name == "api-server":
        from tools import audit_log

        audit_log.move_off_the_loop()
    sys.argv = ["airflow", name, *COMPONENTS[name]]
    airflow()


def _start(name: str, home: Path) -> int:
    """Fork one component, its output going to its own log; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        log = os.open(home / "logs" / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if sys.platform == "darwin":
            # Apple's libraries do not survive a fork that goes on in the same program.
            os.execv(sys.executable, [sys.executable, "-c", f"from tools.airflow_parts import run; run({name!r})"])  # noqa: S606 - no shell is wanted
        run(name)
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's code
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


def _ended(components: dict[int, str]) -> str:
    """Reap what has ended and return the name of a component among it, or nothing."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return "every component"
        if pid == 0:
            return ""
        if pid in components:
            return f"{components[pid]} (exit status {os.waitstatus_to_exitcode(status)})"


def _owner_gone(owner: int | None) -> bool:
    """Pass half a second, or less if the owner goes meanwhile; return whether it is gone."""
    if owner is None:
        time.sleep(0.5)
        return False
    readable, _, _ = select.select([owner], [], [], 0.5)
    return bool(readable)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
