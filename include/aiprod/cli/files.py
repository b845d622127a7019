"""Orders as people keep them: YAML or JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from aiprod.errors import SpecError

__all__ = ["order_in", "read"]


def order_in(file: Path) -> dict[str, Any]:
    """Return the fields of the one order in a file. Raises `SpecError`."""
    raw = read(file)
    if not isinstance(raw, dict):
        raise SpecError([f"{file}: must hold the fields of one order, such as `prompt: a lake`"])
    return raw


def read(file: Path) -> Any:
    """Return what a YAML or JSON file says. Raises `SpecError` in one line that names the file."""
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError([f"{file}: {error.strerror}"]) from None
    except (ValueError, yaml.YAMLError) as error:
        raise SpecError([f"{file}: {' '.join(str(error).split())}"]) from None
    except RecursionError:
        raise SpecError([f"{file}: is nested too deeply for an order"]) from None
