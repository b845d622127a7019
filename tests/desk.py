"""A desk at which tests order, approve, hold and step purchases, each call one transaction at a given time."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from aiprod.budgets import Cap
from aiprod.catalog import Catalog
from aiprod.errors import FailureKind, MoneyError
from aiprod.ledger import Ledger, approvals, caps, jobs, purchases
from aiprod.ledger.purchases import Failure, NewHold, Purchase
from aiprod.ledger.states import State, Step
from aiprod.models import USD, Decision, Envelope, Estimate, JobSpec, Manifest, RenderRequest, Shot
from tests.auditor import audit

T = TypeVar("T")

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
#: Longer than any lease in the catalogue, shorter than any run or envelope.
LEASE = timedelta(minutes=10)

#: The shortest way to every state.
WAY: dict[State, tuple[Step, ...]] = {
    "held": (),
    "submitting": (Step.CLAIM,),
    "submitted": (Step.CLAIM, Step.ACCEPT),
    "unknown": (Step.CLAIM, Step.LOSE),
    "succeeded": (Step.CLAIM, Step.ACCEPT, Step.SUCCEED),
    "failed": (Step.CLAIM, Step.ACCEPT, Step.FAIL),
    "cancelled": (Step.CLAIM, Step.ACCEPT, Step.CANCEL),
    "rejected": (Step.CLAIM, Step.REJECT),
    "absent": (Step.CLAIM, Step.LOSE, Step.PROVE_ABSENT),
    "expired": (Step.EXPIRE,),
    "voided": (Step.VOID,),
    "written_off": (Step.CLAIM, Step.LOSE, Step.WRITE_OFF),
}


def request(
    shot: int = 1, *, backend: str = "runway", model: str = "gen4.5", seconds: float = 5, prompt: str = "a"
) -> RenderRequest:
    """A legal render request."""
    return RenderRequest(
        backend=backend,
        model=model,
        prompt=prompt,
        seconds=seconds,
        asked_seconds=seconds,
        aspect_ratio="16:9",
        resolution="720p",
        width=1280,
        height=720,
        fps=24,
        audio=False,
        seed=7,
        shot=shot,
    )


def manifest(job_id: str = "job-1", *, version: int = 1, shots: int = 1, seconds: float = 5, audio: bool = False) -> Manifest:
    """A manifest of equal shots."""
    return Manifest(
        job_id=job_id,
        version=version,
        aspect_ratio="16:9",
        resolution="720p",
        audio=audio,
        shots=tuple(Shot(index=n, prompt=f"shot {n}", seconds=seconds) for n in range(1, shots + 1)),
    )


def failure(kind: FailureKind = FailureKind.VENDOR_INTERNAL) -> Failure:
    return Failure(kind=kind, message="the vendor said no", money_moved="no")


def race(count: int, work: Callable[[int], T]) -> list[T | Exception]:
    """Call `work(0..count-1)` at the same moment in as many threads; return what each returned or raised."""
    start = threading.Barrier(count)
    results: list[T | Exception] = [RuntimeError("did not run")] * count

    def run(n: int) -> None:
        start.wait()
        try:
            results[n] = work(n)
        except Exception as error:  # noqa: BLE001 - whatever was raised is the answer
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def race_of_processes(count: int, work: Callable[[int], object]) -> list[object]:
    """The same with forked processes. What they return is compared as it comes over a queue; errors come as their name."""
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(count), context.Queue()

    def run(n: int) -> None:
        start.wait(10)
        try:
            answers.put((n, work(n)))
        except Exception as error:  # noqa: BLE001 - whatever was raised is the answer
            answers.put((n, type(error).__name__))

    workers = [context.Process(target=run, args=(n,)) for n in range(count)]
    for worker in workers:
        worker.start()
    told = dict(answers.get(timeout=20) for _ in workers)
    for worker in workers:
        worker.join(10)
    return [told[n] for n in range(count)]


def crowd(count: int, work: Callable[[int], object], *, patience: float) -> list[tuple[Any, float]]:
    """The same for hundreds of processes that live for one call: what each answered, and after how many seconds.

    Answers go through JSON, errors come as their name. Who has not answered when `patience` (seconds) is over is
    ended, and missing from the list.
    """
    start_out, start_in = os.pipe()
    told_out, told_in = os.pipe()
    gc.freeze()
    children = []
    for n in range(count):
        if (child := os.fork()) == 0:
            os.close(start_in)
            os.read(start_out, 1)
            begun = time.monotonic()
            try:
                answer = work(n)
            except Exception as error:  # noqa: BLE001 - whatever was raised is the answer
                answer = type(error).__name__
            os.write(told_in, json.dumps([answer, time.monotonic() - begun]).encode() + b"\n")
            os._exit(0)
        children.append(child)
    gc.unfreeze()
    os.close(told_in), os.close(start_out), os.close(start_in)
    told, over = b"", time.monotonic() + patience
    while (left := over - time.monotonic()) > 0 and select.select([told_out], [], [], left)[0]:
        if not (more := os.read(told_out, 65536)):
            break
        told += more
    os.close(told_out)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return [tuple(json.loads(line)) for line in told.splitlines()]


def rows(ledger: Ledger, *tables: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of some tables, in a fixed order: equal before and after means that nothing changed."""
    with ledger.read() as conn:
        return _rows(conn, *tables)


def _rows(conn: Connection, *tables: str) -> dict[str, list[dict[str, Any]]]:
    return {
        table: sorted((dict(row) for row in conn.execute(text(f"SELECT * FROM {table}")).mappings()), key=repr)  # noqa: S608
        for table in tables
    }


@dataclass
class Desk:
    """One ledger, one catalogue, and the few steps of an order."""

    ledger: Ledger
    catalog: Catalog
    envelopes: dict[tuple[str, int], Envelope] = field(default_factory=dict)
    _shared: Connection | None = None

    @contextmanager
    def in_one_transaction(self) -> Iterator[None]:
        """Everything inside is committed together: quick preparation of what a test starts from."""
        with self.ledger.write() as conn:
            self._shared = conn
            try:
                yield
            finally:
                self._shared = None

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What happens inside happens in one transaction that is rolled back."""
        with self.ledger.engine.connect() as conn:
            self._shared = conn
            try:
                yield
            finally:
                self._shared = None
                conn.rollback()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        if self._shared is not None:
            yield self._shared
            return
        with self.ledger.write() as conn:
            yield conn

    def with_backend(self, name: str = "runway", **changes: Any) -> None:
        """Change what the catalogue says of one backend."""
        entry = self.catalog.backends[name].model_copy(update=changes)
        self.catalog = self.catalog.model_copy(update={"backends": {**self.catalog.backends, name: entry}})

    def order(
        self,
        job_id: str = "job-1",
        *,
        version: int = 1,
        sequence: int = 1,
        amount: int = 1_000 * USD,
        expires_at: datetime = NOW + 72 * HOUR,
        now: datetime = NOW,
    ) -> Envelope:
        """Enter a job, its manifest and an approval of `amount`."""
        with self._write() as conn:
            jobs.enter(conn, job_id, JobSpec(prompt="a lighthouse"), now=now)
            priced = Estimate(tariff="list", lines=(), expected=0, worst_case=amount)
            jobs.write_manifest(conn, manifest(job_id, version=version), priced, ["runway"], by="test", now=now)
            answer = approvals.answer(
                conn,
                job_id,
                version,
                "approved",
                sequence=sequence,
                amount=amount,
                backends=["runway", "veo3"],
                attempts_per_shot=3,
                expires_at=expires_at,
                by="test",
                now=now,
            )
        self.envelopes[job_id, version] = answer.envelope
        return answer.envelope

    def limits(self, envelope: Envelope, *, day: int = 1_000 * USD, job: int = 1_000 * USD, warn: int | None = None) -> list[Cap]:
        """Three caps, coldest first."""
        key = f"{envelope.job_id}/{envelope.version}/{envelope.sequence}"
        return [
            Cap(kind="envelope", key=key, cap=envelope.amount),
            Cap(kind="job", key=envelope.job_id, cap=job),
            Cap(kind="day", key="2026-11-23@UTC", cap=day, warn=warn),
        ]

    def new_hold(
        self,
        envelope: Envelope,
        *,
        shot: int = 1,
        sequence: int = 1,
        amount: int = 7 * USD,
        backend: str = "runway",
        prompt: str = "a",
        limits: Sequence[Cap] | None = None,
        decision: Decision | None = None,
    ) -> NewHold:
        """What a hold for one shot says."""
        return NewHold(
            request=request(shot, backend=backend, prompt=prompt),
            envelope=envelope,
            kind="render",
            subject=str(shot),
            sequence=sequence,
            round=1,
            amount=amount,
            limits=self.limits(envelope) if limits is None else limits,
            decision=decision,
        )

    def hold_all(self, *news: NewHold, now: datetime = NOW) -> list[Purchase | MoneyError | None]:
        """Hold several together, in one transaction."""

        def place(conn: Connection) -> list[Purchase | MoneyError | None]:
            return purchases.hold_all(conn, news, catalog=self.catalog, now=now)

        return place(self._shared) if self._shared is not None else self.ledger.transact(place)

    def hold(
        self,
        envelope: Envelope,
        *,
        shot: int = 1,
        sequence: int = 1,
        amount: int = 7 * USD,
        backend: str = "runway",
        prompt: str = "a",
        limits: Sequence[Cap] | None = None,
        now: datetime = NOW,
    ) -> Purchase:
        new = self.new_hold(envelope, shot=shot, sequence=sequence, amount=amount, backend=backend, prompt=prompt, limits=limits)

        def place(conn: Connection) -> Purchase:
            return purchases.hold(conn, new, catalog=self.catalog, now=now)

        return place(self._shared) if self._shared is not None else self.ledger.transact(place)

    def claim(self, key: str, *, now: datetime = NOW, envelope: Envelope | None = None) -> int | None:
        with self._write() as conn:
            found = purchases.get(conn, key)
            assert found is not None
            allowed = envelope or self.envelopes[found.job_id, found.version]
            return purchases.claim(conn, key, envelope=allowed, catalog=self.catalog, now=now)

    def accept(self, key: str, vendor_id: str | None = None, *, now: datetime = NOW) -> bool:
        with self._write() as conn:
            return purchases.accept(conn, key, vendor_id or f"vendor-{key}", now=now)

    def lose(self, key: str, *, now: datetime = NOW + LEASE, fence: int | None = None) -> bool:
        with self._write() as conn:
            return purchases.lose(conn, key, catalog=self.catalog, now=now, fence=fence)

    def close(self, key: str, step: Step, *, charge: int = 0, now: datetime = NOW, why: Failure | None = None) -> bool:
        with self._write() as conn:
            return purchases.close(
                conn, key, step, catalog=self.catalog, now=now, charge=charge, cost_source="vendor", failure=why
            )

    def adjust(self, key: str, delta: int, reference: str, *, now: datetime = NOW) -> bool:
        with self._write() as conn:
            return purchases.adjust(conn, key, delta, reference=reference, now=now)

    def release(self, key: str, step: Step, *, now: datetime = NOW) -> bool:
        with self._write() as conn:
            return purchases.release(conn, key, step, catalog=self.catalog, now=now)

    def step(self, key: str, step: Step) -> object:
        """Take one step in its plainest form; what is closed with a charge is charged 5 dollars."""
        if step is Step.CLAIM:
            return self.claim(key)
        if step is Step.ACCEPT:
            return self.accept(key)
        if step is Step.LOSE:
            return self.lose(key)
        charge = 5 * USD if step in (Step.SUCCEED, Step.FAIL, Step.CANCEL, Step.WRITE_OFF) else 0
        return self.close(key, step, charge=charge)

    def bring(self, key: str, state: State) -> Purchase:
        """Lead a held purchase to a state."""
        for step in WAY[state]:
            self.step(key, step)
        found = self.get(key)
        assert found.state == state
        return found

    def bought(self, envelope: Envelope, *, shot: int = 1, amount: int = 7 * USD, **options: Any) -> Purchase:
        """Hold and bring to `submitted`."""
        return self.bring(self.hold(envelope, shot=shot, amount=amount, **options).purchase_id, "submitted")

    def get(self, key: str) -> Purchase:
        with self._read() as conn:
            found = purchases.get(conn, key)
        assert found is not None
        return found

    def balance(self, kind: str, key: str) -> caps.Balance:
        with self._read() as conn:
            found = caps.balance(conn, kind, key)
        assert found is not None
        return found

    def topics(self) -> list[str]:
        return [row["topic"] for row in sorted(self.rows("outbox")["outbox"], key=lambda row: row["id"])]

    def rows(self, *tables: str) -> dict[str, list[dict[str, Any]]]:
        with self._read() as conn:
            return _rows(conn, *tables)

    def audit(self) -> list[str]:
        with self._read() as conn:
            return audit(conn)

    def _read(self) -> AbstractContextManager[Connection]:
        return self._write() if self._shared is not None else self.ledger.read()


def errors(results: Iterable[object]) -> list[Exception]:
    return [r for r in results if isinstance(r, Exception)]
