"""Vertex AI through Google's own SDK, google-genai 2.8 to 3.x: one request per call, all said, nothing tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from aiprod.backends.calling import OneRequest
from aiprod.backends.google_access import GoogleAccess, Token
from aiprod.backends.reaching import INTERNET, Network
from aiprod.backends.veo3_words import NAME, Operation, Refusal, Video, details_of, no_answer, not_accepted
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected

if TYPE_CHECKING:
    from aiprod.models import RenderRequest

__all__ = ["Vertex"]

_VERSION = "v1beta1"
_LABEL_LENGTH = 63
#: A video of 8 s in 4K as base64, several times over.
_MOST_BYTES = 768 << 20


@dataclass
class Vertex:
    """The API of one project in one location. `base` is the operator's address for it, or nothing; `who` begins every message."""

    access: GoogleAccess
    who: str
    project: str
    location: str
    base: str = ""
    network: Network = INTERNET
    #: Making a client takes longer than asking: who watches many renders keeps one.
    _watching: tuple[httpx.AsyncClient, Token, genai.Client] | None = field(default=None, repr=False)

    def generate(self, request: RenderRequest, picture: tuple[bytes, str] | None, *, into: str, key: str, seconds: float) -> str:
        """Send the one request that costs money, and return the operation's name.

        `picture` is an image with its media type, `into` a `gs://` folder, or nothing for a video inside the answer.
        Raises `SubmitRejected` or `SubmitAmbiguous`, and before anything was sent also `BackendError`, no money moved.
        """
        ends = self.network.clock() + seconds
        with self._client(self.access.token(seconds / 2), ends) as (client, wire):
            try:
                asked = _asked(request, picture, into=into, key=key)
                name = client.models.generate_videos(model=request.model, **asked).name
            except errors.APIError as error:
                raise not_accepted(_refusal(error), who=self.who, hide=request.prompt) from None
            # Whatever the SDK raises: what counts is whether anything left, and our own transport knows.
            except Exception as error:  # noqa: BLE001
                raise _lost(f"{self.who}: {key}", error, left=wire.sent) from None
        if name is None or not NAME.fullmatch(name):
            raise SubmitAmbiguous(f"{self.who}: accepted {key} without a name for it", kind=FailureKind.VENDOR_INTERNAL)
        return name

    def operation(self, name: str, *, seconds: float) -> Operation:
        """Ask once how an operation stands. Raises `BackendError`."""
        ends = self.network.clock() + seconds
        with self._client(self.access.token(seconds), ends) as (client, _), self._asking(name):
            return _read(client.operations.get(_named(name)))

    async def operation_soon(self, name: str, http: httpx.AsyncClient, *, seconds: float) -> Operation:
        """`operation` on the caller's event loop and connections; only a new token is fetched in a thread."""
        token = self.access.at_hand()
        if token is None:
            token = await asyncio.to_thread(self.access.token, seconds)
        if self._watching is None or self._watching[:2] != (http, token):
            # Never used, and there because the SDK would make one of its own.
            nobody = httpx.Client(verify=INTERNET.trust(), trust_env=False)
            self._watching = (http, token, self._made(token, nobody, http, seconds))
        client = self._watching[2]
        with self._asking(name):
            async with asyncio.timeout(seconds):
                return _read(await client.aio.operations.get(_named(name)))

    def model(self, name: str, *, seconds: float) -> None:
        """Make sure that a model is offered. Raises `BackendError`, `gone` when it is not (any more)."""
        ends = self.network.clock() + seconds
        with self._client(self.access.token(seconds), ends) as (client, _), self._asking(name):
            client.models.get(model=f"publishers/google/models/{name}")

    @property
    def _address(self) -> str:
        """Said and never left to the SDK: it would look for an address in the environment, whosever key this is."""
        if self.base:
            return self.base
        if self.location == "global":
            return "https://aiplatform.googleapis.com/"
        if self.location in ("us", "eu"):
            return f"https://aiplatform.{self.location}.rep.googleapis.com/"
        return f"https://{self.location}-aiplatform.googleapis.com/"

    @contextmanager
    def _client(self, token: Token, ends: float) -> Iterator[tuple[genai.Client, OneRequest]]:
        """A client for one request. It stays referenced: the SDK closes one that nobody holds."""
        left = max(0.001, ends - self.network.clock())
        wire = OneRequest(left, network=self.network, most_bytes=_MOST_BYTES)
        # Never used, and there because the SDK would make one of its own.
        nobody = httpx.AsyncClient(verify=INTERNET.trust(), trust_env=False)
        with httpx.Client(transport=wire, trust_env=False, follow_redirects=False) as http:
            yield self._made(token, http, nobody, left), wire

    def _made(self, token: Token, http: httpx.Client, soon: httpx.AsyncClient, seconds: float) -> genai.Client:
        # Without an expiry, so that the SDK never fetches a token by itself.
        credentials = Credentials(token=token.value, quota_project_id=token.quota_project)
        options = types.HttpOptions(
            base_url=self._address,
            api_version=_VERSION,
            timeout=max(1, round(seconds * 1_000)),
            retry_options=types.HttpRetryOptions(attempts=1),
            httpx_client=http,
            httpx_async_client=soon,
            # Not for those two: without them the SDK reads the machine's certificates anew for every client it makes.
            client_args={"verify": INTERNET.trust()},
            async_client_args={"verify": INTERNET.trust(), "ssl": INTERNET.trust()},
        )
        try:
            return genai.Client(
                vertexai=True, project=self.project, location=self.location, credentials=credentials, http_options=options
            )
        # The environment can ask for what the SDK cannot do here.
        except (ValueError, ImportError) as error:
            message = f"{self.who}: the SDK refuses its settings ({type(error).__name__})"
            raise BackendError(message, kind=FailureKind.AUTH, money_moved="no") from None

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        """Turn what a question runs into, into ours. Asking costs nothing, so that it may be asked again."""
        who = f"{self.who} {name.rpartition('/')[2][:64]}"
        try:
            yield
        except BackendError:
            raise
        except errors.APIError as error:
            raise no_answer(_refusal(error), who=who) from None
        except (httpx.HTTPError, TimeoutError) as error:
            message = f"{who}: no answer ({type(error).__name__})"
            raise BackendError(message, kind=FailureKind.TRANSIENT, money_moved="maybe") from None
        # The SDK reads answers with JSON, pydantic and bare hands; each of them fails in its own way.
        except Exception as error:  # noqa: BLE001
            message = f"{who}: the answer cannot be read ({type(error).__name__})"
            raise BackendError(message, kind=FailureKind.VENDOR_INTERNAL, money_moved="maybe") from None


def _asked(request: RenderRequest, picture: tuple[bytes, str] | None, *, into: str, key: str) -> dict[str, Any]:
    """What is asked of the SDK. Nothing is said of people: what a project may show of them is Google's default for it."""
    image = types.Image(image_bytes=picture[0], mime_type=picture[1]) if picture else None
    config = types.GenerateVideosConfig(
        number_of_videos=1,
        duration_seconds=round(request.seconds),
        aspect_ratio=request.aspect_ratio,
        resolution=request.resolution,
        generate_audio=request.audio,
        seed=request.seed,
        output_gcs_uri=into or None,
        labels={"aiprod_purchase": key[:_LABEL_LENGTH]},
    )
    return {"source": types.GenerateVideosSource(prompt=request.prompt, image=image), "config": config}


def _named(name: str) -> types.GenerateVideosOperation:
    operation = types.GenerateVideosOperation()
    operation.name = name
    return operation


def _read(said: types.GenerateVideosOperation) -> Operation:
    """The SDK's object as our own, read defensively: any part may be missing."""
    answer = said.response or said.result
    videos = [one.video for one in (answer.generated_videos if answer else None) or () if one.video is not None]
    found = [Video(video.uri or "", video.video_bytes or b"") for video in videos if video.uri or video.video_bytes]
    return Operation(
        done=bool(said.done),
        error=said.error,
        videos=tuple(found),
        withheld=(answer.rai_media_filtered_count if answer else None) or 0,
        reasons=tuple((answer.rai_media_filtered_reasons if answer else None) or ()),
    )


def _refusal(error: errors.APIError) -> Refusal:
    return Refusal(
        code=error.code if isinstance(error.code, int) else 0,
        status=str(error.status or ""),
        message=str(error.message or ""),
        details=tuple(details_of(error.details)),
        headers=getattr(error.response, "headers", None),
    )


def _lost(who: str, error: Exception, *, left: bool) -> SubmitRejected | SubmitAmbiguous:
    """What a submission without an answer is. `left`: something of it may have reached the vendor."""
    told = f"no answer ({type(error).__name__})" if left else f"not sent ({type(error).__name__})"
    if left:
        timeout = isinstance(error, httpx.TimeoutException)
        return SubmitAmbiguous(f"{who}: {told}", kind=FailureKind.TIMEOUT if timeout else FailureKind.TRANSIENT)
    kind = FailureKind.TRANSIENT if isinstance(error, httpx.HTTPError) else FailureKind.INVALID_INPUT
    return SubmitRejected(f"{who}: {told}", kind=kind)
