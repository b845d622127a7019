"""Google's token endpoint: a service account's signed grant becomes an access token that the other wires accept."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from aiprod.emulators.film import Studio
from aiprod.emulators.house import House, Refused
from aiprod.emulators.wire import Answer, Request, Route, Wire

__all__ = ["PROJECT", "GoogleAccess", "error", "write_key_file"]

PROJECT = "aiprod-emulated"
_ACCOUNT = f"emulated@{PROJECT}.iam.gserviceaccount.com"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: What Google's own library says it is for, whatever the key file names.
_AUDIENCE = "https://oauth2.googleapis.com/token"
_LASTS = 3599
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GoogleAccess(Wire):
    """`POST /token`. Tokens do not run out: the client's clock is not this vendor's. The key itself is a token, too."""

    backend: ClassVar[str] = "veo3"

    def __init__(self, house: House, studio: Studio, key: str) -> None:
        super().__init__(house, studio, key)
        self._tokens = {key}

    def open_route(self, request: Request) -> Route | None:
        return (lambda: self._token(request)) if (request.method, request.path) == ("POST", "/token") else None

    def route(self, request: Request) -> Route | None:
        return None

    def admits(self, request: Request) -> bool:
        return request.bearer in self._tokens

    def refusal(self, error: Refused) -> Answer:
        return Answer(error.status, {"error": "invalid_grant", "error_description": str(error)})

    def _token(self, request: Request) -> Answer:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != _GRANT:
            raise Refused(400, "Unsupported grant type.", reason="invalid")
        try:
            key = _key().public_key()
            said = jwt.decode(
                form.get("assertion", ""), key, algorithms=["RS256"], audience=[_AUDIENCE, f"{request.origin}/token"], leeway=60
            )
        except jwt.InvalidTokenError as error:
            raise Refused(400, f"Invalid JWT: {error}", reason="auth") from None
        if said.get("iss") != _ACCOUNT:
            raise Refused(400, "Invalid grant: account not found", reason="auth")
        token = f"ya29.emulated-{uuid.uuid4().hex}"
        self._tokens.add(token)
        return Answer(200, {"access_token": token, "expires_in": _LASTS, "token_type": "Bearer"})


def error(status: int, message: str, *, details: Sequence[Mapping[str, object]] = (), wait: int | None = None) -> Answer:
    """Return an error as Google's APIs say it."""
    body: dict[str, object] = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return Answer(status, {"error": body | ({"details": list(details)} if details else {})}, headers)


def write_key_file(path: Path, origin: str) -> None:
    """Write the service account's key file, as one downloads it from Google; only its owner may read it."""
    pem = _key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    said = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "emulated",
        "private_key": pem.decode(),
        "client_email": _ACCOUNT,
        "client_id": "100000000000000000000",
        "token_uri": f"{origin}/token",
        "universe_domain": "googleapis.com",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(said, indent=2))


@cache
def _key() -> RSAPrivateKey:
    """This process's key: made when first needed, known to nobody else."""
    return generate_private_key(public_exponent=65_537, key_size=2_048)
