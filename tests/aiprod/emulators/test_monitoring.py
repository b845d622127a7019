"""The service speaks to Google's own client, stores the good part of a bad request, and fails as it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import monitoring_v3 as m

from aiprod.emulators.monitoring import Monitoring
from tests.aiprod.emulators.test_monitoring_rules import series


@pytest.fixture
def service() -> Iterator[Monitoring]:
    with Monitoring(clock=lambda: datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()) as running:
        yield running


@pytest.fixture
def client(service: Monitoring) -> m.MetricServiceClient:
    transport = m.MetricServiceClient.get_transport_class("grpc")
    return m.MetricServiceClient(transport=transport(channel=grpc.insecure_channel(f"127.0.0.1:{service.port}")))


def metric(name: str) -> dict[str, object]:
    return {"type": f"custom.googleapis.com/aiprod/{name}", "labels": {"k": "v"}}


def test_the_good_part_of_a_request_is_stored_and_the_rest_is_named(service: Monitoring, client: m.MetricServiceClient) -> None:
    wrong = series(metric=metric("wrong"), start=None)
    with pytest.raises(exceptions.InvalidArgument, match=r"timeSeries\[1\]: The start time must be before"):
        client.create_time_series(name="projects/p", time_series=[series(), wrong, series(metric=metric("good"))])
    assert service.last("x", k="v").int64_value == service.last("good", k="v").int64_value == 1
    assert service.last("wrong", k="v") is None


def test_more_than_two_hundred_series_are_too_many(service: Monitoring, client: m.MetricServiceClient) -> None:
    many = [series(metric=metric(f"m{n}")) for n in range(201)]
    with pytest.raises(exceptions.InvalidArgument, match="at most 200"):
        client.create_time_series(name="projects/p", time_series=many)
    assert service.series == {}


def test_faults_come_in_their_order_and_each_once(service: Monitoring, client: m.MetricServiceClient) -> None:
    service.faults = [grpc.StatusCode.UNAVAILABLE, "lost-ack", "lie", None]
    seen = []
    for n in range(4):
        later = datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + timedelta(seconds=10 * n)
        try:
            client.create_time_series(name="projects/p", time_series=[series({"int64_value": n}, end=later)])
            seen.append("taken")
        except exceptions.ServiceUnavailable:
            seen.append("unavailable")
    assert seen == ["unavailable", "unavailable", "taken", "taken"]
    assert [stored.value.int64_value for (stored,) in zip(*service.series.values(), strict=True)] == [1, 3]


def test_descriptors_are_kept_and_listed(client: m.MetricServiceClient) -> None:
    from google.api import metric_pb2

    made = metric_pb2.MetricDescriptor(type="custom.googleapis.com/aiprod/x", metric_kind="GAUGE", value_type="DOUBLE")
    client.create_metric_descriptor(name="projects/p", metric_descriptor=made)
    assert [one.type for one in client.list_metric_descriptors(name="projects/p")] == [made.type]
