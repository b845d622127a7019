"""What a vendor does with a request: accept and book it, refuse it, or fail on order. No network in here.

What goes wrong is ordered in the prompt, per backend: `[[runway=lose]] [[veo3=bill:1.3,slow:3]]`. A `|` gives the
next request another order, the last one repeats: `[[runway=reset|lose|ok]]`. Without an order everything goes well.

| word | what happens |
|---|---|
| refuse:N | answered HTTP N, nothing runs |
| reset | the connection is cut before the request is read, nothing runs |
| lose | accepted and booked, then the connection is cut |
| lose:N | accepted and booked, then answered HTTP N |
| late:N | accepted N seconds after it came; nobody waits that long for the answer |
| slow:N | the render takes N seconds |
| hang | the render never ends |
| fail | the render fails, free |
| fail-charged | the render fails, charged |
| bill:X | the bill is X times the price |
| gone | the first try to fetch the file fails |
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal

from aiprod.emulators.books import Books

__all__ = ["Cut", "House", "Refused", "Terms"]

Offer = Literal["key", "list", "none"]
_WORDS = {"refuse", "reset", "lose", "late", "slow", "hang", "fail", "fail-charged", "bill", "gone", "ok"}


class Refused(Exception):
    """The answer is an HTTP error."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Cut(Exception):
    """There is no answer: the connection is closed."""


@dataclass(frozen=True)
class Terms:
    """What a vendor offers and asks for. `offers` per backend; prices in micro-dollars per second."""

    offers: dict[str, Offer] = field(default_factory=dict)
    prices: dict[str, int] = field(default_factory=dict)
    #: After how many seconds a render shows up in a listing.
    listing_lag: float = 0.0
    #: How far this vendor's clock is ahead of the machine's, in seconds.
    ahead: float = 0.0


@dataclass
class _Render:
    id: str
    backend: str
    marker: str
    at: float
    order: dict[str, str]
    billable: int
    fetched: int = 0


class House:
    """Every backend of one vendor process. Safe for many threads; what it books is never taken back."""

    def __init__(self, books: Books, terms: Terms) -> None:
        self._books = books
        self._terms = terms
        self._renders: dict[str, _Render] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._by_marker: defaultdict[tuple[str, str], list[_Render]] = defaultdict(list)
        self._asked: Counter[tuple[str, str]] = Counter()
        self._waiting: list[float] = []
        self._turn = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many requests wait to be accepted late."""
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

    def forget(self) -> None:
        """Begin anew: no render, no key and no order of before counts any more. The books stay."""
        with self._turn:
            for memory in (self._renders, self._by_key, self._by_marker, self._asked):
                memory.clear()

    def submit(self, backend: str, body: dict[str, Any], key: str | None) -> str:
        """Accept one render and return its id. Raises `Refused` or `Cut`, before or after it was booked."""
        offer = self._offer(backend)
        with self._turn:
            known = self._by_key.get((backend, key)) if key and offer == "key" else None
            if known is not None:
                return known
            order = self._order(backend, str(body["prompt"]))
        status = order.get("refuse")
        if status is not None:
            self._books.write("fault", backend=backend, word="refuse")
            raise Refused(int(status), "not now")
        with self._turn:
            due = self._wait(float(order["late"]), backend) if "late" in order else None
            # Somebody may have sent the same key while this one waited.
            known = self._by_key.get((backend, key)) if key and offer == "key" else None
            # With the time at which it was due: a clock that was set ahead meanwhile has made nothing younger.
            vendor_id = known or self._accept(backend, body, key, order, at=due)
            if due is not None:
                self._waiting.remove(due)
                self._turn.notify_all()
        if "late" in order or "lose" in order:
            self._books.write("fault", backend=backend, word="lose")
            if order.get("lose"):
                raise Refused(int(order["lose"]), "internal error")
            raise Cut
        return vendor_id

    def cut_before_reading(self, backend: str, prompt: str) -> bool:
        """Whether this request is ordered to vanish unread. Looked at without counting it as asked."""
        if "reset" not in self._word(backend, prompt, self._asked[backend, prompt]):
            return False
        with self._turn:
            self._asked[backend, prompt] += 1
        self._books.write("fault", backend=backend, word="reset")
        return True

    def listing(self, backend: str, marker: str) -> list[str]:
        """The ids of what was sent with a marker and is old enough to be listed. Raises `Refused` where nothing is listed."""
        if self._offer(backend) != "list":
            raise Refused(404, "no such address")
        with self._turn:
            shown = self.now() - self._terms.listing_lag
            return [render.id for render in self._by_marker[backend, marker] if render.at <= shown]

    def status(self, backend: str, vendor_id: str) -> dict[str, Any]:
        """How a render is doing; once it ended, what it cost."""
        render = self._render(backend, vendor_id)
        slow = float(render.order.get("slow", 0))
        if "hang" in render.order or self.now() < render.at + slow:
            return {"id": vendor_id, "status": "RUNNING"}
        failed = "fail" in render.order or "fail-charged" in render.order
        return {"id": vendor_id, "status": "FAILED" if failed else "SUCCEEDED", "cost_micros": render.billable}

    def file(self, backend: str, vendor_id: str) -> bytes:
        """A small file that is this render's own."""
        render = self._render(backend, vendor_id)
        with self._turn:
            render.fetched += 1
        if "gone" in render.order and render.fetched == 1:
            self._books.write("fault", backend=backend, word="gone")
            raise Refused(503, "the file is not there just now")
        return f"render {vendor_id} of {backend}\n".encode() * 8

    def _offer(self, backend: str) -> Offer:
        if backend not in self._terms.offers:
            raise Refused(404, f"no such backend: {backend}")
        return self._terms.offers[backend]

    def _render(self, backend: str, vendor_id: str) -> _Render:
        with self._turn:
            render = self._renders.get(vendor_id)
        if render is None or render.backend != backend:
            raise Refused(404, f"no such render: {vendor_id}")
        return render

    def _wait(self, seconds: float, backend: str) -> float:
        """Wait on this vendor's clock, which `agree` may move; return when it was due."""
        due = self.now() + seconds
        self._books.write("fault", backend=backend, word="late")
        self._waiting.append(due)
        while self.now() < due:
            self._turn.wait(max(0.0, min(due - self.now(), 1.0)))
        return due

    def _accept(self, backend: str, body: dict[str, Any], key: str | None, order: dict[str, str], *, at: float | None) -> str:
        vendor_id = f"{backend}-{uuid.uuid4().hex}"
        price = Decimal(str(body["seconds"])) * self._terms.prices[backend]
        billed = price * Decimal(order.get("bill", "1"))
        billable = 0 if "fail" in order else int(billed.to_integral_value(ROUND_CEILING))
        marker = str(body.get("marker") or key or "")
        render = _Render(vendor_id, backend, marker, self.now() if at is None else at, order, billable)
        # Booked before it exists for anybody: a vendor that dies here has billed.
        self._books.write(
            "accept",
            id=vendor_id,
            backend=backend,
            key=marker,
            at=render.at,
            price_micros=int(price.to_integral_value(ROUND_CEILING)),
            billable_micros=billable,
            order=order,
        )
        self._renders[vendor_id] = render
        self._by_marker[backend, marker].append(render)
        if key:
            self._by_key[backend, key] = vendor_id
        return vendor_id

    def _order(self, backend: str, prompt: str) -> dict[str, str]:
        nth = self._asked[backend, prompt]
        self._asked[backend, prompt] += 1
        return self._word(backend, prompt, nth)

    def _word(self, backend: str, prompt: str, nth: int) -> dict[str, str]:
        found = re.search(rf"\[\[{re.escape(backend)}=([a-z0-9:.,|-]+)\]\]", prompt)
        if found is None:
            return {}
        turns = found[1].split("|")
        parts = [word.partition(":") for word in turns[min(nth, len(turns) - 1)].split(",")]
        words = {name: value for name, _, value in parts}
        strangers = set(words) - _WORDS
        if strangers:
            raise Refused(400, f"unknown order: {', '.join(sorted(strangers))}")
        return words
