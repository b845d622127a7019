"""Bringing Cloud Monitoring up to this release: what is missing is created, what differs is updated, the rest is left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from aiprod import settings
from aiprod.catalog import Catalog
from aiprod.errors import ConfigError
from aiprod.metrics.google_client import Account
from aiprod.metrics.google_words import PREFIX, descriptor
from aiprod.models import Noun
from aiprod.monitoring import google_plans
from aiprod.monitoring.google_dashboards import Dashboards
from aiprod.monitoring.google_plans import SERVICE

__all__ = ["Difference", "channels", "deploy"]

#: Seconds for one question; there are about fifty.
_PATIENCE = 20.0


class Difference(Noun):
    """One thing that is not as it should be there; `done` where it is by now."""

    what: str
    name: str
    how: Literal["missing", "differs"]
    done: bool

    def __str__(self) -> str:
        if self.done:
            return f"{self.what} {self.name}: {'created' if self.how == 'missing' else 'updated'}"
        return f"{self.what} {self.name}: {self.how}, would be {'created' if self.how == 'missing' else 'updated'}"


def deploy(catalog: Catalog, *, apply: bool) -> list[Difference]:
    """Compare, and with `apply` create and update; return what differed, in the order in which it was done.

    A second run finds nothing to do. Keyed by our own labels and ids, never by names that the service gives. Only what is ours
    is touched. Raises `ConfigError` for what the service refuses, `BackendError` without credentials.
    """
    from google.api_core.exceptions import GoogleAPIError

    # Before anything is asked: half of a rehearsal must not go to Google.
    settings.gcm_dashboards()
    try:
        return list(_Deployment(catalog, Account(), apply).steps())
    except GoogleAPIError as error:
        raise ConfigError(f"Cloud Monitoring: {type(error).__name__}: {str(error)[:400]}") from None


def channels() -> dict[str, dict[str, Any]]:
    """Return the notification channels that are kept as files, by name: the API's own JSON, one each."""
    place = settings.shipped_config_dir().parent / "monitoring" / "cloud" / "channels"
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(place.glob("*.json"))}


class _Deployment:
    """One pass. Order matters: a policy is refused while its metric, channel or objective is not there."""

    def __init__(self, catalog: Catalog, account: Account, apply: bool) -> None:
        self._catalog, self._account, self._apply = catalog, account, apply
        self._parent = f"projects/{account.project}"
        self._channels: list[str] = []

    def steps(self) -> Iterator[Difference]:
        """Do everything, one difference after the other."""
        yield from self._descriptors()
        yield from self._notification_channels()
        yield from self._policies(google_plans.policies(self._catalog))
        yield from Dashboards(self._account, _PATIENCE).brought_up(google_plans.dashboard(self._catalog), self._differs)
        yield from self._objectives()
        yield from self._policies(google_plans.burn_policies(self._catalog, self._account.project))

    def _differs(self, what: str, name: str, how: Literal["missing", "differs"]) -> Difference:
        return Difference(what=what, name=name, how=how, done=self._apply)

    def _descriptors(self) -> Iterator[Difference]:
        from google.cloud import monitoring_v3 as m

        with self._account.client(m.MetricServiceClient, _PATIENCE) as client:
            ours = f'metric.type = starts_with("{PREFIX}")'
            asked = {"name": self._parent, "filter": ours}
            known = {one.type: one for one in client.list_metric_descriptors(request=asked, timeout=_PATIENCE)}
            for name, metric in self._catalog.metrics.items():
                wanted = descriptor(name, metric)
                there = known.get(wanted.type)
                if there is not None and _same_descriptor(there, wanted):
                    continue
                yield self._differs("metric", name, "missing" if there is None else "differs")
                if self._apply:
                    client.create_metric_descriptor(
                        request={"name": self._parent, "metric_descriptor": wanted}, timeout=_PATIENCE
                    )

    def _notification_channels(self) -> Iterator[Difference]:
        from google.cloud import monitoring_v3 as m

        wanted = channels()
        if not wanted:
            return
        with self._account.client(m.NotificationChannelServiceClient, _PATIENCE) as client:
            there = client.list_notification_channels(name=self._parent, timeout=_PATIENCE)
            known = {one.user_labels.get("channel"): one for one in there if one.user_labels.get("app") == "aiprod"}
            for name, said in wanted.items():
                channel: Any = m.NotificationChannel.from_json(json.dumps(said))
                channel.user_labels.update({"app": "aiprod", "channel": name})
                old = known.get(name)
                if old is not None:
                    channel.name = old.name
                    self._channels.append(old.name)
                if old is not None and _bare(old) == _bare(channel):
                    continue
                yield self._differs("channel", name, "missing" if old is None else "differs")
                if self._apply and old is None:
                    made = client.create_notification_channel(name=self._parent, notification_channel=channel, timeout=_PATIENCE)
                    self._channels.append(made.name)
                elif self._apply:
                    client.update_notification_channel(notification_channel=channel, timeout=_PATIENCE)

    def _policies(self, wanted: dict[str, dict[str, Any]]) -> Iterator[Difference]:
        from google.cloud import monitoring_v3 as m

        with self._account.client(m.AlertPolicyServiceClient, _PATIENCE) as client:
            there = client.list_alert_policies(name=self._parent, timeout=_PATIENCE)
            known = {one.user_labels.get("policy"): one for one in there if one.user_labels.get("app") == "aiprod"}
            for name, said in wanted.items():
                policy: Any = m.AlertPolicy.from_json(json.dumps(said))
                old = known.get(name)
                policy.notification_channels = self._channels
                if old is not None:
                    policy.name = old.name
                    # Who was added by hand stays.
                    policy.notification_channels = list(dict.fromkeys([*old.notification_channels, *self._channels]))
                    for mine, theirs in zip(policy.conditions, old.conditions, strict=False):
                        # An open incident belongs to its condition.
                        mine.name = theirs.name
                if old is not None and _bare(old) == _bare(policy):
                    continue
                yield self._differs("policy", name, "missing" if old is None else "differs")
                if self._apply and old is None:
                    client.create_alert_policy(name=self._parent, alert_policy=policy, timeout=_PATIENCE)
                elif self._apply:
                    client.update_alert_policy(alert_policy=policy, timeout=_PATIENCE)

    def _objectives(self) -> Iterator[Difference]:
        from google.api_core.exceptions import NotFound
        from google.cloud import monitoring_v3 as m

        service = f"{self._parent}/services/{SERVICE}"
        with self._account.client(m.ServiceMonitoringServiceClient, _PATIENCE) as client:
            try:
                client.get_service(name=service, timeout=_PATIENCE)
                there = {one.name: one for one in client.list_service_level_objectives(parent=service, timeout=_PATIENCE)}
            except NotFound:
                there = {}
                yield self._differs("service", SERVICE, "missing")
                if self._apply:
                    made = m.Service(display_name="AIPROD", custom=m.Service.Custom())
                    client.create_service(
                        request={"parent": self._parent, "service": made, "service_id": SERVICE}, timeout=_PATIENCE
                    )
            for name, said in google_plans.objectives(self._catalog).items():
                own = name.replace("_", "-")
                wanted: Any = m.ServiceLevelObjective.from_json(json.dumps(said))
                wanted.name = f"{service}/serviceLevelObjectives/{own}"
                old = there.get(wanted.name)
                if old is not None and _bare(old) == _bare(wanted):
                    continue
                yield self._differs("objective", name, "missing" if old is None else "differs")
                if self._apply and old is None:
                    asked = {"parent": service, "service_level_objective": wanted, "service_level_objective_id": own}
                    client.create_service_level_objective(request=asked, timeout=_PATIENCE)
                elif self._apply:
                    client.update_service_level_objective(service_level_objective=wanted, timeout=_PATIENCE)


def _same_descriptor(there: Any, wanted: Any) -> bool:
    """The service adds a name and a launch stage of its own."""
    fields = ("metric_kind", "value_type", "unit", "description", "display_name")
    labels = ({label.key for label in one.labels} for one in (there, wanted))
    return all(getattr(there, name) == getattr(wanted, name) for name in fields) and next(labels) == next(labels)


def _bare(message: Any) -> bytes:
    """A message without what the service writes into it by itself."""
    bare = type(message)(message)
    for name in ("creation_record", "mutation_record", "mutation_records", "validity", "verification_status"):
        if name in type(bare).meta.fields:
            setattr(bare, name, None)
    return bytes(type(bare).pb(bare).SerializeToString(deterministic=True))
