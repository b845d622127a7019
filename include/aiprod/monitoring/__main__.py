"""`python -m aiprod.monitoring files | plan | deploy`: make the files, show what Cloud Monitoring lacks, bring it up."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aiprod import settings
from aiprod.catalog import catalog
from aiprod.errors import AiprodError
from aiprod.monitoring.deploying import deploy
from aiprod.monitoring.files import write
from aiprod.monitoring.pages import page

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Do one of the three; return 1 where something went wrong, and, for `plan`, 2 where something differs."""
    parser = argparse.ArgumentParser(prog="python -m aiprod.monitoring", description=__doc__)
    parser.add_argument("what", choices=("files", "plan", "deploy"))
    what = parser.parse_args(arguments).what
    try:
        if what == "files":
            home = settings.shipped_config_dir().parents[1]
            lines = [*write(catalog(), home / "include" / "monitoring"), *_written(home / "docs" / "monitoring.md")]
        else:
            lines = [str(difference) for difference in deploy(catalog(), apply=what == "deploy")]
    except AiprodError as error:
        print(f"aiprod: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines) or "nothing differs")
    return 2 if what == "plan" and lines else 0


def _written(file: Path) -> list[str]:
    before = file.read_text(encoding="utf-8")
    after = page(before, catalog())
    if after == before:
        return []
    file.write_text(after, encoding="utf-8")
    return [f"wrote {file.name}"]


if __name__ == "__main__":
    sys.exit(main())
