"""Files over HTTP: what was delivered, the cut that waits for a person, and single takes; and their deletion."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response, StreamingResponse

from aiprod.errors import JobUnknown
from aiprod.ledger import Connection, approvals, erasures, jobs, results
from aiprod.models import Erasure, Noun, StoredFile, Take
from aiprod.pipeline import Pipeline
from aiprod_airflow.api.access import ERASE, Job, Orders, Who
from aiprod_airflow.api.answers import Why
from aiprod_airflow.api.orders import told, version_at
from aiprod_airflow.api.sending import send

__all__ = ["poster_of", "router"]

router = APIRouter(tags=["Files"])

Kind = Literal["video", "poster", "contact_sheet"]
_TYPES = {"mp4": "video/mp4", "jpg": "image/jpeg"}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/mp4": {}, "image/jpeg": {}}, "description": "The file; its ETag is its SHA-256."},
    206: {"description": "The range asked for."},
    304: {"description": "The caller has it."},
}
_Version = Annotated[int | None, version_at]


class Deletion(Noun):
    """Why a job's files and words are deleted."""

    why: Why = ""


@router.get("/job/{job_id}/video", response_class=StreamingResponse, responses=_FILE)
@router.head("/job/{job_id}/video", include_in_schema=False)
def video(request: Request, job_id: Job, orders: Orders, version: _Version = None) -> Response:
    """Return the finished video: the delivered one, or the cut a person is asked about. Takes `Range`."""
    return _sent(request, orders, _kept(orders, job_id, "video", version))


@router.get("/job/{job_id}/poster", response_class=StreamingResponse, responses=_FILE)
@router.head("/job/{job_id}/poster", include_in_schema=False)
def poster(request: Request, job_id: Job, orders: Orders, version: _Version = None) -> Response:
    """Return the picture that stands for the video."""
    return _sent(request, orders, _kept(orders, job_id, "poster", version))


@router.get("/job/{job_id}/contact-sheet", response_class=StreamingResponse, responses=_FILE)
@router.head("/job/{job_id}/contact-sheet", include_in_schema=False)
def contact_sheet(request: Request, job_id: Job, orders: Orders, version: _Version = None) -> Response:
    """Return the video's frames on one sheet."""
    return _sent(request, orders, _kept(orders, job_id, "contact_sheet", version))


@router.get("/job/{job_id}/take/{take_id}", response_class=StreamingResponse, responses=_FILE)
@router.head("/job/{job_id}/take/{take_id}", include_in_schema=False)
def take(
    request: Request, job_id: Job, take_id: Annotated[str, Path(max_length=200, pattern=r"^[\w.:-]+$")], orders: Orders
) -> Response:
    """Return the clip that one attempt brought, accepted or not: its verdict is in the job."""
    with orders.ledger.read() as conn:
        _require_kept(conn, job_id)
        found = results.take_of(conn, take_id)
    if found is None or found.job_id != job_id:
        raise JobUnknown(f"job {job_id} has no take {take_id}")
    return _sent(request, orders, found)


@router.delete("/job/{job_id}/media", response_model=Erasure, dependencies=[ERASE])
def erase(job_id: Job, caller: Who, orders: Orders, said: Deletion | None = None) -> Response:
    """Delete a job's files and words for good. What was bought and paid stays in the books, and so does the deletion."""
    return told(orders.erase(job_id, by=caller.name, why=said.why if said else ""))


def _kept(orders: Pipeline, job_id: str, kind: Kind, version: int | None) -> StoredFile:
    """The file of a version, by default of the newest that has one. Raises `JobUnknown` where there is none."""
    with orders.ledger.read() as conn:
        _require_kept(conn, job_id)
        wanted = [version] if version else jobs.versions(conn, job_id)[::-1]
        for each in wanted:
            made = results.delivery(conn, job_id, each)
            # Only the cut that somebody is asked about now, or said yes to: one that was refused must never pass as good.
            seen = made is None and (_asked(orders, job_id, each) or _accepted(conn, job_id, each))
            made = results.cut(conn, job_id, each) if seen else made
            if made is not None:
                found: StoredFile = getattr(made, kind)
                return found
    raise JobUnknown(f"job {job_id}{f' version {version}' if version else ''} has no {kind.replace('_', ' ')} (yet)")


def poster_of(orders: Pipeline, job_id: str, version: int | None) -> StoredFile:
    """Return the picture that stands for a video. Raises `JobUnknown` where there is none to be seen."""
    return _kept(orders, job_id, "poster", version)


def _require_kept(conn: Connection, job_id: str) -> None:
    """Raise `JobUnknown` for a job whose files were deleted: they are not missing."""
    erased = erasures.of_job(conn, job_id)
    if erased is not None:
        raise JobUnknown(f"the files of job {job_id} were deleted by {erased.erased_by} at {erased.erased_at:%Y-%m-%d %H:%M} UTC")


def _asked(orders: Pipeline, job_id: str, version: int) -> bool:
    review = orders.view(job_id).review
    return review is not None and review.version == version


def _accepted(conn: Connection, job_id: str, version: int) -> bool:
    """Whether a person said yes to the cut of a version: it is about to be delivered."""
    made = results.cut(conn, job_id, version)
    said = None if made is None else approvals.reviewed(conn, job_id, version, made.video.sha256)
    return said is not None and said.answer == "accepted" and jobs.cancelled_by(conn, job_id) is None


def _sent(request: Request, orders: Pipeline, kept: StoredFile | Take) -> Response:
    kind = _TYPES.get(kept.path.rsplit(".", 1)[-1], "application/octet-stream")
    return send(request, orders.storage, kept, media_type=kind)
