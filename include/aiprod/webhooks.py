"""Tells a program by a signed POST, as Standard Webhooks describes it: https, public addresses, once per try."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection
from datetime import datetime

from aiprod.backends.reaching import INTERNET, Limits, Network, Trouble, post
from aiprod.errors import ConfigError, NoticeRefused

__all__ = ["deliver", "signature"]

#: Nothing of the answer but its status is read.
_LIMITS = Limits(bytes=0, seconds=10, silence=10, connect=5)
_PREFIX = "whsec_"


def signature(secret: str, message: str, at: datetime, body: bytes) -> str:
    """Return the value of `webhook-signature`: one HMAC-SHA256 per secret, where several stand side by side.

    A secret is `whsec_` and the base64 of 24 to 64 bytes. Raises `ConfigError`, which never shows it.
    """
    signed = f"{message}.{int(at.timestamp())}.".encode() + body
    digests = [hmac.digest(_key(one), signed, hashlib.sha256) for one in secret.split()]
    if not digests:
        raise ConfigError("the secret of a webhook is empty")
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise ConfigError(f"the secret of a webhook must be {_PREFIX} and the base64 of 24 to 64 bytes")
    return key


def deliver(
    url: str,
    message: str,
    body: bytes,
    *,
    secret: str,
    at: datetime,
    network: Network = INTERNET,
    own: Collection[str] = (),
) -> None:
    """Send one message. Raises `NoticeRefused` unless the receiver answers with a 2xx status within ten seconds.

    `own` are origins that may be http or not public, which no configuration can name: a receiver on this machine, in tests.
    """
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature(secret, message, at, body),
    }
    try:
        status = post(url, body, own=own, headers=headers, limits=_LIMITS, network=network)
    except Trouble as error:
        raise NoticeRefused(str(error)) from None
    if not 200 <= status < 300:
        raise NoticeRefused(f"it answered HTTP {status}{'; redirects are not followed' if 300 <= status < 400 else ''}")
