"""A real Airflow of one's own: SQLite, LocalExecutor, loopback, every file under one folder, every process ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from tools import airflow_env, airflow_parts, metadata_db, processes
from tools.airflow_api import AirflowApi, AirflowError
from tools.airflow_env import CHECKOUT

TAIL = 25


class LocalAirflow(AirflowApi):
    """One Airflow, started and stopped by whoever holds this object.

    With `detached`, it keeps running when its starter goes, and any later object on the same home can stop it;
    otherwise it ends with the process that started it, even one that was killed.

    :param home: Folder for the metadata database, logs and secrets; made if missing.
    :param dags: Folder of DAG files.
    :param python_path: Folders that tasks may import from besides `include` and `plugins`.
    :param env: Variables for its processes; None takes one away that the caller has.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path = CHECKOUT / "dags",
        plugins: Path = CHECKOUT / "plugins",
        python_path: Sequence[Path] = (),
        env: Mapping[str, str | None] | None = None,
        detached: bool = False,
    ) -> None:
        self.home = home.resolve()
        self._dags, self._plugins, self._python_path = dags.resolve(), plugins.resolve(), tuple(python_path)
        self._env, self._detached = dict(env or {}), detached
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: int | None = None
        self._port = int(self._known().get("port", 0))
        super().__init__(f"http://127.0.0.1:{self._port}")

    def start(self) -> None:
        """Start every component and return at once. Leftovers of an earlier crash in this home are ended first.

        Raises `AirflowError` when an Airflow that somebody still holds runs in this home.
        """
        launcher = self._launcher()
        # One whose owner was killed is about to end by itself.
        if launcher is not None and psutil.wait_procs([launcher], timeout=2 * airflow_parts.GRACE + 2)[1]:
            raise AirflowError(f"an Airflow is already running in {self.home}")
        processes.end(self._processes, grace=1)
        logs = self.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        for old in logs.glob("*.log"):
            old.unlink()
        self._port = _free_port(self._port)
        self.url = f"http://127.0.0.1:{self._port}"
        secrets = self._known().get("secrets") or airflow_env.new_secrets()
        env = self.environment() | secrets
        metadata_db.provide(self.home / "airflow.db", env)
        self._launch(env)
        self._remember({"port": self._port, "secrets": secrets, "pid": self._process.pid if self._process else 0})

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes, secrets excepted; `python -m aiprod.cli` in it sees the same ledger."""
        env = airflow_env.inherited(os.environ)
        env |= airflow_env.settings(
            self.home, port=self._port, dags=self._dags, plugins=self._plugins, python_path=self._python_path
        )
        env |= {name: value for name, value in self._env.items() if value is not None}
        return {name: value for name, value in env.items() if self._env.get(name, "") is not None}

    def running(self) -> bool:
        """Return whether the parent of this home's Airflow is alive; left-over children alone do not count."""
        return self._launcher() is not None

    def wait_ready(self, timeout: float = 120, *, dags: Sequence[str] = ()) -> None:
        """Wait until every component reports healthy and every DAG named is there.

        Raises `AirflowError` after `timeout` seconds, or at once when a component ended or a DAG file does not import.
        """

        def ready() -> bool | None:
            return True if self._healthy() and all(self._parsed(dag) for dag in dags) else None

        self.wait(ready, "Airflow was not ready", timeout=timeout)

    def stop(self) -> None:
        """End every process of this home, children included, and return when none is left. Idempotent."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
        launcher = self._launcher()
        if launcher is not None:
            with suppress(psutil.Error):
                launcher.terminate()
            psutil.wait_procs([launcher], timeout=airflow_parts.GRACE + airflow_parts.SIGN_OFF + 5)
        processes.end(self._processes, grace=airflow_parts.GRACE)
        if self._process is not None:
            self._process.wait(timeout=10)
            self._process = None

    def check(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            raise AirflowError(f"Airflow ended by itself\n{self.evidence()}")

    def evidence(self) -> str:
        """Return the ends of the logs, the launcher's last."""
        logs = sorted((self.home / "logs").glob("*.log"), key=lambda log: log.stem == "launcher")
        return "\n".join(f"--- {log}\n{tail(log)}" for log in logs if log.stat().st_size)

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _processes(self) -> list[psutil.Process]:
        return processes.marked(self.home)

    def _launcher(self) -> psutil.Process | None:
        pid = self._known().get("pid")
        return next((process for process in self._processes() if process.pid == pid), None)

    def _launch(self, env: Mapping[str, str]) -> None:
        """Start the launcher in a session of its own, where no Ctrl-C of ours reaches it."""
        read, write = os.pipe()
        owner = [] if self._detached else [str(read)]
        try:
            with (self.home / "logs" / "launcher.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tools.airflow_parts", *owner],
                    cwd=CHECKOUT,
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(read,) if owner else (),
                )
        finally:
            os.close(read)
        self._leash = write

    def _healthy(self) -> bool:
        try:
            with httpx.Client(trust_env=False, timeout=5) as client:
                answer = client.get(f"{self.url}/api/v2/monitor/health")
        except httpx.TransportError:
            return False
        return answer.is_success and all(part.get("status") == "healthy" for part in answer.json().values())

    def _parsed(self, dag_id: str) -> bool:
        if self.client().get(f"dags/{dag_id}").is_success:
            return True
        errors = self.call("GET", "importErrors")["import_errors"]
        if errors:
            raise AirflowError("\n".join(f"{error['filename']} does not import:\n{error['stack_trace']}" for error in errors))
        return False

    def _known(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.home / "instance.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def _remember(self, known: Mapping[str, Any]) -> None:
        path = self.home / "instance.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(known), encoding="utf-8")


def tail(log: Path, lines: int = TAIL) -> str:
    """Return the last lines of a log."""
    with suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return ""


def _free_port(wanted: int) -> int:
    """Return `wanted` if nothing listens there, else any free port of loopback."""
    for port in filter(None, (wanted,)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
