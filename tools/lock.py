"""Turn requirements.txt into requirements.lock: `python -m tools.lock [--upgrade]`. Versions stay unless told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tools.airflow_env import CHECKOUT

LOCK = CHECKOUT / "requirements.lock"
COMPILE = "pip compile requirements.txt --universal --python-version 3.11 --generate-hashes --quiet -o requirements.lock"


def main(argv: list[str]) -> int:
    """Write the lock; return 1 if it would name a package index, which must stay the machine's own choice."""
    with tempfile.TemporaryDirectory() as folder:
        uv = shutil.which("uv") or _fetch_uv(Path(folder))
        # Only the public index decides what is locked, not this machine's mirrors.
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        subprocess.run([uv, *COMPILE.split(), "--no-config", *argv], cwd=CHECKOUT, env=env, check=True)
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    foreign = [line for line in lines if re.search(r"://|--(extra-)?index|--find-links", line)]
    if foreign:
        print("requirements.lock names an index:\n" + "\n".join(foreign), file=sys.stderr)
        return 1
    return 0


def _fetch_uv(folder: Path) -> str:
    """Install uv for this one run and return its path."""
    venv.create(folder / "uv", with_pip=True)
    subprocess.run([folder / "uv" / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    return str(folder / "uv" / "bin" / "uv")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
