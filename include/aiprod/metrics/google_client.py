"""Google's clients for Cloud Monitoring, with our credentials, or without any for an emulator on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from aiprod import settings
from aiprod.backends.google_access import KEY, GoogleAccess, Token
from aiprod.backends.keys import Keys, keys_of
from aiprod.errors import BackendError, FailureKind

__all__ = ["Account"]

#: Whose connection and keys they are.
NAME = "cloud_monitoring"
_PROJECTS = ("GCP_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")
_HOST = "monitoring.googleapis.com:443"
#: A refusal travels as metadata and names up to 200 series. At gRPC's usual 8 KB it is cut off, and cannot be read at all.
_OPTIONS = (("grpc.max_metadata_size", 128 << 10), ("grpc.absolute_max_metadata_size", 256 << 10))
_Client = TypeVar("_Client")


class Account:
    """Which project, and who we are there. Reads the environment, else the connection, once: when first asked."""

    def __init__(self) -> None:
        self._access: GoogleAccess | None = None

    @cached_property
    def _keys(self) -> Keys:
        return keys_of(NAME, (KEY, *_PROJECTS), needs=_PROJECTS)

    @cached_property
    def project(self) -> str:
        """The project's id. Raises `BackendError` (`auth`) when none is configured."""
        named = next((self._keys[name] for name in _PROJECTS if name in self._keys), "")
        if not re.fullmatch(r"[a-z0-9][a-z0-9:.-]*", named):
            raise BackendError("GCP_PROJECT_ID is not set, or is no project", kind=FailureKind.AUTH, money_moved="no")
        return named

    def token(self, seconds: float) -> Token | None:
        """Return a good token, None where an emulator wants none. Raises `BackendError`."""
        if settings.gcm_endpoint() is not None:
            return None
        self._access = self._access or GoogleAccess(self._keys.get(KEY, ""))
        return self._access.token(seconds)

    @contextmanager
    def client(self, kind: type[_Client], seconds: float) -> Iterator[_Client]:
        """One of the service's clients, closed at the end. Credentials are ready before it is made: it looks for none itself.

        Raises `BackendError` when there are none within `seconds`.
        """
        import grpc  # type: ignore[import-untyped]
        from google.oauth2.credentials import Credentials

        made: Any = kind
        emulator, token = settings.gcm_endpoint(), self.token(seconds)
        transport = made.get_transport_class("grpc")
        if emulator is not None or token is None:
            channel = grpc.insecure_channel(emulator or "", options=_OPTIONS)
        else:
            who = Credentials(token.value, quota_project_id=token.quota_project)
            channel = transport.create_channel(_HOST, credentials=who, options=_OPTIONS)
        client = made(transport=transport(channel=channel))
        try:
            yield client
        finally:
            client.transport.close()
