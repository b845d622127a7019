"""A vendor's own books: every accept and every fault it dealt, appended and synced before anybody is answered."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

__all__ = ["Books"]


class Books:
    """One append-only file of JSON lines. Only the vendor writes it; whoever judges reads it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._turn = threading.Lock()

    def write(self, event: str, **facts: Any) -> None:
        """Append one line and sync it: what is not written down has not happened."""
        line = json.dumps({"event": event, **facts}).encode() + b"\n"
        with self._turn:
            os.write(self._file, line)
            os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)

    @staticmethod
    def read(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the lines written from byte `start` on, and where the next reader begins."""
        with path.open("rb") as file:
            file.seek(start)
            text = file.read()
        return [json.loads(line) for line in text.splitlines()], start + len(text)
