"""Only a person's word in Airflow stops a paid render; a clear, a restart and an Airflow that does not answer never do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner

from aiprod_airflow.stopping import stop_if_ended
from tests import keyed_vendor
from tests.aiprod_airflow.shop import Shop
from tests.aiprod_airflow.supervisor import Supervisor

RUNS_LONG = "[[runway=slow:100000]]"
pytestmark = pytest.mark.parametrize("shop", ["tests.keyed_vendor:Stoppable"], indirect=True)


@dataclass
class Instance:
    dag_id: str = "render_video"
    task_id: str = "attempt_1.runway"
    run_id: str = "run-1"
    map_index: int | None = -1


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    made = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    return made


@pytest.fixture
def render(shop: Shop) -> str:
    """A render that runs at the vendor."""
    shop.routed(RUNS_LONG)
    shop.pipeline.render(["job-1"], "runway", 1)
    return str(shop.purchases()[0].vendor_id)


@pytest.mark.parametrize("state", ["failed", "success"])
@pytest.mark.parametrize("by", ["vendor_ids", "job_ids"])
def test_a_task_that_a_person_ended_stops_its_render_and_frees_its_money(
    shop: Shop, render: str, supervisor: Supervisor, state: str, by: str
) -> None:
    supervisor.states["attempt_1.runway"] = state

    (line,) = stop_if_ended(Instance(), "runway", **{by: [render] if by == "vendor_ids" else ["job-1"]})

    assert line == "job-1 shot 1 at runway: stopped yes, refunded yes; cancelled, $0.00 charged"
    assert (shop.books / "stopped" / render).exists()


@pytest.mark.parametrize("state", [None, "running", "deferred", "up_for_retry"])
def test_a_task_that_was_cleared_stops_nothing_wherever_its_next_try_is(
    shop: Shop, render: str, supervisor: Supervisor, state: str | None
) -> None:
    supervisor.states["attempt_1.runway"] = state

    (line,) = stop_if_ended(Instance(), "runway", vendor_ids=[render])

    assert line == "attempt_1.runway is not over in Airflow: what runs at runway goes on"
    assert [p.state for p in shop.purchases()] == ["submitted"]
    assert not (shop.books / "stopped").exists()


@pytest.mark.parametrize("trouble", ["down", "deleted", "no supervisor"])
def test_when_airflow_does_not_say_what_became_of_the_task_it_goes_on(
    shop: Shop, render: str, supervisor: Supervisor, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trouble == "down":
        supervisor.down = ErrorType.API_SERVER_ERROR
    elif trouble == "no supervisor":
        monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS")

    stop_if_ended(Instance(), "runway", vendor_ids=[render])

    assert not (shop.books / "stopped").exists()


def test_a_render_that_ended_meanwhile_is_left_as_it_is(shop: Shop, render: str, supervisor: Supervisor) -> None:
    supervisor.states["attempt_1.runway"] = "failed"
    shop.finish()
    shop.pipeline.render(["job-1"], "runway", 1)

    assert stop_if_ended(Instance(), "runway", vendor_ids=[render]) == []
    assert [p.state for p in shop.purchases()] == ["succeeded"]


def test_a_vendor_that_cannot_be_asked_leaves_the_render_watched(
    shop: Shop, render: str, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, vendor_id: str) -> None:
        raise RuntimeError("an adapter that breaks its contract")

    supervisor.states["attempt_1.runway"] = "failed"
    monkeypatch.setattr(keyed_vendor.KeyedVendor, "cancel", broken)

    assert stop_if_ended(Instance(), "runway", vendor_ids=[render]) == []
    assert [p.state for p in shop.purchases()] == ["submitted"]
