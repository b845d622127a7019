"""Gemini as a judge of takes, through Google's own SDK: with a key of the Gemini API, or with a project on Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import httpx
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from aiprod.backends.calling import OneCall, OneRequest
from aiprod.backends.google_access import KEY, GoogleAccess
from aiprod.backends.judges import Judge
from aiprod.backends.reaching import INTERNET, Network
from aiprod.backends.veo3_words import Refusal, details_of, not_accepted
from aiprod.catalog import JudgeEntry
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Answered, JudgeRequest

__all__ = ["GeminiJudge"]

_API_KEY, _API_BASE = "GEMINI_API_KEY", "GEMINI_BASE_URL"
_PROJECT, _LOCATION, _VERTEX_BASE = "AIPROD_JUDGE_PROJECT", "GOOGLE_CLOUD_LOCATION", "GOOGLE_VERTEX_BASE_URL"
#: A request with its clip inside may be 20 MB, and base64 makes four bytes of three. Longer clips are uploaded first.
_INLINE_BYTES = 14_000_000
#: An uploaded clip is looked at by Google before it can be asked about; this is how often we ask whether it is done.
_LOOKS, _LOOK_SECONDS = 20, 1.0
_LABEL_LENGTH = 63


class GeminiJudge(Judge):
    """One question about one clip, one answer. The clip goes inside the request, or through the Files API when it is long.

    Vertex has no Files API: there a clip that is too long for a request cannot be judged.
    """

    reads: ClassVar[tuple[str, ...]] = (_API_KEY, _API_BASE, _PROJECT, _LOCATION, _VERTEX_BASE, KEY)

    def __init__(self, name: str, entry: JudgeEntry, *, network: Network = INTERNET, inline_bytes: int = _INLINE_BYTES) -> None:
        super().__init__(name, entry)
        self._network = network
        self._inline_bytes = inline_bytes

    def ask(self, request: JudgeRequest, clip: Path, *, key: str) -> Answered:
        """See `Judge.ask`. Uploading a clip costs nothing; it happens before the one request that does."""
        ends = self._network.clock() + 0.9 * self.entry.submit_timeout_seconds
        try:
            part = self._part(request, clip, ends)
        except (errors.APIError, httpx.HTTPError, OSError) as error:
            raise _not_sent(f"{self.name}: the clip was not sent", error) from None
        wire = OneRequest(self._left(ends), network=self._network)
        with self._client(wire, ends) as client:
            try:
                said = client.models.generate_content(
                    model=request.model, contents=_contents(request, part), config=self._config(request, key)
                )
            except errors.APIError as error:
                raise not_accepted(_refusal(error), who=self.name, hide=request.question) from None
            # Whatever the SDK raises: what counts is whether anything left, and our own transport knows.
            except Exception as error:  # noqa: BLE001
                told = f"{self.name}: {'no answer' if wire.sent else 'not sent'} ({type(error).__name__})"
                if wire.sent:
                    raise SubmitAmbiguous(told) from None
                raise SubmitRejected(told, kind=FailureKind.TRANSIENT) from None
        return _answered(said, key)

    def _part(self, request: JudgeRequest, clip: Path, ends: float) -> types.Part:
        """The clip as it travels, with how often it is to be looked at."""
        looked = types.VideoMetadata(fps=request.fps)
        if clip.stat().st_size <= self._inline_bytes:
            return types.Part(inline_data=types.Blob(data=clip.read_bytes(), mime_type="video/mp4"), video_metadata=looked)
        if not self.keys.get(_API_KEY):
            size = f"{clip.stat().st_size / 1e6:.0f} MB"
            raise SubmitRejected(
                f"{self.name}: {size} do not fit into a request, and Vertex takes no uploads", kind=FailureKind.INVALID_INPUT
            )
        uri = self._uploaded(clip, ends)
        return types.Part(file_data=types.FileData(file_uri=uri, mime_type="video/mp4"), video_metadata=looked)

    def _uploaded(self, clip: Path, ends: float) -> str:
        with self._client(OneCall(self._left(ends), network=self._network), ends) as client:
            file = client.files.upload(file=clip, config=types.UploadFileConfig(mime_type="video/mp4"))
            for _ in range(_LOOKS):
                if file.state is types.FileState.ACTIVE and file.uri:
                    return file.uri
                if file.state is types.FileState.FAILED or self._left(ends) < 2 * _LOOK_SECONDS:
                    break
                self._network.pause(_LOOK_SECONDS)
                file = client.files.get(name=file.name or "")
        raise SubmitRejected(f"{self.name}: the uploaded clip did not become ready", kind=FailureKind.TRANSIENT)

    def _left(self, ends: float) -> float:
        return max(0.001, ends - self._network.clock())

    @contextmanager
    def _client(self, wire: OneCall, ends: float) -> Iterator[genai.Client]:
        """A client whose every request goes over `wire`. It stays referenced: the SDK closes one that nobody holds."""
        # Never used, and there because the SDK would make one of its own.
        nobody = httpx.AsyncClient(verify=INTERNET.trust(), trust_env=False)
        keys = self.keys
        with httpx.Client(transport=wire, trust_env=False, follow_redirects=False) as http:
            options = types.HttpOptions(
                base_url=_address(keys),
                api_version="v1beta" if keys.get(_API_KEY) else "v1beta1",
                timeout=max(1, round(self._left(ends) * 1_000)),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_client=http,
                httpx_async_client=nobody,
                client_args={"verify": INTERNET.trust()},
                async_client_args={"verify": INTERNET.trust(), "ssl": INTERNET.trust()},
            )
            try:
                yield self._made(keys, options, ends)
            except BackendError as error:
                if isinstance(error, (SubmitRejected, SubmitAmbiguous)):
                    raise
                # No token: nothing was sent.
                raise SubmitRejected(str(error), kind=error.kind) from None

    def _made(self, keys: dict[str, str], options: types.HttpOptions, ends: float) -> genai.Client:
        if keys.get(_API_KEY):
            return genai.Client(vertexai=False, api_key=keys[_API_KEY], http_options=options)
        token = self._access.token(self._left(ends) / 2)
        # Without an expiry, so that the SDK never fetches a token by itself.
        credentials = Credentials(token=token.value, quota_project_id=token.quota_project)
        return genai.Client(
            vertexai=True,
            project=keys.get(_PROJECT, ""),
            location=keys.get(_LOCATION, "us-central1"),
            credentials=credentials,
            http_options=options,
        )

    @cached_property
    def _access(self) -> GoogleAccess:
        """Our identity while this adapter lives: one token for every sample of a take."""
        return GoogleAccess(self.keys.get(KEY, ""), network=self._network)

    def _config(self, request: JudgeRequest, key: str) -> types.GenerateContentConfig:
        # Only Vertex keeps labels; the other API refuses them.
        labels = None if self.keys.get(_API_KEY) else {"aiprod_purchase": key[:_LABEL_LENGTH]}
        return types.GenerateContentConfig(
            system_instruction=request.instructions,
            response_mime_type="application/json",
            response_schema=types.Schema.model_validate(request.answer_schema),
            seed=request.seed,
            candidate_count=1,
            max_output_tokens=request.output_tokens,
            media_resolution=types.MediaResolution.MEDIA_RESOLUTION_MEDIUM,
            labels=labels,
            # There are no functions to call, and each round of them would be another request.
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )


def _address(keys: dict[str, str]) -> str:
    """Said and never left to the SDK: it would look for an address in the environment, whosever key this is."""
    if keys.get(_API_KEY):
        return keys.get(_API_BASE) or "https://generativelanguage.googleapis.com/"
    location = keys.get(_LOCATION, "us-central1")
    host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
    return keys.get(_VERTEX_BASE) or f"https://{host}/"


def _contents(request: JudgeRequest, part: types.Part) -> types.Content:
    """The clip first, then what is asked about it."""
    return types.Content(role="user", parts=[part, types.Part(text=request.question)])


def _answered(said: types.GenerateContentResponse, key: str) -> Answered:
    """The SDK's object as our own, read defensively: any part may be missing. It was billed, whatever it says."""
    candidate = next(iter(said.candidates or ()), None)
    parts = (candidate.content.parts if candidate and candidate.content else None) or ()
    text = "".join(part.text or "" for part in parts if not part.thought)
    usage = said.usage_metadata
    spent = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) if usage else 0
    return Answered(
        answer_id=said.response_id or f"judgement-{key}",
        text=text,
        model=said.model_version or "",
        ended=_ended(said, candidate),
        input_tokens=(usage.prompt_token_count or 0) if usage else 0,
        output_tokens=spent,
    )


def _ended(said: types.GenerateContentResponse, candidate: Any) -> str:
    blocked = said.prompt_feedback.block_reason if said.prompt_feedback else None
    if blocked is not None:
        return f"blocked: {blocked.value}"
    if candidate is None:
        return "no candidate"
    reason = candidate.finish_reason
    return "" if reason in (None, types.FinishReason.STOP) else str(reason.value)


def _refusal(error: errors.APIError) -> Refusal:
    return Refusal(
        code=error.code if isinstance(error.code, int) else 0,
        status=str(error.status or ""),
        message=str(error.message or ""),
        details=tuple(details_of(error.details)),
        headers=getattr(error.response, "headers", None),
    )


def _not_sent(who: str, error: Exception) -> SubmitRejected:
    """An upload that failed cost nothing, however it failed."""
    if isinstance(error, errors.APIError):
        refusal = _refusal(error)
        return SubmitRejected(f"{who}: {refusal.told()}", kind=refusal.kind, retry_after=refusal.retry_after)
    return SubmitRejected(f"{who} ({type(error).__name__})", kind=FailureKind.TRANSIENT)
