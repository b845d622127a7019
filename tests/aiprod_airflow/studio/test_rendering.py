"""Every state has its word, a score is never rounded up to a floor, and money keeps its digits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from aiprod.models import JobStatus, State
from aiprod_airflow.studio import rendering
from aiprod_airflow.studio.rendering import PURCHASE_WORDS, STATUS_WORDS


def test_every_state_has_a_word_and_a_tone() -> None:
    assert set(STATUS_WORDS) == set(JobStatus)
    assert set(PURCHASE_WORDS) == set(get_args(State))


def test_a_score_below_a_floor_is_not_shown_as_the_floor() -> None:
    assert (rendering._score(0.7999999), rendering._score(None), rendering._score(1.0)) == ("0.799", "–", "1.000")


def test_a_time_is_utc_until_the_script_knows_the_zone() -> None:
    at = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)

    assert str(rendering._time(at)) == '<time datetime="2026-11-02T09:30:00+00:00">2026-11-02 09:30 UTC</time>'


def test_amounts_below_a_cent_keep_their_digits() -> None:
    template = rendering._PAGES.from_string("{{ amount|dollars }}")

    assert [template.render(amount=n) for n in (1, 360_000, 4_340_001)] == ["$0.000001", "$0.36", "$4.340001"]


def test_a_part_is_never_rounded_up_to_a_goal_it_did_not_reach() -> None:
    assert [rendering._percent(part) for part in (0.9499999, 0.95, 1.0, 0.0, -0.5, None)] == [
        "94.9 %", "95 %", "100 %", "0 %", "-50 %", "–",
    ]  # fmt: skip


def test_a_difference_says_which_way_it_goes() -> None:
    assert [rendering._difference(n) for n in (1, -2_500_000, 0)] == ["+$0.000001", "−$2.50", "no change"]


def test_a_time_span_is_told_in_the_unit_people_would_use() -> None:
    assert [rendering.span(n) for n in (15, 59.9, 60, 900, 3600, 5400)] == ["15 s", "59.9 s", "1 min", "15 min", "1 h", "1.5 h"]
