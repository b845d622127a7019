"""Growth is shown where there is some, and noise is not called growth."""

from __future__ import annotations

import random

import pytest

from benchmarks.load.slope import slope


def noisy(per_step: float, *, noise: float, seed: int, count: int = 200) -> list[tuple[float, float]]:
    chance = random.Random(seed)  # noqa: S311 - noise, no secret
    return [(n, 250_000 + per_step * n + chance.gauss(0, noise)) for n in range(count)]


def test_a_line_without_noise_is_found_exactly() -> None:
    found = slope(noisy(40, noise=0, seed=1))

    assert found.value == pytest.approx(40)
    assert found.most - found.least < 1e-6


def test_a_leak_is_shown_although_memory_goes_up_and_down() -> None:
    assert all(slope(noisy(100, noise=2_000, seed=seed)).least > 50 for seed in range(10))


def test_flat_memory_is_seldom_called_a_leak() -> None:
    """A 95 % range misses zero once in twenty times."""
    missed = sum(
        1
        for seed in range(200)
        if not slope(noisy(0, noise=2_000, seed=seed)).least <= 0 <= slope(noisy(0, noise=2_000, seed=seed)).most
    )

    assert missed <= 20


def test_one_spike_is_no_growth() -> None:
    samples = noisy(0, noise=100, seed=3)
    samples[150] = (150, 900_000)

    assert slope(samples).least <= 0


@pytest.mark.parametrize("samples", [[(n, 1.0) for n in range(19)], [(1.0, float(n)) for n in range(40)]])
def test_too_little_to_say_anything_is_refused(samples: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"samples; 20 are needed|at the same step"):
        slope(samples)
