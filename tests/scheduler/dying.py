"""Veo 3 as it ships, in a process that is killed on order: before, or after, Google has the request."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from aiprod import settings
from aiprod.backends.veo3 import Veo3Backend
from aiprod.models import Accepted, RenderRequest, fingerprint

__all__ = ["DyingVeo3"]


class DyingVeo3(Veo3Backend):
    """Dies once per prompt: `[[worker=die-before]]`, `[[worker=die-after]]`."""

    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        self._die("before", request.prompt)
        accepted = super().submit(request, key=key)
        self._die("after", request.prompt)
        return accepted

    def _die(self, when: str, prompt: str) -> None:
        if f"[[worker=die-{when}]]" in prompt and _first(settings.var_dir() / f"died-{fingerprint(prompt)}"):
            os.kill(os.getpid(), signal.SIGKILL)


def _first(mark: Path) -> bool:
    try:
        mark.open("x").close()
    except FileExistsError:
        return False
    return True
