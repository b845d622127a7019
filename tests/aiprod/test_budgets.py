"""Caps and days: which limits a purchase has, how tight, and when a day begins where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.budgets import (
    LOCK_ORDER,
    Cap,
    Scope,
    approval_is_automatic,
    cap_on,
    caps_for,
    day_window,
    envelope_amount,
    job_budget,
)
from aiprod.catalog import catalog
from aiprod.models import USD, Envelope, JobSpec
from tests.desk import HOUR, NOW

MICROSECOND = timedelta(microseconds=1)
ZONES = [
    "UTC",
    "Europe/Rome",
    "America/New_York",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
]


def envelope(amount=9 * USD):
    return Envelope(
        job_id="job-1",
        version=2,
        sequence=3,
        amount=amount,
        backends=("runway",),
        attempts_per_shot=3,
        expires_at=NOW + HOUR,
        approved_by="ann",
    )


def limits(config, *, now=NOW, backend="runway", campaign=None, **order):
    spec = JobSpec(prompt="a", **order)
    found = caps_for(spec=spec, job_id="job-1", envelope=envelope(), backend=backend, catalog=config, now=now, campaign=campaign)
    return {cap.kind: cap for cap in found}


def with_budgets(config, **changes):
    return config.model_copy(update={"budgets": config.budgets.model_copy(update=changes)})


class TestDay:
    @pytest.mark.parametrize(
        ("zone", "noon", "hours", "starts_utc"),
        [
            ("Europe/Rome", "2026-03-29", 23, "2026-03-28T23:00"),
            ("Europe/Rome", "2026-10-25", 25, "2026-10-24T22:00"),
            ("America/New_York", "2026-03-08", 23, "2026-03-08T05:00"),
            ("America/New_York", "2026-11-01", 25, "2026-11-01T04:00"),
            ("Australia/Lord_Howe", "2026-04-05", 24.5, "2026-04-04T13:00"),
            # Midnight does not exist: the day starts at 01:00 local.
            ("America/Sao_Paulo", "2018-11-04", 23, "2018-11-04T03:00"),
            ("Africa/Cairo", "2026-04-24", 23, "2026-04-23T22:00"),
            # The evening before comes twice.
            ("America/Sao_Paulo", "2018-02-17", 25, "2018-02-17T02:00"),
            ("UTC", "2026-11-23", 24, "2026-11-23T00:00"),
        ],
    )
    def test_a_day_is_from_local_midnight_to_local_midnight(self, zone, noon, hours, starts_utc):
        where = ZoneInfo(zone)
        now = datetime.fromisoformat(f"{noon}T12:00").replace(tzinfo=where)
        day, starts_at, ends_at = day_window(now, where)
        assert day == date.fromisoformat(noon)
        assert ends_at - starts_at == timedelta(hours=hours)
        assert starts_at == datetime.fromisoformat(starts_utc).replace(tzinfo=UTC)

    @pytest.mark.parametrize("zone", ZONES)
    def test_the_last_microsecond_is_today_and_the_next_is_tomorrow(self, zone):
        where = ZoneInfo(zone)
        day, _, ends_at = day_window(NOW, where)
        assert day_window(ends_at - MICROSECOND, where)[0] == day
        assert day_window(ends_at, where)[0] == day + timedelta(days=1)

    @settings(max_examples=200, deadline=None)
    @given(st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31)), st.sampled_from(ZONES))  # noqa: DTZ001 - a time without a zone is the point
    def test_every_moment_is_in_exactly_one_day_and_days_leave_no_gap(self, moment, zone):
        where, moment = ZoneInfo(zone), moment.replace(tzinfo=UTC)
        day, starts_at, ends_at = day_window(moment, where)
        assert starts_at <= moment < ends_at
        assert day_window(starts_at, where) == (day, starts_at, ends_at)
        assert day_window(ends_at, where)[1] == ends_at

    def test_the_same_moment_is_another_day_elsewhere(self):
        late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
        assert [day_window(late, ZoneInfo(z))[0].day for z in ("UTC", "Asia/Tokyo", "America/New_York")] == [23, 24, 23]


class TestCaps:
    def test_envelope_job_and_day_always_apply(self, config):
        found = limits(config)
        assert {kind: cap.cap for kind, cap in found.items()} == {"envelope": 9 * USD, "job": 10 * USD, "day": 100 * USD}
        assert found["envelope"].key == "job-1/2/3"
        assert (found["day"].key, found["day"].warn) == ("2026-11-23@UTC", 90 * USD)

    def test_project_backend_and_campaign_apply_where_they_are_set(self, config):
        config = with_budgets(config, project_usd={"acme": Decimal(7)}, backend_day_usd={"runway": Decimal("5.5")})
        campaign = Cap(kind="campaign", key="spring", cap=50 * USD)
        found = limits(config, project="acme", campaign=campaign)
        assert list(found) == list(LOCK_ORDER)
        assert (found["project"].cap, found["backend_day"].cap) == (7 * USD, 5_500_000)
        assert found["backend_day"].key == "runway:2026-11-23@UTC"
        assert "backend_day" not in limits(config, project="acme", backend="veo3")
        assert "project" not in limits(config)

    def test_a_new_day_is_another_row_and_the_job_and_its_envelope_are_not(self, config):
        config = with_budgets(config, backend_day_usd={"runway": Decimal(5)})
        today, tomorrow = limits(config), limits(config, now=NOW + timedelta(days=1))
        changed = {kind for kind in today if today[kind].key != tomorrow[kind].key}
        assert changed == {"day", "backend_day"}
        assert today["day"].ends_at == tomorrow["day"].starts_at

    @given(st.decimals(0, 10**6, allow_nan=False, places=6), st.sampled_from(["low", "normal", "high"]))
    def test_no_word_of_an_order_loosens_a_cap_it_does_not_own(self, config_once, budget, priority):
        free, asked = limits(config_once), limits(config_once, budget_usd=budget, priority=priority)
        assert {k: v for k, v in asked.items() if k != "job"} == {k: v for k, v in free.items() if k != "job"}

    def test_what_an_admin_set_stands_before_the_configuration_and_adds_what_it_has_not(self, config):
        config = with_budgets(config, project_usd={"acme": Decimal(7)})
        words = {"day": 50 * USD, "project:acme": 8 * USD, "backend:runway": 9 * USD, "project:other": 1, "backend:veo3": 2}
        found = caps_for(
            spec=JobSpec(prompt="a", project="acme"),
            job_id="job-1",
            envelope=envelope(),
            backend="runway",
            catalog=config,
            now=NOW,
            words=words,
        )
        assert {cap.kind: cap.cap for cap in found} == {
            "envelope": 9 * USD, "job": 10 * USD, "project": 8 * USD, "backend_day": 9 * USD, "day": 50 * USD,
        }  # fmt: skip

    @pytest.mark.parametrize(("said", "warn"), [(None, 90), (50, 45), (200, 180), (0, 0)])
    def test_a_day_set_by_hand_warns_at_the_same_share(self, config, said, warn):
        words = {} if said is None else {"day": said * USD}
        assert cap_on(Scope(kind="day"), config, now=NOW, words=words).warn == warn * USD

    def test_a_configured_day_of_nothing_warns_at_all_of_what_was_set(self, config):
        closed = with_budgets(config, day_usd=Decimal(0), day_warn_usd=Decimal(0))
        assert cap_on(Scope(kind="day"), closed, now=NOW, words={"day": 5 * USD}).warn == 5 * USD

    @pytest.mark.parametrize("kind", ["project", "backend", "campaign", "job"])
    def test_what_nobody_capped_has_no_cap(self, config, kind):
        assert cap_on(Scope(kind=kind, name="x"), config, now=NOW, words={"day": 1}) is None

    @pytest.mark.parametrize("kind", LOCK_ORDER)
    def test_every_cap_has_a_name_people_understand(self, kind):
        cap = Cap(kind=kind, key="k", cap=1)
        assert cap.name.endswith(" k")
        assert "_" not in cap.name


@pytest.fixture(scope="module")
def config_once():
    return catalog()


class TestAmounts:
    def test_a_jobs_budget_is_its_own_or_its_presets(self, config):
        preset = config.presets["quick_social"]
        assert job_budget(JobSpec(prompt="a"), preset) == 10 * USD
        assert job_budget(JobSpec(prompt="a", budget_usd="2.5"), preset) == 2_500_000
        assert job_budget(JobSpec(prompt="a", budget_usd=0), preset) == 0

    def test_a_budget_is_never_rounded_up(self, config):
        assert job_budget(JobSpec(prompt="a", budget_usd="1.0000009"), config.presets["quick_social"]) == 1_000_000

    @given(st.integers(0, 10**12), st.integers(0, 10**12))
    def test_an_envelope_is_never_more_than_the_budget_nor_than_the_worst_case(self, budget, worst):
        assert envelope_amount(budget, worst) == min(budget, worst)

    @pytest.mark.parametrize(("amount", "passes"), [(5 * USD, True), (5 * USD + 1, False), (0, True)])
    def test_up_to_the_presets_limit_nobody_is_asked(self, config, amount, passes):
        assert approval_is_automatic(config.presets["quick_social"], amount) is passes

    @pytest.mark.parametrize("preset", ["brand_campaign", "premium_spot"])
    def test_where_a_preset_wants_a_person_a_person_is_asked_even_for_nothing(self, config, preset):
        assert not approval_is_automatic(config.presets[preset], 0)
