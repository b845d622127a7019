"""The part of Cloud Storage's JSON API that fetching Veo's outputs needs: list by prefix, one object, its bytes."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any, ClassVar
from urllib.parse import quote

from aiprod.emulators import google_access
from aiprod.emulators.files import content, served
from aiprod.emulators.film import Studio
from aiprod.emulators.google_access import PROJECT, GoogleAccess
from aiprod.emulators.house import House, Refused
from aiprod.emulators.renders import Render
from aiprod.emulators.wire import Answer, Request, Route, Wire, stamp

__all__ = ["BUCKET", "Gcs", "object_names"]

#: The one bucket there is.
BUCKET = PROJECT
_PAGE = 1_000


class Gcs(Wire):
    """`/storage/v1/b/<bucket>`, `…/o`, `…/o/<object>` (`alt=media`), and `/download/storage/v1/…`."""

    backend: ClassVar[str] = "veo3"

    def __init__(self, house: House, studio: Studio, access: GoogleAccess) -> None:
        super().__init__(house, studio, access.key)
        self._access = access

    def route(self, request: Request) -> Route | None:
        download, _, rest = request.path.rpartition("/storage/v1/b/")
        if request.method != "GET" or not rest or download not in ("", "/download"):
            return None
        match rest.split("/", 2):
            case [bucket]:
                return lambda: self._bucket(bucket, request)
            case [bucket, "o"]:
                return lambda: self._list(bucket, request)
            case [bucket, "o", name]:
                return lambda: self._object(bucket, name, request, media=bool(download) or request.query.get("alt") == "media")
        return None

    def admits(self, request: Request) -> bool:
        return self._access.admits(request)

    def refusal(self, error: Refused) -> Answer:
        message = "Invalid Credentials" if error.reason == "auth" else str(error)
        return google_access.error(error.status, message, wait=error.retry_after)

    def _bucket(self, bucket: str, request: Request) -> Answer:
        _known(bucket)
        link = f"{request.origin}/storage/v1/b/{bucket}"
        body = {
            "kind": "storage#bucket",
            "id": bucket,
            "name": bucket,
            "selfLink": link,
            "location": "US",
            "storageClass": "STANDARD",
        }
        return Answer(200, body)

    def _list(self, bucket: str, request: Request) -> Answer:
        _known(bucket)
        prefix, after = request.query.get("prefix", ""), request.query.get("pageToken", "")
        most = min(int(request.query.get("maxResults") or _PAGE), _PAGE)
        names = sorted(
            (name, n, render) for render in self._finished(listed=True) for n, name in enumerate(object_names(render)[1])
        )
        left = [one for one in names if one[0].startswith(prefix) and one[0] > after]
        items = [self._metadata(render, name, n, request.origin) for name, n, render in left[:most]]
        body: dict[str, Any] = {"kind": "storage#objects"}
        body |= {"items": items} if items else {}
        return Answer(200, body | ({"nextPageToken": left[most - 1][0]} if len(left) > most else {}))

    def _object(self, bucket: str, name: str, request: Request, *, media: bool) -> Answer:
        _known(bucket)
        for render in self._finished():
            for n, known in enumerate(object_names(render)[1]):
                if known == name:
                    if media:
                        return served(self.house, self.studio, render, mark=f" {n}")
                    return Answer(200, self._metadata(render, name, n, request.origin))
        raise Refused(404, f"No such object: {bucket}/{name}", reason="absent")

    def _finished(self, *, listed: bool = False) -> list[Render]:
        """The renders whose videos are in the bucket by now; those only that a listing shows, if it is for one."""
        lag = self.house.terms.listing_lag
        found = []
        for render in self.house.of(self.backend):
            late = lag + float(render.order.get("lag", 0)) if listed else 0.0
            there = self.house.standing(render).stage == "succeeded" and render.ends + late <= self.house.now()
            if there and object_names(render)[0] is not None and "empty" not in render.order:
                found.append(render)
        return found

    def _metadata(self, render: Render, name: str, n: int, origin: str) -> dict[str, Any]:
        file = content(self.house, self.studio, render, mark=f" {n}")
        path = f"storage/v1/b/{BUCKET}/o/{quote(name, safe='')}"
        generation, written = str(int(render.ends * 1_000_000)), stamp(render.ends)
        return {
            "kind": "storage#object",
            "id": f"{BUCKET}/{name}/{generation}",
            "selfLink": f"{origin}/{path}",
            "mediaLink": f"{origin}/download/{path}?generation={generation}&alt=media",
            "name": name,
            "bucket": BUCKET,
            "generation": generation,
            "metageneration": "1",
            "contentType": "video/mp4",
            "storageClass": "STANDARD",
            "size": str(len(file)),
            "md5Hash": base64.b64encode(hashlib.md5(file, usedforsecurity=False).digest()).decode(),
            "timeCreated": written,
            "updated": written,
        }


def object_names(render: Render) -> tuple[str | None, list[str]]:
    """Return the bucket of a render, None without one, and the names its videos have or would have there."""
    parameters = render.wanted.body.get("parameters") or {}
    bucket, _, prefix = str(parameters.get("storageUri") or "")[len("gs://") :].partition("/")
    folder = f"{prefix.rstrip('/')}/{uuid.UUID(render.id).int % 10**19}".lstrip("/")
    return bucket or None, [f"{folder}/sample_{n}.mp4" for n in range(int(parameters.get("sampleCount", 1)))]


def _known(bucket: str) -> None:
    if bucket != BUCKET:
        raise Refused(404, "The specified bucket does not exist.", reason="absent")
