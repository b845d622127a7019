"""Jobs that take their turns."""

from __future__ import annotations

import threading

from aiprod.taking_turns import turns


class TestTurns:
    def test_jobs_take_their_turns_side_by_side_and_keep_their_order(self) -> None:
        together = threading.Barrier(3, timeout=10)

        def work(job_id: str, version: int) -> str:
            together.wait()
            return f"{job_id} v{version}"

        taken = turns({"a": 1, "b": 2, "c": 1}, work, 3)
        assert [(job_id, outcome()) for job_id, outcome in taken] == [("a", "a v1"), ("b", "b v2"), ("c", "c v1")]

    def test_one_by_one_a_job_is_begun_when_the_one_before_is_over(self) -> None:
        begun: list[str] = []
        taken = turns({"a": 1, "b": 1}, lambda job_id, _: begun.append(job_id), 1)
        for job_id, outcome in taken:
            outcome()
            assert begun[-1] == job_id
