"""Deletes what killed processes left on this machine: half downloads and half cuts."""

from __future__ import annotations

import logging
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from aiprod import settings

__all__ = ["sweep"]

log = logging.getLogger(__name__)

#: Folders of `var/` that hold nothing but work in progress, each piece in a folder of its own.
_SCRATCH = ("incoming", "scratch")
#: No download and no cut takes this long.
LEFT_BEHIND = timedelta(days=1)


def sweep(*, now: datetime) -> list[Path]:
    """Delete what nobody has written to for a day; return what was deleted. What cannot be deleted is logged and kept."""
    gone = []
    for folder in (settings.var_dir() / name for name in _SCRATCH):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                if _last_written(path) >= (now - LEFT_BEHIND).timestamp():
                    continue
                # A link is taken away, never what it leads to.
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                gone.append(path)
            except OSError as error:
                log.warning("%s could not be deleted: %s", path, error)
    return gone


def _last_written(path: Path) -> float:
    """When the path, or anything in it, was last written, in seconds since 1970."""
    newest = path.lstat().st_mtime
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            newest = max(newest, (Path(parent) / name).lstat().st_mtime)
    return newest
