"""Vendors that never answer, and renders that never end: every run is over within its limit, and the money is accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiprod.ledger import purchases
from benchmarks.load.report import Figure
from benchmarks.load.world import DEADLINE_SECONDS, ONE_TRY, SUBMIT_SECONDS, World

__all__ = ["timeouts"]

#: What a run takes besides waiting for a vendor: parking, the triggerer's round, the steps before and after. Generous,
#: because many wait for one machine.
_AROUND = 90.0
#: How soon a parked task is woken at the earliest.
_FIRST_EVENT = 20.0


@dataclass(frozen=True)
class _Silent:
    """One way of not answering. `limit` in seconds, for waiting at vendors; `ends` is how the job has to stand then."""

    order: Mapping[str, str]
    limit: float
    ends: str


_SILENT = {
    # Replicate is given a short deadline here.
    "a render that never ends": _Silent(
        {"prompt": "[[replicate=hang]]", "backend": "replicate", "preset": ONE_TRY}, DEADLINE_SECONDS + 2 * _FIRST_EVENT, "failed"
    ),
    "a request that nobody answers": _Silent(
        {"prompt": "[[runway=stall:600]]", "backend": "runway", "preset": ONE_TRY}, SUBMIT_SECONDS + _FIRST_EVENT, "failed"
    ),
    "the same, and the next vendor delivers": _Silent(
        {"prompt": "[[runway=stall:600]]"}, SUBMIT_SECONDS + 3 * _FIRST_EVENT, "delivered"
    ),
}


def timeouts(world: World) -> list[Figure]:
    """Every way of not answering, side by side."""
    world.renders_take(0)
    names = {f"silent-{n}": what for n, what in enumerate(_SILENT)}
    world.start(
        {name: {**_SILENT[what].order, "prompt": f"fog, {name} {_SILENT[what].order['prompt']}"} for name, what in names.items()}
    )
    longest = max(silent.limit for silent in _SILENT.values()) + _AROUND
    ended = world.ended(list(names), timeout=longest + 120)
    figures = []
    for name, what in names.items():
        silent, status = _SILENT[what], world.status(name)
        as_it_should = float(status == silent.ends)
        told = f"{status}, {_money(world, name)}"
        figures.append(Figure(f"seconds until over: {what}", ended[name].seconds, "s", most=silent.limit + _AROUND, said=told))
        figures.append(Figure(f"ended as it should: {what}", as_it_should, least=1, said=silent.ends))
    return figures


def _money(world: World, job_id: str) -> str:
    """Where each of a job's purchases stands."""
    with world.ledger.read() as conn:
        bought = purchases.of_job(conn, job_id, 1)
    return ", ".join(f"{one.backend} {one.state}{'' if one.parked_at is None else ' and parked'}" for one in bought)
