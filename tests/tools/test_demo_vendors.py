"""What `make demo-vendors` keeps away from the emulators, and what it says of a run."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import pytest

from aiprod.catalog import Catalog
from aiprod.emulators.running import environment
from tools import demo_vendors
from tools.airflow_api import AirflowError

ATTEMPT = {
    "sequence": 1,
    "backend": "runway",
    "decision": "Shot 1 goes to runway.",
    "state": "failed",
    "failure": "vendor_internal",
    "message": "INTERNAL",
    "hold": 2_400_000,
    "charged": 0,
    "cost_source": "vendor",
}


def test_nothing_that_an_adapter_reads_comes_from_the_callers_environment(config: Catalog) -> None:
    entries = [config.backends[vendor] for vendor in config.vendors]
    read = {name for entry in entries for name in pkgutil.resolve_name(str(entry.adapter)).reads}

    assert read <= {*environment("http://127.0.0.1:1", Path("key.json")), *demo_vendors.NOT_FOR_THE_DEMO}


def test_an_attempt_is_told_with_its_colour_its_decision_and_its_money() -> None:
    said = demo_vendors._lines(ATTEMPT, {"attempt_1.runway": "failed"})

    assert [line.split() for line in said.splitlines()] == [
        ["✗", "attempt_1.runway", "red"],
        ["decided", "Shot", "1", "goes", "to", "runway."],
        ["became", "failed:", "INTERNAL", "(vendor_internal)"],
        ["money", "held", "$2.40,", "charged", "$0.00", "(so", "says", "the", "vendor)"],
    ]


def test_a_bill_that_differs_from_the_ledger_fails_the_demo() -> None:
    demo_vendors._compare([ATTEMPT], [{"billable_micros": 0}])

    with pytest.raises(AirflowError, match="differ"):
        demo_vendors._compare([ATTEMPT], [{"billable_micros": 10_000}])
