"""Runway's adapter: one request and no more, an honest word on every outcome, and the key shown to nobody else."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprod.backends import backend, why_not_configured
from aiprod.backends.runway import RunwayBackend
from aiprod.catalog import Catalog
from aiprod.emulators.running import Vendors
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import CancelOutcome, JobState, RenderRequest
from aiprod.pricing import charged, quote
from tests.runway import Runway, said, task, wanted
from tests.web import answer

KEY = "key_CANARY"
SIGNED = "https://cdn.example/a.mp4?_jwt=SIGNATURE"


DONE = task("SUCCEEDED", output=[SIGNED], cost={"credits": 60})


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_API_SECRET", KEY)


@pytest.fixture
def adapter(config: Catalog) -> Any:
    return lambda *api, files=(): _made(config, Runway(*api, files=files))


def _made(config: Catalog, vendor: Runway) -> tuple[RunwayBackend, Runway]:
    return RunwayBackend("runway", config.backends["runway"], network=vendor.network), vendor


# --- being found ----------------------------------------------------------------------------------------


def test_the_catalogue_finds_it_once_a_key_is_set(config: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(backend(config, "runway"), RunwayBackend)
    monkeypatch.delenv("RUNWAYML_API_SECRET")
    assert why_not_configured(config, "runway") == "not configured: RUNWAYML_API_SECRET is not set"


def test_who_only_routes_never_loads_the_sdk(config: Catalog) -> None:
    """Every Airflow task that routes makes adapters and validates; reading the SDK is 0.3 s."""
    probe = (
        "import sys; from aiprod.backends import backend; from aiprod.catalog import catalog; "
        "from tests.runway import wanted; "
        "backend(catalog(), 'runway').validate(wanted()); print('runwayml' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, env=_paths() | {"RUNWAYML_API_SECRET": KEY}
    )
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def _paths() -> dict[str, str]:
    root = Path(__file__).parents[3]
    return {"PYTHONPATH": f"{root / 'include'}:{root}"}


# --- buying ---------------------------------------------------------------------------------------------


def test_an_order_is_sent_once_and_comes_back_with_runways_own_id(adapter: Any) -> None:
    runway, vendor = adapter(said(200, id="t1", estimatedCost={"credits": 60}))
    accepted = runway.submit(wanted(), key="k1")
    assert (accepted.vendor_id, accepted.state, vendor.lines) == ("t1", None, ["POST /v1/text_to_video"])


def test_an_id_that_cannot_be_asked_for_is_kept_for_a_person(adapter: Any) -> None:
    with pytest.raises(SubmitAmbiguous, match="accepted k1, and the id it gave is 'task/7'"):
        adapter(said(200, id="task/7"))[0].submit(wanted(), key="k1")


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_acceptance_is_one_whatever_good_number_it_has(adapter: Any, status: int) -> None:
    assert adapter(said(status, id="t1"))[0].submit(wanted(), key="k1").vendor_id == "t1"


def test_an_order_with_an_image_goes_to_the_other_operation(adapter: Any) -> None:
    runway, vendor = adapter(said(200, id="t1"))
    runway.submit(wanted(reference_image_url="https://example.com/lake.png"), key="k1")
    assert vendor.lines == ["POST /v1/image_to_video"]
    assert b'"promptImage":"https://example.com/lake.png"' in vendor.wires[0].sent


@pytest.mark.parametrize(
    "lost",
    [
        [],
        [b"HTTP/1.1 200 OK\r\n"],
        answer(200),
        said(200, id=""),
        said(200, id="a/b"),
        said(200, task="t1"),
        said(500),
        said(503),
        said(302),
        answer(204),
    ],
    ids=["hung up", "broke off", "no body", "no id", "no id of theirs", "another name", "500", "503", "redirected", "nothing"],
)
def test_a_lost_answer_is_never_sent_again_and_never_called_refused(adapter: Any, lost: list[bytes]) -> None:
    runway, vendor = adapter(lost, said(200, id="t2"), said(200, id="t3"))
    with pytest.raises(SubmitAmbiguous, match="runway"):
        runway.submit(wanted(), key="k1")
    assert vendor.lines == ["POST /v1/text_to_video"]


def test_an_answer_that_trickles_in_is_given_up_before_the_lease_ends(adapter: Any) -> None:
    runway, vendor = adapter([b"HTTP/1.1 200 OK\r\n\r\n", *[b" "] * 1_000])
    vendor.seconds_per_read = 1
    with pytest.raises(SubmitAmbiguous) as lost:
        runway.submit(wanted(), key="k1")
    assert lost.value.kind is FailureKind.TIMEOUT
    assert vendor.time < runway.entry.submit_timeout_seconds


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 429])
def test_a_refusal_costs_nothing(adapter: Any, status: int) -> None:
    runway, vendor = adapter(said(status, error="no"), said(200, id="t2"))
    with pytest.raises(SubmitRejected, match=f"runway: HTTP {status}: no"):
        runway.submit(wanted(), key="k1")
    assert len(vendor.wires) == 1


def test_a_vendor_that_cannot_be_reached_has_accepted_nothing(adapter: Any) -> None:
    runway, _ = adapter()
    with pytest.raises(SubmitRejected, match="not sent: ConnectError: connection refused") as refused:
        runway.submit(wanted(), key="k1")
    assert refused.value.kind is FailureKind.TRANSIENT


def test_without_a_key_nothing_is_sent(adapter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNWAYML_API_SECRET")
    runway, vendor = adapter(said(200, id="t1"))
    with pytest.raises(SubmitRejected, match="not sent: RUNWAYML_API_SECRET is not set"):
        runway.submit(wanted(), key="k1")
    assert vendor.wires == []


@pytest.mark.parametrize(
    "request_", [wanted(model="gen9"), wanted(seconds=5.5), wanted(audio=True)], ids=["model", "length", "sound"]
)
def test_what_the_model_does_not_take_is_refused_before_money_and_before_asking(adapter: Any, request_: RenderRequest) -> None:
    runway, vendor = adapter()
    for refuse in (runway.validate, lambda wrong: runway.submit(wrong, key="k1")):
        with pytest.raises(SubmitRejected) as refused:
            refuse(request_)
        assert refused.value.kind is FailureKind.INVALID_INPUT
    assert (vendor.wires, vendor.asked) == ([], [])


def test_it_is_no_way_to_find_what_was_lost(adapter: Any) -> None:
    """Runway lists nothing, so a lost request is parked at once rather than looked for in vain."""
    assert not adapter()[0].can_find


# --- looking after it -----------------------------------------------------------------------------------


def test_asking_costs_one_question(adapter: Any) -> None:
    runway, vendor = adapter(task("RUNNING", progress=0.25, estimatedCost={"credits": 60}))
    assert (runway.poll("t1").progress, vendor.lines) == (0.25, ["GET /v1/tasks/t1"])


@pytest.mark.parametrize(
    ("lost", "kind"),
    [
        ([], FailureKind.TRANSIENT),
        (said(404, error="Not found"), FailureKind.GONE),
        (said(401), FailureKind.AUTH),
        (said(429), FailureKind.RATE_LIMITED),
        (said(503), FailureKind.TRANSIENT),
        (answer(200, b"<html>"), FailureKind.VENDOR_INTERNAL),
        (task("DREAMING"), FailureKind.VENDOR_INTERNAL),
    ],
    ids=["hung up", "404", "401", "429", "503", "a page", "another word"],
)
def test_no_answer_is_never_an_end(adapter: Any, lost: list[bytes], kind: FailureKind) -> None:
    runway, vendor = adapter(lost, DONE)
    with pytest.raises(BackendError) as error:
        runway.poll("t1")
    assert (error.value.kind, error.value.money_moved, len(vendor.wires)) == (kind, "maybe", 1)


@pytest.mark.parametrize("stranger", ["../organization", "a b", "", "t1?x=1", "t1/..", "t1#", "x" * 200])
def test_an_id_never_leads_to_another_address(adapter: Any, stranger: str, tmp_path: Path) -> None:
    """The SDK puts it into the address as it is."""
    runway, vendor = adapter()
    verbs = (
        runway.poll,
        runway.cancel,
        lambda of: runway.fetch(of, tmp_path / "a.mp4"),
        lambda of: asyncio.run(watched(runway, of)),
    )
    for verb in verbs:
        with pytest.raises(BackendError) as gone:
            verb(stranger)
        assert gone.value.kind is FailureKind.GONE
    assert vendor.asked == []


async def watched(runway: RunwayBackend, vendor_id: str, *answers: httpx.Response) -> Any:
    given = iter(answers)
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: next(given))) as http:
        return await runway.watch(vendor_id, http)


@pytest.mark.parametrize("status", ["PENDING", "THROTTLED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"])
def test_watching_says_what_asking_says(adapter: Any, status: str) -> None:
    row = {"id": "t1", "status": status, "output": [SIGNED], "cost": {"credits": 60}, "progress": 0.5}
    runway, _ = adapter(said(200, **row))
    assert asyncio.run(watched(runway, "t1", httpx.Response(200, json=row))) == runway.poll("t1")


def test_watching_without_an_answer_is_no_end(adapter: Any) -> None:
    runway, _ = adapter()
    for lost in (httpx.Response(503), httpx.Response(404), httpx.Response(200, text="<html>")):
        with pytest.raises(BackendError):
            asyncio.run(watched(runway, "t1", lost))


# --- bringing it home -----------------------------------------------------------------------------------

NO_VIDEO = answer(200, b"<html>not yet</html>")


def test_the_file_server_is_not_shown_the_key(adapter: Any, tmp_path: Path) -> None:
    runway, vendor = adapter(DONE, files=[NO_VIDEO])
    with pytest.raises(BackendError, match="is not a video"):
        runway.fetch("t1", tmp_path / "a.mp4")
    assert vendor.lines == ["GET /v1/tasks/t1", "GET /a.mp4?_jwt=SIGNATURE"]
    assert KEY.encode() in vendor.wires[0].sent and KEY.encode() not in vendor.wires[1].sent
    assert not (tmp_path / "a.mp4").exists()


def test_an_address_that_has_expired_is_asked_for_once_more(adapter: Any, tmp_path: Path) -> None:
    fresh = task("SUCCEEDED", output=["https://cdn.example/b.mp4?_jwt=FRESH"], cost={"credits": 60})
    runway, vendor = adapter(DONE, fresh, files=[answer(403), NO_VIDEO])
    with pytest.raises(BackendError, match="is not a video"):
        runway.fetch("t1", tmp_path / "a.mp4")
    assert vendor.lines[1::2] == ["GET /a.mp4?_jwt=SIGNATURE", "GET /b.mp4?_jwt=FRESH"]


def test_a_file_that_stays_away_is_gone_after_two_tries(adapter: Any, tmp_path: Path) -> None:
    runway, vendor = adapter(DONE, DONE, DONE, files=[answer(403)] * 3)
    with pytest.raises(BackendError) as gone:
        runway.fetch("t1", tmp_path / "a.mp4")
    assert (gone.value.kind, len(vendor.wires)) == (FailureKind.GONE, 4)
    assert "SIGNATURE" not in str(gone.value)


@pytest.mark.parametrize(("state", "kind"), [("RUNNING", FailureKind.TRANSIENT), ("FAILED", FailureKind.VENDOR_INTERNAL)])
def test_what_has_no_video_is_not_fetched(adapter: Any, tmp_path: Path, state: str, kind: FailureKind) -> None:
    runway, vendor = adapter(task(state, cost={"credits": 60}))
    with pytest.raises(BackendError, match="so there is no video") as error:
        runway.fetch("t1", tmp_path / "a.mp4")
    assert (error.value.kind, len(vendor.wires)) == (kind, 1)


def test_a_file_on_an_address_inside_is_not_fetched(adapter: Any, tmp_path: Path) -> None:
    runway, vendor = adapter(task("SUCCEEDED", output=["https://169.254.169.254/latest/meta-data/"], cost={"credits": 60}))
    with pytest.raises(BackendError):
        runway.fetch("t1", tmp_path / "a.mp4")
    assert len(vendor.wires) == 1


def test_not_even_the_longest_log_holds_the_key_or_a_signature(
    adapter: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    runway, _ = adapter(said(200, id="t1"), DONE, said(401, error=f"no such key: {KEY}"), [], files=[NO_VIDEO])
    runway.submit(wanted(), key="k1")
    for verb in (lambda: runway.fetch("t1", tmp_path / "a.mp4"), lambda: runway.poll("t1"), lambda: runway.poll("t1")):
        with pytest.raises(BackendError):
            verb()
    asyncio.run(watched(runway, "t1", httpx.Response(200, json={"status": "PENDING"})))
    told = "\n".join([caplog.text, *(repr(vars(record)) for record in caplog.records)])
    assert "runwayml" in told
    assert [word for word in (KEY, "SIGNATURE") if word in told] == []


# --- cancelling -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seen", "refunded"), [("PENDING", "unknown"), ("THROTTLED", "unknown"), ("RUNNING", "no")])
def test_what_has_not_ended_is_stopped_and_a_refund_is_not_promised(adapter: Any, seen: str, refunded: str) -> None:
    runway, vendor = adapter(task(seen), answer(204))
    assert runway.cancel("t1") == CancelOutcome.model_validate({"stopped": "yes", "refunded": refunded})
    assert vendor.lines == ["GET /v1/tasks/t1", "DELETE /v1/tasks/t1"]


@pytest.mark.parametrize("seen", ["SUCCEEDED", "FAILED"])
def test_what_has_ended_is_never_deleted(adapter: Any, seen: str) -> None:
    """The same request that stops a render deletes the video of one that has ended, paid as it is."""
    runway, vendor = adapter(task(seen, output=[SIGNED], cost={"credits": 60}), answer(204))
    assert runway.cancel("t1") == CancelOutcome(stopped="no", refunded="no")
    assert vendor.lines == ["GET /v1/tasks/t1"]


@pytest.mark.parametrize(("cost", "refunded"), [({"credits": 0}, "yes"), ({"credits": 60}, "no"), (None, "unknown")])
def test_what_was_cancelled_before_is_said_with_what_it_cost(adapter: Any, cost: Any, refunded: str) -> None:
    runway, vendor = adapter(task("CANCELLED", cost=cost), answer(204))
    assert runway.cancel("t1") == CancelOutcome.model_validate({"stopped": "yes", "refunded": refunded})
    assert len(vendor.wires) == 1


@pytest.mark.parametrize("lost", [[], said(404), said(500), said(401)], ids=["hung up", "404", "500", "401"])
def test_a_cancellation_without_an_answer_is_not_called_one(adapter: Any, lost: list[bytes]) -> None:
    runway, vendor = adapter(task("RUNNING"), lost, answer(204))
    with pytest.raises(BackendError):
        runway.cancel("t1")
    assert len(vendor.wires) == 2


# --- how the account stands -----------------------------------------------------------------------------

LIMITS = {"maxConcurrentGenerations": 2, "maxDailyGenerations": 200}


def test_a_checkup_tells_credits_limits_and_models_without_spending(adapter: Any) -> None:
    tier = {"maxMonthlyCreditSpend": 10_000, "models": {"gen4.5": LIMITS, "seedance2": LIMITS}}
    runway, vendor = adapter(said(200, creditBalance=1234, tier=tier, usage={"models": {"gen4.5": {"dailyGenerations": 7}}}))
    found = runway.checkup()
    assert (found.authenticated, found.left, found.retired) == ("yes", "1234 credits", ("veo3.1",))
    assert found.notes == ("the tier allows 10000 credits a month", "gen4.5: 2 at once, 200 in 24 hours, 7 of them used")
    assert vendor.lines == ["GET /v1/organization"]


@pytest.mark.parametrize(
    ("row", "retired"),
    [
        ({"creditBalance": 5}, ()),
        ({"tier": None, "usage": 7}, ()),
        ({"tier": {"models": {}}}, ()),
        ({"tier": {"models": {"gen4.5": None}}}, ("veo3.1",)),
    ],
)
def test_a_checkup_survives_what_the_vendor_leaves_out(adapter: Any, row: dict[str, Any], retired: tuple[str, ...]) -> None:
    found = adapter(said(200, **row))[0].checkup()
    assert (found.authenticated, found.retired) == ("yes", retired)


def test_a_model_that_the_sdk_does_not_know_is_not_offered(config: Catalog) -> None:
    entry = config.backends["runway"]
    older = entry.model_copy(update={"models": (entry.models[0].model_copy(update={"name": "gen1"}), *entry.models[1:])})
    vendor = Runway(said(200, tier={"models": {"gen1": LIMITS, "veo3.1": LIMITS}}))
    assert RunwayBackend("runway", older, network=vendor.network).checkup().retired == ("gen1",)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_taken_is_an_answer(adapter: Any, status: int) -> None:
    found = adapter(said(status, error="The key is not valid."))[0].checkup()
    assert (found.authenticated, found.notes) == ("no", (f"runway: HTTP {status}: The key is not valid.",))


def test_a_checkup_without_an_answer_is_an_error(adapter: Any) -> None:
    for lost in ([], said(503)):
        with pytest.raises(BackendError):
            adapter(lost)[0].checkup()


# --- against a Runway with books of its own -------------------------------------------------------------

VEO = {"model": "veo3.1", "seconds": 4, "audio": True}
IMAGE = "https://example.com/lake.png"


@pytest.fixture
def shop(config: Catalog, vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> RunwayBackend:
    """The adapter as it is configured for the emulator."""
    for name, value in vendors.environment.items():
        monkeypatch.setenv(name, value)
    return RunwayBackend("runway", config.backends["runway"])


def bill(ended: JobState, config: Catalog, request: RenderRequest) -> int | None:
    """What the ledger will book, in micro-dollars."""
    return ended.usage and charged(config.prices, request, ended.usage, on=date(2026, 11, 23))


@pytest.mark.parametrize(
    "request_",
    [wanted(), wanted(reference_image_url=IMAGE), wanted(**VEO), wanted(**VEO | {"audio": False, "reference_image_url": IMAGE})],
    ids=["text", "image", "sound", "image without sound"],
)
def test_what_is_quoted_is_what_is_billed_and_read_back(
    shop: RunwayBackend, vendors: Vendors, config: Catalog, request_: RenderRequest
) -> None:
    accepted = shop.submit(shop.validate(request_), key="k1")
    (sold,) = vendors.accepts("runway")
    quoted = quote(config.prices, request_, date(2026, 11, 23))
    assert (sold["id"], sold["billable_micros"]) == (accepted.vendor_id, quoted)
    assert bill(shop.poll(accepted.vendor_id), config, request_) == quoted


@pytest.mark.parametrize(
    ("order", "came", "kind", "accepts"),
    [
        ("refuse:400", SubmitRejected, FailureKind.INVALID_INPUT, 0),
        ("refuse:401", SubmitRejected, FailureKind.AUTH, 0),
        ("refuse:429:7", SubmitRejected, FailureKind.RATE_LIMITED, 0),
        ("quota", SubmitRejected, FailureKind.QUOTA_EXHAUSTED, 0),
        ("broke", SubmitRejected, FailureKind.QUOTA_EXHAUSTED, 0),
        ("moderated:http", SubmitRejected, FailureKind.MODERATED, 0),
        ("refuse:503", SubmitAmbiguous, FailureKind.TRANSIENT, 0),
        ("reset", SubmitAmbiguous, FailureKind.TRANSIENT, 0),
        ("lose", SubmitAmbiguous, FailureKind.TRANSIENT, 1),
        ("lose:500", SubmitAmbiguous, FailureKind.TRANSIENT, 1),
    ],
)
def test_every_way_of_not_being_answered_well_is_one_request(
    shop: RunwayBackend, vendors: Vendors, order: str, came: type[BackendError], kind: FailureKind, accepts: int
) -> None:
    with pytest.raises(came) as error:
        shop.submit(wanted(prompt=f"[[runway={order}|ok]]"), key="k1")
    assert (error.value.kind, len(vendors.accepts("runway"))) == (kind, accepts)


def test_a_lost_answer_is_one_render_in_runways_books(shop: RunwayBackend, vendors: Vendors) -> None:
    """The SDK left to itself makes it three, and pays for each."""
    with suppress(BackendError):
        shop.submit(wanted(prompt="[[runway=lose]]"), key="k1")
    assert [sold["billable_micros"] for sold in vendors.accepts("runway")] == [600_000]


def test_an_answer_that_comes_too_late_is_one_request_and_no_refusal(shop: RunwayBackend, vendors: Vendors) -> None:
    hasty = RunwayBackend("runway", shop.entry.model_copy(update={"submit_timeout_seconds": 0.5}))
    with pytest.raises(SubmitAmbiguous) as lost:
        hasty.submit(wanted(prompt="[[runway=stall:60|ok]]"), key="k1")
    vendors.advance(100)
    assert (lost.value.kind, len(vendors.accepts("runway"))) == (FailureKind.TIMEOUT, 1)


def test_a_key_that_is_not_taken_is_never_repeated(shop: RunwayBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_API_SECRET", KEY)
    with pytest.raises(SubmitRejected) as refused:
        shop.submit(wanted(), key="k1")
    assert refused.value.kind is FailureKind.AUTH and KEY not in str(refused.value)
    assert shop.checkup().authenticated == "no"


@pytest.mark.parametrize(
    ("order", "state", "kind", "moved", "credits"),
    [
        ("ok", "succeeded", None, "yes", 60),
        ("bill:1.5", "succeeded", None, "yes", 90),
        ("fail", "failed", FailureKind.VENDOR_INTERNAL, "no", 0),
        ("fail:INTERNAL", "failed", FailureKind.TRANSIENT, "no", 0),
        ("fail-charged", "failed", FailureKind.VENDOR_INTERNAL, "yes", 60),
        ("moderated", "failed", FailureKind.MODERATED, "yes", 60),
        ("moderated-late", "failed", FailureKind.MODERATED, "yes", 60),
        ("empty", "failed", FailureKind.VENDOR_INTERNAL, "yes", 60),
        ("aborted", "cancelled", FailureKind.GONE, "no", 0),
        ("hang", "running", None, "maybe", None),
        ("queue:60", "queued", None, "maybe", None),
    ],
)
def test_every_end_says_who_pays_as_the_books_do(
    shop: RunwayBackend, vendors: Vendors, order: str, state: str, kind: FailureKind | None, moved: str, credits: int | None
) -> None:
    seen = shop.poll(shop.submit(wanted(prompt=f"[[runway={order}]]"), key="k1").vendor_id)
    assert (seen.state, seen.kind, seen.money_moved) == (state, kind, moved)
    assert (seen.usage and seen.usage.credits) == credits
    if credits is not None:
        assert vendors.accepts("runway")[0]["billable_micros"] == credits * 10_000


@pytest.mark.parametrize(
    ("order", "kind"),
    [("strange", FailureKind.VENDOR_INTERNAL), ("vanish", FailureKind.GONE), ("busy:503", FailureKind.TRANSIENT)],
)
def test_a_question_without_a_good_answer_ends_nothing(shop: RunwayBackend, order: str, kind: FailureKind) -> None:
    sold = shop.submit(wanted(prompt=f"[[runway={order}]]"), key="k1").vendor_id
    with pytest.raises(BackendError) as error:
        shop.poll(sold)
    assert (error.value.kind, error.value.money_moved) == (kind, "maybe")


def test_an_expired_address_is_renewed_and_the_key_is_shown_to_no_file_server(
    shop: RunwayBackend, vendors: Vendors, tmp_path: Path
) -> None:
    sold = shop.submit(wanted(prompt="[[runway=expired]]"), key="k1").vendor_id
    shop.fetch(sold, tmp_path / "take.mp4")
    assert (tmp_path / "take.mp4").stat().st_size > 1_000
    assert [event for event in vendors.events() if event["event"] == "leak"] == []
    assert vendors.faults("runway") == ["expired"]


@pytest.mark.parametrize("order", ["html", "truncated", "cutoff", "flip", "redirect:http://169.254.169.254/latest"])
def test_what_is_no_video_is_never_brought_home(shop: RunwayBackend, order: str, tmp_path: Path) -> None:
    sold = shop.submit(wanted(prompt=f"[[runway={order}]]"), key="k1").vendor_id
    assert shop.poll(sold).state == "succeeded"
    with pytest.raises(BackendError) as error:
        shop.fetch(sold, tmp_path / "take.mp4")
    assert error.value.money_moved == "yes" and "_jwt" not in str(error.value)
    assert list(tmp_path.glob("*.mp4")) == []


def test_cancelling_what_runs_is_paid_and_what_waits_may_be_given_back(shop: RunwayBackend, vendors: Vendors) -> None:
    running = shop.submit(wanted(prompt="[[runway=slow:100]] a"), key="k1").vendor_id
    waiting = shop.submit(wanted(prompt="[[runway=queue:100]] b"), key="k2").vendor_id
    vendors.advance(50)
    assert shop.cancel(running) == CancelOutcome(stopped="yes", refunded="no")
    assert shop.cancel(waiting) == CancelOutcome(stopped="yes", refunded="unknown")
    billed = {sold["id"]: sold["billable_micros"] for sold in vendors.accepts("runway")}
    assert billed == {running: 600_000, waiting: 0}
    for gone in (running, waiting):
        with pytest.raises(BackendError) as error:
            shop.poll(gone)
        assert error.value.kind is FailureKind.GONE


def test_cancelling_what_has_ended_leaves_its_video(shop: RunwayBackend, tmp_path: Path) -> None:
    sold = shop.submit(wanted(), key="k1").vendor_id
    assert shop.cancel(sold) == CancelOutcome(stopped="no", refunded="no")
    shop.fetch(sold, tmp_path / "take.mp4")


def test_a_checkup_tells_what_is_left_and_buys_nothing(shop: RunwayBackend, vendors: Vendors) -> None:
    vendors.terms(credit=12_340_000)
    shop.submit(wanted(), key="k1")
    found = shop.checkup()
    assert (found.authenticated, found.left, found.retired) == ("yes", "1174 credits", ())
    assert len(vendors.accepts()) == 1
