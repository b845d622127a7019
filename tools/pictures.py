"""Pictures of every page of the studio, as a browser shows them, into docs/pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["main"]

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDER = CHECKOUT / "docs" / "pictures"


def main() -> int:
    """Take them by the test that looks at the same pages; return its exit code."""
    env = {**os.environ, "AIPROD_PICTURES": str(FOLDER)}
    looked = [sys.executable, "-m", "pytest", "-q", "tests/browser/test_pictures.py"]
    return subprocess.run(looked, cwd=CHECKOUT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
