"""Backends, found by the name the catalogue gives them."""

from __future__ import annotations

import sys

import pytest

from aiprod.backends import backend, why_not_configured
from aiprod.backends.animatic import AnimaticBackend
from aiprod.catalog import Catalog, catalog
from aiprod.errors import ConfigError


def _with(**changes: object) -> Catalog:
    known = catalog()
    entry = known.backends["animatic"].model_copy(update=changes)
    return known.model_copy(update={"backends": {**known.backends, "animatic": entry}})


def test_a_backend_is_made_by_its_name_with_its_entry() -> None:
    made = backend(catalog(), "animatic")
    assert isinstance(made, AnimaticBackend)
    assert (made.name, made.entry) == ("animatic", catalog().backends["animatic"])


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match="unknown backend 'nobody'; known: animatic, replicate, runway, veo3"):
        backend(catalog(), "nobody")


def test_a_missing_key_is_named_and_an_empty_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    needy = _with(needs=("KEY_ONE", "KEY_TWO"))
    monkeypatch.setenv("KEY_TWO", "")
    assert why_not_configured(needy, "animatic") == "not configured: KEY_ONE, KEY_TWO is not set"
    with pytest.raises(ConfigError, match="animatic is not configured: KEY_ONE, KEY_TWO is not set"):
        backend(needy, "animatic")
    monkeypatch.setenv("KEY_ONE", "x")
    monkeypatch.setenv("KEY_TWO", "y")
    assert why_not_configured(needy, "animatic") == ""
    assert backend(needy, "animatic").name == "animatic"


def test_a_vendor_without_an_adapter_is_not_configured_whatever_keys_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "x")
    unwritten = _with(adapter=None, needs=("A_KEY",))
    assert "no adapter" in why_not_configured(unwritten, "animatic")
    with pytest.raises(ConfigError, match="no adapter"):
        backend(unwritten, "animatic")


def test_asking_whether_a_backend_is_configured_imports_no_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aiprod.backends.animatic")
    assert why_not_configured(catalog(), "animatic") == ""
    assert "aiprod.backends.animatic" not in sys.modules
