"""A service account's key file buys an access token, and nothing else does."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
PAGE = "/v1beta1/publishers/google/models/veo-3.1-generate-001"


def credentials(vendors: Any, **changes: str) -> Any:
    info = json.loads(Path(vendors.environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text()) | changes
    return service_account.Credentials.from_service_account_info(info, scopes=SCOPES)


def test_googles_own_library_gets_a_token_that_works(vendors: Any) -> None:
    ours = credentials(vendors)
    ours.refresh(Request())
    assert httpx.get(vendors.url + PAGE, headers={"Authorization": f"Bearer {ours.token}"}).status_code == 200


def test_another_account_gets_none(vendors: Any) -> None:
    with pytest.raises(RefreshError, match="invalid_grant"):
        credentials(vendors, client_email="nobody@example.com").refresh(Request())


def test_a_grant_that_somebody_else_signed_gets_none(vendors: Any) -> None:
    other = generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(RefreshError, match="invalid_grant"):
        credentials(vendors, private_key=pem).refresh(Request())


def test_a_grant_that_is_not_signed_gets_none(vendors: Any) -> None:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "e30.e30.e30"}
    said = httpx.post(f"{vendors.url}/token", data=form)
    assert (said.status_code, said.json()["error"]) == (400, "invalid_grant")


def test_the_key_file_is_its_owners_alone(vendors: Any) -> None:
    mode = Path(vendors.environment["GOOGLE_APPLICATION_CREDENTIALS"]).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
