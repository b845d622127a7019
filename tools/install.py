"""Make `.venv` hold exactly what requirements.lock says: `python tools/install.py`. Needs the standard library only."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LOCK = CHECKOUT / "requirements.lock"
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
#: Written last: a venv without it, or with another lock's hash, is not trusted and is made again.
STAMP = VENV / ".installed"


def main() -> int:
    """Return 0 when the venv is complete. A second call at the same time waits for the first."""
    with LOCK.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = hashlib.sha256(lock.read()).hexdigest()
        if _stamp() == wanted and PYTHON.exists():
            return 0
        started = time.monotonic()
        print(f"Installing {_count()} packages into .venv; this happens once and takes a few minutes …", flush=True)
        if VENV.exists():
            shutil.rmtree(VENV)
        for step in _steps(shutil.which("uv")):
            if subprocess.run(step, cwd=CHECKOUT, check=False).returncode:
                print(f"Installation failed at: {' '.join(step)}", file=sys.stderr)
                return 1
        STAMP.write_text(wanted, encoding="utf-8")
        print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)
        return 0


def _steps(uv: str | None) -> list[list[str]]:
    if uv:
        return [
            [uv, "venv", "--quiet", "--no-config", "--python", sys.executable, str(VENV)],
            [
                uv,
                *("pip", "install", "--quiet", "--no-config", "--compile-bytecode", "--require-hashes"),
                "--python",
                str(PYTHON),
                "-r",
                str(LOCK),
            ],
        ]
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    return [[sys.executable, "-m", "venv", str(VENV)], [*pip, "--require-hashes", "-r", str(LOCK)]]


def _stamp() -> str:
    try:
        return STAMP.read_text(encoding="utf-8")
    except OSError:
        return ""


def _count() -> int:
    return sum("==" in line and not line.startswith(("#", " ")) for line in LOCK.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    sys.exit(main())
