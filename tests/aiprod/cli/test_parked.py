"""Parked purchases from a shell: the list, the answers, and a warning before anything that could pay twice."""

from __future__ import annotations

import pytest

from aiprod.cli import main
from tests.market import Market
from tests.shell import refused, said


@pytest.fixture
def lost(mute_market: Market) -> str:
    mute_market.bought("[[runway=lose]] a lighthouse")
    return mute_market.only().purchase_id


def answers(market: Market) -> list[tuple[str, str, str]]:
    with market.ledger.read() as conn:
        return [
            tuple(row) for row in conn.exec_driver_sql("SELECT answer, resolved_by, why FROM resolutions ORDER BY resolution_id")
        ]


def test_with_nothing_parked_it_says_so(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parked"]) == 0
    assert said(capsys)[0] == "nothing waits for a person\n"


def test_the_list_has_what_a_person_needs(mute_market: Market, lost: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parked"]) == 0
    out, _ = said(capsys)
    for part in (lost[:8], "job-1", "runway", "gen4.5", "$0.12", "read timeout", f"key {lost}", '"[[runway=lose]] a lighthouse"'):
        assert part in out
    assert "answers: ran, did-not-run, write-off\n" in out


@pytest.mark.parametrize(
    ("verb", "warning"),
    [("did-not-run", "if it did run after all, you pay twice"), ("write-off", "its clip is lost and you pay twice")],
)
def test_what_could_pay_twice_says_so_and_waits_for_a_yes(
    mute_market: Market, lost: str, capsys: pytest.CaptureFixture[str], verb: str, warning: str
) -> None:
    command = ["parked", verb, lost[:8], "--why", "not on their page", "--by", "Ada"]
    assert main(command) == 1
    err = refused(capsys)
    assert warning in err and "--yes" in err
    assert (mute_market.only().state, answers(mute_market)) == ("unknown", [])
    assert main([*command, "--yes"]) == 0
    assert answers(mute_market) == [(verb.replace("-", "_"), "Ada", "not on their page")]
    assert mute_market.balance().reserved == 0


def test_what_ran_is_attached_without_a_yes(mute_market: Market, lost: str, capsys: pytest.CaptureFixture[str]) -> None:
    (booked,) = mute_market.accepts()
    assert main(["parked", "ran", lost[:8], "--vendor-id", str(booked["id"]), "--why", "on their page"]) == 0
    assert f"runs as {booked['id']}" in said(capsys)[0]
    assert mute_market.only().state == "submitted"
    ((_, by, _),) = answers(mute_market)
    assert by, "without --by it is whoever is logged in"


@pytest.mark.parametrize(("amount", "charged"), [("0", 0), ("0.05", 50_000), ("0.0000001", 1)])
def test_a_write_off_books_what_the_vendor_billed(mute_market: Market, lost: str, amount: str, charged: int) -> None:
    assert main(["parked", "write-off", lost, "--why", "their bill", "--charged", amount, "--yes"]) == 0
    assert mute_market.only().charged == charged


@pytest.mark.parametrize("amount", ["-1", "much", "NaN", "inf", ""])
def test_what_is_no_amount_is_wrong_usage(mute_market: Market, lost: str, amount: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["parked", "write-off", lost, "--why", "x", f"--charged={amount}", "--yes"])
    assert stopped.value.code == 2
    assert mute_market.only().state == "unknown"


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["ran", "feedbeef", "--vendor-id", "v", "--why", "x"], "no purchase begins with 'feedbeef'"),
        (["did-not-run", "{lost}", "--why", "  ", "--yes"], "why: say why"),
        (["file-gone", "{lost}", "--why", "x", "--yes"], "no file is missed"),
    ],
)
def test_an_answer_that_cannot_be_taken_is_one_line(
    mute_market: Market, lost: str, capsys: pytest.CaptureFixture[str], argv: list[str], line: str
) -> None:
    assert main(["parked", *(word.format(lost=lost) for word in argv)]) == 1
    assert line in refused(capsys)
    assert mute_market.only().state == "unknown"
