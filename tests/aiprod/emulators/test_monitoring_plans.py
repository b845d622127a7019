"""Policies, objectives and dashboards that the real service refuses are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.api import metric_pb2
from google.cloud import monitoring_v3 as m

from aiprod.emulators.monitoring_plans import Plans

KIND = "custom.googleapis.com/aiprod/x"


class Refused(Exception):
    pass


class Context:
    def abort(self, code: Any, why: str) -> None:
        raise Refused(why)


@pytest.fixture
def plans() -> Plans:
    return Plans({KIND: metric_pb2.MetricDescriptor(type=KIND)})


def call(plans: Plans, method: str, request: Any) -> Any:
    methods = {name: do for of in plans.methods().values() for name, (do, _, _) in of.items()}
    return methods[method](request, Context())


def policy(*, filter: str = f'metric.type="{KIND}"', duration: str = "60s", period: str = "60s", **said: Any) -> m.AlertPolicy:
    threshold = {"filter": filter, "duration": duration, "aggregations": [{"alignmentPeriod": period}]}
    return m.AlertPolicy.from_json(json.dumps({"displayName": "d", "conditions": [{"conditionThreshold": threshold}], **said}))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (policy(conditions=[]), "one to six"),
        (policy(duration="90s"), "multiple of 60 s"),
        (policy(period="30s"), "alignment period"),
        (policy(filter='metric.type="custom.googleapis.com/aiprod/nobody"'), "Cannot find metric"),
        (policy(filter='select_slo_burn_rate("projects/p/services/s/serviceLevelObjectives/o", "60s")'), "no such objective"),
        (policy(notificationChannels=["projects/p/notificationChannels/9"]), "no notification channel"),
    ],
)
def test_a_policy_that_is_wrong_is_refused(plans: Plans, wanted: m.AlertPolicy, said: str) -> None:
    with pytest.raises(Refused, match=said):
        call(plans, "CreateAlertPolicy", m.CreateAlertPolicyRequest(name="projects/p", alert_policy=wanted))


def test_two_of_the_same_are_two_policies(plans: Plans) -> None:
    """The service knows its own names only: who deploys twice without looking has everything twice."""
    for _ in range(2):
        call(plans, "CreateAlertPolicy", m.CreateAlertPolicyRequest(name="projects/p", alert_policy=policy()))
    assert len(plans.policies) == 2


def test_an_objective_needs_its_service_and_is_made_once(plans: Plans) -> None:
    wanted = m.CreateServiceLevelObjectiveRequest(parent="projects/p/services/s", service_level_objective_id="o")
    with pytest.raises(Refused, match="no service"):
        call(plans, "CreateServiceLevelObjective", wanted)
    call(plans, "CreateService", m.CreateServiceRequest(parent="projects/p", service_id="s", service=m.Service()))
    call(plans, "CreateServiceLevelObjective", wanted)
    with pytest.raises(Refused):
        call(plans, "CreateServiceLevelObjective", wanted)


def test_what_is_not_there_cannot_be_updated(plans: Plans) -> None:
    with pytest.raises(Refused, match="no name"):
        call(plans, "UpdateAlertPolicy", m.UpdateAlertPolicyRequest(alert_policy=policy()))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"displayName": "d", "mosaicLayout": {"tiles": [{"widget": {}}]}}'])
def test_a_dashboard_that_is_none_is_refused(plans: Plans, body: bytes) -> None:
    assert plans.dashboard("POST", "projects/p/dashboards", body)[0] == 400
