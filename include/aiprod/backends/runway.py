"""Runway, spoken through its own SDK with the SDK's retries off: by itself it sends a lost request three times."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aiprod.backends import runway_words as words
from aiprod.backends.base import Backend
from aiprod.backends.download import download, must_be_video
from aiprod.backends.reaching import INTERNET, Network
from aiprod.backends.runway_input import Unfit, arguments, models
from aiprod.backends.runway_wire import HOME, Answer, NotSent, Silence, Wire
from aiprod.catalog import BackendEntry
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, CancelOutcome, Checkup, JobState, RenderRequest

if TYPE_CHECKING:
    import httpx
    from runwayml import RunwayML

__all__ = ["RunwayBackend"]

_KEY, _BASE = "RUNWAYML_API_SECRET", "RUNWAYML_BASE_URL"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
#: Seconds that a question may take; and the part of its time that a submission takes at most.
_PATIENCE, _PART = 20.0, 0.8


class RunwayBackend(Backend):
    """Runway's own models and those it resells. It lists nothing and takes no key of ours: a lost answer is parked."""

    reads: ClassVar[tuple[str, ...]] = (_KEY, _BASE)
    can_find = False
    tells_credits: ClassVar[bool] = True

    def __init__(self, name: str, entry: BackendEntry, *, network: Network = INTERNET) -> None:
        super().__init__(name, entry)
        self._network = network

    # --- buying -----------------------------------------------------------------------------------------

    def validate(self, request: RenderRequest) -> RenderRequest:
        """Check the request against what the SDK says of the model. Asks nobody."""
        self._arguments(request)
        return request

    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        """Send one request. Runway takes no mark of ours along: without an answer nobody can find it again."""
        operation, given = self._arguments(request)
        try:
            wire = self._wire()
        except BackendError as error:
            raise SubmitRejected(f"{self.name}: not sent: {error}", kind=error.kind) from None
        seconds = _PART * self.entry.submit_timeout_seconds
        try:
            answer = wire.ask(seconds, lambda sdk: getattr(sdk, operation).with_raw_response.create(**given))
        except NotSent as error:
            raise SubmitRejected(f"{self.name}: not sent: {error}", kind=error.kind) from None
        except Silence as error:
            raise SubmitAmbiguous(f"{self.name}: no answer to {key}: {error}", kind=error.kind) from None
        if not answer.good:
            raise words.not_accepted(answer.status, answer.detail, answer.headers, who=self.name)
        vendor_id = answer.row.get("id")
        if not isinstance(vendor_id, str) or not _ID.fullmatch(vendor_id):
            # Whatever it is: a person may find the render by it.
            message = f"{self.name}: accepted {key}, and the id it gave is {vendor_id!r:.80}"
            raise SubmitAmbiguous(message, kind=FailureKind.VENDOR_INTERNAL)
        return Accepted(vendor_id=vendor_id)

    # --- looking after it -------------------------------------------------------------------------------

    def poll(self, vendor_id: str) -> JobState:
        """Ask once how a render is doing."""
        return words.state(self._task(vendor_id), who=self._known(vendor_id))

    async def watch(self, vendor_id: str, http: httpx.AsyncClient) -> JobState:
        """`poll` on the caller's event loop and HTTP client."""
        who = self._known(vendor_id)
        try:
            answer = await self._wire().ask_soon(http, _PATIENCE, lambda sdk: sdk.tasks.with_raw_response.retrieve(vendor_id))
        except Silence as error:
            raise self._silent(who, error) from None
        return words.state(self._good(answer, who), who=who)

    def fetch(self, vendor_id: str, into: Path) -> None:
        """Write the video to `into`. Addresses are signed and expire: the task is asked for a fresh one, twice if need be."""
        who = self._known(vendor_id)
        try:
            self._bring(vendor_id, who, into)
        except BackendError as error:
            if error.kind is not FailureKind.GONE:
                raise
            self._bring(vendor_id, who, into)
        must_be_video(into, who)

    def cancel(self, vendor_id: str) -> CancelOutcome:
        """Stop a render that has not ended. Runway gives nothing back for one that ran.

        One that has ended is left alone: the same request would delete its video, and give nothing back either.
        """
        who = self._known(vendor_id)
        seen = self.poll(vendor_id)
        if seen.state == "cancelled":
            free = {"no": "yes", "yes": "no", "maybe": "unknown"}
            return CancelOutcome.model_validate({"stopped": "yes", "refunded": free[seen.money_moved]})
        if seen.final:
            return CancelOutcome(stopped="no", refunded="no")
        answer = self._ask(who, lambda sdk: sdk.tasks.with_raw_response.delete(vendor_id))
        if not answer.good:
            raise words.no_answer(answer.status, answer.detail, who=who)
        # It may have begun to run since it was seen waiting, and then nothing is given back.
        return CancelOutcome(stopped="yes", refunded="no" if seen.state == "running" else "unknown")

    def checkup(self) -> Checkup:
        """Ask for the account: its credits, its tier's limits and models."""
        answer = self._ask(self.name, lambda sdk: sdk.organization.with_raw_response.retrieve())
        if answer.status in (401, 403):
            return Checkup(authenticated="no", notes=(str(words.no_answer(answer.status, answer.detail, who=self.name)),))
        account = self._good(answer, self.name)
        tier = _object(account.get("tier"))
        limits, used = _object(tier.get("models")), _object(_object(account.get("usage")).get("models"))
        names = [model.name for model in self.entry.models]
        # A tier that names no model at all says nothing of ours.
        known = {*models("text_to_video"), *models("image_to_video")} & ({*limits} or {*names})
        notes = [f"the tier allows {tier.get('maxMonthlyCreditSpend', 'an unknown number of')} credits a month"]
        notes += [_limits(name, _object(limits[name]), _object(used.get(name))) for name in names if name in limits]
        return Checkup(
            authenticated="yes",
            left=f"{account.get('creditBalance', 'an unknown number of')} credits",
            credits=_number(account.get("creditBalance")),
            retired=tuple(name for name in names if name not in known),
            notes=tuple(notes),
        )

    # --- asking -----------------------------------------------------------------------------------------

    def _arguments(self, request: RenderRequest) -> tuple[str, dict[str, Any]]:
        try:
            return arguments(request)
        except Unfit as why:
            raise SubmitRejected(f"{self.name}: {request.model}: {why}", kind=FailureKind.INVALID_INPUT) from None

    def _bring(self, vendor_id: str, who: str, into: Path) -> None:
        row = self._task(vendor_id)
        ended = words.state(row, who=who)
        if ended.state != "succeeded":
            kind = FailureKind.VENDOR_INTERNAL if ended.final else FailureKind.TRANSIENT
            raise BackendError(f"{who}: {ended.state}, so there is no video", kind=kind, money_moved=ended.money_moved)
        # Without the key: whoever has the signed address is served.
        download(words.output(row), into, what=who, own=self._wire().own, network=self._network)

    def _task(self, vendor_id: str) -> Mapping[str, Any]:
        who = self._known(vendor_id)
        return self._good(self._ask(who, lambda sdk: sdk.tasks.with_raw_response.retrieve(vendor_id)), who)

    def _known(self, vendor_id: str) -> str:
        """What messages call a render. Raises `BackendError` (`gone`) for an id that Runway cannot have given.

        The SDK puts it into an address as it is, so `../organization` would lead elsewhere.
        """
        if not _ID.fullmatch(vendor_id):
            message = f"{self.name}: {vendor_id[:64]!r} is no id of a render"
            raise BackendError(message, kind=FailureKind.GONE, money_moved="maybe")
        return f"{self.name} {vendor_id}"

    def _wire(self) -> Wire:
        keys = self.keys
        return Wire(keys.get(_BASE, HOME), keys.get(_KEY, ""), self._network)

    def _ask(self, who: str, question: Callable[[RunwayML], Any]) -> Answer:
        try:
            return self._wire().ask(_PATIENCE, question)
        except Silence as error:
            raise self._silent(who, error) from None

    def _silent(self, who: str, error: Silence) -> BackendError:
        return BackendError(f"{who}: no answer: {error}", kind=error.kind, money_moved="maybe")

    def _good(self, answer: Answer, who: str) -> Mapping[str, Any]:
        """The object in a good answer."""
        if not answer.good:
            raise words.no_answer(answer.status, answer.detail, who=who)
        if not answer.row:
            raise BackendError(f"{who}: the answer cannot be read", kind=FailureKind.VENDOR_INTERNAL, money_moved="maybe")
        return answer.row


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _limits(name: str, limits: dict[str, Any], used: dict[str, Any]) -> str:
    at_once, a_day = (limits.get(key) or "any number" for key in ("maxConcurrentGenerations", "maxDailyGenerations"))
    return f"{name}: {at_once} at once, {a_day} in 24 hours, {used.get('dailyGenerations', 0)} of them used"
