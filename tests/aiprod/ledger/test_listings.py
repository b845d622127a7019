"""Ten thousand jobs in a list that answers at once, and finds what was asked for and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from aiprod.ledger import jobs
from aiprod.ledger.listings import page
from aiprod.models import Estimate, JobFilter, JobSpec, JobStatus, ShotSpec
from tests.desk import NOW, Desk, manifest

PRICE = Estimate(tariff="list", lines=(), expected=0, worst_case=1)
ORDERS: dict[str, dict[str, Any]] = {
    "plain": {"prompt": "A lighthouse, 50% fog"},
    "listed": {"shots": (ShotSpec(prompt='zwölf "boats"'), ShotSpec(prompt="a Pier"))},
    "acme-1": {"prompt": "prompt and preset", "project": "acme", "preset": "premium_spot"},
}


@pytest.fixture
def entered(desk: Desk) -> Desk:
    with desk.ledger.write() as conn:
        for n, (job_id, order) in enumerate(ORDERS.items()):
            at = NOW + timedelta(seconds=n)
            jobs.enter(conn, job_id, JobSpec(**order), now=at, by=f"person-{n}", campaign="spring" if n else None)
            jobs.write_manifest(conn, manifest(job_id), PRICE, ["runway"], by="test", now=at)
        jobs.attach_run(conn, "run-1", "plain", 1, now=NOW)
    return desk


def found(desk: Desk, *, limit: int = 50, before: tuple[datetime, str] | None = None, **wanted: Any) -> list[str]:
    with desk.ledger.read() as conn:
        return [row.job_id for row in page(conn, JobFilter(**wanted), before=before, limit=limit)]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["acme-1", "listed", "plain"]),
        ({"limit": 2}, ["acme-1", "listed"]),
        ({"before": (NOW + timedelta(seconds=2), "acme-1")}, ["listed", "plain"]),
        ({"statuses": (JobStatus.ESTIMATED,)}, ["plain"]),
        (
            {
                "statuses": (
                    JobStatus.CREATED,
                    JobStatus.ESTIMATED,
                )
            },
            ["acme-1", "listed", "plain"],
        ),
        ({"statuses": (JobStatus.DELIVERED,)}, []),
        ({"project": "acme"}, ["acme-1"]),
        ({"hidden_projects": ("acme",)}, ["listed", "plain"]),
        ({"preset": "premium_spot"}, ["acme-1"]),
        ({"preset": "premium%"}, []),
        ({"campaign": "spring"}, ["acme-1", "listed"]),
        ({"created_by": "person-0"}, ["plain"]),
        ({"text": "LIGHT"}, ["plain"]),
        ({"text": "50%"}, ["plain"]),
        ({"text": "5_%"}, []),
        ({"text": 'zwölf "boats"'}, ["listed"]),
        ({"text": "pier"}, ["listed"]),
        ({"text": "acme-"}, ["acme-1"]),
        ({"text": "preset"}, ["acme-1"]),
        ({"text": "'; DROP TABLE jobs;--"}, []),
    ],
    ids=str,
)
def test_a_filter_finds_what_it_says_newest_first(entered: Desk, wanted: dict[str, Any], ids: list[str]) -> None:
    assert found(entered, **wanted) == ids


def test_a_row_says_what_a_list_needs(entered: Desk) -> None:
    with entered.ledger.read() as conn:
        (row,) = page(conn, JobFilter(project="acme"), limit=1)
    assert (row.status, row.version, row.spec.preset, row.seconds, row.charged) == ("created", 1, "premium_spot", 5, 0)
    assert (row.quality, row.has_poster) == (None, False)
