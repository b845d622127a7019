"""From people's words to what a score means: the part of takes with such a score that people accepted. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aiprod.catalog import Calibration
from aiprod.errors import SpecError

__all__ = ["fit"]

_LEAST = 100


def fit(labels: Sequence[tuple[float, bool]], *, source: str) -> Calibration:
    """Return the rising curve that is closest to what people said (isotonic regression), for `quality.yaml`.

    `labels` are (uncalibrated quality, accepted). Raises `SpecError` for fewer than a hundred, or when they all say the same:
    a curve through a few words would be made up.
    """
    if len(labels) < _LEAST:
        raise SpecError([f"labels: {len(labels)} are too few; {_LEAST} people's words are the least"])
    if len({accepted for _, accepted in labels}) == 1:
        raise SpecError(["labels: all say the same; without takes of the other kind nothing can be told apart"])
    # Pools of neighbours: (sum of scores, accepted, how many), merged while a lower score would mean more.
    pools: list[tuple[float, int, int]] = []
    for score, accepted in sorted(labels):
        pools.append((score, int(accepted), 1))
        while len(pools) > 1 and _part(pools[-2]) >= _part(pools[-1]):
            last, before = pools.pop(), pools.pop()
            pools.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    means = {round(total / count, 4): round(accepted / count, 4) for total, accepted, count in pools}
    points = tuple(sorted(means.items()))
    if len(points) < 2:
        raise SpecError(["labels: the score says nothing about what people accepted"])
    return Calibration(source=source, labels=len(labels), points=points)


def _part(pool: tuple[float, int, int]) -> float:
    return pool[1] / pool[2]
