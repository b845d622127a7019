"""The scripts of others that the studio serves and its tests use, fetched from npm as they are pinned."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["CHECKOUT", "MANIFEST", "main", "manifest", "wrong"]

CHECKOUT = Path(__file__).resolve().parents[1]
MANIFEST = CHECKOUT / "plugins" / "aiprod_airflow" / "studio" / "static" / "vendor" / "manifest.json"


def manifest() -> dict[str, Mapping[str, Any]]:
    """Return every package: its version, licence, and where each of its files is kept with its SHA-256."""
    return dict(json.loads(MANIFEST.read_text()))


def wrong() -> list[str]:
    """Return the kept files that are missing or not what the manifest says."""
    return [
        path for pinned in manifest().values() for path, one in pinned["files"].items() if _sum(CHECKOUT / path) != one["sha256"]
    ]


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def _fetch(name: str, pinned: Mapping[str, Any], folder: Path) -> None:
    """Write the files of one package. Raises `SystemExit` when one is not what was pinned: nothing is written then."""
    told = subprocess.run(
        ["npm", "pack", "--json", f"{name}@{pinned['version']}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    read = {}
    with tarfile.open(folder / json.loads(told.stdout)[0]["filename"]) as packed:
        for path, one in pinned["files"].items():
            member = packed.extractfile(f"package/{one['from']}")
            read[path] = member.read() if member else b""
            if hashlib.sha256(read[path]).hexdigest() != one["sha256"]:
                raise SystemExit(f"{name} {pinned['version']}: {one['from']} is not what was pinned")
    for path, content in read.items():
        (CHECKOUT / path).parent.mkdir(parents=True, exist_ok=True)
        (CHECKOUT / path).write_bytes(content)


def main() -> int:
    """Fetch everything again, and say what was there before."""
    before = wrong()
    with tempfile.TemporaryDirectory() as folder:
        for name, pinned in manifest().items():
            _fetch(name, pinned, Path(folder))
    print(f"{len(before)} files were not as pinned: {', '.join(before)}" if before else "every file was as pinned")
    return 0


if __name__ == "__main__":
    sys.exit(main())
