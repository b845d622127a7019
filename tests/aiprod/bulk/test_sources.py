"""Rows come from files and folders, here or in object storage, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from upath import UPath

from aiprod.bulk import sources
from aiprod.bulk.rows import Table, read
from aiprod.bulk.sources import load
from aiprod.errors import SpecError, StorageError

CSV = "key,prompt\na,a lake\nb,a hill\n"


def keys(table: Table) -> list[str]:
    return [row.key for row in read(table)[0]]


@pytest.mark.parametrize("place", ["here", "bucket"])
def test_a_file_and_a_folder_are_read_wherever_they_are(tmp_path: Path, place: str) -> None:
    root = UPath(tmp_path) if place == "here" else UPath("memory://orders/spring")
    root.mkdir(parents=True, exist_ok=True)
    (root / "b.csv").write_text("\ufeff" + CSV)
    (root / "a.jsonl").write_text('{"key": "c", "prompt": "x"}\n')
    (root / "lake-9.json").write_text('{"prompt": "a lake"}')
    (root / "notes.txt").write_text("not ours")
    assert keys(load(str(root / "b.csv"))) == ["a", "b"]
    assert keys(load(str(root))) == ["c", "a", "b", "lake-9"]


def test_a_problem_in_a_folder_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("key,prompt,seconds\na,x,0\n")
    (tmp_path / "two.json").write_text('{\n "prompt": }')
    assert [str(problem).split(":")[0] for problem in read(load(str(tmp_path)))[1]] == [
        "one.csv, line 2, column 3 (seconds)",
        "two.json, line 2, column 12",
    ]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1/orders.csv", "http:// is no place to read orders from"),
        ("https://example.com/orders.csv", "is no place to read orders from"),
        ("ftp://example.com/orders.csv", "is no place to read orders from"),
        ("/nowhere/orders.csv", "is not there"),
        ("/etc/passwd", "is neither a .csv nor a .jsonl file"),
        ("nonsense://x", "cannot be opened|is no place"),
        ("https://docs.google.com/spreadsheets/u/0/", "is not the address of a Google Sheet"),
    ],
)
def test_what_is_no_source_is_refused(address: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        load(address)


def test_an_empty_folder_bytes_and_too_many_of_them_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match=r"holds no \.csv"):
        load(str(tmp_path))
    (tmp_path / "orders.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="is not UTF-8 text"):
        load(str(tmp_path / "orders.csv"))
    monkeypatch.setattr(sources, "_MOST_BYTES", 2)
    with pytest.raises(SpecError, match="is larger than"):
        load(str(tmp_path / "orders.csv"))


def test_a_bucket_that_does_not_answer_is_tried_again() -> None:
    class Down:
        protocol = "gs"

        def is_dir(self) -> bool:
            raise RuntimeError("503")

    with pytest.raises(StorageError, match=r"Cannot read gs://b/o\.csv: RuntimeError: 503") as raised:
        load("gs://b/o.csv", opened=lambda _: Down())
    assert raised.value.retryable
