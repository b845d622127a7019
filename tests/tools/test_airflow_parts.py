"""What the parent of all tasks does once, no task does again."""

from __future__ import annotations

import subprocess
import sys

from tools.airflow_env import CHECKOUT

_PROBE = """
import sys
sys.path[:0] = ["include", "."]
from aiprod import models
import aiprod.catalog, aiprod.ledger.purchases
from tools.airflow_parts import build_models

def unbuilt(model=models.Noun):
    below = model.__subclasses__()
    return sum(not one.__pydantic_complete__ for one in below) + sum(map(unbuilt, below))

print(unbuilt(), end=" ")
build_models()
print(unbuilt())
"""


def test_models_are_built_before_tasks_are_forked() -> None:
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True, cwd=CHECKOUT, timeout=60)
    before, after = map(int, done.stdout.split())

    assert before > 50, "they are left out at import: nothing needs building"
    assert after == 0
