"""Video vendors behind one contract, found by the name the catalogue gives them."""

from __future__ import annotations

import importlib
from typing import cast

from aiprod.backends.base import Backend
from aiprod.backends.keys import keys_of
from aiprod.catalog import Catalog
from aiprod.errors import ConfigError

__all__ = ["Backend", "backend", "why_not_configured"]


def why_not_configured(catalog: Catalog, name: str) -> str:
    """Return an empty string when the backend can be bought from, else what is missing."""
    entry = catalog.backends[name]
    if entry.adapter is None:
        return "not configured: this release has no adapter for it"
    known = keys_of(name, entry.needs, needs=entry.needs)
    missing = [variable for variable in entry.needs if variable not in known]
    return f"not configured: {', '.join(missing)} is not set" if missing else ""


def backend(catalog: Catalog, name: str) -> Backend:
    """Return the adapter of a configured backend, imported on first use.

    Raises `ConfigError` for a name the catalogue does not know or a backend that is not configured.
    """
    if name not in catalog.backends:
        raise ConfigError(f"unknown backend {name!r}; known: {', '.join(sorted(catalog.backends))}")
    missing = why_not_configured(catalog, name)
    entry = catalog.backends[name]
    if missing or entry.adapter is None:
        raise ConfigError(f"{name} is {missing}")
    module, _, attribute = entry.adapter.partition(":")
    adapter = cast("type[Backend]", getattr(importlib.import_module(module), attribute))
    return adapter(name, entry)
