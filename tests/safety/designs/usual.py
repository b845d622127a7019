"""Four designs, each as such systems are usually written."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Connection, text

from aiprod.errors import BackendError, FailureKind, SubmitRejected
from tests.safety.designs.shop import Render, Shop
from tests.safety.plan import BACKENDS

__all__ = ["USUAL", "CheckThenAct", "CountAfterwards", "IdAfterSubmit", "RetryAndFallBack"]


class CheckThenAct(Shop):
    """Reads what was spent, compares, calls the vendor, then adds the price."""

    title = "check, then act (read what was spent, compare, call, add)"

    def check(self, conn: Connection, render: Render) -> bool:
        return all(self.spent(conn, name) + render.price <= self.limit(name) for name in render.names)

    def accepted(self, conn: Connection, render: Render) -> None:
        self.add(conn, render.names, render.price)


class CountAfterwards(Shop):
    """A budget counter that goes up by what the answer says it cost; a request is refused once it is full."""

    title = "a counter that goes up after the answer"

    def check(self, conn: Connection, render: Render) -> bool:
        return all(self.spent(conn, name) < self.limit(name) for name in render.names)

    def ended(self, conn: Connection, render: Render, cost: int) -> None:
        self.add(conn, render.names, cost)


class IdAfterSubmit(Shop):
    """Stores the vendor's id after the submit and re-attaches by it; without an id it submits. Its budget is exact.

    The pattern of Airflow's ResumableJobMixin, with a reservation per request that it does not have.
    """

    title = "the id stored after the submit (exact budget)"

    def check(self, conn: Connection, render: Render) -> bool:
        """Reserve once per request, atomically. What was reserved for another backend is changed."""
        for name in sorted(render.names):
            # Touched first, so that the row is locked until the end of this transaction.
            self.add(conn, [name], 0)
        self._give_back(conn, render)
        if any(self.spent(conn, name) + render.price > self.limit(name) for name in render.names):
            return False
        self.add(conn, render.names, render.price)
        conn.execute(
            text("INSERT INTO shop_reserved VALUES (:m, :n, :a)"),
            {"m": render.marker, "n": "|".join(render.names), "a": render.price},
        )
        return True

    def ended(self, conn: Connection, render: Render, cost: int) -> None:
        self._give_back(conn, render)
        self.add(conn, render.names, cost)

    def refused(self, conn: Connection, render: Render) -> None:
        self._give_back(conn, render)

    def _give_back(self, conn: Connection, render: Render) -> None:
        found = conn.execute(
            text("DELETE FROM shop_reserved WHERE marker = :m RETURNING names, amount"), {"m": render.marker}
        ).first()
        if found is not None:
            self.add(conn, found.names.split("|"), -found.amount)


class RetryAndFallBack(IdAfterSubmit):
    """A gateway at its defaults: whatever goes wrong is tried again, then somewhere else. Its budget is exact, too."""

    title = "retry and fall back on any error (exact budget)"
    # It retries by itself.
    task_tries = 1
    #: How often one backend is asked, and how many others after it.
    tries: ClassVar[int] = 3
    fallbacks: ClassVar[int] = 1

    def send(self, render: Render) -> str:
        at = BACKENDS.index(render.backend)
        asked = [render.backend] * self.tries + [BACKENDS[(at + n + 1) % len(BACKENDS)] for n in range(self.fallbacks)]
        for name in asked:
            sent = self._render(render.job, render.shot, render.marker, name, self._decided(render))
            try:
                vendor_id = self.submit(sent)
            except BackendError:
                continue
            render.request = sent.request
            return vendor_id
        raise SubmitRejected("everybody failed", kind=FailureKind.TRANSIENT)

    def _decided(self, render: Render) -> float:
        with self.ledger.read() as conn:
            found = conn.execute(text("SELECT decided FROM shop_renders WHERE marker = :m"), {"m": render.marker}).scalar_one()
        return float(found)


USUAL: tuple[type[Shop], ...] = (CheckThenAct, CountAfterwards, IdAfterSubmit, RetryAndFallBack)
