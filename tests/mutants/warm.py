"""`python -m tests.mutants.warm`: loads what every test needs except our library, then forks once for each line it is sent."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from typing import Any

#: What the library and its tests import of others, in any order.
_LOADED = (
    "pytest", "sqlalchemy", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite", "alembic.command", "psycopg",
    "pydantic", "yaml", "numpy", "fsspec", "httpx", "requests", "PIL.Image", "av", "google.genai", "typer", "rich.table",
)  # fmt: skip


def main() -> None:
    for name in _LOADED:
        importlib.import_module(name)
    if any(name.split(".")[0] == "aiprod" for name in sys.modules):
        raise SystemExit("the library was loaded before its copy")
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(asked)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(asked: dict[str, Any]) -> None:
    """Run the tests in this fork, what they say into a file, and end it."""
    import pytest

    code = 70
    try:
        said = os.open(asked["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(said, descriptor)
        sys.path[:0] = asked["paths"]
        os.environ["PYTHONPATH"] = os.pathsep.join(asked["paths"])
        code = int(pytest.main(asked["arguments"]))
    except BaseException:  # noqa: BLE001 - a fork must not return into its parent's loop; who asked reads what it said
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
