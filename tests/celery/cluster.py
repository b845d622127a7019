"""Airflow as on several machines: every component a process of its own, Redis and PostgreSQL between them, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
import yaml

from tests.celery.environment import PYTHON
from tests.postgres import PrivatePostgres, binaries
from tools import airflow_env, processes
from tools.airflow_api import AirflowApi, AirflowError
from tools.airflow_env import CHECKOUT
from tools.local_airflow import _free_port, tail

__all__ = ["WORKERS", "Cluster"]

WORKERS = ("worker-1", "worker-2")
#: Two tasks at once each: what two cores can do.
_SLOTS = 2
_ALONE = ("--skip-serve-logs", "--without-gossip", "--without-mingle")


class Cluster(AirflowApi):
    """One Airflow with `CeleryExecutor`. Components are killed and started alone, by their names in docker-compose.yaml.

    :param home: Folder for logs, files and the broker's settings.
    :param env: Variables for every component.
    """

    def __init__(self, home: Path, *, env: Mapping[str, str]) -> None:
        self.home = home.resolve()
        self._env = dict(env)
        self._port, self._broker_port = _free_port(0), _free_port(0)
        self._password = secrets.token_urlsafe(24)
        self._secrets = airflow_env.new_secrets()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        super().__init__(f"http://127.0.0.1:{self._port}")

    def __enter__(self) -> Self:
        folder = binaries()
        if folder is None:
            raise AirflowError("PostgreSQL is not installed")
        (self.home / "logs").mkdir(parents=True)
        self.postgres = PrivatePostgres(folder)
        try:
            self.metadata, self.money = self.postgres.database(), self.postgres.database()
            self._once("airflow", "db", "migrate")
            self._once("aiprod.cli", "ledger", "upgrade")
            for name in ("redis", *self.commands()):
                self.start(name)
            self.wait(lambda: True if self._healthy() else None, "Airflow was not ready", timeout=240)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def commands(self) -> dict[str, tuple[str, ...]]:
        """What is started: component → its command line after `airflow`."""
        workers = {
            name: ("celery", "worker", *_ALONE, "--celery-hostname", f"{name}@%h", "--pid", str(self.home / f"{name}.pid"))
            for name in WORKERS
        }
        return {
            "api-server": ("api-server",),
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "dag-processor": ("dag-processor",),
            "triggerer": ("triggerer", "--skip-serve-logs"),
            **workers,
        }

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of one component: what `docker-compose.yaml` sets, with addresses of this machine."""
        made = airflow_env.settings(self.home, port=self._port, dags=CHECKOUT / "dags", plugins=CHECKOUT / "plugins")
        made |= {
            processes.MARK: str(self.home / name),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{self._database(self.metadata)}",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://:{self._password}@127.0.0.1:{self._broker_port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{self._database(self.metadata)}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(_SLOTS),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(heartbeat_timeout()),
            "AIPROD_DATABASE_URL": f"postgresql://{self._database(self.money)}",
        }
        # What only one machine with one file is tuned by.
        for only_sqlite in ("SQL_ALCHEMY_CONNECT_ARGS", "SQL_ALCHEMY_CONNECT_ARGS_ASYNC"):
            del made[f"AIRFLOW__DATABASE__{only_sqlite}"]
        del made["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"]
        return {**airflow_env.inherited(os.environ), **made, **self._secrets, **self._env}

    def start(self, name: str) -> None:
        """Start a component, as a supervisor does with one that ended."""
        command = self._broker() if name == "redis" else [str(PYTHON), "-m", "airflow", *self.commands()[name]]
        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """End a component as a machine that loses its power does: SIGKILL to it and to everything it started, at once."""
        died = self._running.pop(name)
        while found := self.of(name):
            for process in found:
                try:
                    process.kill()
                except psutil.Error:
                    continue
            time.sleep(0.02)
        died.wait(timeout=10)

    def of(self, name: str) -> list[psutil.Process]:
        """Return the running processes of a component, its children's children included."""
        return processes.marked(self.home / name)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask Airflow's database."""
        with self.postgres.connect(self.metadata) as conn:
            return [tuple(row) for row in conn.execute(statement.encode())]

    def ledger_url(self) -> str:
        return self.postgres.url(self.money)

    def check(self) -> None:
        for name, process in self._running.items():
            if process.poll() is not None:
                raise AirflowError(f"{name} ended by itself\n{self.evidence()}")

    def evidence(self) -> str:
        logs = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"--- {log}\n{tail(log)}" for log in logs if log.stat().st_size)

    def _database(self, name: str) -> str:
        return self.postgres.url(name).partition("://")[2]

    def _broker(self) -> Sequence[str]:
        conf = self.home / "redis.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            f'bind 127.0.0.1\nport {self._broker_port}\nrequirepass {self._password}\nsave ""\ndir {self.home}\n',
            encoding="utf-8",
        )
        return [str(shutil.which("redis-server")), str(conf)]

    def _once(self, *command: str) -> None:
        told = subprocess.run(
            [str(PYTHON), "-m", *command],
            env=self.environment("once"),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode:
            raise AirflowError(f"{' '.join(command)} failed:\n{told.stdout[-2000:]}{told.stderr[-2000:]}")

    def _healthy(self) -> bool:
        """Whether every component says so, the DAGs are there, and both workers take tasks."""
        try:
            with httpx.Client(trust_env=False, timeout=5) as client:
                answer = client.get(f"{self.url}/api/v2/monitor/health")
        except httpx.TransportError:
            return False
        if not answer.is_success or any(part.get("status") != "healthy" for part in answer.json().values()):
            return False
        logs = [self.home / "logs" / f"{name}.log" for name in WORKERS]
        ready = all(" ready." in log.read_text(errors="replace") for log in logs)
        return ready and self.client().get("dags/render_video").is_success

    def _end(self) -> None:
        """End everything, the database last."""
        if self._client is not None:
            self._client.close()
        try:
            for name in (*self.commands(), "once"):
                processes.end(lambda name=name: self.of(name), grace=1)  # type: ignore[misc]
            for process in self._running.values():
                # Redis writes its title over its environment, and with it the mark.
                process.kill()
                process.wait(timeout=10)
        finally:
            self.postgres.stop()


def heartbeat_timeout() -> int:
    """Return the seconds after which `docker-compose.yaml` lets the tasks of a dead worker be given to another."""
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8"))
    return int(compose["services"]["scheduler"]["environment"]["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"])
