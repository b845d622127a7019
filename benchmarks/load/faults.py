"""What goes wrong at vendors, dealt evenly: a seed decides which clips meet which fault, and two runs are the same."""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["FAULTS", "POISON", "dealt"]

#: What Runway, which is asked first, does to a clip. Each leaves a way to deliver it: by asking again, or by the next vendor.
FAULTS = (
    "[[runway=fail]]",
    "[[runway=refuse:503]]",
    "[[runway=lose]]",
    "[[runway=corrupt]]",
    "[[runway=fail-charged]]",
    "[[runway=expired]]",
    "[[runway=busy:502x3]]",
    "[[runway=gone]]",
    "[[runway=still]]",
    "[[runway=aborted]]",
)

#: A job that no vendor can make, in three ways: a damaged film, a prompt that is refused, and a render that is charged and fails.
POISON = "[[runway=corrupt]] [[veo3=moderated]] [[replicate=fail-charged]]"


def dealt(names: Sequence[str], *, part: float, seed: int) -> dict[str, str]:
    """Return the fault of each clip that meets one; at least one does. Every kind comes up before one comes up again."""
    count = max(1, round(len(names) * part))
    unlucky = random.Random(seed).sample(sorted(names), count)  # noqa: S311 - a schedule that can be repeated, no secret
    return {name: FAULTS[n % len(FAULTS)] for n, name in enumerate(unlucky)}
