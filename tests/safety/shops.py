"""The shipped adapters, ready to be bought from by processes that are about to be forked."""

from __future__ import annotations

import importlib

from aiprod.backends.reaching import certificates

__all__ = ["shipped_adapters"]

_LOADED = ("aiprod.backends.runway", "aiprod.backends.veo3", "aiprod.backends.veo3_wire", "aiprod.backends.replicate", "runwayml")


def shipped_adapters() -> None:
    """Load the adapters with their SDKs, and read the certificates: a second that every process born from now on saves."""
    for name in _LOADED:
        importlib.import_module(name)
    certificates()
