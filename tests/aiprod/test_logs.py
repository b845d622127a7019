"""Every line says what it is about, in this thread and for as long as somebody works on it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO

import pytest

from aiprod import logs
from aiprod.logs import Plain, about
from aiprod.taking_turns import turns
from tests.market import Market

log = logging.getLogger("aiprod.somewhere")


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What a program without Airflow would see."""
    out, root = StringIO(), logging.getLogger("aiprod")
    handler, level = logging.StreamHandler(out), root.level
    handler.setFormatter(Plain("%(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield out
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_line_ends_with_what_it_is_about_and_the_next_one_does_not(lines: StringIO) -> None:
    with about(job_id="job-1"):
        with about(shot=2, attempt=1):
            log.info("bought")
        log.info("cut")
    log.info("idle")
    assert lines.getvalue().splitlines() == ["bought job=job-1 shot=2 attempt=1", "cut job=job-1", "idle"]


def test_what_went_wrong_is_named_before_its_traceback(lines: StringIO) -> None:
    with about(job_id="job-1"):
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            log.exception("no")
    assert lines.getvalue().splitlines()[0] == "no job=job-1"


def test_it_is_over_when_the_work_fails(lines: StringIO) -> None:
    with pytest.raises(ZeroDivisionError), about(job_id="job-1"):
        raise ZeroDivisionError
    log.info("idle")
    assert lines.getvalue() == "idle\n"


def test_jobs_side_by_side_are_not_mixed_up(lines: StringIO) -> None:
    def work(job_id: str, version: int) -> None:
        log.info("%s", job_id)

    for _, outcome in turns(dict.fromkeys("abcdefgh", 1), work, 4):
        outcome()
    said = [line.split(" job=") for line in lines.getvalue().splitlines()]
    assert len(said) == 8 and all(told == named for told, named in said)


def test_what_a_thread_works_on_is_its_own(lines: StringIO) -> None:
    with about(job_id="job-1"), ThreadPoolExecutor(1) as pool:
        pool.submit(log.info, "elsewhere").result()
    assert lines.getvalue() == "elsewhere\n"


def test_logging_with_fields_of_its_own_is_given_the_same_fields() -> None:
    bound: list[dict[str, object]] = []

    @contextmanager
    def binder(**fields: object) -> Iterator[None]:
        bound.append(fields)
        yield
        bound.append({})

    logs.offer(binder)
    try:
        with about(job_id="job-1", shot=1):
            pass
    finally:
        logs.offer(None)
    assert bound == [{"job_id": "job-1", "shot": 1}, {}]


def test_a_jobs_whole_story_is_found_by_its_name(local_market: Market, lines: StringIO) -> None:
    market = local_market
    market.approved("[[runway=fail]]", job_id="job-7")
    market.run("job-7")
    market.pipeline.assemble(["job-7"])
    market.pipeline.deliver(["job-7"])
    market.pipeline.settle("run-1")
    failed, bought = market.purchases("job-7")
    assert [line for line in lines.getvalue().splitlines() if "job=job-7" not in line] == []
    story = [line.partition(" job=job-7")[::2] for line in lines.getvalue().splitlines()]
    of = {p.purchase_id: f" shot=1 attempt={p.sequence} backend={p.backend} purchase={p.purchase_id}" for p in (failed, bought)}
    assert [(said.split()[0], about) for said, about in story] == [
        ("entered", ""),
        ("routed", ""),
        ("runway", of[failed.purchase_id]),
        ("failed", of[failed.purchase_id]),
        ("routed", ""),
        ("veo3", of[bought.purchase_id]),
        ("succeeded", of[bought.purchase_id]),
        ("its", of[bought.purchase_id]),
        ("job-7", of[bought.purchase_id]),
        ("assembled", ""),
        ("delivered", ""),
        ("delivered,", ""),
    ]


def test_a_program_without_logging_of_its_own_says_in_its_warnings_what_they_are_about() -> None:
    work = """
import logging
from aiprod import logs
logs.warn_plainly(); logs.warn_plainly()
with logs.about(job_id="job-1", shot=1):
    logging.getLogger("aiprod.x").warning("late")
    logging.getLogger("aiprod.x").info("unsaid")
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", work], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stderr == "late job=job-1 shot=1\n"
