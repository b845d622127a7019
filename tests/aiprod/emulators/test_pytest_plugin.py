"""The fixture that others load: it works from its documentation, and a bug in the vendors is nobody's expected fault."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_TESTS = """
import httpx

def test_a_user_buys(vendors):
    assert httpx.get(vendors.url + "/v1/account", headers={"Authorization": "Bearer " + vendors.key("replicate")}).json()

def test_a_bug_is_not_expected(vendors, monkeypatch):
    from aiprod.emulators.replicate import Replicate
    monkeypatch.setattr(Replicate, "_model", None)
    path = vendors.url + "/v1/models/wan-video/wan-2.5-t2v"
    assert httpx.get(path, headers={"Authorization": "Bearer " + vendors.key("replicate")}).status_code == 500
"""


def test_a_user_loads_it_and_a_bug_of_ours_fails_the_test_that_met_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["aiprod.emulators.pytest_plugin"]\n')
    (tmp_path / "test_mine.py").write_text(_TESTS)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "'NoneType' object is not callable" in done.stdout
