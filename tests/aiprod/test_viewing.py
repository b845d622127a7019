"""What people see of a job is what the ledger has, and whoever watches is told of every change."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from aiprod.ledger import Ledger
from aiprod.models import JobStatus
from tests.market import Market
from tests.walk import MOVES, Walk


@pytest.mark.parametrize("preset", ["quick_social", "brand_campaign", "premium_spot"])
def test_no_walk_leaves_the_documented_ways_and_every_change_is_seen(local_market: Market, tmp_path: Path, preset: str) -> None:
    """Walks are drawn, and drawn the same each time; the trail is in the message."""
    local_market.with_preset(preset, budget_usd=1_000)
    reached: set[JobStatus] = set()
    for seed in range(12):
        draw = random.Random(f"{preset} {seed}")  # noqa: S311 - chooses moves
        file = tmp_path / f"walk-{seed}.db"
        shutil.copyfile(tmp_path / "ledger.db", file)
        walk = Walk(Ledger(f"sqlite:///{file}"), local_market.catalog, preset=preset)
        trail = []
        for _ in range(45):
            trail.append(draw.choice(MOVES))
            try:
                walk.do(trail[-1])
            except AssertionError as error:
                pytest.fail(f"{error} after {trail}: {[str(status) for status in walk.seen]}")
        reached |= set(walk.seen)
    assert {"delivered", "rejected", "failed", "rendering", "scoring", "cancelled"} <= {str(status) for status in reached}
