"""When an alert fires and when it is over: lines, windows, holds. Each end to end is in `tests/vendors/test_every_alert.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aiprod import parking
from aiprod.alerting import happenings, quantile, watch
from aiprod.budgets import Scope
from aiprod.catalog import Catalog, catalog
from aiprod.errors import JobFailed
from aiprod.ledger import Ledger, alerts, cursors, limits, outbox, points, results
from aiprod.ledger.history import Growth
from aiprod.models import QAReport, Verdict
from tests.desk import race
from tests.market import Market

#: After the scripted prices began, and before they are old.
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Watched:
    """A market whose clock the test sets, and the alerts of every minute."""

    market: Market
    now: datetime = START

    def after(self, **passed: float) -> list[tuple[str, str, str]]:
        """Let time pass, and the minute's flush; return which alerts were raised or resolved, of which subject."""
        self.now += timedelta(**passed)
        minute = self.market.pipeline.flush_metrics()
        return [(change.became, change.alert, change.subject) for change in minute.changes]

    def emit(self, name: str, value: float, **labels: str) -> None:
        with self.market.ledger.write() as conn:
            points.emit(conn, name, value, now=self.now, **labels)


@pytest.fixture
def watched(sqlite_url: str, open_market: Callable[[Ledger, str], Market]) -> Watched:
    house: list[Watched] = []
    ledger = Ledger(sqlite_url, clock=lambda: house[0].now if house else START)
    house.append(Watched(open_market(ledger, "MuteVendor")))
    assert house[0].after(minutes=1) == [], "an idle house is quiet"
    return house[0]


class TestMoney:
    def test_the_warning_line_and_midnight(self, watched: Watched) -> None:
        watched.market.with_budgets(day_warn_usd=0.1, day_usd=1)
        watched.market.routed()
        assert watched.after(minutes=1) == [("raised", "budget_warning", "")]
        assert watched.after(minutes=1) == [], "told once"
        assert watched.after(days=1) == [("resolved", "budget_warning", "")]

    def test_a_day_that_is_used_up_to_the_cent(self, watched: Watched) -> None:
        watched.market.with_budgets(day_warn_usd=0.1, day_usd=0.12)
        watched.market.routed()
        assert ("raised", "budget_critical", "") in watched.after(minutes=1)
        assert ("resolved", "budget_critical", "") in watched.after(days=1)

    def test_a_day_with_too_little_left_for_anything_is_used_up_too(self, watched: Watched) -> None:
        watched.market.with_budgets(day_warn_usd=0.15, day_usd=0.15)
        watched.market.routed()
        assert watched.after(minutes=1) == []
        watched.market.approved(job_id="job-2", backend="runway")
        with pytest.raises(JobFailed, match="left"):
            watched.market.pipeline.route(["job-2"], 1)
        assert watched.after(minutes=1) == [("raised", "budget_critical", "")]
        assert watched.after(minutes=11) == [("resolved", "budget_critical", "")]

    def test_a_cap_set_by_hand_moves_both_lines(self, watched: Watched) -> None:
        """Told at the configured line, a raised cap would cry wolf all day, and a lowered one would stop jobs unannounced."""
        own = watched.market
        own.with_budgets(day_warn_usd=0.1, day_usd=0.12)
        own.routed()
        assert ("raised", "budget_critical", "") in watched.after(minutes=1)

        def cap(micros: int) -> None:
            with own.ledger.write() as conn:
                limits.set_cap(conn, Scope(kind="day"), micros, by="ann", catalog=own.catalog, now=watched.now)

        cap(10_000_000)
        assert {("resolved", "budget_warning", ""), ("resolved", "budget_critical", "")} == set(watched.after(minutes=1))
        cap(130_000)
        assert watched.after(minutes=1) == [("raised", "budget_warning", "")], "0.12 is over ten twelfths of 0.13"

    def test_old_prices(self, watched: Watched) -> None:
        assert ("raised", "prices_old", "runway") in watched.after(days=60)
        prices = watched.market.catalog.prices
        newer = [p.model_copy(update={"valid_from": watched.now.date()}) for p in prices.prices]
        fresh = prices.model_copy(update={"prices": (*prices.prices, *newer)})
        watched.market.catalog = watched.market.catalog.model_copy(update={"tariffs": {"list": fresh}})
        assert ("resolved", "prices_old", "runway") in watched.after(minutes=1)


class TestTheWork:
    def test_a_job_that_took_long_and_the_objective_it_burns(self, watched: Watched) -> None:
        watched.market.approved()
        watched.market.run("job-1")
        watched.now += timedelta(minutes=20)
        watched.market.pipeline.assemble(["job-1"])
        watched.market.pipeline.deliver(["job-1"])
        raised = watched.after(minutes=1)
        assert raised == [
            ("raised", "latency_high", ""),
            ("raised", "latency_7d_fast", ""),
            ("raised", "latency_7d_slow", ""),
        ]
        assert watched.after(minutes=10) == [("resolved", "latency_7d_fast", "")], "not in the short window any more"
        assert ("resolved", "latency_7d_slow", "") in watched.after(minutes=31)
        assert watched.after(minutes=61) == [("resolved", "latency_high", "")]

    def test_takes_of_low_quality_for_a_while(self, watched: Watched) -> None:
        watched.market.bought()
        report = QAReport(take_id=watched.market.only().purchase_id, technical=0.4)
        with watched.market.ledger.write() as conn:
            results.judge(conn, report, Verdict.REJECTED, now=watched.now)
        assert not [change for change in watched.after(minutes=1) if change[1] == "quality_low"], "it has to last"
        assert watched.after(minutes=6)[0] == ("raised", "quality_low", "technical")
        assert ("resolved", "quality_low", "technical") in watched.after(minutes=61)

    def test_a_backend_that_fails_and_only_that_one(self, watched: Watched) -> None:
        for n in range(3):
            watched.market.bought("[[veo3=fail]]", backend="veo3", job_id=f"job-{n}")
        assert watched.after(minutes=1) == [("raised", "backend_errors", "veo3")]
        assert watched.after(minutes=11) == [("resolved", "backend_errors", "veo3")]

    def test_prompts_that_vendors_refuse_are_not_their_failure(self, watched: Watched) -> None:
        for n in range(3):
            watched.market.bought("[[runway=moderated]]", backend="runway", job_id=f"job-{n}")
        assert watched.after(minutes=1) == []


class TestWhatNeedsAPerson:
    def test_a_parked_purchase(self, watched: Watched) -> None:
        watched.market.bought("[[runway=lose]]")
        watched.market.render()
        assert watched.market.only().parked_at is not None
        assert watched.after(minutes=50) == []
        assert watched.after(minutes=20) == [("raised", "parked_too_long", "")]
        key, own = watched.market.only().purchase_id, watched.market
        parking.answer(own.ledger, own.catalog, key, "write_off", by="ada", why="nobody can tell")
        assert watched.after(minutes=1) == [("resolved", "parked_too_long", "")]

    def test_books_that_contradict_themselves(self, watched: Watched) -> None:
        watched.market.routed()
        watched.market.sql("UPDATE caps SET reserved = reserved + 1 WHERE kind = 'job'")
        watched.market.pipeline.reconcile()
        assert watched.after(minutes=1) == [("raised", "books_contradict", "")]
        watched.market.sql("UPDATE caps SET reserved = reserved - 1 WHERE kind = 'job'")
        watched.market.pipeline.reconcile()
        assert watched.after(minutes=1) == [("resolved", "books_contradict", "")]

    def test_a_render_that_nobody_asks_for(self, watched: Watched) -> None:
        watched.market.bought("[[runway=slow:100000]]")
        vendor_id, own = watched.market.only().vendor_id, watched.market

        def seen() -> None:
            micros = int(watched.now.timestamp() * 1_000_000)
            own.sql("DELETE FROM sightings")
            own.sql("INSERT INTO sightings (backend, vendor_id, seen_at) VALUES ('runway', :id, :at)", id=vendor_id, at=micros)

        seen()
        assert watched.after(minutes=1.5) == []
        assert watched.after(minutes=1) == [], "the trigger may have been restarted: it has to last"
        assert watched.after(minutes=1) == [("raised", "render_unwatched", "")]
        seen()
        assert watched.after(minutes=1) == [("resolved", "render_unwatched", "")]


class TestTheMachinery:
    def test_events_that_a_relay_cannot_deliver(self, watched: Watched) -> None:
        with watched.market.ledger.write() as conn:
            outbox.emit(conn, "e", "job_delivered", now=watched.now)
        assert watched.after(minutes=60) == [], "nobody listens, so nobody misses it"
        with watched.market.ledger.write() as conn:
            outbox.claim(conn, now=watched.now)
        watched.after(minutes=1)
        assert watched.after(minutes=6) == [("raised", "events_stuck", "")]
        with watched.market.ledger.write() as conn:
            outbox.delivered(conn, ["e", *[e.event_key for e in outbox.claim(conn, now=watched.now)]], now=watched.now)
        assert watched.after(minutes=1) == [("resolved", "events_stuck", "")]

    def test_a_sink_that_refuses_a_series(self, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIPROD_METRICS_SINKS", "otlp")
        monkeypatch.setenv("AIPROD_OTLP_ENDPOINT", "http://127.0.0.1:9")
        with watched.market.ledger.write() as conn:
            one = points.series(conn)[0]
            for _ in range(cursors.REFUSALS):
                cursors.refuse(conn, "otlp", [cursors.Refused(one, "no")], now=watched.now)
        assert watched.after(minutes=1) == [("raised", "metrics_refused", "otlp")]
        with watched.market.ledger.write() as conn:
            cursors.ack(conn, "otlp", [one], ended_at=watched.now)
        assert watched.after(minutes=1) == [("resolved", "metrics_refused", "otlp")]

    def test_an_objective_for_quality_that_burns(self, watched: Watched) -> None:
        for _ in range(9):
            watched.emit("quality_score", 0.3, dimension="technical")
        watched.emit("quality_score", 0.9, dimension="technical")
        raised = watched.after(minutes=1)
        assert {("raised", "quality_7d_fast", ""), ("raised", "quality_7d_slow", "")} <= set(raised)
        assert ("resolved", "quality_7d_fast", "") in watched.after(minutes=10)
        assert ("resolved", "quality_7d_slow", "") in watched.after(minutes=31)


class TestTelling:
    def raise_one(self, watched: Watched) -> None:
        watched.market.with_budgets(day_warn_usd=0.1, day_usd=1)
        watched.market.routed()
        assert watched.after(minutes=1)

    def test_an_event_says_what_it_is_and_what_to_do(self, watched: Watched) -> None:
        self.raise_one(watched)
        (told,) = watched.market.events("alert_raised")
        assert told | {"what_to_do": ""} == {
            "alert": "budget_warning",
            "subject": "",
            "severity": "warning",
            "message": "Today's money is nearly used up: spend_today is $0.12, and the line is $0.10",
            "what_to_do": "",
            "value": 0.12,
            "threshold": 0.1,
            "since": watched.now.isoformat(),
        }
        assert "aiprod budget raises it" in told["what_to_do"]
        watched.after(days=1)
        (over,) = watched.market.events("alert_resolved")
        assert (over["alert"], over["since"]) == (told["alert"], told["since"])

    def test_it_may_come_again_and_is_told_again(self, watched: Watched) -> None:
        self.raise_one(watched)
        watched.after(days=1)
        watched.market.routed(job_id="job-2")
        assert watched.after(minutes=1) == [("raised", "budget_warning", "")]
        assert len(watched.market.events("alert_raised")) == 2
        with watched.market.ledger.read() as conn:
            assert [a.resolved_at is None for a in alerts.latest(conn)] == [True, False]

    def test_what_did_not_last_is_told_to_nobody(self, watched: Watched) -> None:
        with watched.market.ledger.write() as conn:
            outbox.emit(conn, "e", "job_delivered", now=watched.now)
            outbox.claim(conn, now=watched.now)
        watched.after(minutes=16)
        with watched.market.ledger.write() as conn:
            outbox.delivered(conn, ["e"], now=watched.now)
        watched.after(minutes=6)
        assert watched.market.events("alert_raised") == watched.market.events("alert_resolved") == []
        assert watched.market.count("alerts") == 0


def test_many_who_look_at_the_same_moment_tell_it_once(market: Market) -> None:
    market.with_budgets(day_warn_usd=0.1, day_usd=1)
    market.routed()
    market.pipeline.push_metrics()
    told = race(4, lambda _: watch(market.ledger, market.catalog))
    raised = [change.alert for changes in told if isinstance(changes, list) for change in changes]
    assert len(told) == 4 and raised.count("budget_warning") == 1, told
    assert len(raised) == len(market.events("alert_raised"))


class TestReckoning:
    @pytest.mark.parametrize(
        ("buckets", "where"),
        [((100, 0, 0), 9.5), ((0, 100, 0), 19.5), ((95, 5, 0), 10.0), ((94, 6, 0), 11.66), ((0, 0, 5), 20.0)],
    )
    def test_a_percentile_lies_where_prometheus_says(self, buckets: tuple[int, ...], where: float) -> None:
        assert quantile(0.95, (10.0, 20.0), buckets) == pytest.approx(where, abs=0.01)

    @pytest.mark.parametrize(("slow", "fires"), [(5, False), (6, True)])
    def test_five_in_a_hundred_may_be_slow_and_six_may_not(self, config: Catalog, slow: int, fires: bool) -> None:
        bounds = config.metrics["pipeline_duration"].bounds or ()
        buckets = [0] * (len(bounds) + 1)
        buckets[bounds.index(900) + 1], buckets[0] = slow, 100 - slow
        grown = Growth(labels={"status": "delivered"}, count=100, total=1, buckets=tuple(buckets), last=1)
        told = {h.alert for h in happenings(config, lambda metric, _: [grown] if metric == "pipeline_duration" else [])}
        assert ("latency_high" in told) is fires

    def test_nothing_measured_is_nothing_amiss(self) -> None:
        assert list(happenings(catalog(), lambda metric, seconds: [])) == []

    def test_what_to_do_is_never_left_out(self, config: Catalog) -> None:
        rules: list[Any] = [*config.alerts.values(), *config.objectives.values()]
        assert all(len(rule.what_to_do) > 40 for rule in rules)
