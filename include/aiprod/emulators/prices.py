"""What the emulated vendors charge: their list prices, and whatever somebody put in their place."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

__all__ = ["LIST", "cost", "per_second"]

#: Micro-dollars per second, 2026-11-23. `+audio` with sound, `@…` at that resolution; Replicate's is a guess.
LIST: Mapping[str, int] = {
    "runway/gen4.5": 120_000,
    "runway/gen4_turbo": 50_000,
    "runway/veo3.1": 200_000,
    "runway/veo3.1+audio": 400_000,
    "runway/veo3.1_fast": 100_000,
    "runway/veo3.1_fast+audio": 150_000,
    "veo3/veo-3.1-generate-001": 400_000,
    "veo3/veo-3.1-generate-001@4k": 600_000,
    "veo3/veo-3.1-fast-generate-001": 150_000,
    "veo3/veo-3.1-lite-generate-001": 50_000,
    "veo3/veo-3.1-lite-generate-001@1080p": 80_000,
    "replicate/wan-video/wan-2.5-t2v": 100_000,
    "replicate/bytedance/seedance-1-lite": 36_000,
}


def per_second(prices: Mapping[str, int], backend: str, model: str, *, audio: bool = False, resolution: str = "") -> int:
    """Return micro-dollars per second: from `prices` where anything in it fits, else from the list. Closest name first."""
    names = [f"{backend}/{model}@{resolution}", *([f"{backend}/{model}+audio"] if audio else []), f"{backend}/{model}", backend]
    for book in (prices, LIST):
        for name in names:
            if name in book:
                return book[name]
    raise KeyError(f"no price for {backend} {model}")


def cost(micros_per_second: int, seconds: float, *, times: str = "1", unit: int = 1) -> int:
    """Return micro-dollars for some seconds, `times` as much, rounded up to whole units."""
    exact = Decimal(micros_per_second) * Decimal(str(seconds)) * Decimal(times)
    return int((exact / unit).to_integral_value(ROUND_CEILING)) * unit
