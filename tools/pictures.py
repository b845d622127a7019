"""Pictures of every page of the studio, as a browser shows them, into docs/pictures: `python -m tools.pictures`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

__all__ = ["main", "shrink"]

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDER = CHECKOUT / "docs" / "pictures"
#: Bytes: every clone of the repository carries them, of every day on which they were taken.
MOST = 150_000


def main() -> int:
    """Take them by the test that looks at the same pages; return its exit code, or 1 when one does not get small."""
    env = {**os.environ, "AIPROD_PICTURES": str(FOLDER)}
    looked = [sys.executable, "-m", "pytest", "-q", "tests/browser/test_pictures.py"]
    code = subprocess.run(looked, cwd=CHECKOUT, env=env, check=False).returncode
    if code:
        return code
    sizes = {picture.name: shrink(picture) for picture in sorted(FOLDER.glob("studio-*.png"))}
    large = [f"{name}: {size} bytes" for name, size in sizes.items() if size > MOST]
    print("\n".join([*large, f"{len(large)} pictures are larger than {MOST // 1000} kB"]))
    return 1 if large else 0


def shrink(picture: Path) -> int:
    """Write a PNG again with a palette, of as many colours as fit into `MOST`; return its bytes."""
    with Image.open(picture) as opened:
        seen = opened.convert("RGB")
    for colours in (256, 128, 64, 32):
        few = seen.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(picture, optimize=True)
        if picture.stat().st_size <= MOST:
            break
    return picture.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
