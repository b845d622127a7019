"""Veo on Vertex, held against Google's discovery document and read by google-genai."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from aiprod.emulators.google_access import PROJECT

MODEL = f"/v1beta1/projects/{PROJECT}/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
VIDEO = "CloudAiLargeModelsVisionGenerateVideoResponse"
OPERATION = "GoogleLongrunningOperation"


def body(prompt: str = "a kite", **parameters: Any) -> dict[str, Any]:
    return {"instances": [{"prompt": prompt}], "parameters": {"durationSeconds": 4, "generateAudio": False} | parameters}


@pytest.fixture
def predict(ask: Any) -> Any:
    return lambda prompt="a kite", **parameters: ask("veo3", "POST", f"{MODEL}:predictLongRunning", body(prompt, **parameters))


@pytest.fixture
def outcome(ask: Any, predict: Any) -> Any:
    """Order one video and return its operation as it stands then."""

    def ordered(prompt: str = "a kite", **parameters: Any) -> dict[str, Any]:
        name = predict(prompt, **parameters).json()["name"]
        said: dict[str, Any] = ask("veo3", "POST", f"{MODEL}:fetchPredictOperation", {"operationName": name}).json()
        return said

    return ordered


def test_requests_and_answers_fit_googles_own_document(ask: Any, predict: Any, outcome: Any, fits_google: Any) -> None:
    sent = body(storageUri="gs://aiprod-emulated/a/", seed=3) | {"labels": {"job": "j"}}
    assert fits_google("aiplatform.v1beta1", "GoogleCloudAiplatformV1beta1PredictLongRunningRequest", sent) == []
    answers = [predict().json(), *(outcome(p) for p in ("a", "[[veo3=fail]]", "[[veo3=moderated-late]]", "[[veo3=hang]]"))]
    assert [misfit for said in answers for misfit in fits_google("aiplatform.v1beta1", OPERATION, said)] == []
    assert [misfit for said in answers for misfit in fits_google("aiplatform.v1beta1", VIDEO, said.get("response", {}))] == []
    page = ask("veo3", "GET", "/v1beta1/publishers/google/models/veo-3.1-generate-001").json()
    assert fits_google("aiplatform.v1beta1", "GoogleCloudAiplatformV1beta1PublisherModel", page) == []


def test_an_answer_that_breaks_the_document_is_noticed(fits_google: Any) -> None:
    assert fits_google("aiplatform.v1beta1", OPERATION, {"name": 7, "done": True, "state": "x"}) == [
        f"{OPERATION}.name: 7 is no string",
        f"{OPERATION}.state is not in the document",
    ]


def test_googles_sdk_buys_a_video_into_the_bucket(vendors: Any) -> None:
    options = types.HttpOptions(base_url=vendors.url, timeout=10_000)
    key = Credentials(token=vendors.key("veo3"))
    with genai.Client(vertexai=True, project=PROJECT, location="us-central1", credentials=key, http_options=options) as sdk:
        wanted = types.GenerateVideosConfig(
            duration_seconds=4, generate_audio=True, seed=3, resolution="1080p", output_gcs_uri=f"gs://{PROJECT}/veo3/k1/",
            labels={"job": "j"},
        )  # fmt: skip
        source = types.GenerateVideosSource(prompt="a kite")
        begun = sdk.models.generate_videos(model="veo-3.1-generate-001", source=source, config=wanted)
        done = sdk.operations.get(types.GenerateVideosOperation(name=begun.name))
        page = sdk.models.get(model="veo-3.1-generate-001")
    assert done.done and done.response.generated_videos[0].video.uri.startswith(f"gs://{PROJECT}/veo3/k1/")
    assert page.name == "publishers/google/models/veo-3.1-generate-001"
    (booked,) = vendors.accepts("veo3")
    assert (booked["seconds"], booked["price_micros"], booked["body"]["labels"]) == (4, 1_600_000, {"job": "j"})


def test_without_a_bucket_the_videos_come_inline(outcome: Any) -> None:
    videos = outcome(sampleCount=2)["response"]["videos"]
    files = [base64.b64decode(video["bytesBase64Encoded"]) for video in videos]
    assert files[0] != files[1] and all(file[4:8] == b"ftyp" for file in files)


def test_it_runs_as_long_as_it_takes(vendors: Any, predict: Any, ask: Any) -> None:
    vendors.terms(seconds_per_render=60)
    name = predict().json()["name"]
    assert ask("veo3", "POST", f"{MODEL}:fetchPredictOperation", {"operationName": name}).json() == {"name": name}
    vendors.advance(60)
    assert ask("veo3", "POST", f"{MODEL}:fetchPredictOperation", {"operationName": name}).json()["done"] is True


@pytest.mark.parametrize(("word", "code"), [("fail", 13), ("fail:8", 8), ("moderated", 3), ("aborted", 1)])
def test_a_failure_is_the_operations_own_error_and_free(outcome: Any, vendors: Any, word: str, code: int) -> None:
    said = outcome(f"[[veo3={word}]]")
    assert (said["done"], said["error"]["code"]) == (True, code)
    assert vendors.accepts()[0]["billable_micros"] == 0


def test_what_is_withheld_is_no_error_but_has_no_videos_and_is_free(outcome: Any, vendors: Any) -> None:
    said = outcome("[[veo3=moderated-late]]")
    assert said["response"]["raiMediaFilteredCount"] == 1 and "videos" not in said["response"] and "error" not in said
    assert vendors.accepts()[0]["billable_micros"] == 0


def test_done_can_mean_nothing(outcome: Any) -> None:
    assert "videos" not in outcome("[[veo3=empty]]")["response"]
    assert set(outcome("[[veo3=empty:bare]]")) == {"name", "done"}
    assert "videos" not in outcome("[[veo3=strange]]")["response"]


@pytest.mark.parametrize(
    ("word", "code", "status", "says"),
    [
        ("refuse:429", 429, "RESOURCE_EXHAUSTED", "exhausted"),
        ("refuse:503", 503, "UNAVAILABLE", ""),
        ("quota", 429, "RESOURCE_EXHAUSTED", "per day"),
        ("broke", 403, "PERMISSION_DENIED", "billing"),
        ("moderated:http", 400, "INVALID_ARGUMENT", "Responsible AI"),
    ],
)
def test_a_refusal_is_said_as_google_says_it(predict: Any, vendors: Any, word: str, code: int, status: str, says: str) -> None:
    said = predict(f"[[veo3={word}]]")
    error = said.json()["error"]
    assert (said.status_code, error["code"], error["status"]) == (code, code, status)
    assert says in error["message"]
    assert vendors.accepts() == []


@pytest.mark.parametrize(
    "parameters",
    [{"durationSeconds": 5}, {"sampleCount": True}, {"resolution": "480p"}, {"aspectRatio": "1:1"}, {"sampleCount": 9},
     {"storageUri": "gs://somebody-else/x"}, {"storageUri": "s3://a/x"}, {"duration": 4}],
)  # fmt: skip
def test_what_it_does_not_know_it_refuses(predict: Any, vendors: Any, parameters: dict[str, Any]) -> None:
    assert predict(**parameters).json()["error"]["status"] == "INVALID_ARGUMENT"
    assert vendors.accepts() == []


def test_a_retired_model_another_project_and_a_wrong_key_are_three_refusals(ask: Any) -> None:
    paths = [MODEL.replace("3.1", "3.0"), MODEL.replace(PROJECT, "other")]
    assert [ask("veo3", "POST", f"{path}:predictLongRunning", body()).status_code for path in paths] == [404, 403]
    assert ask("veo3", "GET", "/v1beta1/publishers/google/models/veo-3.0-generate-001").status_code == 404
    refused = ask("veo3", "POST", f"{MODEL}:predictLongRunning", body(), Authorization="Bearer no")
    assert (refused.status_code, refused.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_an_operation_of_another_model_is_not_found(ask: Any, predict: Any) -> None:
    name = predict().json()["name"].replace("generate-001", "fast-generate-001")
    assert ask("veo3", "POST", f"{MODEL}:fetchPredictOperation", {"operationName": name}).status_code == 404
