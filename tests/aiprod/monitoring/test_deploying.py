"""Deploying creates what is missing, updates what differs, and does nothing the second time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.monitoring_v3 import AlertPolicy, NotificationChannel

from aiprod import settings
from aiprod.catalog import Catalog
from aiprod.emulators.monitoring import Monitoring
from aiprod.errors import BackendError, ConfigError
from aiprod.monitoring.deploying import deploy


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitoring]:
    with Monitoring() as running:
        for name, value in {**running.environment, "GCP_PROJECT_ID": "p"}.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def on_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification channel in the tree that is deployed from."""
    place = tmp_path / "monitoring" / "cloud" / "channels"
    place.mkdir(parents=True)
    said = {"type": "email", "displayName": "On call", "labels": {"email_address": "ops@example.com"}}
    (place / "ops.json").write_text(json.dumps(said))
    monkeypatch.setattr(settings, "shipped_config_dir", lambda: tmp_path / "config")


def test_the_first_run_creates_everything_and_the_second_nothing(config: Catalog, service: Monitoring, on_call: None) -> None:
    first = deploy(config, apply=True)
    burns = sum(len(objective.burns) for objective in config.objectives.values())
    assert Counter(one.what for one in first) == {
        "metric": len(config.metrics),
        "channel": 1,
        "policy": len(config.alerts) + burns,
        "dashboard": 1,
        "service": 1,
        "objective": len(config.objectives),
    }
    assert all(str(one).endswith(": created") for one in first)
    before = list(service.plans.changes)
    assert deploy(config, apply=True) == []
    assert service.plans.changes == before


def test_a_plan_says_what_would_be_done_and_does_nothing(config: Catalog, service: Monitoring) -> None:
    planned = deploy(config, apply=False)
    assert "policy budget_warning: missing, would be created" in map(str, planned)
    assert service.plans.changes == [] and service.descriptors == {}


def test_what_differs_is_updated_in_place(config: Catalog, service: Monitoring, on_call: None) -> None:
    deploy(config, apply=True)
    budgets = config.budgets.model_copy(update={"day_usd": 200, "day_warn_usd": 150})
    changed = config.model_copy(update={"budgets": budgets})
    told = [str(one) for one in deploy(changed, apply=True)]
    assert told == ["policy budget_warning: updated", "policy budget_critical: updated", "dashboard aiprod: updated"]
    lines = [c.condition_threshold.threshold_value for p in service.plans.policies.values() for c in p.conditions]
    assert 199.995 in lines and 99.995 not in lines
    assert len(service.plans.policies) == len({p.user_labels["policy"] for p in service.plans.policies.values()})


def test_who_was_added_by_hand_is_still_told_and_other_peoples_policies_are_left_alone(
    config: Catalog, service: Monitoring, on_call: None
) -> None:
    deploy(config, apply=True)
    mine = next(iter(service.plans.policies.values()))
    other, hand = "projects/p/alertPolicies/theirs", "projects/p/notificationChannels/by-hand"
    service.plans.channels[hand] = NotificationChannel(name=hand, type_="sms")
    service.plans.policies[other] = AlertPolicy(name=other, display_name="not ours")
    mine.notification_channels.append(hand)
    deploy(config, apply=True)
    kept = service.plans.policies[mine.name].notification_channels
    assert hand in kept and len(kept) == 2
    assert service.plans.policies[other] == AlertPolicy(name=other, display_name="not ours")


def test_an_open_incident_keeps_its_condition(config: Catalog, service: Monitoring) -> None:
    deploy(config, apply=True)
    names = {c.name for p in service.plans.policies.values() for c in p.conditions}
    budgets = config.budgets.model_copy(update={"day_usd": 200})
    deploy(config.model_copy(update={"budgets": budgets}), apply=True)
    assert {c.name for p in service.plans.policies.values() for c in p.conditions} == names


def test_a_refusal_is_told_and_nothing_behind_it_is_done(config: Catalog, service: Monitoring) -> None:
    from google.api import metric_pb2

    kind = "custom.googleapis.com/aiprod/render_time"
    service.descriptors[kind] = metric_pb2.MetricDescriptor(type=kind, metric_kind="GAUGE", value_type="INT64")
    with pytest.raises(ConfigError, match="kind and value type of a metric never change"):
        deploy(config, apply=True)
    assert service.plans.policies == {}


def test_without_a_project_nobody_is_asked(config: Catalog, service: Monitoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GCP_PROJECT_ID")
    with pytest.raises(BackendError, match="GCP_PROJECT_ID is not set"):
        deploy(config, apply=True)


@pytest.mark.parametrize("name", ["AIPROD_GCM_ENDPOINT", "AIPROD_GCM_DASHBOARDS"])
def test_half_a_rehearsal_is_refused_before_anything_goes_to_google(
    config: Catalog, service: Monitoring, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match="set both, or neither"):
        deploy(config, apply=True)
    assert service.plans.changes == [] and service.descriptors == {}
