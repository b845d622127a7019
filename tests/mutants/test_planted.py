"""The suite notices every planted bug. Each runs in a copy of the library, against the tests that promise to see it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.mutants.planted import MODEL, PLANTED, Mutant
from tests.mutants.planting import Ran, Runner, plant

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runners() -> Iterator[queue.SimpleQueue[Runner]]:
    """Two, for two cores."""
    both = [Runner(), Runner()]
    free: queue.SimpleQueue[Runner] = queue.SimpleQueue()
    for runner in both:
        free.put(runner)
    yield free
    for runner in both:
        runner.close()


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, runners: queue.SimpleQueue[Runner], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, Mutant], Ran]]:
    """Everything this session asks for, two at a time; each test waits for its own."""
    with ThreadPoolExecutor(2) as pool:
        begun: dict[tuple[str, str], Future[Ran]] = {}
        for item in request.session.items:
            asked = getattr(item, "callspec", None)
            if item.path == Path(__file__) and asked is not None:
                mutant = asked.params["mutant"]
                name = item.function.__name__  # type: ignore[attr-defined]
                folder = tmp_path_factory.mktemp("mutant")
                begun[name, mutant.name] = pool.submit(_run, runners, mutant, _TESTS[name](mutant), folder)
        yield lambda test, mutant: begun[test, mutant.name].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("mutant", PLANTED, ids=lambda m: m.name.replace(" ", "-"))
def test_a_planted_bug_is_noticed(mutant: Mutant, runs: Callable[[str, Mutant], Ran]) -> None:
    _noticed(mutant, runs("test_a_planted_bug_is_noticed", mutant))


@pytest.mark.parametrize("mutant", [m for m in PLANTED if MODEL in m.noticed_by], ids=lambda m: m.name.replace(" ", "-"))
def test_the_model_notices_it_alone(mutant: Mutant, runs: Callable[[str, Mutant], Ran]) -> None:
    """Without being told where to look: it draws its own way every time."""
    _noticed(mutant, runs("test_the_model_notices_it_alone", mutant))


_TESTS: dict[str, Callable[[Mutant], tuple[str, ...]]] = {
    "test_a_planted_bug_is_noticed": lambda mutant: mutant.noticed_by,
    "test_the_model_notices_it_alone": lambda mutant: (MODEL,),
}


def test_without_a_bug_nobody_notices_anything(runners: queue.SimpleQueue[Runner], tmp_path: Path) -> None:
    """Else a test that fails in any copy would count as one that saw the bug."""
    every = tuple(dict.fromkeys(test for mutant in PLANTED for test in mutant.noticed_by))

    ran = _run(runners, None, every, tmp_path)

    assert ran.code == 0, ran.said


def _noticed(mutant: Mutant, ran: Ran) -> None:
    # 1: tests failed. Anything else means that they did not run, and noticed nothing.
    assert ran.code == 1, f"nobody noticed: {mutant.name}\n{ran.said}"


def _run(free: queue.SimpleQueue[Runner], mutant: Mutant | None, tests: tuple[str, ...], folder: Path) -> Ran:
    runner = free.get()
    try:
        return runner.run(plant(mutant, folder), tests, folder, seconds=600)
    finally:
        free.put(runner)
