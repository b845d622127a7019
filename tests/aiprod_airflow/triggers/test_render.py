"""The trigger asks vendors and wakes the operator: not too early, not too often, and not never."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.serialization.serialized_objects import BaseSerialization
from airflow.triggers.base import TriggerEvent

from aiprod.catalog import Catalog, catalog
from aiprod.models import RenderRequest
from aiprod_airflow.hooks.connections import ConnectionUnreachable
from aiprod_airflow.triggers.render import COALESCE, RenderTrigger, Watch, _share
from tests import desk
from tests.aiprod_airflow.shop import Shop
from tests.vendor import Vendor

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def watch(*vendor_ids: str, first: float = 20, look_again: float | None = None, deadline: float = 600) -> Watch:
    return Watch(
        list(vendor_ids),
        first_event_at=at(first),
        look_again_at=None if look_again is None else at(look_again),
        deadline=at(deadline),
    )


class TestWatch:
    @pytest.mark.parametrize("now", [0, 10, 19.999])
    def test_nothing_wakes_the_operator_before_the_first_event_is_due(self, now: float) -> None:
        over = watch("a", look_again=1, deadline=2)
        over.finished("a", now=at(0))

        assert not over.wake(now=at(now))
        assert over.wake(now=at(20))

    def test_renders_that_run_let_it_sleep(self) -> None:
        assert not watch("a", "b").wake(now=at(599))

    def test_when_all_are_over_it_wakes_at_once(self) -> None:
        two = watch("a", "b")
        two.finished("a", now=at(30))
        two.finished("b", now=at(31))

        assert two.wake(now=at(31))

    def test_one_finish_waits_a_little_for_the_others(self) -> None:
        two = watch("a", "b")
        two.finished("a", now=at(30))

        assert not two.wake(now=at(30) + COALESCE - timedelta(seconds=1))
        assert two.wake(now=at(30) + COALESCE)

    def test_later_finishes_do_not_put_the_first_one_off(self) -> None:
        many = watch(*"abcdef")
        for n, name in enumerate("abcde"):
            many.finished(name, now=at(30 + 10 * n))

        assert many.wake(now=at(30) + COALESCE)

    def test_a_batch_of_fifty_wakes_a_few_times_and_not_fifty(self) -> None:
        names, wakes = [f"v{n}" for n in range(50)], 0
        over = dict(zip(names, range(30, 180, 3), strict=True))
        waiting = watch(*names)
        for second in range(20, 240):
            for name in sorted(waiting.pending):
                if over[name] <= second:
                    waiting.finished(name, now=at(second))
            if waiting.wake(now=at(second)):
                wakes += 1
                waiting = watch(*waiting.pending, first=second + 20)
            if not waiting.pending:
                break

        assert wakes <= 6

    def test_the_deadline_wakes_it_whatever_runs(self) -> None:
        assert not watch("a", deadline=100).wake(now=at(99.9))
        assert watch("a", deadline=100).wake(now=at(100))

    def test_a_lease_or_a_slot_is_looked_at_again_when_it_is_due(self) -> None:
        assert not watch("a", look_again=60).wake(now=at(59))
        assert watch("a", look_again=60).wake(now=at(60))

    def test_with_nothing_at_the_vendor_it_waits_for_the_look_alone(self) -> None:
        assert not watch(look_again=60).wake(now=at(59))
        assert watch(look_again=60).wake(now=at(60))

    def test_with_nothing_to_wait_for_it_wakes(self) -> None:
        assert watch().wake(now=at(20))

    @pytest.mark.parametrize(
        ("now", "sleeps"),
        [(0, 8), (15, 5), (20, 8), (57, 3), (95, 5), (200, 8)],
        ids=["a poll", "until the first event", "a poll again", "until the look", "until the deadline", "late, a poll"],
    )
    def test_it_sleeps_until_the_next_poll_or_the_next_moment_that_matters(self, now: float, sleeps: float) -> None:
        waiting = watch("a", first=20, look_again=60, deadline=100)

        assert waiting.next_look(now=at(now), poll=timedelta(seconds=8)) == timedelta(seconds=sleeps)

    def test_it_never_spins(self) -> None:
        assert watch("a").next_look(now=at(0), poll=timedelta(0)) >= timedelta(milliseconds=100)


class TestTravelling:
    """What is stored with a parked task, and read again by another process."""

    trigger = RenderTrigger(
        backend="runway",
        vendor_ids=["task-1", "task-2"],
        first_event_at=at(20).isoformat(),
        look_again_at=None,
        deadline=at(600).isoformat(),
        poll_seconds=5,
    )

    def test_it_comes_back_as_it_left(self) -> None:
        path, arguments = self.trigger.serialize()
        stored = BaseSerialization.deserialize(json.loads(json.dumps(BaseSerialization.serialize(arguments))))

        assert RenderTrigger(**stored).serialize() == (path, arguments)

    def test_its_import_path_is_stored_with_every_parked_task_and_stays(self) -> None:
        assert self.trigger.serialize()[0] == "aiprod_airflow.triggers.render.RenderTrigger"

    def test_it_carries_identifiers_and_times_and_nothing_a_customer_or_a_vendor_could_be_harmed_by(self) -> None:
        _, arguments = self.trigger.serialize()

        assert set(arguments) == {"backend", "vendor_ids", "first_event_at", "look_again_at", "deadline", "poll_seconds"}

    def test_a_task_that_the_first_release_parked_is_still_watched(self) -> None:
        """Its words as they are stored. They may gain others with a default; none may go."""
        stored = {
            "backend": "runway",
            "vendor_ids": ["task-1"],
            "first_event_at": "2026-11-23T12:00:20+00:00",
            "look_again_at": None,
            "deadline": "2026-11-23T12:10:00+00:00",
            "poll_seconds": 15.0,
        }

        _, arguments = RenderTrigger(**stored).serialize()

        assert stored.items() <= arguments.items()


class MoodyVendor(Vendor):
    """Answers every second question with an error."""

    asked: ClassVar[dict[str, int]] = {}

    def poll(self, vendor_id: str) -> Any:
        self.asked[vendor_id] = self.asked.get(vendor_id, 0) + 1
        if self.asked[vendor_id] % 2:
            return super().poll("nobody knows this one")
        return super().poll(vendor_id)


def render_at(vendor: Vendor, prompt: str = "a") -> str:
    request: RenderRequest = desk.request(seconds=2, prompt=prompt)
    return vendor.submit(request, key="key").vendor_id


class TestRunning:
    """With moments that are in the past, nothing has to be waited for."""

    @pytest.fixture
    def config(self, shop: Shop) -> Catalog:
        return catalog()

    def run(self, trigger: RenderTrigger) -> list[TriggerEvent]:
        async def collect() -> list[TriggerEvent]:
            return [event async for event in trigger.run()]

        return asyncio.run(asyncio.wait_for(collect(), 20))

    def trigger(self, *vendor_ids: str, deadline: float = 600, look_again: float | None = None) -> RenderTrigger:
        now = datetime.now(UTC)
        return RenderTrigger(
            backend="runway",
            vendor_ids=list(vendor_ids),
            first_event_at=(now - timedelta(seconds=1)).isoformat(),
            look_again_at=None if look_again is None else (now + timedelta(seconds=look_again)).isoformat(),
            deadline=(now + timedelta(seconds=deadline)).isoformat(),
            poll_seconds=0,
        )

    def test_finished_renders_end_it_with_one_event(self, config: Catalog) -> None:
        vendor = Vendor("runway", config.backends["runway"])
        ids = [render_at(vendor), render_at(vendor, "[[runway=fail]]"), render_at(vendor, "[[runway=moderated]]")]

        assert [event.payload for event in self.run(self.trigger(*ids))] == [{"pending": []}]

    def test_a_render_that_runs_is_pending_at_the_deadline(self, config: Catalog) -> None:
        slow = render_at(Vendor("runway", config.backends["runway"]), "[[runway=slow:1000]]")

        assert [event.payload for event in self.run(self.trigger(slow, deadline=0))] == [{"pending": [slow]}]

    def test_it_only_asks(self, config: Catalog, shop: Shop) -> None:
        slow = render_at(Vendor("runway", config.backends["runway"]), "[[runway=slow:1000]]")

        self.run(self.trigger(slow, look_again=0))

        assert shop.accepts() == 1
        assert list((shop.books / "films").iterdir()) == []

    def test_a_vendor_that_does_not_know_the_render_does_not_end_the_watch(self, config: Catalog) -> None:
        assert [event.payload for event in self.run(self.trigger("gone", deadline=0.3))] == [{"pending": ["gone"]}]

    def test_a_render_that_was_cancelled_and_that_its_vendor_has_forgotten_is_over(self, config: Catalog, shop: Shop) -> None:
        """Runway deletes what it is asked to stop: its run must not wait for the longest one."""
        job_id = shop.routed("[[runway=slow:1000,forgets]]", backend="runway")
        shop.pipeline.render([job_id], "runway", 1)
        shop.pipeline.cancel(job_id, by="ann")
        (bought,) = shop.purchases(job_id)
        assert (bought.state, bought.vendor_id is not None) == ("cancelled", True)

        assert [event.payload for event in self.run(self.trigger(str(bought.vendor_id)))] == [{"pending": []}]

    def test_an_error_says_nothing_about_the_render_and_the_next_answer_counts(
        self, config: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        render = render_at(Vendor("runway", config.backends["runway"]))
        monkeypatch.setattr("tests.vendor.ListingVendor", MoodyVendor)

        assert [event.payload for event in self.run(self.trigger(render))] == [{"pending": []}]
        assert MoodyVendor.asked[render] == 2

    def test_an_answer_that_nobody_understands_wakes_the_operator_which_fails_where_people_look(
        self, config: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def puzzling(self: Vendor, vendor_id: str) -> None:
            raise KeyError("DREAMING")

        monkeypatch.setattr("tests.vendor.Vendor.poll", puzzling)

        assert [event.payload for event in self.run(self.trigger("v-1"))] == [{"pending": []}]

    def test_a_key_that_cannot_be_looked_up_now_does_not_end_the_watch(
        self, config: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unreachable(*_: object) -> None:
            raise ConnectionUnreachable("connection aiprod_runway could not be looked up")

        monkeypatch.setattr("aiprod_airflow.triggers.lookout.backend", unreachable)

        assert [event.payload for event in self.run(self.trigger("v-1", deadline=0.3))] == [{"pending": ["v-1"]}]

    def test_a_thousand_triggers_that_start_together_do_not_ask_together(self) -> None:
        shares = [_share([f"task-{n}"]) for n in range(1_000)]

        assert [_share([f"task-{n}"]) for n in range(1_000)] == shares
        assert all(60 < sum(tenth <= share * 10 < tenth + 1 for share in shares) < 140 for tenth in range(10))


class TestBeingKilled:
    """What Airflow calls when a person acts on a parked task."""

    def killed(self, **instance: Any) -> list[Any]:
        trigger = RenderTrigger(**TestTravelling.trigger.serialize()[1])
        trigger.task_instance = SimpleNamespace(task_id="attempt_1.runway", **instance) if instance else None
        asyncio.run(trigger.on_kill())
        return [trigger.task_instance]

    def test_it_hands_over_which_renders_of_which_task_and_says_what_came_of_it(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        seen: list[Any] = []

        def stop_if_ended(instance: Any, backend: str, *, vendor_ids: list[str]) -> list[str]:
            seen.extend([instance, backend, vendor_ids])
            return ["job-1 shot 1 at runway: stopped yes"]

        monkeypatch.setattr("aiprod_airflow.stopping.stop_if_ended", stop_if_ended)

        (instance,) = self.killed(dag_id="render_video", run_id="run-1")

        assert seen == [instance, "runway", ["task-1", "task-2"]]
        assert "job-1 shot 1 at runway: stopped yes" in capsys.readouterr().out

    def test_an_order_to_stop_that_waits_longer_than_airflow_does_is_still_carried_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        busy, carried_out = threading.Event(), threading.Event()
        monkeypatch.setattr("aiprod_airflow.stopping.stop_if_ended", lambda *_, **__: [str(carried_out.set())])
        trigger = RenderTrigger(**TestTravelling.trigger.serialize()[1])
        trigger.task_instance = SimpleNamespace(task_id="attempt_1.runway")

        async def killed() -> None:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(ThreadPoolExecutor(1))
            before = loop.run_in_executor(None, busy.wait, 20)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(trigger.on_kill(), 0.05)
            busy.set()
            await before
            await asyncio.to_thread(carried_out.wait, 20)

        asyncio.run(killed())

        assert carried_out.is_set()

    def test_without_a_task_there_is_nothing_to_stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("aiprod_airflow.stopping.stop_if_ended", lambda *_, **__: pytest.fail("nobody to stop for"))

        self.killed()
