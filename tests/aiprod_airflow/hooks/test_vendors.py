"""The *Test* button asks the vendor with the connection's own key, buys nothing, and says what came of it in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.sdk import Connection
from airflow.sdk.execution_time.context import _preset_connections

from aiprod.backends import keys
from aiprod_airflow.hooks.vendors import ReplicateHook, RunwayHook, Veo3Hook
from tests import keyed_vendor, vendor
from tests.catalogue import write_catalogue

Test = Callable[..., tuple[bool, str]]


@pytest.fixture
def test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Test]:
    """Press the button on a connection as Airflow does, with the vendors behind it that look at keys."""
    needs = {"runway": "RUNWAYML_API_SECRET", "veo3": "GCP_PROJECT_ID", "replicate": "REPLICATE_API_TOKEN"}
    keyed = {name: {"adapter": "tests.keyed_vendor:KeyedVendor", "needs": [need]} for name, need in needs.items()}
    monkeypatch.setenv("AIPROD_CONFIG_DIR", str(write_catalogue(tmp_path / "config", backends=keyed)))
    monkeypatch.setenv(vendor.BOOKS, str(tmp_path / "books"))
    keys.offer(None)

    def press(hook: type, **fields: str) -> tuple[bool, str]:
        token = _preset_connections.set({"tried": Connection(conn_id="tried", conn_type=hook.conn_type, **fields)})
        try:
            return hook("tried").test_connection()
        finally:
            _preset_connections.reset(token)

    yield press
    assert vendor.accepts(tmp_path / "books") == []


def test_a_good_key_says_so_and_what_is_left(test: Test) -> None:
    assert test(RunwayHook, password="k") == (True, "The key is good; 120 credits")
    assert test(ReplicateHook, password="k")[0]
    assert test(Veo3Hook, extra=json.dumps({"project": "p", "keyfile_dict": {"private_key": "k"}}))[0]


def test_a_refused_key_is_red(test: Test) -> None:
    assert test(RunwayHook, password="wrong") == (False, "The key was refused; 120 credits")


def test_an_empty_connection_is_told_what_it_lacks(test: Test) -> None:
    assert test(RunwayHook) == (False, "runway: the connection says nothing that could be RUNWAYML_API_SECRET")


def test_the_key_that_is_tried_is_the_connections_and_never_the_environments(test: Test, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNWAYML_API_SECRET", "good")

    assert not test(RunwayHook, password="wrong")[0]
    monkeypatch.setenv("RUNWAYML_API_SECRET", "wrong")
    assert test(RunwayHook, password="good")[0]


def test_a_vendor_that_does_not_answer_is_red_and_the_key_is_not_repeated(test: Test, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(self: keyed_vendor.KeyedVendor) -> None:
        raise keyed_vendor.BackendError(
            f"{self.name}: no answer within 20 s", kind=keyed_vendor.FailureKind.TRANSIENT, money_moved="no"
        )

    monkeypatch.setattr(keyed_vendor.KeyedVendor, "checkup", down)

    assert test(RunwayHook, password="CANARY") == (False, "runway: no answer within 20 s")
