"""Veo 3 against its emulator: sent once, found again, never proved absent too early, and never a word too many in an error."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from aiprod.backends.download import must_be_video
from aiprod.backends.reaching import INTERNET, Network
from aiprod.backends.veo3 import Veo3Backend
from aiprod.catalog import BackendEntry, catalog
from aiprod.emulators.running import Vendors
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, CancelOutcome, Found, JobState, RenderRequest
from tests.web import World, answer

KEY = "0123456789abcdef" * 2
SECRET = "a lighthouse nobody has told you of"
OPERATION = "projects/{}/locations/{}/publishers/google/models/veo-3.1-generate-001/operations/1"


def entry(**changes: Any) -> BackendEntry:
    return catalog().backends["veo3"].model_copy(update=changes)


def wanted(order: str = "", **changes: Any) -> RenderRequest:
    asked = RenderRequest(
        backend="veo3", model="veo-3.1-generate-001", prompt=f"{SECRET} [[veo3={order or 'ok'}]]", seconds=4, asked_seconds=4,
        aspect_ratio="16:9", resolution="720p", width=1280, height=720, fps=24, audio=True, seed=7,
    )  # fmt: skip
    return asked.model_copy(update=changes)


@pytest.fixture
def veo(vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> Veo3Backend:
    """Configured with a bucket."""
    for name, value in vendors.environment.items():
        monkeypatch.setenv(name, value)
    return Veo3Backend("veo3", entry())


@pytest.fixture
def bare(veo: Veo3Backend, monkeypatch: pytest.MonkeyPatch) -> Veo3Backend:
    """Configured without a bucket."""
    monkeypatch.delenv("AIPROD_VEO3_BUCKET")
    return Veo3Backend("veo3", entry())


def beside_the_emulator(world: World) -> Network:
    """A network on which loopback is loopback, and everything else is that world."""

    class Wires(httpcore.NetworkBackend):
        def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> httpcore.NetworkStream:
            return (INTERNET.wires if host == "127.0.0.1" else world).connect_tcp(host, port, *rest, **more)

    return Network(resolve=lambda host, port: [host] if host == "127.0.0.1" else world.resolve(host, port), wires=Wires())


def refusal(call: Callable[[], object]) -> BackendError:
    with pytest.raises(BackendError) as raised:
        call()
    return raised.value


# --- buying ---------------------------------------------------------------------------------------------


def test_what_is_asked_is_what_was_ordered_and_says_which_purchase_it_is(veo: Veo3Backend, vendors: Vendors) -> None:
    veo.submit(wanted(seconds=6, aspect_ratio="9:16", width=720, height=1280, audio=False), key=KEY)
    (booked,) = vendors.accepts("veo3")
    assert booked["body"]["parameters"] == {
        "sampleCount": 1, "durationSeconds": 6, "aspectRatio": "9:16", "resolution": "720p", "generateAudio": False, "seed": 7,
        "storageUri": f"gs://aiprod-emulated/veo3/{KEY}/",
    }  # fmt: skip
    assert booked["body"]["labels"] == {"aiprod_purchase": KEY}


def test_the_label_of_a_long_key_is_as_long_as_labels_may_be(veo: Veo3Backend, vendors: Vendors) -> None:
    veo.submit(wanted(), key="k" * 128)
    assert vendors.accepts("veo3")[0]["body"]["labels"] == {"aiprod_purchase": "k" * 63}


def test_an_image_to_start_from_is_fetched_before_anything_is_sent(veo: Veo3Backend, vendors: Vendors) -> None:
    png = b"\x89PNG\r\n\x1a\n..."
    world = World.of(answer(200, png), answer(404))
    start = Veo3Backend("veo3", entry(), network=beside_the_emulator(world))
    request = wanted(reference_image_url="https://cdn.example/start.png")
    start.submit(request, key=KEY)
    assert vendors.accepts()[0]["body"]["instances"][0]["image"] == {
        "bytesBase64Encoded": base64.b64encode(png).decode(), "mimeType": "image/png"
    }  # fmt: skip
    missing = refusal(lambda: start.submit(request, key="another"))
    assert isinstance(missing, SubmitRejected)
    assert len(vendors.accepts()) == 1


WRONG: dict[str, dict[str, Any]] = {
    "a length between": {"seconds": 5},
    "half a second": {"seconds": 4.5},
    "a square": {"aspect_ratio": "1:1", "width": 720, "height": 720},
    "480p": {"resolution": "480p", "width": 854, "height": 480},
    "another size than its shape": {"width": 720, "height": 1280},
    "another frame rate": {"fps": 30},
    "no prompt": {"prompt": " "},
    "a long prompt": {"prompt": "🎬" * 1_001},
    "another model": {"model": "veo-2"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=list(WRONG))
def test_what_the_model_does_not_make_is_refused_before_money_and_not_sent(
    veo: Veo3Backend, vendors: Vendors, change: dict[str, Any]
) -> None:
    for call in (lambda: veo.validate(wanted(**change)), lambda: veo.submit(wanted(**change), key=KEY)):
        error = refusal(call)
        assert isinstance(error, SubmitRejected)
        assert error.kind is FailureKind.INVALID_INPUT
    assert vendors.accepts() == []


def test_a_silent_or_pictureless_model_takes_no_sound_and_no_image() -> None:
    plain = catalog().backends["veo3"].models[0].model_copy(update={"audio": False, "image": False})
    veo = Veo3Backend("veo3", entry(models=(plain,)))
    assert veo.validate(wanted(audio=False)) == wanted(audio=False)
    for request in (wanted(), wanted(audio=False, reference_image_url="https://cdn.example/a.png")):
        assert isinstance(refusal(lambda request=request: veo.validate(request)), SubmitRejected)


@pytest.mark.parametrize("key", ["", "../other", "a b", "K1", "k" * 129])
def test_what_cannot_name_a_folder_is_no_key(veo: Veo3Backend, vendors: Vendors, key: str) -> None:
    assert refusal(lambda: veo.submit(wanted(), key=key)).money_moved == "no"
    assert vendors.accepts() == []


AT_THE_DOOR = {
    "refuse:429:30": (FailureKind.RATE_LIMITED, 30.0),
    "refuse:429": (FailureKind.RATE_LIMITED, None),
    "quota": (FailureKind.QUOTA_EXHAUSTED, None),
    "broke": (FailureKind.QUOTA_EXHAUSTED, None),
    "moderated:http": (FailureKind.MODERATED, None),
    "refuse:400": (FailureKind.INVALID_INPUT, None),
    "refuse:401": (FailureKind.AUTH, None),
    "refuse:403": (FailureKind.AUTH, None),
    "refuse:404": (FailureKind.INVALID_INPUT, None),
}


@pytest.mark.parametrize("order", AT_THE_DOOR)
def test_what_vertex_refuses_is_not_running(veo: Veo3Backend, vendors: Vendors, order: str) -> None:
    error = refusal(lambda: veo.submit(wanted(order), key=KEY))
    assert isinstance(error, SubmitRejected)
    assert (error.kind, error.retry_after) == AT_THE_DOOR[order]
    assert vendors.accepts() == []


@pytest.mark.parametrize(("order", "bought"), [("refuse:500", 0), ("refuse:503", 0), ("reset", 0), ("lose", 1), ("lose:500", 1)])
def test_a_request_without_an_answer_is_never_sent_again(veo: Veo3Backend, vendors: Vendors, order: str, bought: int) -> None:
    assert isinstance(refusal(lambda: veo.submit(wanted(f"{order}|ok"), key=KEY)), SubmitAmbiguous)
    assert len(vendors.accepts()) == bought
    assert len(vendors.faults()) == 1


def test_an_answer_that_comes_too_late_is_a_lost_one(vendors: Vendors, veo: Veo3Backend) -> None:
    hasty = Veo3Backend("veo3", entry(submit_timeout_seconds=0.4))
    hasty.checkup()
    error = refusal(lambda: hasty.submit(wanted("stall:600"), key=KEY))
    assert isinstance(error, SubmitAmbiguous)
    assert error.kind is FailureKind.TIMEOUT
    assert len(vendors.accepts()) == 1


def test_nothing_is_sent_where_nobody_listens(veo: Veo3Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:1")
    error = refusal(lambda: Veo3Backend("veo3", entry()).submit(wanted(), key=KEY))
    assert isinstance(error, SubmitRejected)
    assert error.kind is FailureKind.TRANSIENT


def test_without_a_token_nothing_is_sent(veo: Veo3Backend, vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CREDENTIALS_JSON", "{}")
    error = refusal(lambda: Veo3Backend("veo3", entry()).submit(wanted(), key=KEY))
    assert isinstance(error, SubmitRejected)
    assert error.kind is FailureKind.AUTH
    assert vendors.accepts() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("GCP_PROJECT_ID", "a/b"), ("GOOGLE_CLOUD_LOCATION", "evil.example/"), ("AIPROD_VEO3_BUCKET", "s3://bucket")],
)
def test_a_setting_that_cannot_be_one_sends_nothing(
    veo: Veo3Backend, vendors: Vendors, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    error = refusal(lambda: Veo3Backend("veo3", entry()).submit(wanted(), key=KEY))
    assert isinstance(error, SubmitRejected)
    assert name in str(error)
    assert vendors.accepts() == []


def test_the_project_is_also_known_by_googles_own_name(veo: Veo3Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GCP_PROJECT_ID")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "aiprod-emulated")
    assert Veo3Backend("veo3", entry()).submit(wanted(), key=KEY).vendor_id.startswith("projects/aiprod-emulated/")


# --- looking for what was lost --------------------------------------------------------------------------


def test_a_lost_request_is_found_in_its_own_folder_and_brought_home(veo: Veo3Backend, vendors: Vendors, tmp_path: Path) -> None:
    with pytest.raises(SubmitAmbiguous):
        veo.submit(wanted("lose"), key=KEY)
    (found,) = veo.find(wanted("lose"), key=KEY, since=datetime.now(UTC)).vendor_ids
    assert found.startswith(f"gs://aiprod-emulated/veo3/{KEY}/")
    assert veo.poll(found) == JobState(state="succeeded", progress=1.0, money_moved="yes")
    veo.fetch(found, tmp_path / "take.mp4")
    must_be_video(tmp_path / "take.mp4", "veo3")


def test_a_key_that_begins_like_another_is_another(veo: Veo3Backend) -> None:
    veo.submit(wanted(), key="k10")
    assert veo.find(wanted(), key="k1", since=datetime(2026, 1, 1, tzinfo=UTC)) == Found(proof=True)


def test_absence_is_proved_only_after_the_longest_run_by_the_stores_own_clock(veo: Veo3Backend, vendors: Vendors) -> None:
    with pytest.raises(SubmitAmbiguous):
        veo.submit(wanted("reset"), key=KEY)
    since = datetime.now(UTC)
    assert veo.find(wanted(), key=KEY, since=since) == Found()
    # A request that took all the time it had to leave still has its whole run before it.
    vendors.advance(veo.entry.max_run_seconds + veo.entry.submit_timeout_seconds - 30)
    assert veo.find(wanted(), key=KEY, since=since) == Found()
    vendors.advance(60)
    assert veo.find(wanted(), key=KEY, since=since) == Found(proof=True)


def test_a_lost_render_that_still_runs_is_not_absent(veo: Veo3Backend, vendors: Vendors) -> None:
    order = wanted(f"lose,slow:{veo.entry.max_run_seconds:g}")
    with pytest.raises(SubmitAmbiguous):
        veo.submit(order, key=KEY)
    since = datetime.now(UTC)
    vendors.advance(veo.entry.max_run_seconds - 60)
    assert veo.find(order, key=KEY, since=since) == Found()
    vendors.advance(60 + 1)
    found = veo.find(order, key=KEY, since=since)
    assert (len(found.vendor_ids), found.proof) == (1, False)


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(veo: Veo3Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_VEO3_BUCKET", "gs://somebody-elses")
    stranger = Veo3Backend("veo3", entry())
    refusal(lambda: stranger.find(wanted(), key=KEY, since=datetime(2026, 1, 1, tzinfo=UTC)))


def test_without_a_bucket_nothing_can_be_found_and_nothing_is_proved(bare: Veo3Backend) -> None:
    assert not bare.can_find
    assert bare.find(wanted(), key=KEY, since=datetime(2026, 1, 1, tzinfo=UTC)) == Found()


# --- looking after it -----------------------------------------------------------------------------------

ENDS = {
    "moderated-late": (FailureKind.MODERATED, "no"),
    "moderated": (FailureKind.MODERATED, "no"),
    "empty": (FailureKind.VENDOR_INTERNAL, "maybe"),
    "empty:bare": (FailureKind.VENDOR_INTERNAL, "maybe"),
    "strange": (FailureKind.VENDOR_INTERNAL, "maybe"),
    "fail": (FailureKind.TRANSIENT, "maybe"),
    "fail:8": (FailureKind.RATE_LIMITED, "no"),
    "fail:4": (FailureKind.TIMEOUT, "maybe"),
}


@pytest.mark.parametrize("order", ENDS)
def test_an_end_without_a_video_says_why_and_whether_money_moved(bare: Veo3Backend, order: str, tmp_path: Path) -> None:
    accepted = bare.submit(wanted(order), key=KEY)
    ended = bare.poll(accepted.vendor_id)
    assert (ended.state, ended.kind, ended.money_moved) == ("failed", *ENDS[order])
    assert refusal(lambda: bare.fetch(accepted.vendor_id, tmp_path / "none")).kind is ENDS[order][0]
    assert list(tmp_path.glob("none*")) == []


def test_an_error_code_that_nobody_knows_is_no_answer(veo: Veo3Backend) -> None:
    accepted = veo.submit(wanted("fail:99"), key=KEY)
    assert refusal(lambda: veo.poll(accepted.vendor_id)).kind is FailureKind.VENDOR_INTERNAL


@pytest.mark.parametrize(
    ("order", "kind"),
    [("busy:503", FailureKind.TRANSIENT), ("busy:429", FailureKind.RATE_LIMITED), ("vanish:1", FailureKind.GONE)],
)
def test_a_question_without_an_answer_ends_nothing(veo: Veo3Backend, order: str, kind: FailureKind) -> None:
    accepted = veo.submit(wanted(order), key=KEY)
    assert refusal(lambda: veo.poll(accepted.vendor_id)).kind is kind
    assert veo.poll(accepted.vendor_id).state == "succeeded"


def test_a_render_is_asked_for_where_it_was_bought_whatever_is_configured_by_now(
    veo: Veo3Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = veo.submit(wanted(), key=KEY)
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "europe-west4")
    monkeypatch.setenv("GCP_PROJECT_ID", "moved-on")
    assert Veo3Backend("veo3", entry()).poll(accepted.vendor_id).state == "succeeded"


@pytest.mark.parametrize(
    "stranger",
    [
        "gs://aiprod-emulated/..",
        "gs://aiprod-emulated/veo3/",
        "gs://aiprod-emulated/none.mp4",
        "gs://other-bucket/a.mp4",
        OPERATION.format("aiprod-emulated", "us-central1"),
        OPERATION.format("a/../b", "x"),
        OPERATION.format("p", "evil.example/"),
    ],
)
def test_what_nobody_made_is_gone(veo: Veo3Backend, stranger: str, tmp_path: Path) -> None:
    assert refusal(lambda: veo.poll(stranger)).kind is FailureKind.GONE
    assert refusal(lambda: veo.fetch(stranger, tmp_path / "none")).kind is FailureKind.GONE


def test_watching_says_what_polling_says_and_leaves_the_shared_client_open(veo: Veo3Backend, vendors: Vendors) -> None:
    running, done, gone = (veo.submit(wanted(o), key=f"k{n}").vendor_id for n, o in enumerate(("slow:60", "ok", "vanish")))
    (found,) = veo.find(wanted(), key="k1", since=datetime.now(UTC)).vendor_ids
    fresh = Veo3Backend("veo3", entry())

    async def watched() -> list[Any]:
        async with httpx.AsyncClient() as http:
            said = await asyncio.gather(*(fresh.watch(v, http) for v in (running, done, found, gone)), return_exceptions=True)
            assert not http.is_closed
            return said

    *states, missing = asyncio.run(watched())
    assert [state.state for state in states] == ["running", "succeeded", "succeeded"]
    assert states == [veo.poll(vendor_id) for vendor_id in (running, done, found)]
    assert missing.kind is FailureKind.GONE


def test_watching_from_a_second_loop_works_too(veo: Veo3Backend) -> None:
    accepted = veo.submit(wanted(), key=KEY)

    async def watched() -> str:
        async with httpx.AsyncClient() as http:
            return (await veo.watch(accepted.vendor_id, http)).state

    assert [asyncio.run(watched()) for _ in range(2)] == ["succeeded", "succeeded"]


@pytest.mark.parametrize("order", ["html", "truncated", "corrupt", "cutoff"])
@pytest.mark.parametrize("bucket", [True, False], ids=["bucket", "inline"])
def test_a_file_that_is_no_whole_video_is_no_take(
    request: pytest.FixtureRequest, order: str, bucket: bool, tmp_path: Path
) -> None:
    veo: Veo3Backend = request.getfixturevalue("veo" if bucket else "bare")
    accepted = veo.submit(wanted(order), key=KEY)
    if order == "corrupt" or (order == "cutoff" and not bucket):
        # Pictures that decode wrongly are for QA to judge; and an answer that carries its video is not cut off by this order.
        veo.fetch(accepted.vendor_id, tmp_path / "take.mp4")
        return
    refusal(lambda: veo.fetch(accepted.vendor_id, tmp_path / "take.mp4"))
    assert list(tmp_path.glob("*take*")) == []


def test_a_redirect_is_not_followed_to_where_nobody_may_go(veo: Veo3Backend, tmp_path: Path) -> None:
    accepted = veo.submit(wanted("redirect:http://169.254.169.254/latest"), key=KEY)
    assert refusal(lambda: veo.fetch(accepted.vendor_id, tmp_path / "take.mp4")).kind is FailureKind.INVALID_INPUT


def test_a_disk_that_takes_no_video_is_an_error_of_ours(bare: Veo3Backend, tmp_path: Path) -> None:
    accepted = bare.submit(wanted(), key=KEY)
    error = refusal(lambda: bare.fetch(accepted.vendor_id, tmp_path / "none" / "take.mp4"))
    assert (error.kind, error.money_moved) == (FailureKind.TRANSIENT, "yes")


def test_vertex_has_no_way_to_stop_a_render(veo: Veo3Backend) -> None:
    accepted = veo.submit(wanted("slow:60"), key=KEY)
    assert veo.cancel(accepted.vendor_id) == CancelOutcome(stopped="no", refunded="no")
    assert veo.poll(accepted.vendor_id).state == "running"


# --- how the account stands -----------------------------------------------------------------------------


def test_a_checkup_spends_nothing_and_says_what_there_is(veo: Veo3Backend, vendors: Vendors) -> None:
    old = catalog().backends["veo3"].models[0].model_copy(update={"name": "veo-3.0-generate-001"})
    said = Veo3Backend("veo3", entry(models=(*entry().models, old))).checkup()
    assert (said.authenticated, said.retired) == ("yes", ("veo-3.0-generate-001",))
    assert "gs://aiprod-emulated/veo3/ can be listed" in said.notes
    assert vendors.accepts() == []


@pytest.mark.parametrize("bucket", ["gs://somebody-elses", "bucket"])
def test_a_checkup_says_that_a_bucket_is_of_no_use(veo: Veo3Backend, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    monkeypatch.setenv("AIPROD_VEO3_BUCKET", bucket)
    said = Veo3Backend("veo3", entry()).checkup()
    assert said.authenticated == "yes"
    assert "AIPROD_VEO3_BUCKET cannot be used" in said.notes[-1]


def test_a_checkup_without_a_bucket_says_what_that_costs(bare: Veo3Backend) -> None:
    assert "cannot be looked for" in bare.checkup().notes[-1]


def test_a_checkup_with_a_key_that_is_none_says_so(veo: Veo3Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CREDENTIALS_JSON", "no key")
    assert Veo3Backend("veo3", entry()).checkup().authenticated == "no"


def test_a_checkup_that_nobody_answers_is_no_word_on_the_key(veo: Veo3Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:1")
    assert refusal(Veo3Backend("veo3", entry()).checkup).kind is FailureKind.TRANSIENT


# --- what it must not do --------------------------------------------------------------------------------


def test_no_error_carries_what_was_asked_or_who_asked(veo: Veo3Backend, vendors: Vendors, tmp_path: Path) -> None:
    """Every fault there is, and everything a log would show of what came of it."""
    private = json.loads(Path(vendors.environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())["private_key"]
    token = veo._access.token(10).value
    told: list[str] = []
    for n, order in enumerate((*AT_THE_DOOR, *ENDS, "reset", "lose", "lose:500", "busy:500", "html", "vanish", "fail:99")):
        try:
            accepted: Accepted = veo.submit(wanted(order), key=f"k{n}")
            told.append(repr(veo.poll(accepted.vendor_id)))
            veo.fetch(accepted.vendor_id, tmp_path / "take.mp4")
        except BackendError as error:
            told.append("".join(traceback.format_exception(error)))
    shown = "\n".join([*told, repr(veo.__dict__), repr(veo.keys)])
    assert len(told) > 20
    assert [secret for secret in (SECRET, token, private, private[40:80]) if secret in shown] == []


def test_an_adapter_that_never_sends_never_loads_the_sdk() -> None:
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from aiprod.backends.veo3 import Veo3Backend; from aiprod.catalog import catalog\n"
        "Veo3Backend('veo3', catalog().backends['veo3']); print([m for m in sys.modules if m.startswith('google.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
