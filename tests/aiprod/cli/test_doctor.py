"""`aiprod doctor`: one look at everything that has to be ready before money can be spent."""

from __future__ import annotations

import json

import pytest

from aiprod.cli import main
from tests.market import Market


def test_a_set_up_that_can_buy_ends_with_zero(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ready, purchasing is open" in out and "runway" in out and "needs no key" in out


def test_a_stopped_till_is_said_first_and_ends_with_one(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    local_market.stop()
    assert main(["doctor"]) == 1
    assert "purchasing is stopped by" in capsys.readouterr().out.splitlines()[0]


def test_a_place_that_cannot_be_written_is_said(
    local_market: Market, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPROD_STORAGE_URL", "/proc/nowhere")
    assert main(["doctor"]) == 1
    assert "Cannot keep" in capsys.readouterr().out


def test_programs_get_json(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json", "animatic"])
    told = json.loads(capsys.readouterr().out)
    assert told["ledger"] == "ready" and [b["backend"] for b in told["backends"]] == ["animatic"]


def test_an_unknown_backend_is_one_line(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "sora"]) == 1
    assert "unknown backend 'sora'" in capsys.readouterr().err


def test_without_a_ledger_it_says_how_to_make_one(
    local_market: Market, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("AIPROD_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    assert main(["doctor"]) == 1
    assert "ledger upgrade" in capsys.readouterr().out


def test_it_says_whether_a_judge_is_configured_and_asks_it_nothing(
    local_market: Market, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["doctor", "animatic", "--json"])
    judge = json.loads(capsys.readouterr().out)["judge"]
    main(["doctor", "animatic"])
    told = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("judge"))
    assert (judge["missing"] if judge else "none is in force") in told
