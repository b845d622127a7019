"""A paid vendor for tests: keeps the backend contract to the letter and fails on order, with its own books.

What it does is ordered in the prompt, per backend: `[[runway=fail]] [[veo3=lose,slow:3]]`. Without an order it delivers.
Its books (one file per billable accept, made with O_EXCL) are the ground truth and are never read by the code under test.

| word | what happens |
|---|---|
| reject | refused at once, nothing runs |
| limit:N / limit-always:N | refused, come again in N seconds; the first time / each time |
| stops / stops-free / forgets | when asked to stop: stopped and charged / stopped and free / forgotten, without a word on money |
| dies-on-cancel | when asked to stop: no answer |
| moderated | accepted, then failed for its content; charged |
| fail | accepted, then failed inside the vendor; free |
| fail-charged | accepted, then failed inside the vendor; charged |
| lose | accepted and recorded, the answer is lost |
| drop | never arrives, and the answer is lost |
| die / die-before | the process is killed after / before the vendor has the request; once per prompt |
| bad | delivers a still picture |
| html | delivers something that is no video |
| slow:N | the render takes N seconds |
"""

from __future__ import annotations

import json
import os
import re
import signal
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import av
import numpy as np

from aiprod.backends.base import Backend
from aiprod.catalog import BackendEntry
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, CancelOutcome, Found, JobState, RenderRequest, fingerprint

#: Where the vendor keeps its books and films; set it for every process that may talk to it.
BOOKS = "TEST_VENDOR_BOOKS"

__all__ = ["BOOKS", "ListingVendor", "MuteVendor", "Vendor", "accepts"]


def accepts(folder: Path, backend: str | None = None, key: str | None = None) -> list[dict[str, object]]:
    """Return every billable accept, as the vendor booked it."""
    booked = [json.loads(file.read_text()) for file in sorted((folder / "accepts").glob("*.json"))]
    return [a for a in booked if backend in (None, a["backend"]) and key in (None, a["key"])]


class Vendor(Backend):
    """The vendor; subclasses differ in whether they can be asked for a lost request."""

    def __init__(self, name: str, entry: BackendEntry) -> None:
        super().__init__(name, entry)
        self.books = Path(os.environ[BOOKS])
        for folder in ("accepts", "films", "once"):
            (self.books / folder).mkdir(parents=True, exist_ok=True)

    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        order = self._order(request.prompt)
        self._maybe_no_room(request, order)
        if "reject" in order:
            raise SubmitRejected(f"{self.name}: HTTP 503, try later", kind=FailureKind.TRANSIENT)
        if "die-before" in order and self._first(f"{fingerprint(request.prompt)}.die-before"):
            os.kill(os.getpid(), signal.SIGKILL)
        if "drop" in order:
            raise SubmitAmbiguous(f"{self.name}: connection reset before the request was read")
        vendor_id = self._accept(request, key, order)
        if "die" in order and self._first(f"{fingerprint(request.prompt)}.die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if "lose" in order:
            raise SubmitAmbiguous(f"{self.name}: read timeout")
        return Accepted(vendor_id=vendor_id)

    def poll(self, vendor_id: str) -> JobState:
        booked = self._booked(vendor_id)
        order = list(booked["order"])  # type: ignore[call-overload]
        if (self.books / "once" / f"{vendor_id}.stopped").exists():
            if "forgets" in order:
                raise BackendError(f"{self.name}: 404", kind=FailureKind.GONE, money_moved="maybe")
            return JobState(state="cancelled", message="stopped", money_moved="no" if "stops-free" in order else "yes")
        slow = next((float(word[5:]) for word in order if word.startswith("slow:")), 0.0)
        age = (datetime.now(UTC) - datetime.fromisoformat(str(booked["at"]))).total_seconds()
        if age < slow:
            return JobState(state="running", progress=age / slow)
        if "moderated" in order:
            return JobState(state="failed", kind=FailureKind.MODERATED, message="SAFETY.INPUT.TEXT", money_moved="yes")
        if "fail-charged" in order:
            return JobState(state="failed", kind=FailureKind.VENDOR_INTERNAL, message="INTERNAL", money_moved="yes")
        if "fail" in order:
            return JobState(state="failed", kind=FailureKind.VENDOR_INTERNAL, message="INTERNAL", money_moved="no", charged=0)
        return JobState(state="succeeded", progress=1.0, money_moved="yes")

    def fetch(self, vendor_id: str, into: Path) -> None:
        booked = self._booked(vendor_id)
        request = RenderRequest.model_validate(booked["request"])
        order = list(booked["order"])  # type: ignore[call-overload]
        if "html" in order:
            into.write_text("<html><body>Sign in to continue</body></html>" * 20)
            return
        film = self.books / "films" / f"{request.width}x{request.height}-{request.seconds:g}-{request.audio}-{'bad' in order}.mp4"
        if not film.exists():
            scratch = film.with_suffix(f".{uuid.uuid4().hex}.mp4")
            _shoot(scratch, request, moving="bad" not in order)
            scratch.rename(film)
        into.write_bytes(film.read_bytes())

    def cancel(self, vendor_id: str) -> CancelOutcome:
        order = list(self._booked(vendor_id)["order"])  # type: ignore[call-overload]
        if "dies-on-cancel" in order:
            raise BackendError(f"{self.name}: no answer", kind=FailureKind.TRANSIENT, money_moved="maybe")
        for word, refunded in (("stops", "no"), ("stops-free", "yes"), ("forgets", "unknown")):
            if word in order:
                (self.books / "once" / f"{vendor_id}.stopped").touch()
                return CancelOutcome(stopped="yes", refunded=refunded)  # type: ignore[arg-type]
        return CancelOutcome(stopped="no", refunded="no")

    def _maybe_no_room(self, request: RenderRequest, order: list[str]) -> None:
        for word, _, seconds in (part.partition(":") for part in order):
            again = word == "limit" and self._first(f"{fingerprint(request.prompt)}.limit")
            if again or word == "limit-always":
                raise SubmitRejected(f"{self.name}: HTTP 429", kind=FailureKind.RATE_LIMITED, retry_after=float(seconds))

    def _order(self, prompt: str) -> list[str]:
        found = re.search(rf"\[\[{re.escape(self.name)}=([a-z0-9:.,-]+)\]\]", prompt)
        return found[1].split(",") if found else []

    def _accept(self, request: RenderRequest, key: str, order: list[str]) -> str:
        vendor_id = f"{self.name}-{uuid.uuid4().hex[:12]}"
        booked = {
            "id": vendor_id,
            "backend": self.name,
            "key": key,
            "at": datetime.now(UTC).isoformat(),
            "order": order,
            "request": request.model_dump(mode="json"),
        }
        with (self.books / "accepts" / f"{vendor_id}.json").open("x") as book:
            json.dump(booked, book)
        return vendor_id

    def _booked(self, vendor_id: str) -> dict[str, object]:
        try:
            booked: dict[str, object] = json.loads((self.books / "accepts" / f"{vendor_id}.json").read_text())
        except FileNotFoundError:
            raise BackendError(f"{self.name}: no render {vendor_id}", kind=FailureKind.GONE, money_moved="maybe") from None
        return booked

    def _first(self, name: str) -> bool:
        try:
            (self.books / "once" / name).open("x").close()
        except FileExistsError:
            return False
        return True


class ListingVendor(Vendor):
    """Can be asked for a lost request, and what it does not list does not run."""

    can_find: ClassVar[bool] = True

    def find(self, request: RenderRequest, *, key: str, since: datetime) -> Found:
        ours = tuple(str(a["id"]) for a in accepts(self.books, self.name, key))
        return Found(vendor_ids=ours, proof=not ours)


class MuteVendor(Vendor):
    """Offers no way to look for a lost request."""


def _shoot(path: Path, request: RenderRequest, *, moving: bool) -> None:
    """A gradient with a bar that walks through it, or stands still; a quiet tone when sound was ordered."""
    frames = round(request.seconds * request.fps)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as film:
        video = film.add_stream("libx264", rate=request.fps, options={"preset": "ultrafast", "crf": "28"})
        video.width, video.height, video.pix_fmt = request.width, request.height, "yuv420p"
        sound = film.add_stream("aac", rate=48_000, layout="stereo") if request.audio else None
        base = np.linspace(60, 200, request.width, dtype=np.uint8)[None, :].repeat(request.height, 0)
        for n in range(frames):
            picture = np.stack([base, base[::-1], 255 - base], axis=-1).copy()
            left = (n * 7 if moving else 0) % (request.width - 40)
            picture[:, left : left + 40] = (230, 60, 40)
            film.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(video.encode())
        if sound is not None:
            tone = 0.05 * np.sin(np.arange(round(request.seconds * 48_000)) * 2 * np.pi * 220 / 48_000)
            for start in range(0, len(tone), 1024):
                block = np.stack([tone[start : start + 1024]] * 2).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = 48_000, start
                film.mux(sound.encode(frame))
            film.mux(sound.encode())
