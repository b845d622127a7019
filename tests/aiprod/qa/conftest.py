"""What every test of the technical check starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from aiprod.catalog import Quality, catalog
from aiprod.qa import Expected
from tests.aiprod.qa.specimens import FPS, HEIGHT, WIDTH, moving, tone, write


@pytest.fixture(scope="session")
def thresholds() -> Quality:
    return catalog().quality


@pytest.fixture(scope="session")
def expected() -> Expected:
    """What every clip of these tests was bought as: two seconds with sound."""
    return Expected(seconds=2, fps=FPS, width=WIDTH, height=HEIGHT, audio=True)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    return write(folder / "clean.mp4", moving(48), tone(2), options={"movflags": "+faststart"})


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Write a clip of 48 moving pictures with a tone, unless told otherwise."""

    def make(
        name: str = "clip.mp4", pictures: Sequence[np.ndarray] | None = None, sound: np.ndarray | None = None, **more
    ) -> Path:
        return write(tmp_path / name, moving(48) if pictures is None else pictures, tone(2) if sound is None else sound, **more)

    return make
