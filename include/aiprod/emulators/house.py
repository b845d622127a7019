"""What a vendor does with a request: accept and book it, refuse it, or fail on order. No network in here.

What can be ordered to go wrong is in `aiprod.emulators.orders`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiprod.emulators.books import Books
from aiprod.emulators.orders import Order, Orders, StrangeOrder
from aiprod.emulators.prices import cost
from aiprod.emulators.renders import Render, Standing, Wanted, charged, standing

__all__ = ["Cut", "House", "Refused", "Terms"]

Offer = Literal["key", "list", "none"]
#: Why a request was refused; a wire says it in its vendor's own words.
Reason = Literal["ordered", "broke", "quota", "moderated", "auth", "invalid", "absent"]
#: Statuses of the refusals that an order names by what they mean.
_STATUS: Mapping[Reason, int] = {"broke": 402, "quota": 429, "moderated": 400}


class Refused(Exception):
    """The answer is an HTTP error. `retry_after` in seconds, where it is told; `issues` one per wrong field."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: Reason = "ordered",
        retry_after: int | None = None,
        issues: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.issues = list(issues)
        super().__init__(message)


class Cut(Exception):
    """There is no answer: the connection is closed."""


@dataclass(frozen=True)
class Terms:
    """What a vendor offers and asks for. `offers` per backend of the plain protocol; prices in micro-dollars per second."""

    offers: dict[str, Offer] = field(default_factory=dict)
    #: By backend, or closer: `runway/gen4.5`, `runway/veo3.1+audio`, `veo3/veo-3.1-generate-001@4k`.
    prices: dict[str, int] = field(default_factory=dict)
    #: After how many seconds a render shows up in a listing.
    listing_lag: float = 0.0
    #: How far this vendor's clock is ahead of the machine's, in seconds.
    ahead: float = 0.0
    #: How long a render takes that nobody ordered to be slow.
    seconds_per_render: float = 0.0
    #: What an account has to spend, in micro-dollars.
    credit: int = 10_000_000_000


class House:
    """Every backend of one vendor process. Safe for many threads; what it books is never taken back."""

    def __init__(self, books: Books, terms: Terms, rules: Mapping[str, str] | None = None) -> None:
        self.books = books
        self._terms = terms
        self._orders = Orders(rules)
        self._renders: dict[str, Render] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._waiting: list[float] = []
        self._turn = threading.Condition()
        self._ended = threading.Event()

    @property
    def terms(self) -> Terms:
        return self._terms

    @property
    def waiting(self) -> int:
        """How many requests wait to be accepted late, or to be answered."""
        with self._turn:
            return len(self._waiting)

    def now(self) -> float:
        """This vendor's clock, in epoch seconds."""
        return time.time() + self._terms.ahead

    def agree(self, terms: Terms) -> None:
        """Change the terms, the clock among them; return once every late accept that is due by then was booked."""
        with self._turn:
            self._terms = terms
            self._turn.notify_all()
            while any(due <= self.now() for due in self._waiting):
                self._turn.wait(0.05)

    def rule(self, backend: str, words: str) -> None:
        """Order something for every request to a backend. Raises `StrangeOrder`."""
        with self._turn:
            self._orders.rule(backend, words)

    def forget(self) -> None:
        """Begin anew: no render, no key and no count of before matters any more. The books and the rules stay."""
        with self._turn:
            self._renders.clear()
            self._by_key.clear()
            self._orders.forget()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._ended.set()
        with self._turn:
            self._turn.notify_all()

    @property
    def closed(self) -> bool:
        return self._ended.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait in real time, outside any lock; whether this house was closed meanwhile."""
        return self._ended.wait(seconds)

    def count(self, render: Render, what: Literal["looked", "ended_seen", "fetched", "given"]) -> int:
        """Count something about a render once more; return how often it was by now."""
        with self._turn:
            times = int(getattr(render, what)) + 1
            setattr(render, what, times)
        return times

    # --- accepting ----------------------------------------------------------------------------------------

    def take(self, backend: str, wanted: Wanted, *, new_id: Callable[[], str], key: str | None = None) -> Render:
        """Accept one render. Raises `Refused` or `Cut`, before or after it was booked."""
        with self._turn:
            order = self._order(backend, wanted.prompt)
            if "reset" in order:
                self.deal(backend, "reset")
                raise Cut
            known = self._by_key.get((backend, key)) if key else None
            if known is not None:
                return self._renders[known]
            self._orders.take(backend, wanted.prompt)
        self._at_the_door(backend, order, wanted)
        with self._turn:
            due = self._wait(float(order["late"]), backend, "late") if "late" in order else None
            try:
                # Somebody may have sent the same key while this one waited.
                known = self._by_key.get((backend, key)) if key else None
                # With the time at which it was due: a clock that was set ahead meanwhile has made nothing younger.
                render = self._renders[known] if known else self._accept(backend, wanted, order, new_id(), key, at=due)
            finally:
                if due is not None:
                    self._done_waiting(due)
            if "stall" in order:
                self._done_waiting(self._wait(float(order["stall"]), backend, "stall"))
        if "late" in order or "lose" in order:
            self.deal(backend, "lose", render)
            if order.get("lose"):
                raise Refused(int(order["lose"]), "internal error")
            raise Cut
        return render

    def deal(self, backend: str, word: str, render: Render | None = None, *, once: bool = False) -> None:
        """Book a fault that was dealt."""
        if render is not None and once:
            with self._turn:
                if word in render.dealt:
                    return
                render.dealt.add(word)
        self.books.write("fault", backend=backend, word=word, **({} if render is None else {"id": render.id}))

    def _order(self, backend: str, prompt: str) -> Order:
        """The order of the next request; a reset uses up its turn here."""
        try:
            order = self._orders.peek(backend, prompt)
        except StrangeOrder as error:
            raise Refused(400, str(error), reason="invalid") from None
        return self._orders.take(backend, prompt) if "reset" in order else order

    def _at_the_door(self, backend: str, order: Order, wanted: Wanted) -> None:
        if "refuse" in order:
            self.deal(backend, "refuse")
            status, _, wait = order["refuse"].partition(":")
            raise Refused(int(status), "not now", retry_after=int(wait) if wait else None)
        for reason in _STATUS:
            if reason in order and (reason != "moderated" or order[reason] == "http"):
                self.deal(backend, reason)
                raise Refused(_STATUS[reason], "ordered to be refused", reason=reason)

    def _wait(self, seconds: float, backend: str, word: str) -> float:
        """Wait on this vendor's clock, which `agree` may move; return when it was due. The lock is held."""
        due = self.now() + seconds
        self.deal(backend, word)
        self._waiting.append(due)
        while self.now() < due:
            if self._ended.is_set():
                self._done_waiting(due)
                raise Cut
            self._turn.wait(max(0.0, min(due - self.now(), 1.0)))
        return due

    def _done_waiting(self, due: float) -> None:
        self._waiting.remove(due)
        self._turn.notify_all()

    def _accept(self, backend: str, wanted: Wanted, order: Order, vendor_id: str, key: str | None, *, at: float | None) -> Render:
        if self.spent(backend) + wanted.price > self._terms.credit:
            raise Refused(402, "no money left", reason="broke")
        takes = float(order.get("slow", self._terms.seconds_per_render))
        billed = cost(wanted.price, 1, times=order.get("bill", "1"), unit=wanted.unit)
        render = Render(vendor_id, backend, self.now() if at is None else at, order, wanted, billed, takes=takes)
        if not charged(render):
            render.billable = 0
        # Booked before it exists for anybody: a vendor that dies here has billed.
        self.books.write(
            "accept",
            id=vendor_id,
            backend=backend,
            model=wanted.model,
            seconds=wanted.seconds,
            key=wanted.marker,
            at=render.at,
            price_micros=wanted.price,
            billable_micros=render.billable,
            order=dict(order),
            body=wanted.body,
        )
        self._renders[vendor_id] = render
        if key:
            self._by_key[backend, key] = vendor_id
        return render

    # --- asking -------------------------------------------------------------------------------------------

    def find(self, backend: str, vendor_id: str) -> Render:
        """Return a render. Raises `Refused`."""
        with self._turn:
            render = self._renders.get(vendor_id)
        if render is None or render.backend != backend or render.deleted:
            raise Refused(404, f"no such render: {vendor_id}", reason="absent")
        return render

    def look(self, backend: str, vendor_id: str) -> tuple[Render, Standing]:
        """Somebody asks how a render stands. Raises `Refused`, when ordered although it is there."""
        render = self.find(backend, vendor_id)
        looked, order = self.count(render, "looked"), render.order
        if "vanish" in order and looked <= float(order["vanish"] or "inf"):
            self.deal(backend, "vanish", render)
            raise Refused(404, f"no such render: {vendor_id}", reason="absent")
        if "busy" in order:
            status, _, times = order["busy"].partition("x")
            if looked <= int(times or 1):
                self.deal(backend, "busy", render)
                raise Refused(int(status), "not now")
        standing = self.standing(render)
        if standing.ended is not None:
            self.count(render, "ended_seen")
        return render, standing

    def standing(self, render: Render) -> Standing:
        """How a render stands now."""
        now = standing(render, self.now())
        if now.why == "flip":
            self.deal(render.backend, "flip", render, once=True)
        return now

    def of(self, backend: str, *, listed: bool = False) -> list[Render]:
        """The renders of a backend, oldest first; those only that are old enough to be `listed`."""
        shown = self.now() - self._terms.listing_lag
        with self._turn:
            found = [one for one in self._renders.values() if one.backend == backend]
        return [one for one in found if not listed or one.at + float(one.order.get("lag", 0)) <= shown]

    def spent(self, backend: str) -> int:
        """What a backend's renders were billed so far, in micro-dollars, whether they ended or not."""
        with self._turn:
            return sum(render.billable for render in self._renders.values() if render.backend == backend)

    def cancel(self, render: Render, *, billable: int, delete: bool = False) -> None:
        """Stop a render now, bill this much for it, and forget it if it is to be deleted."""
        with self._turn:
            if render.cancelled is None and self.now() < render.ends:
                render.cancelled = self.now()
            render.billable = billable
            render.deleted = render.deleted or delete
        self.books.write("cancel", id=render.id, backend=render.backend, billable_micros=billable, deleted=delete)
