"""Replicate, spoken over plain HTTP.

Its own client (1.0.7) is unsafe for buying: `predictions.create` ignores the timeout it was given and may wait for ever, and
it dies on the status `aborted`, even of somebody else's render in a list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote

import httpx

from aiprod.addresses import Address
from aiprod.backends import replicate_words as words
from aiprod.backends.base import Backend
from aiprod.backends.download import download, must_be_video
from aiprod.backends.reaching import INTERNET, Network
from aiprod.backends.replicate_input import Unfit, misfits, model_input
from aiprod.backends.replicate_wire import Answer, NotSent, Silence, Wire
from aiprod.catalog import BackendEntry
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, CancelOutcome, Checkup, Found, JobState, RenderRequest

__all__ = ["ReplicateBackend"]

_BASE, _TOKEN = "REPLICATE_BASE_URL", "REPLICATE_API_TOKEN"
_HOME = "https://api.replicate.com"
#: Who else may be shown the token: whoever serves the files.
_DELIVERY = "replicate.delivery"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODEL = re.compile(r"[a-z0-9][\w.-]*/[a-z0-9][\w.-]*", re.A | re.I)
#: How far the vendor's clock may be behind ours; and how far ahead, plus how late a listing may show what was accepted.
_BEHIND, _LAG = timedelta(minutes=10), timedelta(minutes=2)
_MAX_PAGES = 50
#: Seconds that a question may take, and the part of the time for a submission that the one before it may take.
_PATIENCE, _PART = 15.0, 0.3


#: Schemas by (address, model), with the time they were asked for.
_schemas: dict[tuple[str, str], tuple[float, Mapping[str, Any]]] = {}
_FRESH = 600.0


class _Listing(NamedTuple):
    """Rows of the account's list, when the vendor's clock says they were read, and whether they are all."""

    rows: list[dict[str, Any]]
    asked_at: datetime | None
    whole: bool


class ReplicateBackend(Backend):
    """Any video model on Replicate that has inputs for prompt, length, seed and shape; the catalogue says which."""

    reads: ClassVar[tuple[str, ...]] = (_TOKEN, _BASE)
    can_find = True

    def __init__(
        self, name: str, entry: BackendEntry, *, transport: httpx.BaseTransport | None = None, network: Network = INTERNET
    ) -> None:
        super().__init__(name, entry)
        self._transport = transport
        self._network = network

    # --- buying -----------------------------------------------------------------------------------------

    def validate(self, request: RenderRequest) -> RenderRequest:
        """Check the request against the input schema that its model publishes now."""
        self._input(request)
        return request

    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        """Send one request. What its schema refuses, and what could not be connected, was not sent."""
        clock = self._network.clock
        ends = clock() + 0.9 * self.entry.submit_timeout_seconds
        try:
            wire, body = self._wire(), {"input": self._input(request)}
        except SubmitRejected:
            raise
        except BackendError as error:
            raise SubmitRejected(f"not sent: {error}", kind=error.kind) from None
        headers = {"Cancel-After": f"{max(5, round(self.entry.max_run_seconds))}s"}
        try:
            answer = wire.ask("POST", f"/v1/models/{request.model}/predictions", ends - clock(), body=body, headers=headers)
        except NotSent as error:
            raise SubmitRejected(f"{self.name}: not sent: {error}", kind=FailureKind.TRANSIENT) from None
        except Silence as error:
            raise SubmitAmbiguous(f"{self.name}: no answer to {key}: {error}") from None
        if answer.status not in (200, 201, 202):
            raise words.not_accepted(answer.status, answer.detail, answer.headers, who=self.name)
        vendor_id = (answer.row or {}).get("id")
        if not isinstance(vendor_id, str) or not _ID.fullmatch(vendor_id):
            raise SubmitAmbiguous(f"{self.name}: accepted {key} without an id", kind=FailureKind.VENDOR_INTERNAL)
        return Accepted(vendor_id=vendor_id)

    def find(self, request: RenderRequest, *, key: str, since: datetime) -> Found:
        """Look through the list of renders for this model and exactly this input, seed included.

        Absence is proved only by a list read whole, by the vendor's own clock long enough after the request can have
        arrived, and without a render in between that may have been this one.
        """
        asked = self._input(request)
        closes = since + timedelta(seconds=self.entry.submit_timeout_seconds) + _LAG
        listing = self._listing(since - _BEHIND)
        rows = [row for row in listing.rows if row.get("model") == request.model]
        ours = sorted((str(row.get("created_at")), str(row.get("id"))) for row in rows if row.get("input") == asked)
        ids = tuple(dict.fromkeys(vendor_id for _, vendor_id in ours))
        late = listing.asked_at is not None and listing.asked_at > closes
        proof = not ids and late and listing.whole and not any(_may_be_ours(row, asked, closes) for row in rows)
        return Found(vendor_ids=ids, proof=proof, interchangeable=request.seed_ordered)

    # --- looking after it -------------------------------------------------------------------------------

    def poll(self, vendor_id: str) -> JobState:
        """Ask once how a render is doing."""
        return words.state(self._row(vendor_id), who=f"{self.name} {vendor_id}")

    async def watch(self, vendor_id: str, http: httpx.AsyncClient) -> JobState:
        """`poll` on the caller's event loop and HTTP client."""
        who = self._known(vendor_id)
        try:
            answer = await self._wire().ask_soon(http, f"/v1/predictions/{vendor_id}", self._patience)
        except Silence as error:
            raise self._silent(who, error) from None
        return words.state(self._object(answer, who), who=who)

    def fetch(self, vendor_id: str, into: Path) -> None:
        """Write the video to `into`. An address that has gone is asked for once more: it may have been replaced."""
        who = self._known(vendor_id)
        try:
            self._bring(vendor_id, into)
        except BackendError as error:
            if error.kind is not FailureKind.GONE:
                raise
            self._bring(vendor_id, into)
        must_be_video(into, who)

    def cancel(self, vendor_id: str) -> CancelOutcome:
        """Ask the vendor to stop; what ran until then is charged."""
        who = self._known(vendor_id)
        return words.cancelled(self._object(self._ask("POST", f"/v1/predictions/{vendor_id}/cancel", who), who))

    def checkup(self) -> Checkup:
        """Ask whose token this is and whether the catalogue's models are still offered."""
        try:
            account = self._object(self._ask("GET", "/v1/account", self.name), self.name)
        except BackendError as error:
            if error.kind is not FailureKind.AUTH:
                raise
            return Checkup(authenticated="no", notes=(str(error),))
        retired, notes = (
            [],
            [f"account {account.get('username', 'without a name')!s:.64}", "Replicate tells nobody what credit is left"],
        )
        for model in self.entry.models:
            try:
                notes += [f"{model.name} is not sold as {misfit}" for misfit in misfits(model, self._schema(model.name))]
            except BackendError as error:
                if error.kind is FailureKind.GONE:
                    retired.append(model.name)
                else:
                    notes.append(str(error))
        return Checkup(authenticated="yes", retired=tuple(retired), notes=tuple(notes))

    # --- asking -----------------------------------------------------------------------------------------

    def _bring(self, vendor_id: str, into: Path) -> None:
        who, row = f"{self.name} {vendor_id}", self._row(vendor_id)
        ended = words.state(row, who=who)
        if ended.state != "succeeded":
            raise BackendError(f"{who}: {ended.state}, so there is no video", kind=FailureKind.TRANSIENT, money_moved="maybe")
        address = words.output(row)
        if not address:
            raise BackendError(f"{who}: Replicate has removed the video", kind=FailureKind.GONE, money_moved="yes")
        wire = self._wire()
        headers = wire.credentials if _may_know(address, wire.origin) else {}
        download(address, into, what=who, own=(wire.origin,), headers=headers, network=self._network)

    def _input(self, request: RenderRequest) -> dict[str, Any]:
        one = any(model.name == request.model and model.resolutions == (request.resolution,) for model in self.entry.models)
        try:
            return model_input(request, self._schema(request.model), one_resolution=one)
        except Unfit as error:
            raise SubmitRejected(f"{self.name}: {request.model}: {error}", kind=FailureKind.INVALID_INPUT) from None

    def _schema(self, model: str) -> Mapping[str, Any]:
        """The `openapi_schema` that a model publishes, asked for once in ten minutes per process."""
        if not _MODEL.fullmatch(model):
            raise SubmitRejected(f"{self.name}: {model!r} is no owner/name of a model", kind=FailureKind.INVALID_INPUT)
        wire, now = self._wire(), self._network.clock()
        known = _schemas.get((wire.base, model))
        if known is not None and now < known[0] + _FRESH:
            return known[1]
        who = f"{self.name} {model}"
        version = self._object(self._ask("GET", f"/v1/models/{model}", who), who).get("latest_version")
        schema = version.get("openapi_schema") if isinstance(version, dict) else None
        if not isinstance(schema, dict):
            raise BackendError(f"{who} publishes no input schema", kind=FailureKind.VENDOR_INTERNAL, money_moved="no")
        _schemas[wire.base, model] = (now, schema)
        return schema

    def _listing(self, since: datetime) -> _Listing:
        """Every render of this account since a time, newest first, as far as it was read."""
        path: object = f"/v1/predictions?created_after={quote(since.astimezone(UTC).isoformat())}"
        rows: list[dict[str, Any]] = []
        asked_at: datetime | None = None
        for page in range(_MAX_PAGES):
            answer = self._ask("GET", str(path), f"{self.name} list")
            if page == 0:
                asked_at = words.moment(answer.headers.get("date"))
            said = self._object(answer, f"{self.name} list")
            results = said.get("results")
            if not isinstance(results, list) or not all(isinstance(row, dict) for row in results):
                raise self._strange(f"{self.name} list")
            rows += results
            path = said.get("next")
            if not path:
                return _Listing(rows, asked_at, whole=True)
        return _Listing(rows, asked_at, whole=False)

    def _row(self, vendor_id: str) -> dict[str, Any]:
        who = self._known(vendor_id)
        return self._object(self._ask("GET", f"/v1/predictions/{vendor_id}", who), who)

    def _known(self, vendor_id: str) -> str:
        """What messages call a render. Raises `BackendError` (`gone`) for an id that Replicate cannot have given."""
        if not _ID.fullmatch(vendor_id):
            message = f"{self.name}: {vendor_id[:64]!r} is no id of a render"
            raise BackendError(message, kind=FailureKind.GONE, money_moved="maybe")
        return f"{self.name} {vendor_id}"

    @property
    def _patience(self) -> float:
        return min(_PATIENCE, _PART * self.entry.submit_timeout_seconds)

    def _wire(self) -> Wire:
        keys = self.keys
        return Wire(keys.get(_BASE, _HOME), keys.get(_TOKEN, ""), self._transport)

    def _ask(self, method: str, path: str, who: str) -> Answer:
        try:
            return self._wire().ask(method, path, self._patience)
        except Silence as error:
            raise self._silent(who, error) from None

    def _silent(self, who: str, error: Silence) -> BackendError:
        return BackendError(f"{who}: no answer: {error}", kind=FailureKind.TRANSIENT, money_moved="maybe")

    def _strange(self, who: str) -> BackendError:
        return BackendError(f"{who}: the answer cannot be read", kind=FailureKind.VENDOR_INTERNAL, money_moved="maybe")

    def _object(self, answer: Answer, who: str) -> dict[str, Any]:
        """The object in a good answer."""
        if answer.status != 200:
            raise words.no_answer(answer.status, answer.detail, who=who)
        if answer.row is None:
            raise self._strange(who)
        return answer.row


def _may_be_ours(row: Mapping[str, Any], asked: Mapping[str, Any], closes: datetime) -> bool:
    """Whether a render with another input could be this request all the same.

    Inputs are removed after an hour; and a model that changed its schema is asked in other words, but with the same seed
    and, where it still has one, the same prompt.
    """
    made, given = words.moment(row.get("created_at")), row.get("input")
    if made is not None and made > closes:
        return False
    if not isinstance(given, dict) or not given:
        return True
    return bool(given.get("seed") == asked["seed"] and given.get("prompt", asked["prompt"]) == asked["prompt"])


def _may_know(url: str, origin: str) -> bool:
    """Whether whoever serves a file may be shown the token: the API, its files' hosts, or where the operator put them."""
    try:
        address = Address.of(url)
    except ValueError:
        return False
    theirs = address.host in ("api.replicate.com", _DELIVERY) or address.host.endswith(f".{_DELIVERY}")
    return address.origin == origin or (theirs and (address.scheme, address.port) == ("https", 443))
