"""Where storms take place: one vendor process, one clock, one database that is fresh for every storm."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import psycopg
from sqlalchemy.pool import QueuePool

from aiprod.emulators.books import Books
from aiprod.emulators.running import environment
from aiprod.ledger import Ledger
from tests.postgres import PrivatePostgres
from tests.safety import backend
from tests.safety.clock import Clock
from tests.safety.plan import Plan
from tests.safety.shops import shipped_adapters

__all__ = ["PRICES", "Ground", "keep_connections"]

#: What the generic vendor asks, in micro-dollars per second: its own price list, not the catalogue's.
PRICES = {"runway": 120_000, "veo3": 400_000, "replicate": 100_000}


def keep_connections(ledger: Ledger) -> None:
    """Let this process keep its Postgres connection between transactions; a fork calls it for its own.

    The product opens one per transaction, which is most of what a storm would cost. What is sent is the same.
    """
    if ledger.engine.dialect.name == "postgresql":
        old = ledger.engine.pool
        ledger.engine.pool = QueuePool(
            old._creator, pool_size=1, pre_ping=True, reset_on_return="rollback", dialect=old._dialect, _dispatch=old.dispatch
        )


class Ground:
    """Everything a storm stands on. Made in the process that forks; `close` takes it all away."""

    def __init__(self, database: Literal["sqlite", "postgres"], postgres: PrivatePostgres | None = None, name: str = "") -> None:
        memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made inside
        self.folder = Path(tempfile.mkdtemp(prefix="aiprod-safety-", dir=memory if memory.is_dir() else None))
        self.clock = Clock()
        self._books, self._place = self.folder / "books.jsonl", 0
        served = ["--port=0", f"--folder={self.folder / 'vendors'}", f"--books={self._books}", "--leash"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-m", "aiprod.emulators", *served]
        self._vendor = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        assert self._vendor.stdout is not None
        # They say where they are, what to export, and then nothing.
        said = list(takewhile(str.strip, self._vendor.stdout))
        self._port = int(said[0].rpartition(":")[2])
        self._terms: dict[str, Any] = {}
        os.environ[backend.ADDRESS] = f"http://127.0.0.1:{self._port}"
        os.environ["AIPROD_VAR_DIR"] = str(self.folder / "var")
        os.environ.pop("AIPROD_DRY_RUN", None)
        self._postgres, self._name = (postgres, name) if database == "postgres" else (None, "")
        if database == "postgres":
            if postgres is None:
                raise ValueError("a ground on Postgres needs a server")
            self._ledger = Ledger(postgres.url(name), clock=self.clock.now)
            self._ledger.upgrade()
            keep_connections(self._ledger)
        else:
            self._template = self.folder / "template.db"
            Ledger(f"sqlite:///{self._template}").upgrade()
            # One engine for all storms: what it compiled for one, the next one's forks need not compile again.
            self._ledger = Ledger(f"sqlite:///{self.folder / 'ledger.db'}", clock=self.clock.now)

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    def prepare(self, plan: Plan) -> Ledger:
        """An empty ledger, an agreed vendor, and the clock where the storm begins."""
        shutil.rmtree(self.storage, ignore_errors=True)
        self.clock.start_at(plan.starts_at)
        prices = PRICES if plan.vendors == "generic" else {}
        self._terms = {"offers": plan.offers, "prices": prices, "listing_lag": plan.listing_lag}
        if plan.vendors == "real":
            self._open_shops(bucket=plan.bucket)
        self._agree(wait=True)
        self._ask("DELETE", "/renders")
        if self._postgres is not None:
            self._postgres.clear(self._name)
        else:
            for old in self.folder.glob("ledger.db*"):
                old.unlink()
            shutil.copyfile(self._template, self.folder / "ledger.db")
        with self._ledger.read():
            # Opened once before the fork: every child would ask the database for the same things.
            return self._ledger

    def _open_shops(self, *, bucket: bool) -> None:
        """Let the shipped adapters of this process, and of its forks, buy here."""
        shipped_adapters()
        os.environ.update(environment(f"http://127.0.0.1:{self._port}", self.folder / "vendors" / "service-account.json"))
        if not bucket:
            del os.environ["AIPROD_VEO3_BUCKET"]

    def jump(self, by: timedelta, *, wait: bool) -> None:
        """Set every clock ahead. With `wait`, first let everything arrive that was sent."""
        if by or wait:
            if wait:
                self._agree(wait=True)
            self.clock.jump(by)
            # Again with the new time: late accepts that are due by now are booked when it returns.
            self._agree(wait=False)

    def _agree(self, *, wait: bool) -> None:
        terms = {**self._terms, "ahead": self.clock.ahead}
        if self._ask("PUT", "/terms" if wait else "/terms?at-once", terms) != 200:
            raise RuntimeError("the vendor's wires did not fall silent")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        wire = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            wire.request(method, path, json.dumps(body or {}))
            answer = wire.getresponse()
            answer.read()
        finally:
            wire.close()
        return answer.status

    def cut_connection(self) -> int:
        """Kill one Postgres backend that works for us; return how many were."""
        assert self._postgres is not None
        statement = """
            SELECT count(pg_terminate_backend(pid)) FROM
              (SELECT pid FROM pg_stat_activity WHERE datname = %s ORDER BY random() LIMIT 1) AS one"""
        at = {"host": "127.0.0.1", "port": self._postgres.port, "user": "aiprod", "dbname": "postgres"}
        with psycopg.connect(**at, autocommit=True) as conn:
            found = conn.execute(statement, (self._name,)).fetchone()
        return int(found[0]) if found else 0

    def booked(self) -> list[dict[str, Any]]:
        """What the vendor wrote down since the last time."""
        lines, self._place = Books.read(self._books, self._place)
        return lines

    def close(self) -> None:
        self._vendor.kill()
        self._vendor.wait()
        for pipe in (self._vendor.stdin, self._vendor.stdout):
            assert pipe is not None
            pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)
