"""A small AIPROD over HTTP: it answers what a test wrote down, writes down what it was asked, and streams in pieces."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiprod.models import Estimate, JobSpec, JobStatus, Manifest, Shot
from aiprod.views import ApprovalAsked, AttemptView, JobSums, JobView, ShotView

__all__ = ["TOKEN", "Asked", "Reply", "Server", "attempt", "problem", "serving", "sse", "view"]

TOKEN = "CANARY-token-9f3a"
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Reply:
    """What the server answers. `pieces` are sent one by one, as a stream; `cut` hangs up after them, mid-answer."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Sequence[bytes] | None = None
    cut: bool = False
    #: Hang up without a word.
    silent: bool = False


@dataclass(frozen=True)
class Asked:
    """One request, as it arrived."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any


class Server:
    """Replies by method and path, the last of a list for ever; what nobody wrote down is a 404."""

    def __init__(self) -> None:
        self.replies: dict[tuple[str, str], list[Reply]] = {}
        self.asked: list[Asked] = []
        self.url = ""
        #: Without it, whoever asks with another token is refused.
        self.token = TOKEN

    def says(self, method: str, path: str, *replies: Reply | dict[str, Any] | Any) -> None:
        """Write down what a route answers, in order."""
        made = [r if isinstance(r, Reply) else Reply(body=r) for r in replies]
        self.replies[method, path] = made

    def to(self, method: str, path: str) -> list[Asked]:
        """Return what was asked of one route."""
        return [one for one in self.asked if (one.method, one.path) == (method, path)]

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if not asked.path.startswith("/aiprod/"):
            return self._next(asked)
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return problem(401, "Not authenticated")
        return self._next(asked)

    def _next(self, asked: Asked) -> Reply:
        left = self.replies.get((asked.method, asked.path))
        if not left:
            return problem(404, f"nothing at {asked.path}")
        return left.pop(0) if len(left) > 1 else left[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    desk: Server

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.desk.answer(Asked(self.command, path, query, headers, json.loads(content) if content else None))
        if reply.silent:
            self.close_connection = True
            return
        self.send_response(reply.status)
        body = b"" if reply.body is None else reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {"Content-Type": "application/json", **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        if reply.pieces is None:
            self.send_header("Content-Length", str(len(body) + (10 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or reply.cut
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in reply.pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        if reply.cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[Server]:
    """Serve until left."""
    desk = Server()
    handler = type("Handler", (_Handler,), {"desk": desk})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    desk.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield desk
    finally:
        httpd.shutdown()
        httpd.server_close()


def problem(status: int, detail: str, *, kind: str = "about:blank", errors: Sequence[Mapping[str, str]] = ()) -> Reply:
    """An error as the API words it."""
    body = {"type": kind, "title": "No", "status": status, "detail": detail, "errors": list(errors)}
    return Reply(status, body, {"Content-Type": "application/problem+json"})


def sse(*events: tuple[str, str, Any], cut: bool = False) -> Reply:
    """An event stream: each (event, id, data) is a piece of its own, the first with a comment before it."""
    pieces = [f"event: {event}\nid: {mark}\ndata: {json.dumps(data)}\n\n".encode() for event, mark, data in events]
    return Reply(headers={"Content-Type": "text/event-stream"}, pieces=[b": hello\n\n", *pieces], cut=cut)


def attempt(**changes: Any) -> AttemptView:
    """An attempt that runs at Runway."""
    fields: dict[str, Any] = dict.fromkeys(AttemptView.model_fields)
    fields |= {"purchase_id": "p1", "kind": "render", "backend": "runway", "model": "gen4.5", "state": "submitted"}
    fields |= {"hold": 600_000, "created_at": NOW, "parked": False, "findings": ()}
    return AttemptView.model_validate(fields | changes)


def view(status: JobStatus | str = "rendering", *, revision: str = "r1", **changes: Any) -> JobView:
    """A job of one shot, as `GET /job/job-1` tells it."""
    shot = ShotView(
        shot=1, prompt="a lighthouse", seconds=5, camera=None, status="rendering", progress=0.4, take_id=None,
        reused_from=None, attempts=(attempt(),),
    )  # fmt: skip
    sums = {"expected": 600_000, "worst_case": 3_100_000, "held": 600_000, "charged": 0, "saved": 0}
    fields: dict[str, Any] = dict.fromkeys(JobView.model_fields)
    fields |= {"job_id": "job-1", "status": status, "revision": revision, "version": 1, "project": "default"}
    fields |= {"preset": "quick_social", "priority": "normal", "created_at": NOW, "created_by": "ann"}
    fields |= {
        "order": JobSpec(prompt="a lighthouse"),
        "versions": (),
        "shots": (shot,),
        "decisions": (),
        "problems": (),
        "runs": (),
    }
    fields |= {"manifest": Manifest(job_id="job-1", version=1, aspect_ratio="16:9", resolution="720p", audio=True,
                                    shots=(Shot(index=1, prompt="a lighthouse", seconds=5),))}  # fmt: skip
    fields |= {"estimate": Estimate(tariff="list", lines=(), expected=600_000, worst_case=3_100_000), "needs_you": False}
    fields |= {"costs": JobSums(**sums, budget=10_000_000, budget_left=9_400_000)}
    if status == "waiting_approval":
        fields |= {"needs_you": True, "approval": ApprovalAsked(
            version=1, amount=3_100_000, expected=600_000, worst_case=3_100_000, budget_left=10_000_000,
            answer_by=None, not_by=None,
        )}  # fmt: skip
    return JobView.model_validate(fields | changes)
