"""The dashboard is brought up over HTTP, and a refusal of the service is an error and not silence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiprod.catalog import Catalog
from aiprod.emulators.monitoring import Monitoring
from aiprod.errors import ConfigError
from aiprod.metrics.google_client import Account
from aiprod.monitoring.deploying import Difference
from aiprod.monitoring.google_dashboards import Dashboards
from aiprod.monitoring.google_plans import dashboard


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitoring]:
    with Monitoring() as running:
        for name, value in {**running.environment, "GCP_PROJECT_ID": "p"}.items():
            monkeypatch.setenv(name, value)
        yield running


def brought_up(wanted: dict[str, object], *, done: bool = True) -> list[str]:
    told = Dashboards(Account(), 5).brought_up(
        wanted, lambda what, name, how: Difference(what=what, name=name, how=how, done=done)
    )
    return [one.how for one in told]


def test_it_is_made_once_changed_once_and_then_left_alone(config: Catalog, service: Monitoring) -> None:
    wanted = dashboard(config)
    assert brought_up(wanted, done=False) == ["missing"]
    assert service.plans.dashboards == {}
    assert [brought_up(wanted), brought_up(wanted)] == [["missing"], []]
    other = {**wanted, "displayName": "Another", "labels": {"app": "aiprod", "content": "other"}}
    assert [brought_up(other), brought_up(other)] == [["differs"], []]
    (kept,) = service.plans.dashboards.values()
    assert (kept["displayName"], kept["name"]) == ("Another", "projects/p/dashboards/aiprod")


def test_a_refusal_is_an_error(config: Catalog, service: Monitoring) -> None:
    with pytest.raises(ConfigError, match="HTTP 400 to POST"):
        brought_up({"displayName": "no layout", "labels": {}})


def test_nobody_there_is_an_error(config: Catalog, service: Monitoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_GCM_DASHBOARDS", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="no answer"):
        brought_up(dashboard(config))
