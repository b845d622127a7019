"""Where a campaign's rows come from: a file or a folder, here or in object storage, or a Google Sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from upath import UPath

from aiprod.bulk.rows import KEY, MAX_ROWS, Problem, Raw, Table, from_csv, from_jsonl
from aiprod.bulk.sheets import Sheet, is_sheet
from aiprod.errors import AiprodError, SpecError, StorageError

__all__ = ["load"]

#: Places that hold files. Web addresses are left out: who may start a campaign could make us fetch what only we can reach.
_PLACES = ("", "file", "local", "gs", "gcs", "s3", "s3a", "abfs", "abfss", "az", "adl", "memory")
_READ: dict[str, Callable[[str, str], Table]] = {
    ".csv": lambda text, file: from_csv(text, file=file),
    ".jsonl": lambda text, file: from_jsonl(text, file=file),
    ".ndjson": lambda text, file: from_jsonl(text, file=file),
}
_MOST_BYTES = 50_000_000


def load(address: str, *, opened: Callable[[str], Any] = UPath, sheet: Callable[[str], Sheet] = Sheet) -> Table:
    """Read every row of a source, as it stands now.

    `address` is a `.csv` or `.jsonl` file, a folder of such files and of `.json` files with one order each, whose name is
    the row's key, or the address of a Google Sheet. `opened` makes a path of an address: Airflow's object storage knows
    connections. Raises `SpecError` for an address that is none, and `StorageError` when it cannot be read now.
    """
    if is_sheet(address):
        return sheet(address).rows()
    try:
        path = opened(address)
        protocol = str(path.protocol)
    except (ValueError, ImportError, TypeError) as error:
        raise SpecError([f"source: {address!r} cannot be opened: {error}"]) from None
    if protocol not in _PLACES:
        raise SpecError([f"source: {protocol}:// is no place to read orders from; known: a path, gs, s3, abfs, a Google Sheet"])
    try:
        return _folder(path) if path.is_dir() else _file(path, "")
    except AiprodError:
        raise
    except FileNotFoundError:
        raise SpecError([f"source: {address} is not there"]) from None
    except UnicodeDecodeError:
        raise SpecError([f"source: {address} is not UTF-8 text"]) from None
    except Exception as error:
        # A file system raises whatever its client raises.
        raise StorageError(f"Cannot read {address}: {type(error).__name__}: {error}") from error


def _folder(folder: Any) -> Table:
    files = sorted((path for path in folder.iterdir() if path.suffix in (".json", *_READ)), key=lambda path: str(path.name))
    if not files:
        raise SpecError([f"source: {folder} holds no .csv, .jsonl or .json file"])
    if len(files) > MAX_ROWS:
        raise SpecError([f"source: {folder} holds {len(files)} files; at most {MAX_ROWS}"])
    found = [_file(path, str(path.name)) for path in files]
    return Table(
        rows=tuple(row for table in found for row in table.rows),
        problems=tuple(problem for table in found for problem in table.problems),
    )


def _file(path: Any, name: str) -> Table:
    """Read one file; `name` tells it from others of its folder."""
    suffix = str(path.suffix)
    if suffix == ".json":
        return _order(_text(path), str(path.stem), name)
    if suffix not in _READ:
        raise SpecError([f"source: {path} is neither a .csv nor a .jsonl file, nor a folder of them"])
    return _READ[suffix](_text(path), name)


def _text(path: Any) -> str:
    with path.open("rb") as stream:
        content: bytes = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise SpecError([f"source: {path} is larger than {_MOST_BYTES // 1_000_000} MB"])
    return content.decode("utf-8-sig")


def _order(text: str, key: str, file: str) -> Table:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        at = (error.lineno, str(error.colno)) if isinstance(error, json.JSONDecodeError) else (1, "")
        return Table(problems=(Problem(line=at[0], column=at[1], message="not JSON", file=file),))
    if not isinstance(found, dict):
        message = "must be an object with the fields of one order"
        return Table(problems=(Problem(line=1, column="", message=message, file=file),))
    cells = {name: value for name, value in found.items() if value is not None}
    return Table(rows=(Raw(line=1, cells={KEY: key, **cells}, columns={name: name for name in cells}, file=file),))
