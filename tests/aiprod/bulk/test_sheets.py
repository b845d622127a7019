"""A sheet is read with the Google connection's identity, the tab that its address shows, and whatever it is called."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from aiprod.backends.google_access import GoogleAccess
from aiprod.bulk.rows import read
from aiprod.bulk.sheets import SCOPE, Sheet, is_sheet
from aiprod.emulators.google_access import write_key_file
from aiprod.errors import SpecError, StorageError
from tests.web import World, answer

ADDRESS = "https://docs.google.com/spreadsheets/d/1AbCdEfGhIjKlMnOpQrStUvWxYz/edit"
TOKEN = {"access_token": "ya29.CANARY", "expires_in": 3_599, "token_type": "Bearer"}
TABS = {"sheets": [{"properties": {"sheetId": 0, "title": "Notes"}}, {"properties": {"sheetId": 77, "title": "Ann's rows"}}]}
CELLS = {"range": "x", "values": [["key", "prompt", "seconds"], ["a", "a lake", 4], ["b", "a hill", "soon"]]}


def said(found: Any, status: int = 200) -> list[bytes]:
    return answer(status, json.dumps(found).encode(), content_type="application/json")


def sheet(tmp_path: Path, *answers: Iterable[bytes], address: str = ADDRESS) -> tuple[Sheet, World]:
    file = tmp_path / "key.json"
    write_key_file(file, "https://oauth2.example")
    world = World.of(said(TOKEN), *answers, host="oauth2.example")
    world.names["sheets.example"] = world.names["oauth2.example"]
    access = GoogleAccess(file.read_text(), network=world.network, scope=SCOPE)
    return Sheet(address, access=access, api="https://sheets.example", network=world.network), world


@pytest.mark.parametrize(("gid", "title"), [("", "'Notes'"), ("#gid=77", "'Ann''s rows'"), ("?gid=77#gid=77", "'Ann''s rows'")])
def test_the_tab_its_address_shows_is_read_or_the_first(tmp_path: Path, gid: str, title: str) -> None:
    made, world = sheet(tmp_path, said(TABS), said(CELLS), address=ADDRESS + gid)
    rows, problems = read(made.rows())
    assert [(row.key, row.order.seconds) for row in rows] == [("a", 4.0)]
    assert str(problems[0]).startswith("line 3, column C (seconds): ")
    asked = world.heard[-1]
    assert unquote(asked.target.split("?")[0]).endswith(f"/values/{title}")
    assert asked.headers["authorization"] == "Bearer ya29.CANARY"


def test_the_token_is_good_for_reading_sheets_and_for_nothing_else(tmp_path: Path) -> None:
    made, world = sheet(tmp_path, said(TABS), said(CELLS))
    made.rows()
    grant = world.heard[0].body.decode().split("assertion=")[1].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(grant + "=="))
    assert claims["scope"] == "https://www.googleapis.com/auth/spreadsheets.readonly"


@pytest.mark.parametrize(
    ("answers", "error", "why"),
    [
        ([said({}, 403)], SpecError, "may not read the sheet: share it with the service account's address"),
        ([said({}, 404)], SpecError, "may not read the sheet"),
        ([said({}, 400)], SpecError, "refused with HTTP 400"),
        ([said({}, 503)], StorageError, "cannot be read now: HTTP 503"),
        ([said({}, 429)], StorageError, "cannot be read now: HTTP 429"),
        ([], StorageError, "cannot be read now: "),
        ([said({"sheets": []})], SpecError, "has no tab"),
    ],
)
def test_what_cannot_be_read_says_whether_to_try_again(
    tmp_path: Path, answers: list[list[bytes]], error: type[Exception], why: str
) -> None:
    made, _ = sheet(tmp_path, *answers)
    with pytest.raises(error, match=why) as raised:
        made.rows()
    assert "CANARY" not in str(raised.value)


def test_a_tab_that_is_not_there_is_told(tmp_path: Path) -> None:
    made, _ = sheet(tmp_path, said(TABS), address=f"{ADDRESS}#gid=5")
    with pytest.raises(SpecError, match="has no tab 5"):
        made.rows()


def test_only_a_sheets_page_is_a_sheet() -> None:
    assert is_sheet(ADDRESS) and not is_sheet("gs://bucket/rows.csv")
    for wrong in (
        "https://docs.google.com/spreadsheets/d/short",
        f"{ADDRESS}\nX: y",
        "https://docs.google.com/spreadsheets/d/../x",
    ):
        with pytest.raises(SpecError, match="not the address of a Google Sheet"):
            Sheet(wrong)
