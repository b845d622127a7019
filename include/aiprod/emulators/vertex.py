"""Vertex AI as Veo needs it: a long-running prediction, its operation, and the page of a publisher model."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from aiprod.emulators import google_access
from aiprod.emulators.files import content
from aiprod.emulators.film import Studio
from aiprod.emulators.gcs import BUCKET, object_names
from aiprod.emulators.google_access import PROJECT, GoogleAccess
from aiprod.emulators.house import House, Refused
from aiprod.emulators.prices import cost, per_second
from aiprod.emulators.renders import Film, Render, Standing, Wanted
from aiprod.emulators.wire import Answer, Request, Route, Wire

__all__ = ["Vertex"]

_MODELS = ("veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001")
_SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
_TYPE = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
_PATH = re.compile(
    r"/v1(?:beta1)?/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
    r"/publishers/google/models/(?P<model>[^/:]+):(?P<verb>predictLongRunning|fetchPredictOperation)"
)
_MODEL_PATH = re.compile(r"/v1(?:beta1)?/(?:projects/[^/]+/locations/[^/]+/)?publishers/google/models/(?P<model>[^/:]+)")
#: Every parameter this emulator knows, and its legal values; None: any.
_PARAMETERS: Mapping[str, tuple[Any, ...] | None] = {
    "storageUri": None,
    "durationSeconds": (4, 6, 8),
    "resolution": tuple(_SIZES),
    "aspectRatio": ("16:9", "9:16"),
    "generateAudio": (True, False),
    "sampleCount": (1, 2, 3, 4),
    "personGeneration": ("allow_adult", "dont_allow", "allow_all"),
    "enhancePrompt": (True, False),
    "compressionQuality": ("optimized", "lossless"),
    "resizeMode": ("pad", "crop"),
    "negativePrompt": None,
    "seed": None,
    "pubsubTopic": None,
}
_SUPPORT = "Support codes: 58061214"
_UNSAFE = (
    "The prompt could not be submitted. It contains words that violate the Responsible AI practices. "
    f"Try rephrasing the prompt. {_SUPPORT}"
)
_WITHHELD = f"Videos were not generated because they may violate the usage guidelines. You will not be charged. {_SUPPORT}"
#: The operation's own errors: google.rpc code and text.
_ERRORS = {"fail": 13, "fail-charged": 13, "flip": 13, "aborted": 1, "cancelled": 1, "moderated": 3}
_TEXTS = {
    1: "The operation was cancelled.",
    3: _UNSAFE,
    8: "Resource has been exhausted (e.g. check quota).",
    13: "Internal error.",
}
_BILLING = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "BILLING_DISABLED", "domain": "googleapis.com"}


class Vertex(Wire):
    """`:predictLongRunning`, `:fetchPredictOperation`, and GET of a publisher model."""

    backend: ClassVar[str] = "veo3"

    def __init__(self, house: House, studio: Studio, access: GoogleAccess) -> None:
        super().__init__(house, studio, access.key)
        self._access = access

    def route(self, request: Request) -> Route | None:
        found = _PATH.fullmatch(request.path)
        if found and request.method == "POST":
            begin = found["verb"] == "predictLongRunning"
            return (lambda: self._predict(found, request)) if begin else (lambda: self._operation(request))
        page = _MODEL_PATH.fullmatch(request.path)
        return (lambda: self._model(page["model"])) if page and request.method == "GET" else None

    def admits(self, request: Request) -> bool:
        return self._access.admits(request)

    def refusal(self, error: Refused) -> Answer:
        match error.reason:
            case "auth":
                return google_access.error(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.")
            case "broke":
                message = f"This API method requires billing to be enabled. Please enable billing on project {PROJECT}."
                return google_access.error(403, message, details=[_BILLING])
            case "quota":
                message = "Quota exceeded for aiplatform.googleapis.com/veo_requests per day per project."
                return google_access.error(429, message)
            case "moderated":
                return google_access.error(400, _UNSAFE)
        message = "Resource exhausted. Please try again later." if error.status == 429 else str(error)
        return google_access.error(error.status, message, wait=error.retry_after)

    def _predict(self, path: re.Match[str], request: Request) -> Answer:
        if path["project"] != PROJECT:
            raise Refused(
                403, f"Permission 'aiplatform.endpoints.predict' denied on project {path['project']}.", reason="invalid"
            )
        model, body = path["model"], request.json()
        self._model(model)
        instance, parameters = _legal(body)
        film, count = _film(parameters), int(parameters.get("sampleCount", 1))
        resolution = str(parameters.get("resolution", "720p"))
        rate = per_second(self.house.terms.prices, self.backend, model, audio=film.audio, resolution=resolution)
        parent = request.path.split("/", 2)[2].partition(":")[0]
        wanted = Wanted(
            prompt=str(instance.get("prompt", "")),
            seconds=film.seconds,
            price=cost(rate, film.seconds * count),
            model=model,
            body=body,
            marker=parent,
            film=film,
        )
        render = self.house.take(self.backend, wanted, new_id=lambda: str(uuid.uuid4()))
        return Answer(200, {"name": f"{parent}/operations/{render.id}"})

    def _operation(self, request: Request) -> Answer:
        name = str(request.json().get("operationName", ""))
        parent, _, operation_id = name.rpartition("/operations/")
        if self.house.find(self.backend, operation_id).wanted.marker != parent:
            raise Refused(404, f"Operation {name} not found.", reason="absent")
        render, standing = self.house.look(self.backend, operation_id)
        if standing.stage in ("queued", "running"):
            return Answer(200, {"name": name})
        return Answer(200, {"name": name, "done": True, **self._outcome(render, standing)})

    def _outcome(self, render: Render, standing: Standing) -> dict[str, Any]:
        for word in ("strange", "empty"):
            if word in render.order:
                self.house.deal(self.backend, word, render, once=True)
        if "strange" in render.order:
            return {"response": {"@type": "type.googleapis.com/emulated.Unheard", "renderings": []}}
        if standing.why == "moderated-late":
            count = len(object_names(render)[1])
            return {"response": {"@type": _TYPE, "raiMediaFilteredCount": count, "raiMediaFilteredReasons": [_WITHHELD]}}
        if standing.stage != "succeeded":
            code = int(standing.code) if standing.code.isdecimal() else _ERRORS[standing.why]
            return {"error": {"code": code, "message": _TEXTS.get(code, "The operation failed.")}}
        if "empty" in render.order:
            return {} if render.order["empty"] == "bare" else {"response": {"@type": _TYPE}}
        return {"response": {"@type": _TYPE, "raiMediaFilteredCount": 0, "videos": self._videos(render)}}

    def _videos(self, render: Render) -> list[dict[str, Any]]:
        """Where the videos are, or the videos themselves when no bucket was named."""
        bucket, names = object_names(render)
        if bucket is not None:
            return [{"gcsUri": f"gs://{bucket}/{name}", "mimeType": "video/mp4"} for name in names]
        films = [content(self.house, self.studio, render, mark=f" {n}") for n in range(len(names))]
        return [{"bytesBase64Encoded": base64.b64encode(film).decode(), "mimeType": "video/mp4"} for film in films]

    def _model(self, model: str) -> Answer:
        if model not in _MODELS:
            message = (
                f"Publisher Model `publishers/google/models/{model}` was not found or your project does not have access to it."
            )
            raise Refused(404, message, reason="absent")
        name = f"publishers/google/models/{model}"
        return Answer(200, {"name": name, "versionId": "001", "openSourceCategory": "PROPRIETARY", "launchStage": "GA"})


def _legal(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the one instance and the parameters of a body. Raises `Refused`."""
    match body.get("instances"):
        case [dict() as instance] if instance.get("prompt") or instance.get("image"):
            pass
        case _:
            raise Refused(400, "instances must hold exactly one object with a prompt or an image.", reason="invalid")
    parameters = body.get("parameters") or {}
    for name, value in parameters.items():
        if name not in _PARAMETERS:
            raise Refused(400, f"Unknown parameter: {name}.", reason="invalid")
        legal = _PARAMETERS[name]
        if legal is not None and not any(value == one and type(value) is type(one) for one in legal):
            raise Refused(400, f"{name} is {value!r}; supported: {', '.join(map(str, legal))}.", reason="invalid")
    _legal_storage(parameters.get("storageUri"))
    return instance, parameters


def _legal_storage(uri: Any) -> None:
    if uri is None:
        return
    if not isinstance(uri, str) or not uri.startswith("gs://"):
        raise Refused(400, "storageUri must begin with gs://.", reason="invalid")
    if uri[5:].partition("/")[0] != BUCKET:
        raise Refused(400, f"The bucket of {uri} does not exist or may not be written to.", reason="invalid")


def _film(parameters: Mapping[str, Any]) -> Film:
    width, height = _SIZES[parameters.get("resolution", "720p")]
    if parameters.get("aspectRatio") == "9:16":
        width, height = height, width
    seconds = float(parameters.get("durationSeconds", 8))
    return Film(seconds=seconds, width=width, height=height, audio=bool(parameters.get("generateAudio", True)))
