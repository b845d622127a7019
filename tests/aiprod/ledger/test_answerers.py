"""Who has a word: members, and where the preset wants two people no name stands for both."""

from __future__ import annotations

from typing import Any

import pytest

from aiprod.catalog import Catalog, Project
from aiprod.errors import NotAMember, SamePerson
from aiprod.ledger import answerers, jobs
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


def configured(known: Catalog, *, members: tuple[str, ...] | None = None, approver_differs: bool = True) -> Catalog:
    """The catalogue with a preset that wants two people, or not, and a project that is its members', or everybody's."""
    rules = known.presets["quick_social"].model_copy(update={"approver_differs": approver_differs})
    listed = {} if members is None else {"default": Project(members=members)}
    access = known.access.model_copy(update={"projects": listed})
    return known.model_copy(update={"presets": {**known.presets, "quick_social": rules}, "access": access})


def word(desk: Desk, by: str, **rules: Any) -> None:
    with desk.ledger.read() as conn:
        answerers.require_entitled(conn, configured(desk.catalog, **rules), "job-1", 2, by=by)


@pytest.mark.parametrize("by", ["Ann", " ann ", "Bob", "", "somebody"])
def test_who_ordered_it_wrote_it_or_has_no_name_does_not_count(desk: Desk, job: str, by: str) -> None:
    with pytest.raises(SamePerson, match=r"another person|somebody with a name"):
        word(desk, by)


def test_anybody_else_counts_and_where_the_preset_is_silent_everybody(desk: Desk, job: str) -> None:
    word(desk, "cid")
    word(desk, "Ann", approver_differs=False)


def test_the_page_can_say_beforehand_who_it_may_not_be(desk: Desk, job: str) -> None:
    with desk.ledger.read() as conn:
        assert answerers.creator(conn, configured(desk.catalog), job) == "Ann"
        assert answerers.creator(conn, configured(desk.catalog, approver_differs=False), job) is None


@pytest.mark.parametrize("by", ["cid", "", "somebody", "Anonymous"])
def test_of_a_listed_project_only_members_have_a_word(desk: Desk, job: str, by: str) -> None:
    with pytest.raises(NotAMember, match="is not a member of default"):
        word(desk, by, members=("dan",), approver_differs=False)
    word(desk, "dan", members=("dan",))
