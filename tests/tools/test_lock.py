"""The lock is complete, hashed, and leaves the choice of the index to the machine."""

from __future__ import annotations

import re

from tools.lock import LOCK

LINES = LOCK.read_text(encoding="utf-8").splitlines()


def test_it_names_no_index_and_no_address():
    assert [line for line in LINES if "://" in line or ("index" in line.split("#")[0] and line.startswith("-"))] == []


def test_every_package_is_pinned_and_hashed():
    text = "\n".join(LINES)
    packages = re.findall(
        r"^([a-z0-9][\w.-]*)(?:\[[\w,-]+\])?==\S+[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE
    )
    unindented = [line for line in LINES if line and not line.startswith((" ", "#"))]
    assert len(packages) == len(unindented) > 100


def test_every_requirement_is_locked():
    wanted = re.findall(r"^([a-z0-9-]+)", (LOCK.with_name("requirements.txt")).read_text(encoding="utf-8"), re.MULTILINE)
    locked = {line.split("==")[0].split("[")[0] for line in LINES if "==" in line and not line.startswith((" ", "#"))}
    assert set(wanted) <= locked
