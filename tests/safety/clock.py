"""One clock for every process of a storm, which can be set ahead: leases and days pass without anybody waiting."""

from __future__ import annotations

import mmap
import struct
import time
from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]


class Clock:
    """Real time plus what it was set ahead. Shared with every process forked after it was made."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    @property
    def ahead(self) -> float:
        """How far it is ahead, in seconds."""
        found: float = struct.unpack("d", self._shared[:8])[0]
        return found

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.ahead, UTC)

    def monotonic(self) -> float:
        """What a process measures its own patience with: it passes with the same jumps."""
        return time.monotonic() + self.ahead

    def jump(self, by: timedelta) -> None:
        self._set(self.ahead + by.total_seconds())

    def start_at(self, moment: datetime) -> None:
        self._set(moment.timestamp() - time.time())

    def _set(self, ahead: float) -> None:
        self._shared[:8] = struct.pack("d", ahead)
