"""Replicate's API as documented: predictions that are created, asked for, cancelled and listed, and what models take."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from aiprod.emulators.files import served
from aiprod.emulators.house import Refused
from aiprod.emulators.prices import cost, per_second
from aiprod.emulators.renders import Render, Standing, Wanted
from aiprod.emulators.replicate_models import MODELS, model_page, problems, version_of, wanted_film
from aiprod.emulators.wire import Answer, Request, Route, Wire, stamp

__all__ = ["Replicate"]

_PAGE = 100
#: How long the data of a prediction stays after its end.
_KEPT_SECONDS = 3600
_WORDS = {
    "queued": "starting",
    "running": "processing",
    "succeeded": "succeeded",
    "failed": "failed",
    "aborted": "aborted",
    "cancelled": "canceled",
}
_FLAGGED = "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
_ERRORS = {"moderated": _FLAGGED, "moderated-late": _FLAGGED}
_TITLES = {401: "Unauthenticated", 402: "Insufficient credit", 404: "Not found", 422: "Input validation failed"}
_AFTER = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


class Replicate(Wire):
    """`/v1/predictions`, `/v1/models/<owner>/<name>`, `/v1/account`, and the outputs under `/delivery`."""

    backend: ClassVar[str] = "replicate"

    def open_route(self, request: Request) -> Route | None:
        match request.path.strip("/").split("/"):
            case ["delivery", prediction_id, given, "output.mp4"] if request.method == "GET":
                return lambda: self._output(prediction_id, given)
        return None

    def route(self, request: Request) -> Route | None:
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v1", "models", owner, name, "predictions"]:
                return lambda: self._create(f"{owner}/{name}", request)
            case "POST", ["v1", "predictions"]:
                return lambda: self._create(_named(str(request.json().get("version", ""))), request)
            case "GET", ["v1", "predictions"]:
                return lambda: self._list(request)
            case "GET", ["v1", "predictions", prediction_id]:
                return lambda: Answer(200, self._said(*self.house.look(self.backend, prediction_id), request.origin))
            case "POST", ["v1", "predictions", prediction_id, "cancel"]:
                return lambda: self._cancel(prediction_id, request)
            case "GET", ["v1", "models", owner, name]:
                return lambda: self._model(f"{owner}/{name}")
            case "GET", ["v1", "account"]:
                said = {"type": "organization", "username": "emulated", "name": "Emulated, Inc."}
                return lambda: Answer(200, said)
        return None

    def refusal(self, error: Refused) -> Answer:
        status, detail = error.status, str(error)
        match error.reason:
            case "auth":
                detail = "You did not pass a valid authentication token"
            case "broke" | "quota":
                status, detail = 402, "You have insufficient credit to run this model. Add credit to your account."
            case "moderated":
                status, detail = 422, _FLAGGED
            case "absent":
                detail = "The requested resource could not be found."
        body: dict[str, Any] = {"title": _TITLES.get(status, "Error"), "detail": detail, "status": status}
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        if status == 429:
            body = {"detail": f"Request was throttled. Your rate limit resets in ~{error.retry_after or 30}s.", "status": 429}
        return Answer(status, body | ({"invalid_fields": error.issues} if error.issues else {}), headers)

    # --- predictions --------------------------------------------------------------------------------------

    def _create(self, model: str, request: Request) -> Answer:
        self._model(model)
        body = request.json()
        given = body.get("input")
        if not isinstance(given, dict):
            raise Refused(422, "- (root): input is required\n", reason="invalid")
        wrong = problems(model, given)
        if wrong:
            issues = [{"type": "invalid", "field": f"input.{name}", "description": why} for name, why in wrong.items()]
            detail = "".join(f"- input.{name}: {why}\n" for name, why in wrong.items())
            raise Refused(422, detail, reason="invalid", issues=issues)
        film = wanted_film(model, given)
        resolution = f"{min(film.width, film.height)}p"
        rate = per_second(self.house.terms.prices, self.backend, model, audio=film.audio, resolution=resolution)
        wanted = Wanted(
            prompt=str(given["prompt"]),
            seconds=film.seconds,
            price=cost(rate, film.seconds),
            model=model,
            body=body,
            film=film,
            deadline=_seconds(request.headers.get("cancel-after")),
        )
        render = self.house.take(self.backend, wanted, new_id=_new_id)
        # However fast it is: without `Prefer: wait`, nothing has begun when the answer leaves.
        waits = request.headers.get("prefer", "").startswith("wait")
        standing = self.house.standing(render) if waits else Standing("queued")
        return Answer(201, self._said(render, standing, request.origin))

    def _said(self, render: Render, standing: Standing, origin: str) -> dict[str, Any]:
        """The prediction as it stands; what did not happen yet is left out, not null."""
        address = f"{origin}/v1/predictions/{render.id}"
        removed = self._removed(standing)
        said: dict[str, Any] = {
            "id": render.id,
            "model": render.wanted.model,
            "version": "hidden",
            "input": {} if removed else render.wanted.body["input"],
            "logs": "",
            "output": None,
            "error": None,
            "data_removed": removed,
            "source": "api",
            "status": _WORDS[standing.stage],
            "created_at": stamp(render.at, "microseconds"),
            "urls": {"get": address, "cancel": f"{address}/cancel", "web": f"https://replicate.com/p/{render.id}"},
        }
        if standing.begun is not None:
            said["started_at"] = stamp(standing.begun, "microseconds")
        if standing.ended is not None:
            said |= self._end(render, standing)
        if standing.stage == "succeeded" and not removed and "empty" not in render.order:
            said["output"] = self._address(render, origin)
        for word in ("strange", "empty"):
            if word in render.order and standing.stage != "queued":
                self.house.deal(self.backend, word, render, once=True)
        if "strange" in render.order and standing.stage != "queued":
            said["status"] = render.order["strange"] or "dreaming"
        return said

    def _end(self, render: Render, standing: Standing) -> dict[str, Any]:
        ended = standing.ended or render.at
        metrics: dict[str, float] = {"total_time": ended - render.at}
        if standing.begun is not None:
            metrics["predict_time"] = ended - standing.begun
        if standing.stage == "succeeded":
            # What is metered is what is billed: a bill of 1.3 times the price is 1.3 times the seconds.
            metered = render.wanted.seconds * render.billable / max(1, render.wanted.price)
            metrics |= {"video_output_count": 1, "video_output_duration_seconds": round(metered, 6)}
        said: dict[str, Any] = {"completed_at": stamp(ended, "microseconds"), "metrics": metrics}
        if standing.stage == "failed":
            said["error"] = standing.code or _ERRORS.get(standing.why, "Prediction failed: an internal error occurred.")
        return said

    def _cancel(self, prediction_id: str, request: Request) -> Answer:
        """Stop it; the time it ran is charged in proportion, and nothing when it had not begun."""
        render = self.house.find(self.backend, prediction_id)
        standing = self.house.standing(render)
        if standing.ended is None:
            share = standing.progress if standing.stage == "running" else 0.0
            self.house.cancel(render, billable=cost(render.billable, 1, times=str(share)))
        return Answer(200, self._said(render, self.house.standing(render), request.origin))

    def _list(self, request: Request) -> Answer:
        after, before = (_time(request.query.get(name)) for name in ("created_after", "created_before"))
        place = _place(request.query.get("cursor"))
        found = sorted(self.house.of(self.backend, listed=True), key=lambda one: (one.at, one.id), reverse=True)
        rows = [
            one
            for one in found
            if (after is None or one.at >= after)
            and (before is None or one.at <= before)
            and (place is None or (one.at, one.id) < place)
        ]
        page = [self._said(one, self.house.standing(one), request.origin) for one in rows[:_PAGE]]
        further = None
        if len(rows) > _PAGE:
            last = rows[_PAGE - 1]
            cursor = base64.urlsafe_b64encode(f"{last.at!r} {last.id}".encode()).decode()
            query = {name: value for name, value in request.query.items() if name != "cursor"} | {"cursor": cursor}
            further = f"{request.origin}/v1/predictions?{urlencode(query)}"
        return Answer(200, {"next": further, "previous": None, "results": page})

    # --- outputs and models -------------------------------------------------------------------------------

    def _removed(self, standing: Standing) -> bool:
        return standing.ended is not None and self.house.now() >= standing.ended + _KEPT_SECONDS

    def _address(self, render: Render, origin: str) -> str:
        expired = self.house.count(render, "given") == 1 and "expired" in render.order
        if expired:
            self.house.deal(self.backend, "expired", render)
        return f"{origin}/delivery/{render.id}/{'expired' if expired else 'xezq'}/output.mp4"

    def _output(self, prediction_id: str, given: str) -> Answer:
        render = self.house.find(self.backend, prediction_id)
        standing = self.house.standing(render)
        if given == "expired" or standing.stage != "succeeded" or self._removed(standing):
            return Answer(404, b"Not found", {"Content-Type": "text/plain"})
        return served(self.house, self.studio, render)

    def _model(self, model: str) -> Answer:
        if model not in MODELS:
            raise Refused(404, f"no such model: {model}", reason="absent")
        return Answer(200, model_page(model))


def _new_id() -> str:
    return base64.b32encode(uuid.uuid4().bytes).decode().lower().rstrip("=")


def _named(version: str) -> str:
    """The model that a version names: `owner/name`, `owner/name:id` or the id alone."""
    ids: Mapping[str, str] = {version_of(model): model for model in MODELS}
    return ids.get(version, version.partition(":")[0])


def _seconds(text: str | None) -> float | None:
    """The deadline of a `Cancel-After` header, at least 5 s. Raises `Refused`."""
    if text is None:
        return None
    found = _AFTER.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if total < 5:
        raise Refused(422, f"Cancel-After: {text!r} is no duration of 5 seconds or more", reason="invalid")
    return float(total)


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, f"{text!r} is no ISO 8601 date-time", reason="invalid") from None
    if said.tzinfo is None:
        raise Refused(400, f"{text!r} says no time zone", reason="invalid")
    return said.timestamp()


def _place(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    try:
        at, _, last = base64.urlsafe_b64decode(cursor).decode().partition(" ")
        return float(at), last
    except ValueError:
        raise Refused(400, "the cursor is none of ours", reason="invalid") from None
