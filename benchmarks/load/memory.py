"""Does an Airflow that has made many videos need more memory than one that has made few?"""

from __future__ import annotations

import time

from benchmarks.load.report import Figure
from benchmarks.load.slope import slope
from benchmarks.load.watching import COMPONENTS, component_kb
from benchmarks.load.world import World

__all__ = ["memory"]

#: Kilobytes per job of which it must not be shown that memory grows faster: a gigabyte in 20,000 jobs.
_MOST_KB = 50.0
#: The first jobs fill caches and pools, which are no leak: so many are made before anything is measured, or half of few.
_WARM = 30


def memory(world: World) -> list[Figure]:
    """Many jobs with a run each, a few at a time; resident memory of what lives long, against the number of jobs made."""
    world.renders_take(world.sizes.short_render)
    total, warm = world.sizes.jobs, min(_WARM, world.sizes.jobs // 2)
    names = [f"many-{n}" for n in range(total)]
    waiting, running = list(names), set[str]()
    samples: dict[str, list[tuple[float, float]]] = {component: [] for component in COMPONENTS}
    began, deadline = time.monotonic(), time.monotonic() + 120 + 12 * total
    while waiting or running:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(waiting) + len(running)} of {total} jobs were not over in time")
        running &= world.under_way()
        while waiting and len(running) < world.sizes.at_once:
            name = waiting.pop(0)
            world.start({name: {"prompt": f"sand, {name}"}})
            running.add(name)
        over = total - len(waiting) - len(running)
        if over >= warm:
            for component, seen in samples.items():
                seen.append((over, component_kb(world.airflow.home, component)))
        time.sleep(2)
    wall = time.monotonic() - began
    made = len(world.delivered(names))
    return [
        Figure("jobs delivered", made, least=total, most=total),
        Figure("jobs a minute, a run each", 60 * total / wall, said=f"{world.sizes.at_once} under way at once"),
        *(_figure(component, seen) for component, seen in samples.items()),
    ]


def _figure(component: str, seen: list[tuple[float, float]]) -> Figure:
    """The lower end of the range is what is promised: growth faster than that would be shown."""
    name, goal = f"{component} grows by at least", "0: flat"
    try:
        found = slope(seen)
    except ValueError as error:
        return Figure(name, None, "kB a job", most=_MOST_KB, goal=goal, said=str(error))
    end = seen[-1][1] / 1e3
    said = f"slope {found.value:.0f} kB a job, 95 % range {found.least:.0f} to {found.most:.0f}; {end:.0f} MB at the end"
    return Figure(name, max(0.0, found.least), "kB a job", most=_MOST_KB, goal=goal, said=said)
