"""CPU that a process leaves behind when it ends is counted, or the cheapest design would be the one that hides its work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tools.airflow_env import CHECKOUT

#: Ends at once, and leaves a child behind that works for a fifth of a second and has nothing of its environment.
_LEAVES = """
import subprocess, sys
work = "import time; [0 for _ in iter(lambda: time.process_time() < 0.2, False)]"
subprocess.Popen([sys.executable, "-S", "-c", work, "aiprod.qa.apart"], env={}, start_new_session=True)
"""

_MEASURES = """
import subprocess, sys
from pathlib import Path
from benchmarks import cpu
{adopt}
home = Path("/nowhere")
before = cpu.spent(home)
subprocess.run([sys.executable, "-S", "-c", {leaves!r}], check=True)
print(cpu.spent_when_still(home) - before)
"""


def counted(adopt: str) -> float:
    """CPU-seconds counted by a process of its own: adopting lasts as long as whoever did it."""
    program = _MEASURES.format(adopt=adopt, leaves=_LEAVES)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT, timeout=60)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_what_outlives_its_parent_is_counted() -> None:
    assert counted("cpu.adopt_orphans()") >= 0.2
