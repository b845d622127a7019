"""A row becomes an order, or a line that says where in the source it is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiprod.bulk.rows import MAX_ROWS, Raw, Table, from_csv, from_jsonl, from_values, read
from aiprod.errors import SpecError


def told(table: Table, defaults: dict[str, Any] | None = None) -> list[str]:
    return [str(problem) for problem in read(table, defaults)[1]]


class TestCsv:
    def test_empty_cells_say_nothing_and_numbers_are_numbers(self) -> None:
        rows, problems = read(from_csv("key,prompt,seconds,audio,seed\na,a lake,4,false,\nb,a hill,,,7\n"))
        assert problems == []
        assert [(row.line, row.key, row.order.seconds, row.order.audio, row.order.seed) for row in rows] == [
            (2, "a", 4.0, False, None),
            (3, "b", None, True, 7),
        ]

    @pytest.mark.parametrize("between", [",", ";", "\t"])
    def test_the_sign_between_cells_is_that_of_the_first_line(self, between: str) -> None:
        (row,), _ = read(from_csv(f"key{between}prompt\r\na{between}a lake\r\n"))
        assert row.order.prompt == "a lake"

    def test_a_wrong_cell_is_named_by_line_and_column(self) -> None:
        text = 'key,prompt,seconds\na,"two\nlines",4\nb,a hill,soon\n'
        assert told(from_csv(text)) == [
            "line 4, column 3 (seconds): must be a valid number, unable to parse string as a number (got 'soon')"
        ]

    def test_a_bad_row_stops_no_other(self) -> None:
        rows, problems = read(from_csv("key,prompt,aspect_ratio\na,x,1:1\nb,x,7:3\nc,x,9:16\n"))
        assert [row.key for row in rows] == ["a", "c"]
        assert [problem.column for problem in problems] == ["3 (aspect_ratio)"]

    def test_a_column_nobody_knows_is_refused_before_any_row(self) -> None:
        table = from_csv("key,promt,key\na,x,b\n")
        assert table.rows == ()
        assert [(p.line, p.column, p.message[:30]) for p in table.problems] == [
            (1, "2", "'promt' is no field of an orde"),
            (1, "3", "'key' is there twice"),
        ]

    def test_more_cells_than_columns_and_an_open_quote_are_told(self) -> None:
        assert told(from_csv("key,prompt\na,b,c\n")) == ["line 2, column 3: 3 cells, but 2 columns have a name"]
        assert told(from_csv('key,prompt\na,x\nb,"y\n'))[0].startswith("line 3: ")

    def test_a_shot_list_is_json_in_its_cell_and_defaults_do_not_contradict_it(self) -> None:
        text = 'key,shots\na,"[{""prompt"": ""x"", ""seconds"": 2}]"\nb,[oops\n'
        (row,), problems = read(from_csv(text), {"seconds": 5, "audio": False})
        assert row.order.shots is not None and not row.order.audio
        assert str(problems[0]).startswith("line 3, column 2 (shots): must be a JSON list")

    def test_a_source_without_names_says_so(self) -> None:
        assert told(from_csv("")) == ["line 1: there is no line of column names"]


class TestKeys:
    def test_a_row_needs_a_key_and_nobody_elses(self) -> None:
        assert told(from_csv("key,prompt\na,x\n,y\na,z\n")) == [
            "line 3, column 1 (key): a row needs a key of its own, at most 120 characters on one line",
            "line 4, column 1 (key): 'a' is the key of line 2 too",
        ]

    def test_a_row_is_not_named_twice(self) -> None:
        lines = told(from_jsonl('{"key": "a", "prompt": "x", "job_id": "mine"}'))
        assert lines == ["line 1, column 29 (job_id): a row is named by its key; leave job_id out"]


class TestJsonl:
    def test_a_field_is_told_by_where_it_stands(self) -> None:
        text = '{"key": "a", "prompt": "x"}\n\n{"key": "b", "prompt": "x", "seconds": 0.1}\n'
        rows, problems = read(from_jsonl(text))
        assert [row.line for row in rows] == [1]
        assert str(problems[0]).startswith("line 3, column 29 (seconds): must be greater than or equal to 1")

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ('{"key": ', "line 1, column 9: not JSON: Expecting value"),
            ("[1]", "line 1: must be an object with the fields of one order"),
            ('{"key": "a", "prompt": "x", "promt": 1}', "line 1, column 29 (promt): unknown field"),
        ],
    )
    def test_what_is_no_order_is_told(self, line: str, problem: str) -> None:
        assert told(from_jsonl(line)) == [problem]


def test_a_sheets_cells_are_told_by_their_letters() -> None:
    wide = ["key", "prompt", *(["seconds"])]
    assert told(from_values([wide, ["a", "x", 0]])) == ["line 2, column C (seconds): must be greater than or equal to 1 (got 0)"]
    rows, _ = read(from_values([wide, [7, "x", 3], ["", "", ""]]))
    assert [(row.key, row.order.seconds) for row in rows] == [("7", 3.0)]


def test_a_default_that_is_no_field_is_refused_and_so_are_too_many_rows() -> None:
    with pytest.raises(SpecError, match="defaults: 'job_id' is no field of an order"):
        read(Table(), {"job_id": "x"})
    with pytest.raises(SpecError, match=f"at most {MAX_ROWS}"):
        read(Table(rows=(Raw(line=1, cells={}, columns={}),) * (MAX_ROWS + 1)))


def test_the_same_row_is_the_same_order_from_every_kind_of_source() -> None:
    fields = {"key": "a", "prompt": "a lake", "seconds": 4, "preset": "quick_social", "budget_usd": 3}
    names, cells = list(fields), [str(value) for value in fields.values()]
    sources = [
        from_csv(",".join(names) + "\n" + ",".join(cells)),
        from_jsonl(json.dumps(fields)),
        from_values([names, list(fields.values())]),
    ]
    assert len({read(table)[0][0].order.fingerprint for table in sources}) == 1
