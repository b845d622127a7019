"""Many storms: lanes that take seeds from a common counter, and what they came to together."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from tests.postgres import INSTALL, PrivatePostgres, binaries
from tests.safety.ground import Ground
from tests.safety.judge import Finding
from tests.safety.plan import Vendors, draw
from tests.safety.storm import Outcome, run

__all__ = ["Campaign", "Tally", "rage", "require_all"]

Database = Literal["sqlite", "postgres"]
#: Storms sleep a part of their time, waiting for locks and for who is stopped: this many at a time fill two cores.
LANES = 2
#: Of so many storms one buys from the shipped adapters. It costs a fifth more, and its lane four seconds to begin.
ONE_IN = 10


@dataclass(frozen=True)
class Campaign:
    """What to run: `schedules` storms from `seed` on, spread over the databases, for at most `seconds`."""

    seed: int
    schedules: int
    databases: tuple[Database, ...]
    seconds: float | None = None
    lanes: int = LANES
    vendors: Vendors | Literal["mixed"] = "generic"

    def share(self, database: Database) -> int:
        """How many storms one database gets: where there are two, Postgres an eighth. Its storms cost three times as much."""
        eighth = self.schedules // 8
        if len(self.databases) == 1:
            return self.schedules
        return eighth if database == "postgres" else self.schedules - eighth

    def shares(self) -> Iterator[tuple[Database, Vendors, int]]:
        """How many storms there are of each kind, on each database."""
        for database in self.databases:
            storms = self.share(database)
            real = {"generic": 0, "real": storms, "mixed": storms // ONE_IN}[self.vendors]
            yield database, "generic", storms - real
            yield database, "real", real


@dataclass
class Tally:
    """What all storms came to."""

    schedules: Counter[str] = field(default_factory=Counter)
    processes: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    accepts: int = 0
    billable: int = 0
    takes: int = 0
    parked: int = 0
    seconds: float = 0.0
    #: The finding, the storm's command.
    findings: list[tuple[Finding, str]] = field(default_factory=list)
    #: The same of each kind of vendors.
    by_vendors: dict[str, Tally] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self._count(outcome)
        self.by_vendors.setdefault(outcome.vendors, Tally())._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        self.schedules[outcome.database] += 1
        self.processes += outcome.processes
        self.kills.update(outcome.kills)
        self.faults.update(outcome.faults)
        self.accepts += outcome.accepts
        self.billable += outcome.billable
        self.takes += outcome.takes
        self.parked += outcome.parked
        self.findings += [(finding, outcome.repeat) for finding in outcome.findings]

    def count(self, kind: str) -> int:
        return sum(1 for finding, _ in self.findings if finding.kind == kind)

    @property
    def overspend(self) -> int:
        """In micro-dollars."""
        return sum(finding.micros for finding, _ in self.findings if finding.kind == "overspend")


def rage(campaign: Campaign, tell: Callable[[Outcome, Tally], Any] = lambda outcome, tally: None) -> Tally:
    """Run every storm and return the tally. `tell` hears of each as it ends. Raises `RuntimeError` when a lane broke."""
    began = time.monotonic()
    tally = Tally()
    server = _server() if "postgres" in campaign.databases else None
    # What is there now is there for good: forks need not look at it, nor copy it.
    gc.collect()
    gc.freeze()
    context = multiprocessing.get_context("fork")
    # The counters stay here as long as the lanes: the memory of one that is let go is the next one's.
    lanes, ears, turns = [], [], []
    try:
        for database, vendors, share in campaign.shares():
            turn = context.Value("i", 0)
            turns.append(turn)
            for _ in range(min(1 if campaign.vendors == "mixed" and vendors == "real" else campaign.lanes, share)):
                ear, mouth = context.Pipe(duplex=False)
                name = server.database() if server is not None and database == "postgres" else ""
                work = _Work(campaign, database, vendors, share, server, name, turn, began)
                lane = context.Process(target=_lane, args=(work, mouth), daemon=True)
                lane.start()
                mouth.close()
                lanes.append(lane)
                ears.append(ear)
        _listen(ears, tally, tell)
        require_all(campaign, lanes, tally)
    finally:
        for lane in lanes:
            if sys.exc_info()[0] is not None:
                lane.terminate()
            lane.join(10)
        if server is not None:
            server.stop()
        gc.unfreeze()
    tally.seconds = time.monotonic() - began
    return tally


def require_all(campaign: Campaign, lanes: Sequence[BaseProcess], tally: Tally) -> None:
    """A lane that ended without a word left storms out: what did not rage proves nothing. Raises `RuntimeError`."""
    for lane in lanes:
        lane.join(10)
    ended = [lane.exitcode for lane in lanes if lane.exitcode]
    missing = campaign.schedules - sum(tally.schedules.values())
    if ended or (missing and campaign.seconds is None):
        raise RuntimeError(f"the harness broke, not the product: {missing} storms are missing, lanes ended with {ended}")


def _server() -> PrivatePostgres:
    folder = binaries()
    if folder is None:
        raise RuntimeError(f"{INSTALL}; `--database sqlite` does without")
    return PrivatePostgres(folder)


def _listen(ears: Sequence[Connection], tally: Tally, tell: Callable[[Outcome, Tally], Any]) -> None:
    open_ears = list(ears)
    while open_ears:
        for ear in wait(open_ears):
            assert isinstance(ear, Connection)
            try:
                said = ear.recv()
            except EOFError:
                open_ears.remove(ear)
                continue
            if isinstance(said, str):
                raise RuntimeError(f"the harness broke, not the product:\n{said}")
            tally.add(said)
            tell(said, tally)


@dataclass(frozen=True)
class _Work:
    """What a lane does: its kind of storms, from a counter that it shares with the other lanes of that kind."""

    campaign: Campaign
    database: Database
    vendors: Vendors
    share: int
    server: PrivatePostgres | None
    name: str
    turn: Any
    began: float

    def next(self) -> int | None:
        """The next storm's number; None: there is no more."""
        with self.turn.get_lock():
            n: int = self.turn.value
            self.turn.value += 1
        seconds = self.campaign.seconds
        late = seconds is not None and time.monotonic() - self.began > seconds
        return None if late or n >= self.share else n


def _lane(work: _Work, mouth: Connection) -> None:
    """One storm after the other, on one ground."""
    pid, parent = os.getpid(), os.getppid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        ground = Ground(work.database, work.server, work.name)
        try:
            while (n := work.next()) is not None and os.getppid() == parent:
                mouth.send(run(draw(work.campaign.seed + n, work.database, work.vendors), ground))
        finally:
            if os.getpid() == pid:
                ground.close()
    except Exception:  # noqa: BLE001 - told to the parent, which raises
        mouth.send(traceback.format_exc())
