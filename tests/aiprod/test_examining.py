"""Examining a backend says what keeps it from being bought from, and spends nothing."""

from __future__ import annotations

from datetime import date

import pytest

from aiprod.catalog import Catalog
from aiprod.errors import BackendError, FailureKind
from aiprod.examining import Examined, examine, examine_judge
from aiprod.models import Checkup
from tests.market import Market
from tests.vendor import Vendor

TODAY = date(2026, 1, 2)


def examined(market: Market, name: str = "runway", *, today: date = TODAY) -> Examined:
    return examine(market.catalog, name, today=today)


def test_a_backend_without_its_key_says_which_name_is_missing_and_is_not_asked(
    local_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_market.with_backend("runway", needs=("RUNWAYML_API_SECRET",))
    monkeypatch.setattr(Vendor, "checkup", lambda self: pytest.fail("asked without a key"), raising=False)
    assert "RUNWAYML_API_SECRET is not set" in examined(local_market).missing


def test_what_the_vendor_says_of_the_account_is_told(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Checkup(authenticated="yes", left="7,540 credits", notes=("tier 2",))
    monkeypatch.setattr(Vendor, "checkup", lambda self: said)
    found = examined(local_market)
    assert (found.reachable, found.authenticated, found.left) == ("yes", "yes", "7,540 credits")
    assert (found.troubles, found.notes) == ((), ("tier 2",))
    assert local_market.accepts() == []


@pytest.mark.parametrize(
    ("kind", "reachable", "authenticated"),
    [(FailureKind.AUTH, "yes", "no"), (FailureKind.TRANSIENT, "no", "unknown"), (FailureKind.QUOTA_EXHAUSTED, "yes", "unknown")],
)
def test_no_answer_a_refused_key_and_an_empty_account_are_told_apart(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, kind: FailureKind, reachable: str, authenticated: str
) -> None:
    def checkup(self: Vendor) -> Checkup:
        raise BackendError("runway: what it said", kind=kind, money_moved="no")

    monkeypatch.setattr(Vendor, "checkup", checkup)
    found = examined(local_market)
    assert (found.reachable, found.authenticated, found.troubles) == (reachable, authenticated, ("runway: what it said",))


def test_a_model_that_the_vendor_retired_is_a_trouble(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vendor, "checkup", lambda self: Checkup(authenticated="yes", retired=("gen4.5",)))
    assert examined(local_market).troubles == ("gen4.5 is not offered any more: take it out of backends.yaml",)


def test_a_price_older_than_ninety_days_is_named_with_its_day(local_market: Market) -> None:
    (note,) = (n for n in examined(local_market, today=date(2026, 11, 23)).notes if n.startswith("gen4.5"))
    assert "2026-01-01" in note


def test_the_embedded_preview_is_ready_without_a_key(local_market: Market) -> None:
    assert (examined(local_market, "animatic").authenticated, examined(local_market, "animatic").troubles) == ("yes", ())


class TestJudge:
    def test_one_without_a_key_says_which(self, config: Catalog) -> None:
        found = examine_judge(config, today=date(2026, 11, 23))
        assert found is not None and "GEMINI_API_KEY" in found.missing and found.troubles == ()
        assert found.notes == ("its scores are not calibrated against people's words",)

    def test_an_old_price_is_told_and_a_missing_one_is_a_trouble(self, config: Catalog) -> None:
        old, none = (examine_judge(config, today=day) for day in (date(2027, 6, 1), date(2020, 1, 1)))
        assert old is not None and "its price is of 2026-10-01" in old.notes[0]
        assert none is not None and "takes are not judged" in none.troubles[0]

    def test_where_nobody_judges_there_is_nobody_to_examine(self, config: Catalog) -> None:
        quality = config.quality.model_copy(update={"semantic": config.quality.semantic.model_copy(update={"judge": None})})
        assert examine_judge(config.model_copy(update={"quality": quality}), today=date(2026, 11, 23)) is None
