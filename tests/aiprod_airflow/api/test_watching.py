"""Who watches is told every change once, in order, and after a break only what changed since, by whichever process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from fastapi import HTTPException

from aiprod.errors import StorageError
from aiprod.views import JobView
from aiprod_airflow.api import watching
from aiprod_airflow.api.watching import Event, Seen, Watching, changes_since, follow

FIELDS: dict[str, Any] = dict.fromkeys(JobView.model_fields)


def job(revision: str, *, over: bool = False, **fields: Any) -> Seen:
    return Seen({**FIELDS, **fields, "revision": revision}, over)


class Ledger:
    """A ledger with one job, and how often it was asked."""

    def __init__(self, *states: Seen) -> None:
        self.states, self.now, self.looks, self.reads = list(states), states[0], 0, 0

    def revisions(self, job_ids: Sequence[str]) -> dict[str, str]:
        self.looks += 1
        if len(self.states) > 1:
            self.states.pop(0)
        self.now = self.states[0]
        return dict.fromkeys(job_ids, self.now.revision)

    def read(self, job_id: str) -> Seen:
        self.reads += 1
        return self.now

    def watching(self) -> Watching:
        return Watching(self.revisions, self.read, every=0.001)


async def told(stream: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in stream]


class TestFollow:
    def test_a_snapshot_then_what_changed_then_the_end(self) -> None:
        ledger = Ledger(job("1", status="rendering"), job("2", status="scoring"), job("3", over=True, status="delivered"))
        events = asyncio.run(told(follow(ledger.watching(), "job-1", None, 5, who="ann")))

        assert [event.event for event in events] == ["snapshot", "change", "change", "end"]
        assert events[0].data["status"] == "rendering"
        assert [event.data for event in events[1:3]] == [
            {"status": "scoring", "revision": "2"},
            {"status": "delivered", "revision": "3"},
        ]
        assert events[-1].data == {"over": True, "revision": "3"}

    def test_a_stream_has_its_time_and_says_that_the_job_goes_on(self) -> None:
        events = asyncio.run(told(follow(Ledger(job("1")).watching(), "job-1", None, 0.01, who="ann")))

        assert [(event.event, event.data.get("over")) for event in events] == [("snapshot", None), ("end", False)]

    def test_who_comes_back_is_told_only_what_changed_since(self) -> None:
        before = job("1", status="rendering", problems=["x"])
        after = job("2", over=True, status="delivered", problems=["x"])
        events = asyncio.run(told(follow(Ledger(after).watching(), "job-1", before.event_id, 5, who="ann")))

        assert [(event.event, event.data) for event in events] == [
            ("change", {"status": "delivered", "revision": "2"}),
            ("end", {"over": True, "revision": "2"}),
        ]

    def test_who_missed_nothing_is_told_nothing_twice(self) -> None:
        now = job("2", over=True)
        events = asyncio.run(told(follow(Ledger(now).watching(), "job-1", now.event_id, 5, who="ann")))

        assert [event.event for event in events] == ["end"]

    @pytest.mark.parametrize("since", [None, "", "x", "4", "é", "A" * 900, job("1").event_id[:-4], "=" * 8])
    def test_an_id_of_nowhere_is_answered_with_everything(self, since: str | None) -> None:
        event = changes_since(since, job("1", status="rendering"))

        assert event is not None and (event.event, event.data["status"]) == ("snapshot", "rendering")

    def test_a_change_that_is_taken_back_is_told_too(self) -> None:
        ledger = Ledger(job("1", status="a"), job("2", status="b"), job("3", status="a", over=True))
        events = asyncio.run(told(follow(ledger.watching(), "job-1", None, 5, who="ann")))

        assert [event.data.get("status") for event in events] == ["a", "b", "a", None]


class TestMany:
    def test_however_many_watch_the_ledger_is_asked_once_a_round(self) -> None:
        ledger = Ledger(*(job(str(n)) for n in range(1, 6)), job("6", over=True))
        watched = ledger.watching()

        async def crowd() -> list[list[Event]]:
            return await asyncio.gather(*(told(follow(watched, "job-1", None, 5, who="ann")) for _ in range(40)))

        streams = asyncio.run(crowd())
        assert {stream[-1].data["revision"] for stream in streams} == {"6"}
        assert ledger.looks < 12
        # Everybody's first look, and one for each change.
        assert ledger.reads <= 40 + 6

    def test_nobody_watching_costs_nothing(self) -> None:
        ledger = Ledger(job("1"))
        watched = ledger.watching()

        async def once() -> int:
            await told(follow(watched, "job-1", None, 0.01, who="ann"))
            await asyncio.sleep(0.01)
            looks = ledger.looks
            await asyncio.sleep(0.02)
            return ledger.looks - looks

        assert asyncio.run(once()) == 0
        assert watched._watched == {}

    def test_one_too_many_is_told_to_ask_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watching, "MAX_WATCHERS", 1)
        watched = Ledger(job("1")).watching()

        async def two() -> None:
            async with watched.watch("a", "ann"), watched.watch("b", "bob"):
                pass

        with pytest.raises(HTTPException, match="too many") as refused:
            asyncio.run(two())
        assert refused.value.status_code == 503

    def test_nobody_takes_every_stream(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watching, "MAX_EACH", 1)
        watched = Ledger(job("1")).watching()

        async def open_two(other: str) -> None:
            async with watched.watch("a", "ann"), watched.watch("b", other):
                pass

        asyncio.run(open_two("bob"))
        with pytest.raises(HTTPException, match="ann has 1 streams open") as refused:
            asyncio.run(open_two("ann"))
        assert refused.value.status_code == 429
        # Whoever closes theirs may open others.
        asyncio.run(open_two("bob"))

    def test_a_ledger_that_is_busy_for_a_moment_ends_no_stream(self) -> None:
        ledger = Ledger(job("1"), job("2", over=True))
        good, times = ledger.revisions, iter((True, True))

        def busy(job_ids: Sequence[str]) -> dict[str, str]:
            if next(times, False):
                raise StorageError("busy")
            return good(job_ids)

        ledger.revisions = busy  # type: ignore[method-assign]
        events = asyncio.run(told(follow(ledger.watching(), "job-1", None, 5, who="ann")))
        assert events[-1].data == {"over": True, "revision": "2"}

    def test_of_two_looks_that_overlap_the_later_one_stays(self) -> None:
        async def overlap() -> str:
            async with Ledger(job("2")).watching().watch("job-1", "ann") as watched:
                watched.tell(job("3"), watched.look + 2)
                watched.tell(job("2"), watched.look - 1)
                return watched.seen.revision

        assert asyncio.run(overlap()) == "3"
