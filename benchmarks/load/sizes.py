"""How much is carried: small enough to try in a minute, or as much as is promised."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Sizes"]


@dataclass(frozen=True)
class Sizes:
    """Seconds are the vendors'; `seed` decides which clips meet which fault."""

    seed: int = 9
    #: Jobs at once where renders dominate, and with faults.
    together: int = 10
    crowd: int = 20
    clips: int = 2_000
    jobs: int = 200
    #: How many jobs of the memory scenario are under way at once.
    at_once: int = 8
    #: What the vendors need where renders dominate, and where they do not.
    long_render: float = 60.0
    short_render: float = 5.0
    #: Of each backend; a batch gets twice as many shots.
    slots: int = 200
    #: The part of renders that meets a fault.
    faults: float = 0.05
