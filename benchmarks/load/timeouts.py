"""Vendors that never answer, and renders that never end: every run is over within its limit, and the money is accounted for."""

from __future__ import annotations

from dataclasses import dataclass

from aiprod.ledger import purchases
from benchmarks.load.report import Figure
from benchmarks.load.world import DEADLINE_SECONDS, SUBMIT_SECONDS, World

__all__ = ["timeouts"]

#: What a run takes besides waiting for a vendor: parking, the triggerer's round, the steps before and after. Generous,
#: because many wait for one machine.
_AROUND = 90.0
#: How soon a parked task is woken at the earliest.
_FIRST_EVENT = 20.0


@dataclass(frozen=True)
class _Silent:
    """One way of not answering. `limit` in seconds, for waiting at vendors; `ends` is how the job may stand then."""

    order: str
    backend: str | None
    limit: float
    ends: tuple[str, ...]


#: Each of the three attempts that a shot has may wait this long at Replicate, which is given a short deadline here.
_ATTEMPTS = 3
_SILENT = {
    "a render that never ends": _Silent(
        "[[replicate=hang]]", "replicate", _ATTEMPTS * (DEADLINE_SECONDS + 2 * _FIRST_EVENT), ("failed",)
    ),
    "a request that nobody answers": _Silent(
        "[[runway=stall:600]]", "runway", _ATTEMPTS * (SUBMIT_SECONDS + 2 * _FIRST_EVENT), ("failed",)
    ),
    "the same, and the next vendor delivers": _Silent(
        "[[runway=stall:600]]", None, SUBMIT_SECONDS + 4 * _FIRST_EVENT, ("delivered",)
    ),
}


def timeouts(world: World) -> list[Figure]:
    """Every way of not answering, side by side."""
    world.renders_take(0)
    names = {f"silent-{n}": what for n, what in enumerate(_SILENT)}
    orders = {}
    for name, what in names.items():
        backend = _SILENT[what].backend
        orders[name] = {"prompt": f"fog, {name} {_SILENT[what].order}"} | ({"backend": backend} if backend else {})
    world.start(orders)
    longest = max(silent.limit for silent in _SILENT.values()) + _AROUND
    ended = world.ended(list(names), timeout=longest + 60)
    figures = []
    for name, what in names.items():
        limit, status = _SILENT[what].limit + _AROUND, world.status(name)
        as_it_should = status in _SILENT[what].ends
        figures.append(
            Figure(f"seconds until over: {what}", ended[name].seconds, "s", most=limit, said=f"{status}, {_money(world, name)}")
        )
        figures.append(Figure(f"ended as it should: {what}", float(as_it_should), least=1, said=" or ".join(_SILENT[what].ends)))
    return figures


def _money(world: World, job_id: str) -> str:
    """Where each of a job's purchases stands."""
    with world.ledger.read() as conn:
        bought = purchases.of_job(conn, job_id, 1)
    return ", ".join(f"{one.backend} {one.state}{'' if one.parked_at is None else ' and parked'}" for one in bought)
