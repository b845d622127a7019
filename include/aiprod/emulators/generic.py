"""The plain protocol that storms buy from: a backend under any name that offers a key, a listing, or nothing."""

from __future__ import annotations

import uuid
from typing import Any

from aiprod.emulators.house import House, Offer, Refused
from aiprod.emulators.prices import cost
from aiprod.emulators.renders import Wanted

__all__ = ["Generic"]


class Generic:
    """`/<backend>/renders`: what each backend offers and charges is in the terms."""

    def __init__(self, house: House) -> None:
        self._house = house

    def submit(self, backend: str, body: dict[str, Any], key: str | None) -> str:
        """Accept one render and return its id. Raises `Refused` or `Cut`, before or after it was booked."""
        offer = self._offer(backend)
        seconds = float(body["seconds"])
        wanted = Wanted(
            prompt=str(body["prompt"]),
            seconds=seconds,
            price=cost(self._house.terms.prices[backend], seconds),
            marker=str(body.get("marker") or key or ""),
        )
        known = key if offer == "key" else None
        return self._house.take(backend, wanted, new_id=lambda: f"{backend}-{uuid.uuid4().hex}", key=known).id

    def listing(self, backend: str, marker: str) -> list[str]:
        """The ids of what was sent with a marker and is old enough to be listed. Raises `Refused` where nothing is listed."""
        if self._offer(backend) != "list":
            raise Refused(404, "no such address", reason="absent")
        return [render.id for render in self._house.of(backend, listed=True) if render.wanted.marker == marker]

    def status(self, backend: str, vendor_id: str) -> dict[str, Any]:
        """How a render is doing; once it ended, what it cost."""
        render, standing = self._house.look(backend, vendor_id)
        if standing.stage in ("queued", "running"):
            return {"id": vendor_id, "status": "RUNNING"}
        status = "SUCCEEDED" if standing.stage == "succeeded" else "FAILED"
        return {"id": vendor_id, "status": status, "cost_micros": render.billable}

    def file(self, backend: str, vendor_id: str) -> bytes:
        """A small file that is this render's own."""
        render = self._house.find(backend, vendor_id)
        if self._house.count(render, "fetched") == 1 and "gone" in render.order:
            self._house.deal(backend, "gone", render)
            raise Refused(503, "the file is not there just now")
        return f"render {vendor_id} of {backend}\n".encode() * 8

    def _offer(self, backend: str) -> Offer:
        if backend not in self._house.terms.offers:
            raise Refused(404, f"no such backend: {backend}", reason="absent")
        return self._house.terms.offers[backend]
