"""Every alert, from what vendors do to a message that arrives: once when it is raised, with what to do, and once when it is over.

The shipped adapters buy from the emulated vendors, the shipped rules are evaluated every minute, and a program on this machine
is told by signed POSTs. Time is the ledger's and the vendors' own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from aiprod import parking
from aiprod.budgets import Scope
from aiprod.catalog import Catalog
from aiprod.channels import Channel, Notifications, Route, Webhook
from aiprod.emulators.monitoring import Monitoring
from aiprod.emulators.running import Vendors
from aiprod.errors import JobFailed
from aiprod.ledger import Ledger, cursors, limits
from aiprod.notifying import webhook_sender
from tests.auditor import audit
from tests.catalogue import CONFIG
from tests.market import Market
from tests.receiver import SECRET, Receiver, receiving
from tests.vendors.street import shipped

#: After the shipped prices begin.
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
#: What one alert is about: its name and its subject.
Told = tuple[str, str]
#: A metric of ours, as Cloud Monitoring calls it.
OURS = "custom.googleapis.com/aiprod/backend_requests"


@dataclass
class Town:
    """Vendors, a ledger, and somebody who is told; all of them live in the time that the test sets."""

    vendors: Vendors
    office: Receiver
    #: A program that is told of everything else.
    shop: Receiver
    market: Market
    patch: pytest.MonkeyPatch
    #: What is stopped at the end.
    running: ExitStack
    now: datetime = START

    def passes(self, *, steps: int = 1, **each: float) -> None:
        """Let time pass, and at the end of each step do what Airflow does every minute: flush, watch, notify."""
        senders = {"webhook": webhook_sender(own=(self.office.origin, self.shop.origin))}
        for _ in range(steps):
            self.now += timedelta(**each)
            self.vendors.advance(timedelta(**each).total_seconds())
            self.market.pipeline.flush_metrics()
            self.market.pipeline.relay(senders)

    def order(self, words: str = "ok", *, job_id: str = "job-1") -> None:
        """Order two seconds of Runway for $0.24, approved and routed."""
        self.market.routed(f"a lighthouse [[runway={words}]]", job_id=job_id, backend="runway", seconds=2, audio=False)

    def buy(self, words: str = "ok", *, job_id: str = "job-1") -> None:
        self.order(words, job_id=job_id)
        self.look(job_id)

    def look(self, job_id: str = "job-1") -> None:
        """Push the render as far as it goes, as its task and its trigger do."""
        self.market.render("runway", job_id=job_id)

    @cached_property
    def cloud(self) -> Monitoring:
        """Cloud Monitoring, which is a sink from now on."""
        service = self.running.enter_context(Monitoring(clock=lambda: self.now.timestamp()))
        for name, value in {**service.environment, "GCP_PROJECT_ID": "p", "AIPROD_METRICS_SINKS": "cloud_monitoring"}.items():
            self.patch.setenv(name, value)
        return service

    def told(self, topic: str) -> list[Told]:
        """Of which alerts the office was told, in this order."""
        return [(said["alert"], said["subject"]) for said in self.messages(topic)]

    def messages(self, topic: str) -> list[dict[str, Any]]:
        return [body["data"] for body in self.office.bodies if body["type"] == topic]


@pytest.fixture
def town(vendors: Vendors, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door_open: None) -> Iterator[Town]:
    environment = {**vendors.environment, "AIPROD_DATABASE_URL": sqlite_url, "AIPROD_HOOK_SECRET": SECRET}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    vendors.terms(ahead=START.timestamp() - time.time())
    towns: list[Town] = []
    ledger = Ledger(sqlite_url, clock=lambda: towns[0].now if towns else START)
    with ExitStack() as running:
        office, shop = (running.enter_context(receiving()) for _ in range(2))
        catalog = told_to(priced_today(shipped()), office=hook(office), shop=hook(shop))
        towns.append(Town(vendors, office, shop, Market(ledger, catalog, tmp_path), monkeypatch, running))
        yield towns[0]
    with ledger.read() as conn:
        assert audit(conn) == []


def hook(receiver: Receiver) -> Webhook:
    # No configuration could name this address: it is neither https nor public.
    return Webhook.model_construct(
        kind="webhook", url=f"{receiver.origin}/hook", secret_env="AIPROD_HOOK_SECRET", secret_conn=None
    )


def told_to(catalog: Catalog, *, office: Channel, shop: Channel) -> Catalog:
    """The office is told of alerts as the shipped routes say, the shop of jobs that were cancelled."""
    shipped_ones = {topic for route in catalog.notifications.routes for topic in route.topics}
    alerts = tuple(topic for topic in ("alert_raised", "alert_resolved") if topic in shipped_ones)
    routes = (Route(topics=alerts, channels=("office",)), Route(topics=("job_cancelled",), channels=("shop",)))
    told = Notifications.model_construct(channels={"office": office, "shop": shop}, routes=routes)
    return catalog.model_copy(update={"notifications": told})


def priced_today(catalog: Catalog, on: datetime = START) -> Catalog:
    """Every price was compared with the vendor's page on a day, and is the same."""
    newer = [price.model_copy(update={"valid_from": on.date()}) for price in catalog.prices.prices]
    prices = catalog.prices.model_copy(update={"prices": (*catalog.prices.prices, *newer)})
    return catalog.model_copy(update={"tariffs": {**catalog.tariffs, "list": prices}})


# --- what happens, and how it ends -----------------------------------------------------------------------------


def most_of_the_day_is_spent(town: Town) -> None:
    town.market.with_budgets(day_warn_usd="0.20", day_usd=1)
    town.buy()
    town.passes(minutes=1)


def all_of_the_day_is_spent(town: Town) -> None:
    town.market.with_budgets(day_warn_usd="0.20", day_usd="0.24")
    town.buy()
    town.passes(minutes=1)


def too_little_is_left_for_anything(town: Town) -> None:
    town.market.with_budgets(day_warn_usd="0.30", day_usd="0.30")
    town.buy()
    with pytest.raises(JobFailed, match="left"):
        town.order(job_id="job-2")
    town.passes(minutes=1)


def a_person_lowers_the_cap(town: Town) -> None:
    town.buy()
    cap(town, 250_000)
    town.passes(minutes=1)


def a_person_raises_the_cap(town: Town) -> None:
    cap(town, 1_000_000)
    town.passes(minutes=1)


def cap(town: Town, micros: int) -> None:
    with town.market.ledger.write() as conn:
        limits.set_cap(conn, Scope(kind="day"), micros, by="ann", catalog=town.market.catalog, now=town.now)


def midnight(town: Town) -> None:
    town.passes(hours=13)


def takes_are_bad(town: Town) -> None:
    town.buy("still")
    town.market.pipeline.score(["job-1"], 1)
    town.passes(minutes=1)
    town.passes(minutes=3, steps=2)


def a_job_takes_twenty_minutes(town: Town) -> None:
    town.buy()
    town.market.pipeline.score(["job-1"], 1)
    town.now += timedelta(minutes=20)
    town.market.pipeline.assemble(["job-1"])
    town.market.pipeline.deliver(["job-1"])
    town.passes(minutes=1)


def the_windows_pass(town: Town) -> None:
    town.passes(minutes=15, steps=5)


def renders_fail_three_times(town: Town) -> None:
    for n in range(3):
        town.buy("fail", job_id=f"job-{n}")
    town.passes(minutes=1)


def an_answer_is_lost_for_an_hour(town: Town) -> None:
    town.buy("lose")
    town.look()
    assert town.market.only().parked_at is not None
    town.passes(minutes=59)
    assert town.told("alert_raised") == []
    town.passes(minutes=2)


def a_person_answers(town: Town) -> None:
    key = town.market.only().purchase_id
    parking.answer(town.market.ledger, town.market.catalog, key, "write_off", by="ada", why="nobody can tell")
    town.passes(minutes=1)


def somebody_edits_the_books(town: Town) -> None:
    town.buy()
    town.market.sql("UPDATE caps SET reserved = reserved + 1 WHERE kind = 'job'")
    town.market.pipeline.reconcile()
    town.passes(minutes=1)


def and_puts_them_right(town: Town) -> None:
    town.market.sql("UPDATE caps SET reserved = reserved - 1 WHERE kind = 'job'")
    town.market.pipeline.reconcile()
    town.passes(minutes=1)


def nobody_compares_prices(town: Town) -> None:
    town.buy()
    town.passes(days=91)


def somebody_compares_them(town: Town) -> None:
    town.market.catalog = priced_today(town.market.catalog, town.now)
    town.passes(minutes=1)


def a_channel_refuses_what_it_is_told(town: Town) -> None:
    town.shop.answers = [500] * 100
    town.order()
    town.market.pipeline.cancel("job-1", by="ann")
    town.passes(minutes=4, steps=6)


def it_takes_it(town: Town) -> None:
    town.shop.answers = []
    town.passes(minutes=4, steps=5)
    assert town.shop.told[-1] == "job_cancelled"


def a_render_is_left_alone(town: Town) -> None:
    town.buy("slow:1000")
    town.passes(seconds=110)
    assert town.told("alert_raised") == []
    town.passes(minutes=1, steps=2)


def somebody_asks_for_it(town: Town) -> None:
    town.look()
    town.passes(seconds=30)


def a_sink_refuses_a_series(town: Town) -> None:
    from google.api import metric_pb2

    town.cloud.descriptors[OURS] = metric_pb2.MetricDescriptor(type=OURS, metric_kind="GAUGE", value_type="DOUBLE")
    town.buy()
    town.passes(minutes=1, steps=cursors.REFUSALS + 1)


def its_descriptor_is_deleted(town: Town) -> None:
    town.cloud.descriptors.pop(OURS)
    town.passes(minutes=10)
    assert town.told("alert_resolved") == [], "who refused so often is asked once a day"
    town.passes(days=1)
    town.passes(minutes=1)
    assert town.cloud.last("backend_requests", backend="runway").int64_value == 1, "and has the whole total then"


class Scenario(NamedTuple):
    """What happens, how it ends, and every alert that it raises."""

    happens: Callable[[Town], None]
    ends: Callable[[Town], None]
    alerts: set[str]


SCENARIOS = (
    Scenario(most_of_the_day_is_spent, midnight, {"budget_warning"}),
    Scenario(all_of_the_day_is_spent, midnight, {"budget_critical", "budget_warning"}),
    Scenario(too_little_is_left_for_anything, midnight, {"budget_critical"}),
    Scenario(a_person_lowers_the_cap, a_person_raises_the_cap, {"budget_warning"}),
    Scenario(takes_are_bad, the_windows_pass, {"quality_low", "quality_7d_fast", "quality_7d_slow"}),
    Scenario(a_job_takes_twenty_minutes, the_windows_pass, {"latency_high", "latency_7d_fast", "latency_7d_slow"}),
    Scenario(renders_fail_three_times, the_windows_pass, {"backend_errors"}),
    Scenario(an_answer_is_lost_for_an_hour, a_person_answers, {"parked_too_long"}),
    Scenario(somebody_edits_the_books, and_puts_them_right, {"books_contradict"}),
    Scenario(nobody_compares_prices, somebody_compares_them, {"prices_old"}),
    Scenario(a_channel_refuses_what_it_is_told, it_takes_it, {"events_stuck"}),
    Scenario(a_render_is_left_alone, somebody_asks_for_it, {"render_unwatched"}),
    Scenario(a_sink_refuses_a_series, its_descriptor_is_deleted, {"metrics_refused"}),
)


def what_to_do() -> dict[str, str]:
    """What the shipped file says is to be done, by every alert and burn that it has: not as the library reads it."""
    file = yaml.safe_load((CONFIG / "alerts.yaml").read_text())
    burns = {f"{name}_{b['name']}": o["what_to_do"] for name, o in file["objectives"].items() for b in o["burns"]}
    return {name: rule["what_to_do"] for name, rule in file["alerts"].items()} | burns


def test_every_rule_of_the_file_has_a_scenario() -> None:
    """An alert that nobody saw firing is a hope."""
    assert set(what_to_do()) == {alert for scenario in SCENARIOS for alert in scenario.alerts}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.happens.__name__)
def test_the_office_is_told_once_with_what_to_do_and_once_that_it_is_over(town: Town, scenario: Scenario) -> None:
    town.passes(minutes=1)
    assert town.office.bodies == [], "an idle house is quiet"
    scenario.happens(town)
    raised = town.told("alert_raised")
    assert {alert for alert, _ in raised} == scenario.alerts
    assert len(raised) == len(set(raised)), "each once"
    for said in town.messages("alert_raised"):
        assert said["what_to_do"] == what_to_do()[said["alert"]]
        assert said["message"] and said["severity"] in ("warning", "critical")
    town.passes(minutes=1)
    scenario.ends(town)
    assert town.told("alert_raised") == raised, "nobody is told again"
    assert sorted(town.told("alert_resolved")) == sorted(raised)
    assert len(town.office.ids) == len(set(town.office.ids)) == 2 * len(raised)
