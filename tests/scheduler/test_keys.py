"""Keys out of a connection and out of the environment buy under a real scheduler, and no trace of them is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.keyed_vendor import mark
from tests.scheduler.conftest import CANARIES, DAG, Stack

pytestmark = pytest.mark.airflow


def test_each_backend_was_bought_from_with_the_key_of_its_own_place(stack: Stack) -> None:
    used = {(file.name.split("-")[0], file.read_text()) for file in (stack.books / "keys").iterdir()}

    assert used == {(name, mark(key)) for name, key in CANARIES.items()}


def test_the_connection_form_knows_our_types_and_its_button_asks_the_vendor_without_spending(stack: Stack) -> None:
    form = stack.airflow.client().get(f"{stack.airflow.url}/ui/connections/hook_meta").json()
    titles = {entry["connection_type"]: entry["hook_name"] for entry in form if entry["connection_type"].startswith("aiprod")}
    bought = len(list((stack.books / "accepts").iterdir()))

    good = {"connection_id": "tried", "conn_type": "aiprod_runway", "password": CANARIES["runway"]}
    said = [stack.airflow.call("POST", "connections/test", json={**good, **change}) for change in ({}, {"password": "wrong"})]

    assert titles == {
        "aiprod_runway": "AIPROD: Runway",
        "aiprod_veo3": "AIPROD: Google Veo 3",
        "aiprod_replicate": "AIPROD: Replicate",
    }
    assert [(told["status"], told["message"]) for told in said] == [
        (True, "The key is good; 120 credits"),
        (False, "The key was refused; 120 credits"),
    ]
    assert len(list((stack.books / "accepts").iterdir())) == bought


def test_no_key_is_found_in_logs_databases_or_files_of_all_these_runs(stack: Stack) -> None:
    """Logs of tasks, triggers and components, XComs and rendered fields (Airflow's database), ledger, outbox, takes."""
    written = [file for file in stack.books.parent.rglob("*") if file.is_file()]

    assert any(file.name == "airflow.db" for file in written)
    assert sum(_holds(file, DAG) for file in written) > 3, "the search finds nothing at all"
    assert [file for file in written for key in CANARIES.values() if _holds(file, key)] == []


def _holds(file: Path, word: str) -> bool:
    try:
        return word.encode() in file.read_bytes()
    except FileNotFoundError:
        return False
