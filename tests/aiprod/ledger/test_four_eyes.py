"""Where the preset wants two people, no name stands for both."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.errors import SamePerson
from aiprod.ledger import four_eyes, jobs
from aiprod.models import Estimate, JobSpec
from tests.desk import NOW, Desk, manifest


@pytest.fixture
def job(desk: Desk) -> str:
    price = Estimate(tariff="list", lines=(), expected=0, worst_case=1)
    with desk.ledger.write() as conn:
        jobs.enter(conn, "job-1", JobSpec(prompt="a lake"), now=NOW, by="Ann")
        jobs.write_manifest(conn, manifest(), price, ["runway"], by="Ann", now=NOW)
        jobs.write_manifest(conn, manifest(version=2), price, ["runway"], by="bob", now=NOW)
    return "job-1"


def word(desk: Desk, by: str, **preset: Any) -> None:
    rules = desk.catalog.presets["premium_spot"].model_copy(update={"approver_differs": True, **preset})
    with desk.ledger.read() as conn:
        four_eyes.require_another(conn, rules, "job-1", 2, by=by)


@pytest.mark.parametrize("by", ["Ann", " ann ", "Bob", "", "somebody"])
def test_who_ordered_it_wrote_it_or_has_no_name_does_not_count(desk: Desk, job: str, by: str) -> None:
    with pytest.raises(SamePerson, match=r"another person|somebody with a name"):
        word(desk, by)


def test_anybody_else_counts_and_where_the_preset_is_silent_everybody(desk: Desk, job: str) -> None:
    word(desk, "cid")
    word(desk, "Ann", approver_differs=False)


def test_the_page_can_say_beforehand_who_it_may_not_be(desk: Desk, job: str) -> None:
    strict = desk.catalog.presets["premium_spot"].model_copy(update={"approver_differs": True})
    with desk.ledger.read() as conn:
        assert four_eyes.creator(conn, strict, job) == "Ann"
        assert four_eyes.creator(conn, desk.catalog.presets["premium_spot"], job) is None
