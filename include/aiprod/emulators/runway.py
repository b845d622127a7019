"""Runway's API as documented: two headers, credits, tasks that are polled and deleted, signed addresses that expire."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections import Counter
from typing import Any, ClassVar

from aiprod.emulators.files import served
from aiprod.emulators.house import Refused
from aiprod.emulators.prices import cost, per_second
from aiprod.emulators.renders import Render, Standing, Wanted
from aiprod.emulators.runway_models import MODELS, problems, wanted_film
from aiprod.emulators.wire import Answer, Request, Route, Wire, stamp

__all__ = ["CREDIT", "Runway"]

#: One credit in micro-dollars.
CREDIT = 10_000
_VERSION = "2024-11-06"
#: How long a signed address works.
_SIGNED_SECONDS = 24 * 3600
_DAY = 86_400
_DOCS = "https://docs.dev.runwayml.com/api"
#: Moderation is charged; what it withholds after rendering too.
_CHARGED = frozenset({"fail-charged", "moderated", "moderated-late"})
_CODES = {
    "moderated": ("SAFETY.INPUT.TEXT", "The input was not accepted by our content moderation."),
    "moderated-late": ("SAFETY.OUTPUT.VIDEO", "The output was withheld by our content moderation."),
    "fail": ("INTERNAL.BAD_OUTPUT.CODE01", "An unexpected error occurred."),
    "fail-charged": ("INTERNAL.BAD_OUTPUT.CODE01", "An unexpected error occurred."),
    "flip": ("INTERNAL", "An unexpected error occurred."),
}
_SAID = {
    401: "You did not provide an API key, or it is invalid.",
    404: "Not found",
    429: "Too many requests.",
    502: "Bad gateway",
    503: "The service is overloaded. Try again later.",
    504: "Gateway timeout",
}


class Runway(Wire):
    """`/v1/text_to_video`, `/v1/image_to_video`, `/v1/tasks`, `/v1/organization`, and the outputs under `/runway-output`."""

    backend: ClassVar[str] = "runway"

    def open_route(self, request: Request) -> Route | None:
        match request.path.strip("/").split("/"):
            case ["runway-output", name] if request.method == "GET":
                return lambda: self._output(name.removesuffix(".mp4"), request)
        return None

    def route(self, request: Request) -> Route | None:
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v1", ("text_to_video" | "image_to_video") as operation]:
                return lambda: self._create(operation, request)
            case "GET", ["v1", "tasks", task_id]:
                return lambda: self._task(task_id, request)
            case "DELETE", ["v1", "tasks", task_id]:
                return lambda: self._delete(task_id)
            case "GET", ["v1", "organization"]:
                return self._organization
            case "POST", ["v1", "organization", "usage"]:
                return self._usage
        return None

    def admits(self, request: Request) -> bool:
        if request.headers.get("x-runway-version") != _VERSION:
            raise Refused(400, f"X-Runway-Version must be {_VERSION}.", reason="invalid")
        return super().admits(request)

    def refusal(self, error: Refused) -> Answer:
        status, said = error.status, _SAID.get(error.status, str(error))
        body: dict[str, Any] = {}
        match error.reason:
            case "broke":
                status, said = 400, "You do not have enough credits to run this task."
            case "quota":
                status, said = 429, "You have reached the daily generation limit of your tier."
            case "moderated":
                status, said = 400, "The request was not accepted by our content moderation."
            case "invalid":
                said, body = str(error), {"issues": error.issues, "docUrl": _DOCS}
        wait = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return Answer(status, {"error": said, **body}, wait)

    def _create(self, operation: str, request: Request) -> Answer:
        body = request.json()
        issues = problems(operation, body)
        if issues:
            raise Refused(400, "Validation of body failed", reason="invalid", issues=issues)
        model, film = str(body["model"]), wanted_film(body)
        rate = per_second(self.house.terms.prices, self.backend, model, audio=film.audio)
        wanted = Wanted(
            prompt=str(body.get("promptText", "")),
            seconds=film.seconds,
            price=cost(rate, film.seconds, unit=CREDIT),
            model=model,
            body=body,
            film=film,
            unit=CREDIT,
            charged=_CHARGED,
        )
        render = self.house.take(self.backend, wanted, new_id=lambda: str(uuid.uuid4()))
        return Answer(200, {"id": render.id, "estimatedCost": {"credits": wanted.price // CREDIT}})

    def _task(self, task_id: str, request: Request) -> Answer:
        render, standing = self.house.look(self.backend, task_id)
        said: dict[str, Any] = {"id": render.id, "createdAt": stamp(render.at)}
        if "strange" in render.order:
            self.house.deal(self.backend, "strange", render, once=True)
            return Answer(200, {**said, "status": render.order["strange"] or "DREAMING"})
        if standing.stage in ("queued", "running"):
            said["estimatedCost"] = {"credits": render.wanted.price // CREDIT}
            if standing.stage == "queued":
                return Answer(200, {**said, "status": "THROTTLED"})
            if standing.progress < 0.1:
                return Answer(200, {**said, "status": "PENDING"})
            return Answer(200, {**said, "status": "RUNNING", "progress": round(standing.progress, 3)})
        said["cost"] = {"credits": render.billable // CREDIT}
        if standing.stage == "succeeded":
            if "empty" in render.order:
                self.house.deal(self.backend, "empty", render, once=True)
            output = [] if "empty" in render.order else [self._address(render, request.origin)]
            return Answer(200, {**said, "status": "SUCCEEDED", "output": output})
        if standing.stage in ("aborted", "cancelled"):
            return Answer(200, {**said, "status": "CANCELLED"})
        code, why = _CODES[standing.why]
        return Answer(200, {**said, "status": "FAILED", "failure": why, "failureCode": standing.code or code})

    def _delete(self, task_id: str) -> Answer:
        render = self.house.find(self.backend, task_id)
        refunded = self.house.standing(render).stage == "queued" or _pending(self.house.standing(render))
        self.house.cancel(render, billable=0 if refunded else render.billable, delete=True)
        return Answer(204)

    # --- outputs ------------------------------------------------------------------------------------------

    def _address(self, render: Render, origin: str) -> str:
        """A new signed address; the first one has expired already where that was ordered."""
        given = self.house.count(render, "given")
        expired = "expired" in render.order and given == 1
        if expired:
            self.house.deal(self.backend, "expired", render)
        until = int(self.house.now()) + (-1 if expired else _SIGNED_SECONDS)
        return f"{origin}/runway-output/{render.id}.mp4?_jwt={until}.{given}.{self._signature(render.id, until)}"

    def _output(self, task_id: str, request: Request) -> Answer:
        """The file, for whoever has its signed address. A key that comes along has been given away, and is booked."""
        if "authorization" in request.headers:
            self.house.books.write("leak", backend=self.backend, id=task_id, path=request.path)
        until, _, rest = request.query.get("_jwt", "").partition(".")
        signed = until.isdecimal() and hmac.compare_digest(rest.partition(".")[2], self._signature(task_id, int(until)))
        if not signed or int(until) < self.house.now():
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})
        try:
            return served(self.house, self.studio, self.house.find(self.backend, task_id))
        except Refused as error:
            return Answer(error.status, b"", {"Content-Type": "text/plain"})

    def _signature(self, task_id: str, until: int) -> str:
        return hmac.new(self.key.encode(), f"{task_id} {until}".encode(), hashlib.sha256).hexdigest()

    # --- the account --------------------------------------------------------------------------------------

    def _organization(self) -> Answer:
        today = Counter(r.wanted.model for r in self.house.of(self.backend) if r.at > self.house.now() - _DAY)
        limits = {"maxConcurrentGenerations": 20, "maxDailyGenerations": 30_000}
        left = (self.house.terms.credit - self.house.spent(self.backend)) // CREDIT
        return Answer(
            200,
            {
                "creditBalance": max(0, left),
                "tier": {"maxMonthlyCreditSpend": 10_000_000, "models": dict.fromkeys(MODELS, limits)},
                "usage": {"models": {name: {"dailyGenerations": count} for name, count in sorted(today.items())}},
            },
        )

    def _usage(self) -> Answer:
        """What was spent per day of the vendor's clock and model, in credits; all of it, whatever dates are asked for."""
        spent: Counter[tuple[str, str]] = Counter()
        for render in self.house.of(self.backend):
            spent[stamp(render.at)[:10], render.wanted.model] += render.billable // CREDIT
        days = sorted({day for day, _ in spent})
        results = [
            {"date": day, "usedCredits": [{"model": m, "amount": n} for (d, m), n in sorted(spent.items()) if d == day]}
            for day in days
        ]
        return Answer(200, {"models": sorted({model for _, model in spent}), "results": results})


def _pending(standing: Standing) -> bool:
    return standing.stage == "running" and standing.progress < 0.1
