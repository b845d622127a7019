"""What a vendor wrote down stays written down."""

from __future__ import annotations

import json

from aiprod.emulators.books import Books


def test_books_are_appended_to_and_read_from_where_one_left_off(tmp_path):
    file = tmp_path / "books.jsonl"
    Books(file).write("accept", id="a")
    first, place = Books.read(file)
    Books(file).write("accept", id="b")

    assert [line["id"] for line in first] == ["a"]
    assert [line["id"] for line in Books.read(file, place)[0]] == ["b"]


def test_every_line_is_whole(tmp_path):
    books = Books(tmp_path / "books.jsonl")
    for n in range(3):
        books.write("fault", n=n)

    assert [json.loads(line)["n"] for line in (tmp_path / "books.jsonl").read_text().splitlines()] == [0, 1, 2]
