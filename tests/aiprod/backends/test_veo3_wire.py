"""Google's SDK on our wire: one request whatever it tries, everything said, and errors of ours only."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
from google.genai import types

from aiprod.backends.calling import OneRequest
from aiprod.backends.google_access import GoogleAccess, Token
from aiprod.backends.veo3_wire import Vertex
from aiprod.backends.veo3_words import Operation, Video
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from tests.aiprod.backends.test_veo3 import KEY, SECRET, wanted
from tests.web import World, answer, endless, silent

NAME = "projects/p-1/locations/us-central1/publishers/google/models/veo-3.1-generate-001/operations/1"
ROOT = Path(__file__).parents[3]


class Known(GoogleAccess):
    """Somebody who has a token."""

    def token(self, seconds: float) -> Token:
        return Token("ya29.CANARY", "billed-elsewhere")


def vertex(*answers: Iterable[bytes], location: str = "us-central1", host: str = "") -> tuple[Vertex, World]:
    """A project and the world it is in; without answers nobody listens."""
    world = World.of(*answers, host=host or f"{location}-aiplatform.googleapis.com")
    return Vertex(Known(), "veo3", "p-1", location, network=world.network), world


def told(body: object, status: int = 200) -> list[bytes]:
    return answer(status, json.dumps(body).encode(), content_type="application/json")


def bought(one: Vertex, **changes: Any) -> str:
    return one.generate(wanted(**changes), None, into="", key=KEY, seconds=5)


def refusal(call: Callable[[], object]) -> BackendError:
    with pytest.raises(BackendError) as raised:
        call()
    assert not any(secret in f"{raised.value!r}" for secret in ("CANARY", SECRET))
    return raised.value


# --- one request ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        httpcore.ReadTimeout("CANARY"),
        httpcore.ReadError("reset"),
        httpcore.WriteTimeout("slow"),
        httpcore.RemoteProtocolError("cut"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lost_answer_is_one_request(lost: Exception) -> None:
    one, world = vertex(silent(lost), told({"name": NAME}))
    assert isinstance(refusal(lambda: bought(one)), SubmitAmbiguous)
    assert len(world.heard) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_an_sdk_likes_to_send_again_is_one_request(status: int) -> None:
    one, world = vertex(told({"error": {"code": status, "message": "later"}}, status), told({"name": NAME}))
    refusal(lambda: bought(one))
    assert len(world.heard) == 1


def test_a_second_request_is_not_let_through_whoever_sends_it() -> None:
    world = World.of(answer(503), answer(200))
    wire = OneRequest(5, network=world.network)
    with httpx.Client(transport=wire) as http:
        assert http.post("https://cdn.example").status_code == 503
        with pytest.raises(httpx.ReadError):
            http.post("https://cdn.example")
    assert (len(world.heard), wire.sent) == (1, True)


def test_what_could_not_be_connected_was_not_sent() -> None:
    one, world = vertex()
    said = refusal(lambda: bought(one))
    assert isinstance(said, SubmitRejected)
    assert (said.kind, world.heard) == (FailureKind.TRANSIENT, [])


def test_what_the_sdk_refuses_by_itself_was_not_sent() -> None:
    one, world = vertex(told({"name": NAME}))
    said = refusal(lambda: bought(one, model=""))
    assert isinstance(said, SubmitRejected)
    assert (said.kind, world.wires) == (FailureKind.INVALID_INPUT, [])


@pytest.mark.parametrize(
    "body", [b"<html>welcome</html>", b"", b"[]", b'{"name": 7}', b'{"name": "operations/1"}', b"{}", b'{"done": "perhaps"}']
)
def test_an_acceptance_that_names_nothing_may_run(body: bytes) -> None:
    one, _ = vertex(answer(200, body))
    assert isinstance(refusal(lambda: bought(one)), SubmitAmbiguous)


@pytest.mark.parametrize("body", [b"<html>no</html>", b"[1, 2]", b'"no"', b'[{"error": {"code": 400}}]'])
def test_a_refusal_in_any_shape_is_a_refusal(body: bytes) -> None:
    one, _ = vertex(answer(400, body))
    assert refusal(lambda: bought(one)).kind is FailureKind.INVALID_INPUT


def test_an_answer_that_never_ends_is_given_up_in_time() -> None:
    one, world = vertex(endless(b"."))
    world.seconds_per_read = 1.0
    assert isinstance(refusal(lambda: bought(one)), SubmitAmbiguous)
    assert world.time < 10


def test_a_video_inside_an_answer_is_not_too_long() -> None:
    film = base64.b64encode(b"film" * 2_000_000)
    head, tail = b'{"done": true, "response": {"videos": [{"bytesBase64Encoded": "', b'"}]}}'
    one, _ = vertex(answer(200, head + film + tail))
    assert len(one.operation(NAME, seconds=5).videos[0].data) == 8_000_000


# --- everything said ------------------------------------------------------------------------------------

HOMES = {
    "us-central1": "us-central1-aiplatform.googleapis.com",
    "global": "aiplatform.googleapis.com",
    "eu": "aiplatform.eu.rep.googleapis.com",
}


@pytest.mark.parametrize("location", HOMES)
def test_a_location_has_its_address(location: str) -> None:
    one, world = vertex(told({"name": NAME}), location=location, host=HOMES[location])
    bought(one)
    (sent,) = world.heard
    models = "publishers/google/models/veo-3.1-generate-001"
    assert sent.target == f"/v1beta1/projects/p-1/locations/{location}/{models}:predictLongRunning"
    assert sent.headers["host"] == world.wires[0].certified == HOMES[location]


def test_nothing_of_the_environment_leads_a_request_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key may be a connection's: it is not sent to an address that the environment names, nor the other way round."""
    for name, value in {
        "GOOGLE_VERTEX_BASE_URL": "https://evil.example",
        "GOOGLE_GEMINI_BASE_URL": "https://evil.example",
        "GOOGLE_API_KEY": "CANARY-KEY",
        "GOOGLE_CLOUD_PROJECT": "another",
        "GOOGLE_CLOUD_LOCATION": "mars",
        "GOOGLE_GENAI_API_VERSION": "v9",
        "GOOGLE_GENAI_USE_VERTEXAI": "false",
        "HTTPS_PROXY": "http://evil.example:3128",
    }.items():
        monkeypatch.setenv(name, value)
    one, world = vertex(told({"name": NAME}))
    bought(one)
    (sent,) = world.heard
    assert sent.headers["host"] == "us-central1-aiplatform.googleapis.com"
    assert sent.target.startswith("/v1beta1/projects/p-1/locations/us-central1/")
    assert sent.headers["authorization"] == "Bearer ya29.CANARY"
    assert sent.headers["x-goog-user-project"] == "billed-elsewhere"
    assert "CANARY-KEY" not in str(sent.headers)


def test_the_body_is_what_was_ordered_and_nothing_more() -> None:
    one, world = vertex(told({"name": NAME}))
    one.generate(wanted(), (b"\x89PNG", "image/png"), into=f"gs://b/{KEY}/", key=KEY, seconds=5)
    assert json.loads(world.heard[0].body) == {
        "instances": [{"prompt": wanted().prompt, "image": {"bytesBase64Encoded": "iVBORw==", "mimeType": "image/png"}}],
        "parameters": {
            "sampleCount": 1, "storageUri": f"gs://b/{KEY}/", "durationSeconds": 4, "seed": 7, "aspectRatio": "16:9",
            "resolution": "720p", "generateAudio": True,
        },
        "labels": {"aiprod_purchase": KEY},
    }  # fmt: skip


# --- asking ---------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[dict[str, Any], Operation]] = {
    "runs": ({"name": NAME}, Operation()),
    "in the bucket": (
        {"done": True, "response": {"videos": [{"gcsUri": "gs://b/a.mp4", "mimeType": "video/mp4"}]}},
        Operation(done=True, videos=(Video("gs://b/a.mp4"),)),
    ),
    "inside": (
        {"done": True, "response": {"raiMediaFilteredCount": 0, "videos": [{"bytesBase64Encoded": "ZmlsbQ=="}]}},
        Operation(done=True, videos=(Video(data=b"film"),)),
    ),
    "withheld": (
        {"done": True, "response": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["no"]}},
        Operation(done=True, withheld=1, reasons=("no",)),
    ),
    "a video that is nothing": ({"done": True, "response": {"videos": [{"mimeType": "video/mp4"}]}}, Operation(done=True)),
    "nothing": ({"done": True, "response": {}}, Operation(done=True)),
    "bare": ({"done": True}, Operation(done=True)),
    "an error": (
        {"done": True, "error": {"code": 13, "message": "no"}},
        Operation(done=True, error={"code": 13, "message": "no"}),
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_is_read_as_it_is(case: str) -> None:
    said, expected = ANSWERS[case]
    one, world = vertex(told({"name": NAME, **said}))
    assert one.operation(NAME, seconds=5) == expected
    assert json.loads(world.heard[0].body) == {"operationName": NAME}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(200, b"<html>"), FailureKind.VENDOR_INTERNAL),
        (told({"done": "perhaps"}), FailureKind.VENDOR_INTERNAL),
        (told({"done": True, "response": {"videos": 7}}), FailureKind.VENDOR_INTERNAL),
        (told({"error": {"code": 404, "message": "CANARY" * 20}}, 404), FailureKind.GONE),
        (answer(503), FailureKind.TRANSIENT),
        (silent(httpcore.ReadTimeout("CANARY")), FailureKind.TRANSIENT),
    ],
)
def test_a_question_without_a_good_answer_is_an_error_of_ours(said: Iterable[bytes], kind: FailureKind) -> None:
    one, world = vertex(said, told({"name": NAME}))
    error = refusal(lambda: one.operation(NAME, seconds=5))
    assert (error.kind, error.money_moved) == (kind, "maybe")
    assert len(world.heard) == 1


def test_settings_that_the_sdk_cannot_have_are_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    one, world = vertex(told({"name": NAME}))

    def refuses(**settings: Any) -> None:
        raise ImportError("httpx2 is configured, but not installed")

    monkeypatch.setattr("google.genai.Client", refuses)
    error = refusal(lambda: bought(one))
    assert (error.kind, error.money_moved, world.wires) == (FailureKind.AUTH, "no", [])


# --- the SDK moves --------------------------------------------------------------------------------------


def test_the_sdk_still_has_what_we_say_to_it() -> None:
    ours = {
        "number_of_videos",
        "duration_seconds",
        "aspect_ratio",
        "resolution",
        "generate_audio",
        "seed",
        "output_gcs_uri",
        "labels",
    }
    assert ours <= set(types.GenerateVideosConfig.model_fields)
    assert {"httpx_client", "httpx_async_client", "timeout", "retry_options"} <= set(types.HttpOptions.model_fields)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["2.8.0", "2.34.0"])
def test_older_sdks_do_the_same(version: str, tmp_path: Path) -> None:
    """Airflow's Google provider brings a 2.x: everything in these files holds there, too."""
    told = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), f"google-genai=={version}"]
    installed = subprocess.run(told, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"google-genai {version} cannot be had here: {installed.stderr.strip()[-200:]}")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import pytest; failed = pytest.main(sys.argv[1:])\n"
        f"from google import genai; assert genai.__version__ == {version!r}, genai.__version__\n"
        "sys.exit(failed)"
    )
    files = ["test_veo3.py", "test_veo3_wire.py"]
    paths = [str(ROOT / "tests" / "aiprod" / "backends" / name) for name in files]
    options = ["-q", "-p", "no:cacheprovider", "-m", "not slow", "--basetemp", str(tmp_path / "basetemp")]
    done = subprocess.run([sys.executable, "-c", program, *options, *paths], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-1_000:]
