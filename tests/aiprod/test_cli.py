"""The library from a shell: what it did, or in one line why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.cli import main
from tests.market import Market


@pytest.fixture
def order(tmp_path: Path) -> Path:
    file = tmp_path / "order.yaml"
    file.write_text("prompt: a lake\nseconds: 5\npreset: quick_social\n")
    return file


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out, err


def test_upgrade_makes_a_ledger_that_check_accepts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "upgrade"]) == 0
    assert main(["ledger", "check"]) == 0
    assert "fits this release" in said(capsys)[0]


def test_a_ledger_that_is_not_there_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIPROD_DATABASE_URL", f"sqlite:///{tmp_path / 'empty.db'}")
    assert main(["ledger", "check"]) == 1
    assert "does not exist yet; run `python -m aiprod.cli ledger upgrade`" in said(capsys)[1]


def test_an_estimate_prices_every_shot_at_every_backend_and_enters_nothing(
    local_market: Market, order: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["estimate", str(order)]) == 0
    out, _ = said(capsys)
    assert [line.split()[2] for line in out.splitlines()[:3]] == ["runway", "veo3", "replicate"]
    assert "expected $0.60, worst case $3.10" in out
    assert local_market.count("jobs") == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prompt: a\nseconds: 500\n", "seconds: 500 s asked, but preset quick_social allows 30 s at most"),
        ("prompt: [\n", "order.yaml"),
        ("promt: a\n", "promt: unknown field"),
    ],
)
def test_a_bad_order_is_refused_in_plain_lines(
    local_market: Market, order: Path, capsys: pytest.CaptureFixture[str], text: str, line: str
) -> None:
    order.write_text(text)
    assert main(["estimate", str(order)]) == 1
    assert line in said(capsys)[1]


def test_a_missing_file_is_named(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "/nowhere/order.yaml"]) == 1
    assert "/nowhere/order.yaml" in said(capsys)[1]


def test_a_result_is_json_and_an_unknown_job_is_one_line(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    local_market.bought()
    assert main(["result", "job-1"]) == 0
    assert json.loads(said(capsys)[0])["cost_usd"] == 0.12
    assert main(["result", "nobody"]) == 1
    assert said(capsys)[1].startswith("aiprod: job nobody")


def test_reconcile_says_what_it_looked_at(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    local_market.routed()
    local_market.age("purchases", "expires_at")
    assert main(["reconcile"]) == 0
    out, _ = said(capsys)
    assert "job-1 shot 1 at runway: held → expired" in out
    assert "1 open purchases looked at, 1 moved, 0 in trouble" in out


@pytest.mark.parametrize("argv", [[], ["ledger"], ["bogus"]])
def test_wrong_usage_is_two(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    out, _ = said(capsys)
    assert all(word in out for word in ("ledger", "estimate", "result", "reconcile"))
