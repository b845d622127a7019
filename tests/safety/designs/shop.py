"""What every usual design shares: a row per request, a lease per shot, and the steps of a render.

Designs differ in when money is counted and in what an error means. All get the same good manners: one process works
on a shot at a time, a take is never fetched twice, and a request that is known to have failed is a new request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from sqlalchemy import Connection, text

from aiprod.backends import backend as adapter_of
from aiprod.catalog import Catalog
from aiprod.errors import BackendError, SubmitRejected
from aiprod.ledger import Ledger
from aiprod.ledger.engine import now as database_now
from aiprod.models import RenderRequest
from aiprod.pricing import quote
from aiprod.storage import Storage
from tests import desk
from tests.safety.designs.score import Record
from tests.safety.judge import Caps
from tests.safety.plan import BACKENDS, Plan
from tests.safety.worker import Troubles

__all__ = ["STEPS", "Render", "Shop", "make_tables"]

#: How long a process may work on a shot before another one takes it over; storms jump further than this.
LEASE = timedelta(seconds=25)
ATTEMPTS = 3

#: Where the fault points of a storm are in these designs. Steps that they do not have are never reached.
STEPS = {
    "T1 hold": "check",
    "T2 claim": "begin",
    "T3 accept": "record",
    "T5 close": "close",
    "keep take": "keep",
    "verdict": "judge_take",
}

_TABLES = (
    """CREATE TABLE IF NOT EXISTS shop_shots (job TEXT, shot INT, attempt INT, tries INT, errors INT,
       lease DOUBLE PRECISION, done DOUBLE PRECISION, PRIMARY KEY (job, shot))""",
    """CREATE TABLE IF NOT EXISTS shop_renders (marker TEXT PRIMARY KEY, job TEXT, shot INT, backend TEXT,
       decided DOUBLE PRECISION, vendor_id TEXT, state TEXT)""",
    "CREATE TABLE IF NOT EXISTS shop_spent (name TEXT PRIMARY KEY, amount BIGINT)",
    "CREATE TABLE IF NOT EXISTS shop_reserved (marker TEXT PRIMARY KEY, names TEXT, amount BIGINT)",
)


def make_tables(ledger: Ledger) -> None:
    """The designs' own tables, empty, beside the ledger's."""
    with ledger.write() as conn:
        for statement in _TABLES:
            conn.execute(text(statement))
        for name in ("shots", "renders", "spent", "reserved"):
            conn.execute(text(f"DELETE FROM shop_{name}"))  # noqa: S608 - our own names


@dataclass
class Render:
    """One request on its way. `names` are the caps that it counts against."""

    marker: str
    job: str
    shot: int
    request: RenderRequest
    price: int
    names: tuple[str, ...]

    @property
    def backend(self) -> str:
        return self.request.backend


@dataclass
class Shop:
    """A design on one database. Has the steps that a storm's processes take."""

    ledger: Ledger
    catalog: Catalog
    storage: Storage
    plan: Plan
    troubles: Troubles
    caps: Caps

    title: ClassVar[str]
    #: How often a task that failed is tried again before it stays red.
    task_tries: ClassVar[int] = 3

    # --- where designs differ ---------------------------------------------------------------------

    def check(self, conn: Connection, render: Render) -> bool:
        """Whether there is money for a request."""
        raise NotImplementedError

    def send(self, render: Render) -> str:
        """Send it; return the vendor's id."""
        return self.submit(render)

    def accepted(self, conn: Connection, render: Render) -> None:
        """Count what was accepted."""

    def ended(self, conn: Connection, render: Render, cost: int) -> None:
        """Count what it cost in the end."""

    def refused(self, conn: Connection, render: Render) -> None:
        """Count back what the vendor refused."""

    # --- what a storm asks for --------------------------------------------------------------------

    def route_together(self, job_ids: Sequence[str], number: int) -> None:
        """None of them holds for several jobs at once."""

    def walk(self, job_id: str, run_id: str, *, rounds: int = 3, everywhere: bool = False) -> None:
        for shot in range(1, len(self.plan.orders[job_id]["shots"]) + 1):
            with self.troubles.tolerated(f"shot {shot}"):
                self.make(job_id, shot)

    def tidy(self) -> None:
        for job_id in self.plan.orders:
            self.walk(job_id, "tidy")

    def settle(self, job_id: str, run_id: str) -> None:
        """Nothing is left over."""

    def cancel(self, job_id: str) -> None:
        """Not part of the comparison."""

    def stop(self) -> None:
        """Not part of the comparison."""

    # --- one shot ---------------------------------------------------------------------------------

    def make(self, job: str, shot: int) -> None:
        """Take one shot as far as it goes now."""
        with self.ledger.write() as conn:
            attempt = self._lease(conn, job, shot)
        if attempt is None:
            return
        try:
            self._work(job, shot, attempt)
        finally:
            with self.ledger.write() as conn:
                conn.execute(text("UPDATE shop_shots SET lease = 0 WHERE job = :j AND shot = :s"), {"j": job, "s": shot})

    def _work(self, job: str, shot: int, first: int) -> None:
        attempt: int | None = first
        while attempt is not None and attempt <= ATTEMPTS:
            marker = f"{job}/{shot}/{attempt}"
            render, vendor_id = self._known(marker)
            if vendor_id is None:
                render = self._afford(job, shot, marker)
                if render is None:
                    return
                vendor_id = self._order(render)
            if render is None or vendor_id is None or not self._follow(render, vendor_id, attempt):
                return
            with self.ledger.read() as conn:
                attempt = self._attempt(conn, job, shot)

    def _lease(self, conn: Connection, job: str, shot: int) -> int | None:
        """The attempt to work on; None when it is done or somebody works on it."""
        now = database_now(conn)
        at = {"j": job, "s": shot, "now": now.timestamp(), "until": (now + LEASE).timestamp()}
        conn.execute(text("INSERT INTO shop_shots VALUES (:j, :s, 1, 0, 0, 0, NULL) ON CONFLICT DO NOTHING"), at)
        mine = "UPDATE shop_shots SET lease = :until WHERE job = :j AND shot = :s AND done IS NULL AND lease < :now"
        return self._attempt(conn, job, shot) if conn.execute(text(mine), at).rowcount == 1 else None

    def _attempt(self, conn: Connection, job: str, shot: int) -> int | None:
        found = conn.execute(
            text("SELECT attempt FROM shop_shots WHERE job = :j AND shot = :s AND done IS NULL"), {"j": job, "s": shot}
        ).scalar()
        return None if found is None else int(found)

    def _known(self, marker: str) -> tuple[Render | None, str | None]:
        with self.ledger.read() as conn:
            row = conn.execute(text("SELECT * FROM shop_renders WHERE marker = :m"), {"m": marker}).mappings().first()
        if row is None or row["vendor_id"] is None:
            return None, None
        return self._render(row["job"], row["shot"], marker, row["backend"], row["decided"]), row["vendor_id"]

    def _afford(self, job: str, shot: int, marker: str) -> Render | None:
        """The first backend, from the next in line on, that there is money for."""
        with self.ledger.read() as conn:
            statement = "SELECT tries, errors FROM shop_shots WHERE job = :j AND shot = :s"
            tries, errors = conn.execute(text(statement), {"j": job, "s": shot}).one()
        if errors >= self.task_tries:
            return None
        for name in (*BACKENDS[tries % 3 :], *BACKENDS[: tries % 3]):
            with self.ledger.write() as conn:
                now = database_now(conn)
                render = self._render(job, shot, marker, name, now.timestamp())
                if not self.check(conn, render):
                    continue
                self.begin(conn, render, now)
            return render
        return None

    def _render(self, job: str, shot: int, marker: str, name: str, decided: float) -> Render:
        order = self.plan.orders[job]["shots"][shot - 1]
        model = self.plan.catalog.backends[name].models[0].name
        request = desk.request(shot, backend=name, model=model, seconds=order["seconds"], prompt=order["prompt"])
        day = datetime.fromtimestamp(decided, self.catalog.zone).date()
        project = self.caps.projects[job]
        names = [f"job {job}", f"day {day}"]
        names += [f"project {project}"] if project in self.caps.project else []
        names += [f"backend {name} {day}"] if name in self.caps.backend_day else []
        return Render(marker, job, shot, request, quote(self.catalog.prices, request, day), tuple(names))

    def begin(self, conn: Connection, render: Render, now: datetime) -> None:
        """Write down what is about to be bought."""
        conn.execute(
            text("INSERT INTO shop_renders VALUES (:m, :j, :s, :b, :at, NULL, 'begun')"
                 " ON CONFLICT (marker) DO UPDATE SET backend = :b, decided = :at"),
            {"m": render.marker, "j": render.job, "s": render.shot, "b": render.backend, "at": now.timestamp()},
        )  # fmt: skip

    def _order(self, render: Render) -> str | None:
        try:
            vendor_id = self.send(render)
        except SubmitRejected:
            # Refused: nothing runs. The next one in line is asked when the task is tried again.
            with self.ledger.write() as conn:
                self.refused(conn, render)
                self._count(conn, render, "tries")
            return None
        except BackendError:
            with self.ledger.write() as conn:
                self._count(conn, render, "errors")
            raise
        with self.ledger.write() as conn:
            self.record(conn, render, vendor_id)
        return vendor_id

    def _count(self, conn: Connection, render: Render, column: str) -> None:
        statement = f"UPDATE shop_shots SET {column} = {column} + 1 WHERE job = :j AND shot = :s"  # noqa: S608 - our own names
        conn.execute(text(statement), {"j": render.job, "s": render.shot})

    def submit(self, render: Render) -> str:
        return adapter_of(self.catalog, render.backend).submit(render.request, key=render.marker).vendor_id

    def record(self, conn: Connection, render: Render, vendor_id: str) -> None:
        """Store the vendor's id: from now on a retry asks for it instead of buying again."""
        conn.execute(
            text("UPDATE shop_renders SET vendor_id = :v, state = 'submitted', backend = :b WHERE marker = :m"),
            {"v": vendor_id, "b": render.backend, "m": render.marker},
        )
        self.accepted(conn, render)

    def _follow(self, render: Render, vendor_id: str, attempt: int) -> bool:
        """Ask once how it is doing; return whether there may be a next attempt."""
        adapter = adapter_of(self.catalog, render.backend)
        state = adapter.poll(vendor_id)
        if not state.final:
            return False
        file = None
        if state.state == "succeeded":
            with TemporaryDirectory(dir=self.troubles.file.parent) as scratch:
                file = Path(scratch) / "take.mp4"
                adapter.fetch(vendor_id, file)
                self.storage.keep(file, f"{render.marker}-{vendor_id[-8:]}.mp4")
        with self.ledger.write() as conn:
            self.keep(conn, render, "succeeded" if file else "failed")
            self.close(conn, render, state.charged or 0)
            bad = render.job in self.plan.bad and attempt == 1
            if file and not bad:
                self.judge_take(conn, render)
            else:
                statement = "UPDATE shop_shots SET attempt = :n WHERE job = :j AND shot = :s AND done IS NULL"
                conn.execute(text(statement), {"n": attempt + 1, "j": render.job, "s": render.shot})
        return True

    def keep(self, conn: Connection, render: Render, state: str) -> None:
        conn.execute(text("UPDATE shop_renders SET state = :s WHERE marker = :m"), {"s": state, "m": render.marker})

    def close(self, conn: Connection, render: Render, cost: int) -> None:
        self.ended(conn, render, cost)

    def judge_take(self, conn: Connection, render: Render) -> None:
        at = {"at": database_now(conn).timestamp(), "j": render.job, "s": render.shot}
        conn.execute(text("UPDATE shop_shots SET done = :at WHERE job = :j AND shot = :s AND done IS NULL"), at)

    # --- money ------------------------------------------------------------------------------------

    def limit(self, name: str) -> int:
        kind, _, key = name.partition(" ")
        if kind == "job":
            return self.caps.job[key]
        if kind == "project":
            return self.caps.project[key]
        return self.caps.day if kind == "day" else self.caps.backend_day[key.split()[0]]

    def spent(self, conn: Connection, name: str) -> int:
        return int(conn.execute(text("SELECT amount FROM shop_spent WHERE name = :n"), {"n": name}).scalar() or 0)

    def add(self, conn: Connection, names: Sequence[str], amount: int) -> None:
        for name in names:
            conn.execute(
                text("INSERT INTO shop_spent VALUES (:n, :a)"
                     " ON CONFLICT (name) DO UPDATE SET amount = shop_spent.amount + excluded.amount"),
                {"n": name, "a": amount},
            )  # fmt: skip

    # --- the end ----------------------------------------------------------------------------------

    def unfinished(self) -> int:
        """How many shots a retry can still do something for: there is a try left, or a render to ask for."""
        statement = """
            SELECT count(*) FROM shop_shots s WHERE done IS NULL AND (errors < :most OR EXISTS
              (SELECT 1 FROM shop_renders r WHERE r.job = s.job AND r.shot = s.shot AND r.state = 'submitted'))"""
        with self.ledger.read() as conn:
            return int(conn.execute(text(statement), {"most": self.task_tries}).scalar_one())

    def records(self) -> Iterator[Record]:
        for row in self._rows("SELECT * FROM shop_renders"):
            yield Record(
                row["marker"], row["job"], row["shot"], row["decided"], row["vendor_id"], home=row["state"] == "succeeded"
            )

    def done_at(self) -> dict[tuple[str, int], float]:
        return {(r["job"], r["shot"]): r["done"] for r in self._rows("SELECT * FROM shop_shots WHERE done IS NOT NULL")}

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        with self.ledger.read() as conn:
            return [dict(row) for row in conn.execute(text(statement)).mappings()]
