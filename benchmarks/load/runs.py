"""Jobs with a run each: ten at once against one after the other, twenty with faults, one poisoned among twenty."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable

from benchmarks.load.faults import POISON, dealt
from benchmarks.load.report import Figure
from benchmarks.load.world import Run, World

__all__ = ["concurrent", "faults", "isolation"]

#: How long a run may take on a machine that has others beside it, and what all of them wait for, in seconds.
_A_RUN, _AROUND = 30.0, 240.0


def concurrent(world: World) -> list[Figure]:
    """Ten jobs at once whose renders dominate, and what the same ten would have taken one after the other."""
    world.renders_take(world.sizes.long_render)
    world.start({"alone": {"prompt": "a lake, alone"}})
    alone = world.ended(["alone"], timeout=world.sizes.long_render + 240)["alone"].seconds
    many = world.sizes.together
    names = [f"together-{n}" for n in range(many)]
    began = time.time()
    world.start({name: {"prompt": f"a lake, {name}"} for name in names})
    world.ended(names, timeout=world.sizes.long_render + 300)
    wall = time.time() - began
    made = len(world.delivered(names))
    return [
        Figure(f"delivered of {many} at once", made, least=many),
        Figure("renders in flight at once", world.in_flight(began), least=many, said="in the vendor's books"),
        Figure(f"seconds for {many} at once", wall, "s", said=f"a render takes {world.lasts:g} s"),
        Figure(f"seconds for {many} one by one", alone * many, "s", said=f"one was made alone, in {alone:.0f} s; times {many}"),
        Figure("times as fast at once", alone * many / wall, "x", least=2, goal="≥ 8"),
    ]


def faults(world: World) -> list[Figure]:
    """Twenty jobs at once, one in twenty renders with a fault: by fallback every one is delivered."""
    world.renders_take(world.sizes.short_render)
    names = [f"crowd-{n}" for n in range(world.sizes.crowd)]
    unlucky = dealt(names, part=world.sizes.faults, seed=world.sizes.seed)
    world.start({name: {"prompt": f"a hill, {name} {unlucky.get(name, '')}"} for name in names})
    ended = world.ended(names, timeout=_AROUND + _A_RUN * len(names))
    made = world.delivered(names)
    told = ", ".join(f"{name}: {word}" for name, word in unlucky.items())
    return [
        Figure("delivered", 100 * len(made) / len(names), "%", least=95, goal="100, by fallback", said=told),
        Figure("faults dealt", len(unlucky), least=1),
        Figure("middle seconds, trigger to end", _middle(ended.values()), "s"),
    ]


def isolation(world: World) -> list[Figure]:
    """One job that no vendor can make among twenty: as a run of its own among runs, and inside a batch."""
    world.renders_take(world.sizes.short_render)
    names = [f"beside-{n}" for n in range(world.sizes.crowd)]
    poisoned = names[world.sizes.seed % len(names)]
    world.start({name: {"prompt": f"a wood, {name} {POISON if name == poisoned else ''}"} for name in names})
    rows = [{"prompt": f"a field, {name} {POISON if name == poisoned else ''}"} for name in names]
    ids = dict(zip(names, world.batch("poisoned-batch", rows), strict=True))
    ended = world.ended([*names, "poisoned-batch"], timeout=_AROUND + _A_RUN * len(names))
    good = [name for name in names if name != poisoned]
    among = [ids[name] for name in good]
    red = "red says that somebody should look"
    return [
        Figure("neighbours delivered, runs of their own", len(world.delivered(good)), least=len(good), most=len(good)),
        Figure("poisoned job delivered", len(world.delivered([poisoned])), most=0, said=world.status(poisoned)),
        Figure("run of the poisoned job is green", float(ended[poisoned].state == "success"), most=0, said=red),
        Figure("middle seconds of its neighbours", _middle(ended[name] for name in good), "s"),
        Figure("neighbours delivered, one run for all", len(world.delivered(among)), least=len(good), most=len(good)),
        Figure("that run is green", float(ended["poisoned-batch"].state == "success"), most=0, said=red),
    ]


def _middle(runs: Iterable[Run]) -> float:
    return statistics.median(run.seconds for run in runs)
