"""What Cloud Monitoring keeps for people: alert policies, notification channels, services and objectives, dashboards."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
from google.cloud import monitoring_v3 as m

__all__ = ["Methods", "Plans"]

#: method → (what does it, what is asked, what is answered).
Methods = dict[str, tuple[Callable[[Any, Any], Any], Any, Any]]
_METRIC = re.compile(r'metric\.type\s*=\s*"([^"]+)"')


class Plans:
    """Stores what is well formed under names of its own, as the service does, and counts every change."""

    def __init__(self, descriptors: Mapping[str, Any]) -> None:
        self._descriptors = descriptors
        self.policies: dict[str, Any] = {}
        self.channels: dict[str, Any] = {}
        self.services: dict[str, Any] = {}
        self.objectives: dict[str, Any] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        #: Every create and update, in order: a second run that changes nothing adds none.
        self.changes: list[str] = []
        self._turn = threading.Lock()

    def methods(self) -> dict[str, Methods]:
        """Every method over gRPC, by service."""
        return {
            "google.monitoring.v3.AlertPolicyService": {
                "ListAlertPolicies": (
                    lambda request, _: m.ListAlertPoliciesResponse(alert_policies=list(self.policies.values())),
                    m.ListAlertPoliciesRequest,
                    m.ListAlertPoliciesResponse,
                ),
                "CreateAlertPolicy": (self._create_policy, m.CreateAlertPolicyRequest, m.AlertPolicy),
                "UpdateAlertPolicy": (self._update_policy, m.UpdateAlertPolicyRequest, m.AlertPolicy),
            },
            "google.monitoring.v3.NotificationChannelService": {
                "ListNotificationChannels": (
                    lambda request, _: m.ListNotificationChannelsResponse(notification_channels=list(self.channels.values())),
                    m.ListNotificationChannelsRequest,
                    m.ListNotificationChannelsResponse,
                ),
                "CreateNotificationChannel": (
                    lambda request, context: self._create(
                        self.channels,
                        f"{request.name}/notificationChannels/{len(self.channels) + 1}",
                        request.notification_channel,
                    ),
                    m.CreateNotificationChannelRequest,
                    m.NotificationChannel,
                ),
                "UpdateNotificationChannel": (
                    lambda request, context: self._update(self.channels, request.notification_channel, context),
                    m.UpdateNotificationChannelRequest,
                    m.NotificationChannel,
                ),
            },
            "google.monitoring.v3.ServiceMonitoringService": self._objectives(),
        }

    def _objectives(self) -> Methods:
        return {
            "GetService": (
                lambda request, context: self._get(self.services, request.name, context),
                m.GetServiceRequest,
                m.Service,
            ),
            "CreateService": (
                lambda request, context: self._create_named(
                    self.services, f"{request.parent}/services/{request.service_id}", request.service, context
                ),
                m.CreateServiceRequest,
                m.Service,
            ),
            "ListServiceLevelObjectives": (
                lambda request, _: m.ListServiceLevelObjectivesResponse(service_level_objectives=list(self.objectives.values())),
                m.ListServiceLevelObjectivesRequest,
                m.ListServiceLevelObjectivesResponse,
            ),
            "CreateServiceLevelObjective": (
                self._create_objective,
                m.CreateServiceLevelObjectiveRequest,
                m.ServiceLevelObjective,
            ),
            "UpdateServiceLevelObjective": (
                lambda request, context: self._update(self.objectives, request.service_level_objective, context),
                m.UpdateServiceLevelObjectiveRequest,
                m.ServiceLevelObjective,
            ),
        }

    # --- dashboards, which are spoken over HTTP -----------------------------------------------------------------------

    def dashboard(self, method: str, name: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Answer a request for a dashboard: GET and PATCH by its name, POST to the project's."""
        if method == "GET":
            return (200, self.dashboards[name]) if name in self.dashboards else (404, {})
        try:
            said = json.loads(body)
            tiles = said["mosaicLayout"]["tiles"]
        except (ValueError, KeyError, TypeError):
            return 400, {}
        if not said.get("displayName") or not all({"width", "height", "widget"} <= set(tile) for tile in tiles):
            return 400, {}
        name = said.get("name") or name
        if (method == "POST") == (name in self.dashboards):
            return (409 if method == "POST" else 404), {}
        with self._turn:
            self.dashboards[name] = {**said, "name": name, "etag": str(len(self.changes))}
            self.changes.append(f"{method} {name}")
        return 200, self.dashboards[name]

    # --- one of each --------------------------------------------------------------------------------------------------

    def _create_policy(self, request: Any, context: Any) -> Any:
        self._check_policy(request.alert_policy, context)
        policy = request.alert_policy
        name = f"{request.name}/alertPolicies/{len(self.policies) + 1}"
        for n, condition in enumerate(policy.conditions):
            condition.name = f"{name}/conditions/{n + 1}"
        # The service signs what it is given.
        policy.creation_record.mutated_by = "somebody@example.com"
        return self._create(self.policies, name, policy)

    def _update_policy(self, request: Any, context: Any) -> Any:
        self._check_policy(request.alert_policy, context)
        return self._update(self.policies, request.alert_policy, context)

    def _check_policy(self, policy: Any, context: Any) -> None:
        """What the protobuf types do not check and the service refuses."""
        if not 1 <= len(policy.conditions) <= 6:
            _refuse(context, "a policy has one to six conditions")
        for channel in policy.notification_channels:
            if channel not in self.channels:
                _refuse(context, f"no notification channel {channel}")
        for condition in policy.conditions:
            threshold = condition.condition_threshold
            if threshold.duration.total_seconds() % 60:
                _refuse(context, "the duration of a condition is a multiple of 60 s")
            for named in _METRIC.findall(threshold.filter):
                if named not in self._descriptors:
                    _refuse(context, f"Cannot find metric that matches type = {named!r}")
            if "select_slo_burn_rate" in threshold.filter and not any(name in threshold.filter for name in self.objectives):
                _refuse(context, "no such objective")
            for aggregation in threshold.aggregations:
                if not 60 <= aggregation.alignment_period.total_seconds() <= 90_000:
                    _refuse(context, "the alignment period is between 60 s and 25 h")

    def _create_objective(self, request: Any, context: Any) -> Any:
        if request.parent not in self.services:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.parent}")
        name = f"{request.parent}/serviceLevelObjectives/{request.service_level_objective_id}"
        return self._create_named(self.objectives, name, request.service_level_objective, context)

    def _get(self, store: dict[str, Any], name: str, context: Any) -> Any:
        if name not in store:
            context.abort(grpc.StatusCode.NOT_FOUND, name)
        return store[name]

    def _create(self, store: dict[str, Any], name: str, what: Any) -> Any:
        with self._turn:
            what.name = name
            store[name] = what
            self.changes.append(f"create {name}")
        return what

    def _create_named(self, store: dict[str, Any], name: str, what: Any, context: Any) -> Any:
        if name in store:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, name)
        return self._create(store, name, what)

    def _update(self, store: dict[str, Any], what: Any, context: Any) -> Any:
        if what.name not in store:
            context.abort(grpc.StatusCode.NOT_FOUND, what.name or "no name")
        with self._turn:
            store[what.name] = what
            self.changes.append(f"update {what.name}")
        return what


def _refuse(context: Any, why: str) -> NoReturn:
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
    raise AssertionError("abort does not return")
