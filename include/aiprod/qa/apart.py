"""Measuring in a process of its own, with limits: a hostile file can at worst end a child, and is then unreadable.

The child keeps no standard streams of ours, sees no environment of ours (it has no use for keys) and ends when we do.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiprod.errors import MeasuringInterrupted
from aiprod.qa.measure import Measurements, measure
from aiprod.qa.thumbnails import thumbnails

__all__ = ["measure_apart", "thumbnails_apart"]

#: What one file may cost. A minute of 4K takes a tenth of this; beyond it, a file is not a take.
_CPU_SECONDS, _MEMORY_BYTES = 300, 2 << 30
#: A machine may be busy with others; this is when we stop waiting for it.
_WALL_SECONDS = 900.0
#: Pictures of what was found are not worth waiting long for.
_PICTURES_SECONDS = 120.0
#: The longest answer we read: an hour of levels is a twentieth of it.
_ANSWER_BYTES = 32 << 20
#: A child is replaced after this many files, so that nothing adds up in it.
_FILES = 200
#: Ends that the file caused, as opposed to the machine.
_BY_FILE = {signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


def measure_apart(path: Path, *, wall_seconds: float = _WALL_SECONDS) -> Measurements:
    """Measure a file as `measure` does, without risk to this process.

    A file that ends the child is unreadable, and says how. Raises `MeasuringInterrupted` when the child was ended from
    outside or the machine is too busy: that says nothing about the file.
    """
    with _LOCK:
        child = _child()
        try:
            return child.ask(path, time.monotonic() + wall_seconds)
        except _Ended as ended:
            _drop()
            if ended.by_file:
                size = path.stat().st_size if path.exists() else 0
                return Measurements(size=size, problem=f"measuring it ended the measuring process ({ended})")
            raise MeasuringInterrupted(f"measuring {path.name} was interrupted ({ended}); it can be measured again") from None


def thumbnails_apart(path: Path, moments: Sequence[float], *, wall_seconds: float = _PICTURES_SECONDS) -> list[bytes | None]:
    """Return what `thumbnails` does, without risk to this process; no pictures where the child ended over them."""
    with _LOCK:
        child = _child()
        try:
            said = child.say({"path": str(path.absolute()), "moments": list(moments)}, time.monotonic() + wall_seconds)
        except _Ended:
            _drop()
            return [None] * len(moments)
    return [None if one is None else base64.b64decode(one) for one in json.loads(said)]


class _Ended(Exception):
    """The child is gone, or has to go."""

    def __init__(self, how: str, *, by_file: bool) -> None:
        self.by_file = by_file
        super().__init__(how)


class _Child:
    """One measuring process: a path goes in, one line of JSON comes out."""

    def __init__(self) -> None:
        self.owner, self.files = os.getpid(), 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aiprod.qa.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )

    def ask(self, path: Path, deadline: float) -> Measurements:
        """Have a file measured. Raises `_Ended`."""
        return Measurements.model_validate_json(self.say({"path": str(path.absolute())}, deadline))

    def say(self, wish: dict[str, Any], deadline: float) -> bytes:
        """Send a line and return the one that answers it. Raises `_Ended`."""
        self.files += 1
        if self._process.stdin is None:
            raise _Ended("no pipe", by_file=False)
        try:
            self._process.stdin.write(json.dumps(wish).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._end() from None
        return self._line(deadline)

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What was not written before the child ended is written now, and reaches nobody.
                with suppress(OSError):
                    pipe.close()
        if self.owner == os.getpid():
            self._process.kill()
            self._process.wait()

    def _line(self, deadline: float) -> bytes:
        if self._process.stdout is None:
            raise _Ended("no pipe", by_file=False)
        answer = bytearray()
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                if not ready.select(max(0.0, deadline - time.monotonic())):
                    raise _Ended("it took too long", by_file=False)
                part = os.read(self._process.stdout.fileno(), 1 << 16)
                if not part:
                    raise self._end()
                answer += part
                if len(answer) > _ANSWER_BYTES:
                    raise _Ended("its answer has no end", by_file=True)
        return bytes(answer)

    def _end(self) -> _Ended:
        """Say how the child ended, which it did or is about to."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return _Ended("it stopped answering", by_file=False)
        if code < 0:
            name = signal.Signals(-code).name
            return _Ended(f"{name}, {_CPU_SECONDS} CPU seconds" if -code == signal.SIGXCPU else name, by_file=-code in _BY_FILE)
        return _Ended(f"exit code {code}", by_file=False)


_LOCK = threading.Lock()
_KEPT: list[_Child] = []


def _child() -> _Child:
    """The child of this process; one that a parent started before a fork is not ours."""
    if _KEPT and (_KEPT[0].owner != os.getpid() or _KEPT[0].files >= _FILES):
        _drop()
    if not _KEPT:
        _KEPT.append(_Child())
    return _KEPT[0]


def _drop() -> None:
    while _KEPT:
        _KEPT.pop().close()


atexit.register(_drop)


def _answer(wish: dict[str, Any]) -> str:
    path = Path(wish["path"])
    if "moments" not in wish:
        return measure(path).model_dump_json()
    pictures = thumbnails(path, wish["moments"])
    return json.dumps([None if one is None else base64.b64encode(one).decode() for one in pictures])


def main() -> None:
    """Answer one line of JSON per line read, until there is nothing more to read."""
    limit = resource.setrlimit
    limit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    limit(resource.RLIMIT_CORE, (0, 0))
    # It has no reason to write any file; pipes do not count.
    limit(resource.RLIMIT_FSIZE, (0, 0))
    for line in sys.stdin.buffer:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + 1 + _CPU_SECONDS
        limit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
        sys.stdout.buffer.write(_answer(json.loads(line)).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
