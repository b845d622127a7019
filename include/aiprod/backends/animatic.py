"""The embedded backend: a labelled preview of the shot, drawn on the CPU. Costs nothing and needs no key.

The file is the record: a finished one is the render, a held lock is a render that runs, neither is proof that nothing does.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from av.error import FFmpegError

from aiprod import settings
from aiprod.backends.animatic_film import frame_count, shoot
from aiprod.backends.base import Backend
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, Found, JobState, RenderRequest

__all__ = ["AnimaticBackend"]

_KEY = re.compile(r"[a-z0-9_-]{1,128}")
_DONE = JobState(state="succeeded", progress=1.0, charged=0, money_moved="no")


class AnimaticBackend(Backend):
    """Draws previews inside `submit`, one per key, on this machine."""

    can_find = True

    def validate(self, request: RenderRequest) -> RenderRequest:
        """Refuse what H.264 cannot hold: odd or tiny pictures, no frame at all."""
        if request.width % 2 or request.height % 2 or min(request.width, request.height) < 64:
            raise SubmitRejected(
                f"{self.name}: {request.width}x{request.height} cannot be drawn; both sides must be even and at least 64",
                kind=FailureKind.INVALID_INPUT,
            )
        if request.fps < 1 or frame_count(request) < 1:
            raise SubmitRejected(
                f"{self.name}: {request.seconds:g} s at {request.fps} fps has no frame", kind=FailureKind.INVALID_INPUT
            )
        return request

    def submit(self, request: RenderRequest, *, key: str) -> Accepted:
        """Draw the preview and return when it is finished. The same key draws once.

        Raises `SubmitAmbiguous` while another process draws the same key.
        """
        self.validate(request)
        finished = self._film(key)
        if not finished.is_file():
            try:
                with self._drawing(key) as alone:
                    if not alone:
                        raise SubmitAmbiguous(
                            f"{self.name}: {key} is being drawn by another process; look again", kind=FailureKind.TRANSIENT
                        )
                    if not finished.is_file():
                        _draw(request, finished)
            except (OSError, FFmpegError) as error:
                raise SubmitRejected(
                    f"{self.name}: {key} could not be drawn in {finished.parent} ({error}); check space and permissions there",
                    kind=FailureKind.TRANSIENT,
                ) from error
        return Accepted(vendor_id=key, state=_DONE)

    def find(self, request: RenderRequest, *, key: str, since: datetime) -> Found:
        """Look on this machine's disk, which is all there is: no file and nobody drawing is proof."""
        finished = self._film(key)
        if finished.is_file():
            return Found(vendor_ids=(key,))
        with self._drawing(key) as alone:
            # Between the first look and the lock, the other process may have finished.
            if finished.is_file():
                return Found(vendor_ids=(key,))
            return Found(proof=alone)

    def poll(self, vendor_id: str) -> JobState:
        """Say whether the preview is there, is being drawn, or (kind `gone`) neither."""
        finished = self._film(vendor_id)
        if finished.is_file():
            return _DONE
        with self._drawing(vendor_id) as alone:
            if finished.is_file():
                return _DONE
            if not alone:
                return JobState(state="running", money_moved="no")
        raise self._gone(vendor_id)

    def fetch(self, vendor_id: str, into: Path) -> None:
        """Copy the finished preview to `into`."""
        finished = self._film(vendor_id)
        if not finished.is_file():
            raise self._gone(vendor_id)
        try:
            shutil.copyfile(finished, into)
        except OSError as error:
            raise BackendError(
                f"{self.name}: {vendor_id} could not be copied to {into} ({error.strerror})",
                kind=FailureKind.TRANSIENT,
                money_moved="no",
            ) from error

    def _gone(self, vendor_id: str) -> BackendError:
        message = f"{self.name}: there is no preview {vendor_id} on this machine and nobody draws it; submit it again"
        return BackendError(message, kind=FailureKind.GONE, money_moved="no")

    def _film(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise SubmitRejected(f"{self.name}: {key!r} is not a key; use a-z, 0-9, _ and - only", kind=FailureKind.INVALID_INPUT)
        return settings.var_dir() / "animatic" / f"{key}.mp4"

    @contextmanager
    def _drawing(self, key: str) -> Iterator[bool]:
        """Yield whether the lock of `key` is ours. The system drops it when its process dies, so it never lies."""
        lock = self._film(key).with_suffix(".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a")
        except OSError as error:
            raise SubmitRejected(
                f"{self.name}: {lock} cannot be opened ({error.strerror}); check AIPROD_VAR_DIR and its permissions",
                kind=FailureKind.TRANSIENT,
            ) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _draw(request: RenderRequest, finished: Path) -> None:
    """Draw beside the target and move into place, so that a file with the right name is a whole file."""
    unfinished = finished.with_suffix(".part")
    try:
        shoot(request, unfinished)
        os.replace(unfinished, finished)
    finally:
        unfinished.unlink(missing_ok=True)
