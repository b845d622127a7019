"""Where takes and deliveries are kept: a folder or any fsspec address, each file whole or not there."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, Self, cast

from upath import UPath

from aiprod.errors import ConfigError, StorageError
from aiprod.models import StoredFile

__all__ = ["Storage"]

_CHUNK = 1024 * 1024
#: fsspec reads the first three as patterns; the last two are separators or ends elsewhere.
_FORBIDDEN = frozenset("*?[\\\0")
_NEXT = {
    errno.ENOSPC: "the disk is full: free some space and try again",
    errno.EDQUOT: "the quota is used up: free some space and try again",
    errno.EACCES: "permission denied: let this user write there, or set AIPROD_STORAGE_URL to another place",
    errno.EPERM: "permission denied: let this user write there, or set AIPROD_STORAGE_URL to another place",
    errno.EROFS: "the file system is read-only: set AIPROD_STORAGE_URL to another place",
    errno.ENOENT: "it is not there",
}


class _Digest(NamedTuple):
    sha256: str
    size: int


class _Keeper(Protocol):
    """What a place must be able to do. Names are checked before they come here."""

    def address(self, name: str) -> str: ...
    def open(self, name: str) -> BinaryIO: ...

    def exists(self, name: str) -> bool: ...

    # Copies `source` to `name` in one step. Raises `FileExistsError` unless `replace`.
    def place(self, source: BinaryIO, name: str, *, replace: bool) -> _Digest: ...

    def below(self, name: str) -> list[tuple[str, int]]: ...

    def delete(self, name: str) -> None: ...


class Storage:
    """Keeps files below one root. `root` is a UPath or anything alike, for example Airflow's ObjectStoragePath."""

    def __init__(self, root: UPath) -> None:
        self._root = str(root)
        if root.protocol in ("", "file", "local"):
            self._folder: Path | None = Path(root.path).resolve()
            self._keeper: _Keeper = _Disk(self._folder)
        else:
            self._folder = None
            try:
                self._keeper = _Bucket(root)
            except ImportError as error:
                raise ConfigError(f"{self._root} needs a package that is not installed: {error}") from error

    @classmethod
    def at(cls, url: str) -> Self:
        """Open the storage at a folder or an fsspec address. Raises `ConfigError` when nothing can speak to it."""
        try:
            return cls(UPath(url))
        except ValueError as error:
            raise ConfigError(f"AIPROD_STORAGE_URL={url!r} is no address that can be opened: {error}") from error

    def keep(self, source: Path, relative: str) -> StoredFile:
        """Copy `source` to `relative` below the root, once.

        The file appears whole. Keeping the same bytes again changes nothing and returns the same; other bytes
        under a name that is taken raise `StorageError`.
        """
        name = self._inside(relative)
        with self._told(f"keep {source} as {relative}"):
            with source.open("rb") as stream:
                if not self._keeper.exists(name):
                    try:
                        return self._stored(name, self._keeper.place(stream, name, replace=False))
                    except FileExistsError:
                        stream.seek(0)
                wanted = _digest(stream)
            with self._keeper.open(name) as stream:
                kept = _digest(stream)
        if kept != wanted:
            raise StorageError(f"{self._keeper.address(name)} already holds another file; nothing was overwritten")
        return self._stored(name, kept)

    def keep_text(self, text: str, relative: str, replace: bool = True) -> StoredFile:
        """Write `text` as UTF-8 to `relative`; readers see the old file or the new one, never half of one."""
        name = self._inside(relative)
        with self._told(f"write {relative}"):
            try:
                return self._stored(name, self._keeper.place(io.BytesIO(text.encode()), name, replace=replace))
            except FileExistsError:
                raise StorageError(f"{self._keeper.address(name)} is already there; nothing was overwritten") from None

    def open(self, relative: str) -> BinaryIO:
        """Return a stream to read `relative` from, at any place in it; the caller closes it. Raises `StorageError`."""
        with self._told(f"read {relative}"):
            return self._keeper.open(self._inside(relative))

    @contextmanager
    def local(self, relative: str) -> Iterator[Path]:
        """Yield a real path to read `relative` from. A copy of a remote file is gone afterwards."""
        name = self._inside(relative)
        if self._folder is not None:
            path = self._folder / name
            if not path.is_file():
                raise StorageError(f"{path} is not there; look whether AIPROD_STORAGE_URL ({self._root}) is the right place")
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="aiprod-") as folder:
            copy = Path(folder) / Path(name).name
            with self._told(f"read {relative}"), self._keeper.open(name) as stream, copy.open("wb") as target:
                shutil.copyfileobj(stream, target, _CHUNK)
            yield copy

    def below(self, folder: str) -> list[tuple[str, int]]:
        """Return every file below a folder, half-written ones included: path relative to the root, and bytes."""
        with self._told(f"list {folder}"):
            return sorted(self._keeper.below(self._inside(folder)))

    def delete(self, relative: str) -> None:
        """Delete one file, and folders that it leaves empty. One that is not there is deleted already."""
        with self._told(f"delete {relative}"):
            self._keeper.delete(self._inside(relative))

    def _stored(self, name: str, digest: _Digest) -> StoredFile:
        return StoredFile(path=name, url=self._keeper.address(name), sha256=digest.sha256, size=digest.size)

    def _inside(self, relative: str) -> str:
        """Return `relative` when it can only mean a file below the root, else raise."""
        parts = relative.split("/")
        if any(part in ("", ".", "..") for part in parts) or ":" in parts[0] or _FORBIDDEN.intersection(relative):
            raise StorageError(f"{relative!r} is not a plain path below the storage root")
        if self._folder is not None:
            target = self._folder / relative
            if target.is_symlink() or not target.parent.resolve().is_relative_to(self._folder):
                raise StorageError(f"{relative!r} leaves the storage root {self._folder} through a symbolic link")
        return relative

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn whatever a place raises into what, which and what next; fsspec's places raise anything."""
        try:
            yield
        except StorageError:
            raise
        except OSError as error:
            code = errno.ENOENT if isinstance(error, FileNotFoundError) else error.errno
            why = _NEXT.get(code or 0) or error.strerror or str(error) or type(error).__name__
            which = f" ({error.filename})" if error.filename else ""
            raise StorageError(f"Cannot {what} in {self._root}: {why}{which}") from error
        except Exception as error:
            raise StorageError(f"Cannot {what} in {self._root}: {type(error).__name__}: {error}") from error


class _Disk:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def address(self, name: str) -> str:
        return str(self._folder / name)

    def open(self, name: str) -> BinaryIO:
        return (self._folder / name).open("rb")

    def exists(self, name: str) -> bool:
        return (self._folder / name).exists()

    def place(self, source: BinaryIO, name: str, *, replace: bool) -> _Digest:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.parent / f".{uuid.uuid4().hex}.part"
        try:
            with unfinished.open("xb") as sink:
                digest = _digest(source, sink)
                sink.flush()
                os.fsync(sink.fileno())
            if replace:
                os.replace(unfinished, target)
            else:
                _claim(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return digest

    def below(self, name: str) -> list[tuple[str, int]]:
        found = []
        for folder, folders, names in os.walk(self._folder / name):
            # A link to a folder is not followed: it counts as a file, which nobody deletes.
            links = [entry for entry in folders if (Path(folder) / entry).is_symlink()]
            found += [path for entry in (*names, *links) if (path := Path(folder) / entry)]
        return [(path.relative_to(self._folder).as_posix(), path.lstat().st_size) for path in found]

    def delete(self, name: str) -> None:
        target = self._folder / name
        target.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            _sync_folder(target.parent)
        for folder in list(target.parents)[: len(Path(name).parts) - 1]:
            with suppress(OSError):
                folder.rmdir()


def _claim(unfinished: Path, target: Path) -> None:
    """Give a finished file its name unless that is taken."""
    try:
        # A link, unlike a rename, refuses a name that somebody took in between.
        os.link(unfinished, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        os.rename(unfinished, target)


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Bucket:
    """Any place that fsspec speaks to."""

    def __init__(self, root: UPath) -> None:
        # fsspec has no types; this is the one place that touches it.
        self._fs: Any = root.fs
        self._base = root.path.rstrip("/")
        self._url = str(root).rstrip("/")

    def address(self, name: str) -> str:
        return f"{self._url}/{name}"

    def open(self, name: str) -> BinaryIO:
        return cast("BinaryIO", self._fs.open(f"{self._base}/{name}", "rb"))

    def exists(self, name: str) -> bool:
        return bool(self._fs.exists(f"{self._base}/{name}"))

    def place(self, source: BinaryIO, name: str, *, replace: bool) -> _Digest:
        target = f"{self._base}/{name}"
        # Closing a half-written remote file publishes it, so the copy happens under a name nobody reads.
        unfinished = f"{target.rsplit('/', 1)[0]}/.{uuid.uuid4().hex}.part"
        try:
            self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
            with self._fs.open(unfinished, "wb") as sink:
                digest = _digest(source, sink)
            if not replace and self.exists(name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
            self._fs.cp_file(unfinished, target)
        finally:
            if self._fs.exists(unfinished):
                self._fs.rm_file(unfinished)
        return digest

    def below(self, name: str) -> list[tuple[str, int]]:
        # What another process wrote since is not in this one's listing.
        self._fs.invalidate_cache()
        base = self._base.lstrip("/")
        found = self._fs.find(f"{self._base}/{name}", detail=True).items()
        inside = ((path.lstrip("/").removeprefix(f"{base}/"), int(about["size"] or 0)) for path, about in found)
        return [file for file in inside if file[0].startswith(f"{name}/")]

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._base}/{name}")


def _digest(source: BinaryIO, sink: BinaryIO | None = None) -> _Digest:
    """Read `source` to its end, into `sink` where one is given."""
    seen, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        seen.update(chunk)
        size += len(chunk)
        if sink is not None:
            sink.write(chunk)
    return _Digest(seen.hexdigest(), size)
