"""Google Veo 3 on Vertex AI, spoken through the vendor's own SDK.

With a bucket (`AIPROD_VEO3_BUCKET`) every purchase gets a folder of its own there, and a lost request can be looked for: an
object in that folder is the render. Without one the video comes inside the answer, and what is lost is lost to us.
Vertex can neither stop a render nor say what one cost.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from aiprod.backends import veo3_words as words
from aiprod.backends.base import Backend
from aiprod.backends.download import IMAGE, image, image_type, must_be_video
from aiprod.backends.google_access import KEY, GoogleAccess
from aiprod.backends.google_storage import Folder, GoogleStorage
from aiprod.backends.reaching import INTERNET, Network
from aiprod.catalog import BackendEntry
from aiprod.errors import BackendError, FailureKind, SubmitRejected
from aiprod.models import Accepted, Checkup, Found, JobState, RenderRequest, fingerprint
from aiprod.pricing import frame_size

if TYPE_CHECKING:
    import httpx

    from aiprod.backends.veo3_wire import Vertex

__all__ = ["Veo3Backend"]

_PROJECTS = ("GCP_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")
_LOCATION, _BASE = "GOOGLE_CLOUD_LOCATION", "GOOGLE_VERTEX_BASE_URL"
_STORE, _BUCKET = "STORAGE_EMULATOR_HOST", "AIPROD_VEO3_BUCKET"
_US = "us-central1"
#: What may be a folder's name and a label; ours are hexadecimal.
_KEY = re.compile(r"[a-z0-9_-]{1,128}")
#: Seconds that a question may take, a video inside the answer included.
_PATIENCE = 120.0
_THERE = JobState(state="succeeded", progress=1.0, money_moved="yes")


class Veo3Backend(Backend):
    """Text, and an image to start from, to video. A render is known by its operation's name, or by its object once found.

    The catalogue says which lengths, shapes and models are legal. Two limits it does not know, because Google counts in
    its own units: a prompt's tokens (1,024), and what each project is allowed to show of people.
    """

    reads: ClassVar[tuple[str, ...]] = (*_PROJECTS, _LOCATION, KEY, _BASE, _STORE, _BUCKET)

    def __init__(self, name: str, entry: BackendEntry, *, network: Network = INTERNET) -> None:
        super().__init__(name, entry)
        self.can_find = _BUCKET in self.keys
        self._network = network
        self._vertices: dict[tuple[str, str], Vertex] = {}

    @property
    def account(self) -> str:
        """Where purchases have their folders: whoever may read there finds what was lost, with whichever key it was sent."""
        return fingerprint([self.keys.get(_BUCKET, ""), self.keys.get(_STORE, "")])[:16]

    # --- buying -----------------------------------------------------------------------------------------

    def validate(self, request: RenderRequest) -> RenderRequest:
        """Refuse what the catalogue's model does not make; nothing is asked of anybody."""
        wrong = self._wrong(request)
        if wrong:
            raise SubmitRejected(f"{self.name}: {request.model} {wrong}", kind=FailureKind.INVALID_INPUT)
        self._bucket()
        return request

    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        """Send one request. The image is fetched and the token renewed before; if either fails, nothing was sent."""
        clock = self._network.clock
        ends = clock() + 0.9 * self.entry.submit_timeout_seconds
        self.validate(request)
        if not _KEY.fullmatch(key):
            raise SubmitRejected(f"{self.name}: {key[:80]!r} cannot name a folder", kind=FailureKind.INVALID_INPUT)
        bucket = self._bucket()
        into = bucket.within(key).address if bucket else ""
        picture = self._picture(request, (ends - clock()) / 2)
        try:
            vertex = self._vertex()
            return Accepted(vendor_id=vertex.generate(request, picture, into=into, key=key, seconds=ends - clock()))
        except BackendError as error:
            if error.money_moved != "no" or isinstance(error, SubmitRejected):
                raise
            raise SubmitRejected(f"{self.name}: not sent: {error}", kind=error.kind) from None

    def find(self, request: RenderRequest, *, key: str, since: datetime) -> Found:
        """Look into the purchase's own folder, which nothing else writes to.

        Nothing there is proof only when the store's own clock says that no render of then can still run. It holds for the
        bucket that was configured when the request was sent.
        """
        bucket = self._bucket()
        if bucket is None:
            return Found()
        listing = self._storage(f"{self.name} {key}").listing(bucket.within(key))
        # It left some time after `since`, and runs no longer than that from then on.
        over = since + timedelta(seconds=self.entry.submit_timeout_seconds + self.entry.max_run_seconds)
        proof = listing.empty and listing.whole and listing.at is not None and listing.at > over
        return Found(vendor_ids=listing.videos, proof=proof)

    # --- looking after it -------------------------------------------------------------------------------

    def poll(self, vendor_id: str) -> JobState:
        """Ask once how a render is doing. Without a bucket the answer to a finished one carries the whole video."""
        who = self._who(vendor_id)
        if vendor_id.startswith("gs://"):
            self._storage(who).look(vendor_id)
            return _THERE
        return words.state(self._operation(vendor_id), who=who)

    async def watch(self, vendor_id: str, http: httpx.AsyncClient) -> JobState:
        """`poll` on the caller's event loop and HTTP client. What was found by looking is rare, and polled in a thread."""
        if vendor_id.startswith("gs://"):
            return await super().watch(vendor_id, http)
        operation = await self._vertex_of(vendor_id).operation_soon(vendor_id, http, seconds=_PATIENCE)
        return words.state(operation, who=self._who(vendor_id))

    def fetch(self, vendor_id: str, into: Path) -> None:
        """Write the video to `into`: the object in the bucket, or what the operation's answer carries."""
        who, address = self._who(vendor_id), vendor_id
        if not vendor_id.startswith("gs://"):
            operation = self._operation(vendor_id)
            ended = words.state(operation, who=who)
            if ended.state != "succeeded":
                kind = ended.kind or FailureKind.TRANSIENT
                raise BackendError(f"{who}: {ended.state}, so there is no video", kind=kind, money_moved="maybe")
            video = operation.videos[0]
            if not video.address:
                _keep(video.data, into, who)
            address = video.address
        if address:
            self._storage(who).bring(address, into)
        must_be_video(into, who)

    def checkup(self) -> Checkup:
        """Fetch a token, ask for the page of each model, and list the bucket. Costs nothing."""
        vertex, retired, notes = self._vertex(), [], []
        try:
            self._access.token(_PATIENCE)
            for model in self.entry.models:
                try:
                    vertex.model(model.name, seconds=_PATIENCE)
                except BackendError as error:
                    if error.kind is not FailureKind.GONE:
                        raise
                    retired.append(model.name)
        except BackendError as error:
            if error.kind is not FailureKind.AUTH:
                raise
            return Checkup(authenticated="no", notes=(str(error),))
        notes.append(f"project {vertex.project} in {vertex.location}; Vertex tells nobody what quota is left")
        return Checkup(authenticated="yes", retired=tuple(retired), notes=(*notes, self._bucket_note()))

    # --- who and where ----------------------------------------------------------------------------------

    @cached_property
    def _access(self) -> GoogleAccess:
        return GoogleAccess(self.keys.get(KEY, ""), network=self._network)

    def _vertex(self, project: str = "", location: str = "") -> Vertex:
        """The API of a project in a location, of the configured ones if nothing is said.

        Raises `BackendError` (`auth`) when a configured name cannot be one.
        """
        # Not before it is needed: the SDK takes half a second to load, and routing makes adapters that never send.
        from aiprod.backends.veo3_wire import Vertex

        project = project or next((self.keys[name] for name in _PROJECTS if name in self.keys), "")
        location = location or self.keys.get(_LOCATION, _US)
        for name, value in ((_PROJECTS[0], project), (_LOCATION, location)):
            if not re.fullmatch(r"[a-z0-9][a-z0-9:.-]*", value):
                message = f"{self.name}: {name} is not set" if not value else f"{self.name}: {name} cannot be {value[:80]!r}"
                raise BackendError(message, kind=FailureKind.AUTH, money_moved="no")
        if (project, location) not in self._vertices:
            base = self.keys.get(_BASE, "")
            self._vertices[project, location] = Vertex(self._access, self.name, project, location, base, self._network)
        return self._vertices[project, location]

    def _vertex_of(self, vendor_id: str) -> Vertex:
        """The project and location that a render was asked of, whatever is configured by now."""
        known = words.NAME.fullmatch(vendor_id)
        if known is None:
            message = f"{self.name}: {vendor_id[:80]!r} is no operation and no object"
            raise BackendError(message, kind=FailureKind.GONE, money_moved="maybe")
        return self._vertex(known[1], known[2])

    def _operation(self, vendor_id: str) -> words.Operation:
        return self._vertex_of(vendor_id).operation(vendor_id, seconds=_PATIENCE)

    def _storage(self, who: str) -> GoogleStorage:
        home = {"home": self.keys[_STORE]} if _STORE in self.keys else {}
        return GoogleStorage(self._access, who, **home, network=self._network)

    def _bucket(self) -> Folder | None:
        """Where purchases have their folders, if anywhere. Raises `SubmitRejected` when what is configured cannot be a place."""
        if not self.can_find:
            return None
        try:
            return Folder.of(self.keys[_BUCKET])
        except ValueError as error:
            raise SubmitRejected(f"{self.name}: {_BUCKET} {error}", kind=FailureKind.INVALID_INPUT) from None

    def _who(self, vendor_id: str) -> str:
        return f"{self.name} {vendor_id.rpartition('/operations/')[2][:200]}"

    # --- what is asked ----------------------------------------------------------------------------------

    def _wrong(self, request: RenderRequest) -> str:
        """What keeps a request from being made as it is, or an empty string."""
        model = next((one for one in self.entry.models if one.name == request.model), None)
        if model is None:
            return "is not in the catalogue"
        longest = model.max_prompt
        problems = {
            f"makes no {request.seconds:g} s": model.snap(request.seconds) != request.seconds or request.seconds % 1,
            f"has no {request.aspect_ratio}": request.aspect_ratio not in model.aspect_ratios,
            f"has no {request.resolution}": request.resolution not in model.resolutions,
            f"makes no {request.width}x{request.height} at {request.fps} fps": (request.width, request.height, request.fps)
            != (*frame_size(request.aspect_ratio, request.resolution), model.fps),
            "has no sound": request.audio and not model.audio,
            "takes no reference image": request.reference_image_url and not model.image,
            "wants a prompt": not request.prompt.strip(),
            f"takes prompts of {longest} characters at most": len(request.prompt.encode("utf-16-le")) // 2 > longest,
        }
        return next((problem for problem, found in problems.items() if found), "")

    def _picture(self, request: RenderRequest, seconds: float) -> tuple[bytes, str] | None:
        """The image to start from, as it is at its address now, and its media type. Raises `SubmitRejected`."""
        if not request.reference_image_url:
            return None
        limits = replace(IMAGE, seconds=seconds)
        data = image(request.reference_image_url, what=self.name, limits=limits, network=self._network)
        return data, image_type(data)

    def _bucket_note(self) -> str:
        try:
            bucket = self._bucket()
            if bucket is None:
                return f"{_BUCKET} is not set: videos come inside answers, and a lost request cannot be looked for"
            self._storage(self.name).listing(bucket, most=1)
        except BackendError as error:
            return f"{_BUCKET} cannot be used: {error}"
        return f"{bucket.address} can be listed"


def _keep(data: bytes, into: Path, who: str) -> None:
    """Write beside the target and move into place, so that a file with the right name is a whole file."""
    unfinished = into.with_name(f".{into.name}.part")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, into)
    except OSError as error:
        message = f"{who}: cannot be written to {into.parent} ({error.strerror})"
        raise BackendError(message, kind=FailureKind.TRANSIENT, money_moved="yes") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
