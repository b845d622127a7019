"""Builds docs/ as a site into var/site, in an environment of its own: `python -m tools.docs_site`."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from tools.airflow_env import CHECKOUT

__all__ = ["foreign", "main"]

WANTED = CHECKOUT / "docs" / "requirements.txt"
HOME = CHECKOUT / "var" / "docs-venv"
SITE = CHECKOUT / "var" / "site"
#: What a browser fetches by itself; a link that somebody has to click is none.
_FETCHED = re.compile(
    r"<(?:script|img|source|iframe)\b[^>]*\bsrc=\"((?:https?:)?//[^\"]+)\"|<link\b[^>]*\bhref=\"((?:https?:)?//[^\"]+)\""
)


def main() -> int:
    """Return 0 when every page was built without a warning and asks nobody else for anything."""
    python = _environment()
    env = {**os.environ, "PYTHONPATH": "", "NO_MKDOCS_2_WARNING": "1"}
    command = [str(python), "-m", "mkdocs", "build", "--strict", "--quiet", "--clean"]
    if (code := subprocess.run(command, cwd=CHECKOUT, env=env, check=False).returncode) != 0:
        return code
    if asked := foreign(SITE):
        print("\n".join(["Pages ask others:", *asked]), file=sys.stderr)
        return 1
    print(f"{SITE / 'index.html'}; with search: python3 -m http.server --directory {SITE.relative_to(CHECKOUT)}")
    return 0


def foreign(site: Path) -> list[str]:
    """Every address outside the site that a page of it would fetch."""
    found = []
    for page in sorted(site.rglob("*.html")):
        asked = {a or b for a, b in _FETCHED.findall(page.read_text(encoding="utf-8"))}
        found += [f"{page.relative_to(site)}: {address}" for address in sorted(asked)]
    return found


def _environment() -> Path:
    """Install what is pinned, once; return its Python."""
    python, stamp = HOME / "bin" / "python", HOME / ".installed"
    told = hashlib.sha256(WANTED.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != told:
        print(f"Installing mkdocs-material into {HOME}; this happens once.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(WANTED)], check=True)
        stamp.write_text(told, encoding="utf-8")
    return python


if __name__ == "__main__":
    sys.exit(main())
