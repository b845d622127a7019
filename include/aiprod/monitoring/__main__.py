"""`python -m aiprod.monitoring files | plan | deploy`: make the files, show what Cloud Monitoring lacks, bring it up."""

from __future__ import annotations

import argparse
import sys

from aiprod import settings
from aiprod.catalog import catalog
from aiprod.errors import AiprodError
from aiprod.monitoring.deploying import deploy
from aiprod.monitoring.files import write

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Do one of the three; return 1 where something went wrong, and, for `plan`, 2 where something differs."""
    parser = argparse.ArgumentParser(prog="python -m aiprod.monitoring", description=__doc__)
    parser.add_argument("what", choices=("files", "plan", "deploy"))
    what = parser.parse_args(arguments).what
    try:
        if what == "files":
            lines = write(catalog(), settings.shipped_config_dir().parent / "monitoring")
        else:
            lines = [str(difference) for difference in deploy(catalog(), apply=what == "deploy")]
    except AiprodError as error:
        print(f"aiprod: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines) or "nothing differs")
    return 2 if what == "plan" and lines else 0


if __name__ == "__main__":
    sys.exit(main())
