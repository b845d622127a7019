"""What every test of the cutting room starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.aiprod.assembly.cuttings import write_clip


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, **more) -> Path:
        return write_clip(tmp_path / name, **more)

    return make
