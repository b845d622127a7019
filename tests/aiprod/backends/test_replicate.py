"""Replicate: one request per purchase, no claim that the vendor does not make, and the token with nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprod.backends import replicate
from aiprod.backends.replicate import ReplicateBackend
from aiprod.catalog import BackendEntry, catalog
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import CancelOutcome, RenderRequest, Usage
from tests.aiprod.backends.test_replicate_input import schema, wanted
from tests.aiprod.qa.specimens import moving, write
from tests.web import World, answer

TOKEN = "r8_SECRET-CANARY"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MODEL = schema(size=["1280*720", "832*480"])
FILM = "https://replicate.delivery/x/film.mp4"
IDS = {"id": "p1", "model": "o/m", "input": {"prompt": "a lake", "duration": 5, "seed": 7, "size": "1280*720"}}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
    replicate._schemas.clear()
    yield
    replicate._schemas.clear()


class Vendor:
    """The API in memory: answers by method and path, and what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[httpx.Request] = []
        self.answers: dict[str, Any] = {"GET /v1/models/o/m": {"latest_version": {"openapi_schema": MODEL}}}
        self.answers |= {name.replace("_", " ", 1): said for name, said in answers.items()}
        self.world = World.of()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        said = self.answers.get(f"{request.method} {request.url.path}", httpx.Response(404, json={"detail": "no such thing"}))
        if callable(said):
            said = said(request)
        if isinstance(said, Exception):
            raise said
        if not isinstance(said, httpx.Response):
            return httpx.Response(200, json=said)
        # A new one each time: whoever reads an answer uses it up.
        return httpx.Response(said.status_code, headers=said.headers, content=said.content)

    def says(self, name: str, said: Any) -> Vendor:
        self.answers[name] = said
        return self

    @property
    def backend(self) -> ReplicateBackend:
        entry = catalog().backends["replicate"]
        known = BackendEntry.model_validate(entry.model_dump() | {"models": [entry.models[0].model_dump() | {"name": "o/m"}]})
        return ReplicateBackend("replicate", known, transport=httpx.MockTransport(self), network=self.world.network)

    def sent(self, method: str) -> list[httpx.Request]:
        return [request for request in self.asked if request.method == method]


POST = "POST /v1/models/o/m/predictions"
GET = "GET /v1/predictions/p1"
LIST = "GET /v1/predictions"


def refused(call: Callable[[], object]) -> BackendError:
    with pytest.raises(BackendError) as raised:
        call()
    assert "SECRET-CANARY" not in f"{raised.value!r} {raised.value.__context__!r}"
    return raised.value


# --- before money ---------------------------------------------------------------------------------------


def test_what_the_model_takes_comes_back_as_it_is_and_its_schema_is_asked_for_once() -> None:
    vendor = Vendor()
    for _ in range(3):
        assert vendor.backend.validate(wanted()) == wanted()
    assert [request.url.path for request in vendor.asked] == ["/v1/models/o/m"]


def test_a_schema_is_looked_at_again_after_a_while() -> None:
    vendor = Vendor()
    backend = vendor.backend
    backend.validate(wanted())
    vendor.world.time = 601
    vendor.says("GET /v1/models/o/m", {"latest_version": {"openapi_schema": schema(size=["832*480"])}})
    assert "'size' does not take" in str(refused(lambda: backend.validate(wanted())))


@pytest.mark.parametrize("model", ["o", "o/m/n", "../account", "o/m?x=1", ""])
def test_a_model_that_is_no_name_is_refused_unasked(model: str) -> None:
    vendor = Vendor()
    assert isinstance(refused(lambda: vendor.backend.validate(wanted(model=model))), SubmitRejected)
    assert vendor.asked == []


def test_what_the_model_would_refuse_is_refused_before_money() -> None:
    vendor = Vendor()
    error = refused(lambda: vendor.backend.validate(wanted(width=100)))
    assert isinstance(error, SubmitRejected)
    assert error.kind is FailureKind.INVALID_INPUT
    assert isinstance(refused(lambda: vendor.backend.submit(wanted(width=100), key="k")), SubmitRejected)
    assert vendor.sent("POST") == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (httpx.Response(404), FailureKind.GONE),
        (httpx.Response(401), FailureKind.AUTH),
        (httpx.Response(503), FailureKind.TRANSIENT),
        (httpx.ReadTimeout("slow"), FailureKind.TRANSIENT),
        (httpx.Response(200, content=b"<html>"), FailureKind.VENDOR_INTERNAL),
        ({"latest_version": None}, FailureKind.VENDOR_INTERNAL),
    ],
    ids=str,
)
def test_without_a_schema_nothing_is_bought(said: Any, kind: FailureKind) -> None:
    vendor = Vendor().says("GET /v1/models/o/m", said)
    assert refused(lambda: vendor.backend.validate(wanted())).kind is kind
    error = refused(lambda: vendor.backend.submit(wanted(), key="k"))
    assert isinstance(error, SubmitRejected)
    assert (error.kind, vendor.sent("POST")) == (kind, [])


def test_a_missing_token_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPLICATE_API_TOKEN")
    error = refused(lambda: Vendor().backend.submit(wanted(), key="k"))
    assert isinstance(error, SubmitRejected)
    assert (error.kind, "REPLICATE_API_TOKEN" in str(error)) == (FailureKind.AUTH, True)


# --- sending --------------------------------------------------------------------------------------------


def test_exactly_one_request_leaves_with_the_input_and_its_deadline() -> None:
    vendor = Vendor().says(POST, httpx.Response(201, json={"id": "p1", "status": "starting"}))
    assert vendor.backend.submit(wanted(), key="k").vendor_id == "p1"
    (request,) = vendor.sent("POST")
    assert json.loads(request.content) == {"input": IDS["input"]}
    assert request.headers["cancel-after"] == "1800s"
    assert "prefer" not in request.headers
    assert request.extensions["timeout"]["read"] < 60


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (httpx.ConnectError("refused"), FailureKind.TRANSIENT),
        (httpx.Response(402), FailureKind.QUOTA_EXHAUSTED),
        (httpx.Response(422, json={"detail": "- input: prompt is required\n"}), FailureKind.INVALID_INPUT),
        (httpx.Response(429, json={"detail": "resets in ~30s"}), FailureKind.RATE_LIMITED),
    ],
    ids=str,
)
def test_a_refusal_is_final_and_nothing_is_sent_again(said: Any, kind: FailureKind) -> None:
    vendor = Vendor().says(POST, said)
    error = refused(lambda: vendor.backend.submit(wanted(), key="k"))
    assert isinstance(error, SubmitRejected)
    assert (error.kind, len(vendor.sent("POST"))) == (kind, 1)
    assert error.retry_after == (30 if kind is FailureKind.RATE_LIMITED else None)


@pytest.mark.parametrize(
    "said",
    [
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.WriteError("reset"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(500),
        httpx.Response(503),
        httpx.Response(302, headers={"location": "/elsewhere"}),
        httpx.Response(201, content=b"<html>"),
        httpx.Response(201, json={"id": None}),
        httpx.Response(201, json={"id": "../p1"}),
    ],
    ids=str,
)
def test_what_may_run_is_never_called_refused_and_never_sent_again(said: Any) -> None:
    vendor = Vendor().says(POST, said)
    assert isinstance(refused(lambda: vendor.backend.submit(wanted(), key="k")), SubmitAmbiguous)
    assert len(vendor.sent("POST")) == 1


# --- looking for what was lost --------------------------------------------------------------------------


def row(vendor_id: str = "p1", at: float = 1, model: str = "o/m", **given: Any) -> dict[str, Any]:
    """One line of the vendor's list, made `at` seconds after the request was sent."""
    created = (NOW + timedelta(seconds=at)).isoformat()
    return {"id": vendor_id, "model": model, "created_at": created, "status": "processing", "input": {**IDS["input"], **given}}


def listing(*rows: dict[str, Any], after: float = 600, following: str | None = None) -> httpx.Response:
    date = format_datetime(NOW + timedelta(seconds=after), usegmt=True)
    return httpx.Response(200, json={"results": list(rows), "next": following, "previous": None}, headers={"date": date})


def found(*pages: httpx.Response, request: RenderRequest | None = None) -> tuple[tuple[str, ...], bool]:
    turns = iter(pages)
    vendor = Vendor().says(LIST, lambda _: next(turns))
    said = vendor.backend.find(request or wanted(), key="k", since=NOW)
    assert said.interchangeable is False
    (first, *_) = [request for request in vendor.asked if request.url.path == "/v1/predictions"]
    assert datetime.fromisoformat(first.url.params["created_after"]) < NOW
    return said.vendor_ids, said.proof


def test_a_lost_request_is_found_by_its_whole_input() -> None:
    assert found(listing(row("p2", seed=8), row("p1"), row("p3", prompt="a sea"))) == (("p1",), False)


def test_two_of_the_same_input_are_both_shown_oldest_first() -> None:
    assert found(listing(row("p2", at=5), row("p1", at=1), row("p1", at=1))) == (("p1", "p2"), False)


def test_it_is_found_on_any_page() -> None:
    page = "https://api.replicate.com/v1/predictions?cursor=x"
    assert found(listing(row("p9", seed=1), following=page), listing(row("p1"))) == (("p1",), False)


def test_a_whole_list_long_enough_afterwards_is_proof() -> None:
    assert found(listing()) == ((), True)
    assert found(listing(row("p2", seed=8), row("p3", model="o/other"))) == ((), True)


@pytest.mark.parametrize(
    "pages",
    [
        [listing(after=60)],
        [listing(after=179)],
        [httpx.Response(200, json={"results": []})],
        [listing({**row("p1", at=30), "input": None, "data_removed": True})],
        [listing({**row("p1", at=30), "input": {}})],
        [listing({**row("p1"), "input": {}, "created_at": "yesterday"})],
        # The model's schema changed in between: the same prompt and seed, in other words.
        [listing(row("p1", size="832*480"))],
        [listing(following="https://api.replicate.com/v1/predictions?cursor=x") for _ in range(60)],
    ],
    ids=["too early", "within the lag", "no clock", "input gone", "input empty", "no time", "other words", "endless"],
)
def test_anything_less_is_no_proof(pages: list[httpx.Response]) -> None:
    assert found(*pages) == ((), False)


def test_what_lost_its_input_long_afterwards_is_not_ours() -> None:
    assert found(listing({**row("p1", at=500), "input": None})) == ((), True)


def test_a_seed_that_was_ordered_is_nobodys_alone() -> None:
    vendor = Vendor().says(LIST, listing(row("p1")))
    said = vendor.backend.find(wanted(seed_ordered=True), key="k", since=NOW)
    assert (said.vendor_ids, said.interchangeable) == (("p1",), True)
    vendor.says(LIST, listing(row("p1", prompt="another shot of the job")))
    assert vendor.backend.find(wanted(seed_ordered=True), key="k", since=NOW).proof


@pytest.mark.parametrize(
    "said",
    [
        httpx.Response(500),
        httpx.ReadTimeout("slow"),
        httpx.Response(200, json={"results": None}),
        httpx.Response(200, json={"results": ["p1"]}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json={"results": [], "next": "https://evil.example/v1/predictions"}),
    ],
    ids=str,
)
def test_not_having_been_able_to_look_is_an_error_and_no_answer(said: Any) -> None:
    vendor = Vendor().says(LIST, said)
    refused(lambda: vendor.backend.find(wanted(), key="k", since=NOW))
    assert {request.url.host for request in vendor.asked} == {"api.replicate.com"}


# --- asking and bringing home ---------------------------------------------------------------------------


def test_asking_says_how_it_is_and_what_the_meter_shows() -> None:
    metrics = {"predict_time": 31.2, "video_output_duration_seconds": 5}
    vendor = Vendor().says(GET, {**IDS, "status": "succeeded", "output": FILM, "metrics": metrics})
    said = vendor.backend.poll("p1")
    assert (said.state, said.usage) == ("succeeded", Usage(output_seconds=Decimal(5), run_seconds=Decimal("31.2")))

    async def watched() -> object:
        async with httpx.AsyncClient(transport=httpx.MockTransport(vendor)) as http:
            return await vendor.backend.watch("p1", http)

    assert asyncio.run(watched()) == said


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (httpx.Response(404), FailureKind.GONE),
        (httpx.Response(401), FailureKind.AUTH),
        (httpx.Response(429), FailureKind.RATE_LIMITED),
        (httpx.Response(500), FailureKind.TRANSIENT),
        (httpx.ReadTimeout("slow"), FailureKind.TRANSIENT),
        (httpx.Response(200, content=b"<html>"), FailureKind.VENDOR_INTERNAL),
        ({"status": "dreaming"}, FailureKind.VENDOR_INTERNAL),
    ],
    ids=str,
)
def test_no_answer_is_an_error_of_ours_that_leaves_money_open(said: Any, kind: FailureKind) -> None:
    vendor = Vendor().says(GET, said)

    async def watched() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(vendor)) as http:
            await vendor.backend.watch("p1", http)

    for call in (lambda: vendor.backend.poll("p1"), lambda: asyncio.run(watched())):
        error = refused(call)
        assert (error.kind, error.money_moved) == (kind, "maybe")


@pytest.mark.parametrize("stranger", ["", "..", "p1/cancel", "p1?x", "p" * 65, "p 1"])
def test_an_id_that_is_none_is_not_asked_about(stranger: str, tmp_path: Path) -> None:
    vendor = Vendor()
    for call in (
        lambda: vendor.backend.poll(stranger),
        lambda: vendor.backend.fetch(stranger, tmp_path / "x"),
        lambda: vendor.backend.cancel(stranger),
    ):
        assert refused(call).kind is FailureKind.GONE
    assert vendor.asked == []


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("film") / "film.mp4", moving(24)).read_bytes()


def bringing(output: object, *answers: list[bytes], **row: Any) -> Vendor:
    """A vendor with a finished render, and one host for files, whatever its name."""
    vendor = Vendor().says(GET, {**IDS, "status": "succeeded", "output": output, **row})
    vendor.world.hosts["93.184.216.34", 443] = list(answers)
    for name in ("replicate.delivery", "pb.replicate.delivery", "api.replicate.com", "evil.example", "xreplicate.delivery"):
        vendor.world.names[name] = [["93.184.216.34"]]
    return vendor


@pytest.mark.parametrize("output", [FILM, [FILM], {"video": FILM}], ids=["text", "list", "object"])
def test_the_video_is_brought_home(film: bytes, tmp_path: Path, output: object) -> None:
    bringing(output, answer(200, film)).backend.fetch("p1", tmp_path / "take.mp4")
    assert (tmp_path / "take.mp4").read_bytes() == film


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (FILM, True),
        ("https://pb.replicate.delivery/film.mp4", True),
        ("https://api.replicate.com/v1/files/x/film.mp4", True),
        ("https://evil.example/film.mp4", False),
        ("https://xreplicate.delivery/film.mp4", False),
    ],
)
def test_the_token_is_shown_to_the_vendor_and_to_nobody_else(film: bytes, tmp_path: Path, url: str, shown: bool) -> None:
    vendor = bringing(url, answer(200, film))
    vendor.backend.fetch("p1", tmp_path / "take.mp4")
    assert [TOKEN.encode() in wire.sent for wire in vendor.world.wires] == [shown]


def test_an_address_that_has_gone_is_asked_for_once_more(film: bytes, tmp_path: Path) -> None:
    vendor = bringing(FILM, answer(404), answer(200, film))
    vendor.backend.fetch("p1", tmp_path / "take.mp4")
    assert len(vendor.asked) == 2
    vendor = bringing(FILM, answer(404), answer(404), answer(200, film))
    error = refused(lambda: vendor.backend.fetch("p1", tmp_path / "gone.mp4"))
    assert (error.kind, error.money_moved, len(vendor.world.wires)) == (FailureKind.GONE, "yes", 2)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"output": None, "data_removed": True}, FailureKind.GONE),
        ({"output": None}, FailureKind.TRANSIENT),
        ({"status": "processing"}, FailureKind.TRANSIENT),
        ({"output": "http://replicate.delivery/film.mp4"}, FailureKind.INVALID_INPUT),
        ({"output": "https://169.254.169.254/film.mp4"}, FailureKind.INVALID_INPUT),
        ({"output": "data:video/mp4;base64,AAAA"}, FailureKind.INVALID_INPUT),
    ],
    ids=["removed", "none", "running", "plain", "inside", "data"],
)
def test_what_cannot_be_brought_home_leaves_no_file(tmp_path: Path, row: dict[str, Any], kind: FailureKind) -> None:
    vendor = bringing(FILM).says(GET, {**IDS, "status": "succeeded", **row})
    error = refused(lambda: vendor.backend.fetch("p1", tmp_path / "take.mp4"))
    assert (error.kind, vendor.world.wires, list(tmp_path.iterdir())) == (kind, [], [])


def test_a_page_is_no_take(tmp_path: Path) -> None:
    vendor = bringing(FILM, answer(200, b"<html>Sign in</html>"))
    error = refused(lambda: vendor.backend.fetch("p1", tmp_path / "take.mp4"))
    assert (error.kind, list(tmp_path.iterdir())) == (FailureKind.VENDOR_INTERNAL, [])


# --- stopping, and how the account stands ---------------------------------------------------------------


def test_cancelling_asks_once_and_says_what_was_said() -> None:
    vendor = Vendor().says("POST /v1/predictions/p1/cancel", {**IDS, "status": "canceled", "metrics": {"predict_time": 3}})
    assert vendor.backend.cancel("p1") == CancelOutcome(stopped="yes", refunded="no")
    assert len(vendor.asked) == 1
    vendor.says("POST /v1/predictions/p1/cancel", httpx.ReadTimeout("slow"))
    assert refused(lambda: vendor.backend.cancel("p1")).kind is FailureKind.TRANSIENT


def test_a_checkup_names_the_account_and_the_models_that_are_gone_and_spends_nothing() -> None:
    vendor = Vendor().says("GET /v1/account", {"type": "user", "username": "acme"})
    said = vendor.backend.checkup()
    assert (said.authenticated, said.retired, "account acme" in said.notes) == ("yes", (), True)
    assert any("o/m is not sold as 720p 9:16 5 s" in note for note in said.notes)
    replicate._schemas.clear()
    vendor.says("GET /v1/models/o/m", httpx.Response(404))
    assert vendor.backend.checkup().retired == ("o/m",)
    vendor.says("GET /v1/models/o/m", httpx.Response(500))
    said = vendor.backend.checkup()
    assert (said.retired, any("HTTP 500" in note for note in said.notes)) == ((), True)
    assert vendor.sent("POST") == []


def test_a_token_that_is_not_taken_is_said_and_no_answer_is_an_error() -> None:
    assert Vendor().says("GET /v1/account", httpx.Response(401)).backend.checkup().authenticated == "no"
    with pytest.raises(BackendError):
        Vendor().says("GET /v1/account", httpx.Response(500)).backend.checkup()


def test_the_operators_own_address_is_asked_instead(monkeypatch: pytest.MonkeyPatch, film: bytes, tmp_path: Path) -> None:
    """How an emulator on this machine, or a gateway, takes the vendor's place: and only there is http fine."""
    monkeypatch.setenv("REPLICATE_BASE_URL", "http://127.0.0.1:8911")
    vendor = bringing("http://127.0.0.1:8911/delivery/film.mp4")
    vendor.world.hosts["127.0.0.1", 8911] = [answer(200, film)]
    vendor.backend.fetch("p1", tmp_path / "take.mp4")
    assert str(vendor.asked[0].url) == "http://127.0.0.1:8911/v1/predictions/p1"
    assert TOKEN.encode() in vendor.world.wires[0].sent
