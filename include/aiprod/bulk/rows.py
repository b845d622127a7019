"""Rows of a campaign's source: one order and a key each, and what is wrong with a row, with its line and column."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiprod.errors import SpecError
from aiprod.models import JobSpec, Noun

__all__ = ["KEY", "MAX_ROWS", "Problem", "Raw", "Row", "Table", "from_csv", "from_jsonl", "from_values", "read"]

#: The column that names a row: the same key is the same row, however often the source is read.
KEY = "key"
MAX_ROWS = 10_000
_MAX_KEY = 120
_COLUMNS = frozenset({KEY, *JobSpec.model_fields} - {"job_id"})


class Problem(Noun):
    """What is wrong with a row. `line` counts from 1; `column` is its number or letter and its name, empty for the whole row."""

    line: int
    column: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        where = ", ".join(filter(None, [self.file, f"line {self.line}", f"column {self.column}" if self.column else ""]))
        return f"{where}: {self.message}"


class Raw(Noun):
    """A row as it was found: its cells by column, empty ones left out, and where each column stands in the source."""

    line: int
    cells: dict[str, Any]
    columns: dict[str, str]
    file: str = ""


class Row(Noun):
    """A row that can be ordered."""

    line: int
    key: str
    order: JobSpec
    file: str = ""


class Table(Noun):
    """What a source holds, as far as it can be read."""

    rows: tuple[Raw, ...] = ()
    problems: tuple[Problem, ...] = ()

    def __add__(self, other: Table) -> Table:
        return Table(rows=self.rows + other.rows, problems=self.problems + other.problems)


# --- from text to cells -------------------------------------------------------------------------------


def from_csv(text: str, *, file: str = "") -> Table:
    """Read CSV with a line of column names; commas, semicolons or tabs between the cells."""
    head = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    lines: list[tuple[int, list[Any]]] = []
    begins = 1
    try:
        for cells in reader:
            lines.append((begins, [*cells]))
            begins = reader.line_num + 1
    except csv.Error as error:
        return _tabular(lines, str, file) + Table(problems=(Problem(line=begins, column="", message=str(error), file=file),))
    return _tabular(lines, str, file)


def from_values(values: Sequence[Sequence[Any]], *, file: str = "") -> Table:
    """Read the cells of a sheet, row by row, the first of them the column names; columns are told by their letters."""
    return _tabular([(n, list(row)) for n, row in enumerate(values, start=1)], _letters, file)


def from_jsonl(text: str, *, file: str = "") -> Table:
    """Read one JSON object per line; a column is told by the place where the field begins."""
    rows: list[Raw] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            column = str(error.colno) if isinstance(error, json.JSONDecodeError) else ""
            said = error.msg if isinstance(error, json.JSONDecodeError) else "cannot be read"
            problems.append(Problem(line=number, column=column, message=f"not JSON: {said}", file=file))
            continue
        if not isinstance(found, dict):
            problems.append(Problem(line=number, column="", message="must be an object with the fields of one order", file=file))
            continue
        columns = {name: f"{at} ({name})" for name in found if (at := _place(line, name))}
        rows.append(Raw(line=number, cells={k: v for k, v in found.items() if v is not None}, columns=columns, file=file))
    return Table(rows=tuple(rows), problems=tuple(problems))


def _place(line: str, name: str) -> int:
    found = re.search(re.escape(json.dumps(name)) + r"\s*:", line) or re.search(f'"{re.escape(name)}"\\s*:', line)
    return found.start() + 1 if found else 0


def _letters(number: int) -> str:
    """1 is A, 27 is AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _tabular(lines: Sequence[tuple[int, list[Any]]], place: Any, file: str) -> Table:
    filled = [(line, cells) for line, cells in lines if any(str(cell).strip() for cell in cells)]
    if not filled:
        return Table(problems=(Problem(line=1, column="", message="there is no line of column names", file=file),))
    (head_line, head), *body = filled
    names = [str(cell).strip().lower() for cell in head]
    columns = {name: f"{place(n)} ({name})" for n, name in enumerate(names, start=1)}
    problems = [
        Problem(line=head_line, column=f"{place(n)}", message=message, file=file)
        for n, name in enumerate(names, start=1)
        if (message := _bad_name(name, names[: n - 1]))
    ]
    if problems:
        return Table(problems=tuple(problems))
    rows = []
    for line, cells in body:
        if len(cells) > len(names):
            spare = f"{place(len(names) + 1)}"
            message = f"{len(cells)} cells, but {len(names)} columns have a name"
            problems.append(Problem(line=line, column=spare, message=message, file=file))
            continue
        found = {name: cell for name, cell in zip(names, cells, strict=False) if str(cell).strip()}
        rows.append(Raw(line=line, cells=found, columns=columns, file=file))
    return Table(rows=tuple(rows), problems=tuple(problems))


def _bad_name(name: str, before: Sequence[str]) -> str:
    if name not in _COLUMNS:
        known = [KEY, *(field for field in JobSpec.model_fields if field in _COLUMNS)]
        return f"{name[:60]!r} is no field of an order; known: {', '.join(known)}"
    return f"{name!r} is there twice" if name in before else ""


# --- from cells to orders -----------------------------------------------------------------------------


def read(table: Table, defaults: Mapping[str, Any] | None = None) -> tuple[list[Row], list[Problem]]:
    """Return the rows that can be ordered, in their order, and one problem per line of what is wrong with the others.

    `defaults` are fields of an order that hold where a row leaves them empty. Raises `SpecError` when they are wrong, or
    there are more rows than a campaign may have.
    """
    if len(table.rows) > MAX_ROWS:
        raise SpecError([f"source: {len(table.rows)} rows; a campaign has at most {MAX_ROWS}"])
    _require_known(defaults or {})
    rows: list[Row] = []
    problems = list(table.problems)
    seen: dict[str, Raw] = {}
    for raw in table.rows:
        made = list(_read_one(raw, defaults or {}, seen))
        rows += [one for one in made if isinstance(one, Row)]
        problems += [one for one in made if isinstance(one, Problem)]
    return rows, sorted(problems, key=lambda problem: (problem.file, problem.line))


def _require_known(defaults: Mapping[str, Any]) -> None:
    strangers = [name for name in defaults if name not in _COLUMNS or name == KEY]
    if strangers:
        raise SpecError([f"defaults: {name[:60]!r} is no field of an order" for name in strangers])


def _read_one(raw: Raw, defaults: Mapping[str, Any], seen: dict[str, Raw]) -> Iterator[Row | Problem]:
    key = str(raw.cells.get(KEY, "")).strip()
    twin = seen.setdefault(key, raw)
    if not key or len(key) > _MAX_KEY or not key.isprintable():
        yield _problem(raw, KEY, f"a row needs a key of its own, at most {_MAX_KEY} characters on one line")
        return
    if twin is not raw:
        where = f"{twin.file} line {twin.line}".strip()
        yield _problem(raw, KEY, f"{key[:60]!r} is the key of {where} too")
        return
    given = {name: value for name, value in raw.cells.items() if name != KEY}
    if "job_id" in given:
        yield _problem(raw, "job_id", "a row is named by its key; leave job_id out")
        return
    shots = given.get("shots")
    try:
        given |= {"shots": json.loads(shots)} if isinstance(shots, str) else {}
    except (ValueError, RecursionError):
        yield _problem(raw, "shots", 'must be a JSON list, such as [{"prompt": "a lake", "seconds": 5}]')
        return
    # A shot list has its own lengths and words: a default for either would contradict it.
    beside = {"prompt", "seconds"} if "shots" in given else {"shots"} if "prompt" in given else set()
    common = {name: value for name, value in defaults.items() if name not in beside}
    try:
        yield Row(line=raw.line, key=key, order=JobSpec.parse({**common, **given}), file=raw.file)
    except SpecError as error:
        for told in error.problems:
            field, _, message = told.partition(": ")
            column = field.split(".", 1)[0]
            yield _problem(raw, column, message if field == column else told) if message else _problem(raw, "", told)


def _problem(raw: Raw, column: str, message: str) -> Problem:
    where = raw.columns.get(column, column if column in _COLUMNS else "")
    return Problem(line=raw.line, column=where, message=message if where or not column else f"{column}: {message}", file=raw.file)
