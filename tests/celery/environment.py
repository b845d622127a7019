"""A virtual environment with Celery beside everything of ours, made once in `var/celery`, and the programs it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.postgres import binaries
from tools.airflow_env import CHECKOUT

__all__ = ["COMMAND", "PYTHON", "lacks", "make", "wanted"]

COMMAND = "PYTHONPATH=include:plugins .venv/bin/python -m tests.celery"
_ROOM = CHECKOUT / "var" / "celery"
_LOCK = CHECKOUT / "deploy" / "requirements.lock"
PYTHON = _ROOM / "venv" / "bin" / "python"
_STAMP = _ROOM / "venv" / "requirements.txt"

#: What the image has for Celery and PostgreSQL and our own environment has not, in the image's versions.
_PACKAGES = (
    "apache-airflow-providers-celery", "celery", "kombu", "billiard", "vine", "amqp", "redis", "async-timeout", "tzlocal",
    "click-didyoumean", "click-plugins", "click-repl", "prompt-toolkit", "wcwidth", "flower", "humanize", "tornado", "pytz",
    "apache-airflow-providers-postgres", "psycopg2-binary", "asyncpg",
)  # fmt: skip


def lacks() -> str:
    """Return what this machine lacks, and how to get it; empty when everything is there."""
    programs = [
        package
        for package, there in (("redis-server", shutil.which("redis-server")), ("postgresql", binaries()))
        if there is None
    ]
    if programs:
        return f"`apt-get install {' '.join(programs)}` is needed first"
    if not PYTHON.exists() or not _STAMP.exists() or _STAMP.read_text(encoding="utf-8") != wanted():
        return f"`{COMMAND}` makes the environment that is missing, and runs the same trial"
    return ""


def make() -> None:
    """Make the environment, unless it is there: about twenty packages, with the hashes of the image's lock."""
    if _STAMP.exists() and _STAMP.read_text(encoding="utf-8") == wanted():
        return
    shutil.rmtree(_ROOM / "venv", ignore_errors=True)
    _ROOM.mkdir(parents=True, exist_ok=True)
    listed = _ROOM / "requirements.txt"
    listed.write_text(wanted(), encoding="utf-8")
    print(f"Installing {len(_PACKAGES)} packages into {_ROOM / 'venv'}; this happens once …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(_ROOM / "venv")], check=True)
    quietly = ("--quiet", "--disable-pip-version-check", "--no-input")
    install = [str(PYTHON), "-m", "pip", "install", *quietly, "--no-deps", "--require-hashes", "-r", str(listed)]
    subprocess.run(install, check=True)
    # Everything else is ours: Airflow and its packages are not installed a second time.
    ours = sysconfig.get_paths()["purelib"]
    (site,) = (_ROOM / "venv" / "lib").glob("python*/site-packages")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")
    shutil.copyfile(listed, _STAMP)


def wanted(lock: Path = _LOCK) -> str:
    """Return the lines of the image's lock for what is missing here. Raises `KeyError` for a package it does not have."""
    text = lock.read_text(encoding="utf-8")
    found = dict(re.findall(r"^([a-z0-9._-]+)(?:\[[\w,-]+\])?(==[^\n]*(?:\n    [^\n]*)*)$", text, re.MULTILINE))
    return "".join(f"{name}{found[name]}\n" for name in _PACKAGES)
