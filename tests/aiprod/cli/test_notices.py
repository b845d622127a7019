"""What nobody could be told is not lost silently: a command says what, to whom, and why."""

from __future__ import annotations

import json

import pytest

from aiprod.cli import main
from aiprod.ledger import alerts, notices, outbox
from aiprod.ledger.alerts import Happening
from tests.desk import NOW
from tests.market import Market
from tests.shell import said


def test_what_was_given_up_is_named_with_its_channel_and_why(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notices"]) == 0
    assert "everything was told" in said(capsys)[0]
    with local_market.ledger.write() as conn:
        outbox.emit(conn, "e1", "job_failed", now=NOW)
        notices.spread(conn, lambda topic, project: ("shop",), now=NOW)
        notices.drop(conn, "shop", "HTTP 410")
    assert main(["notices"]) == 1
    out = said(capsys)[0]
    assert all(word in out for word in ("shop", "e1", "job_failed", "HTTP 410"))
    assert main(["notices", "--json"]) == 1
    assert json.loads(said(capsys)[0])["given_up"][0]["trouble"] == "HTTP 410"


def test_alerts_are_listed_the_newest_first_and_say_whether_they_go_on(
    local_market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alerts"]) == 0
    assert "no alert was ever raised" in said(capsys)[0]
    with local_market.ledger.write() as conn:
        words = {"severity": "warning", "message": "too many", "what_to_do": "look", "value": 2.0, "threshold": 1.0}
        for name in ("first", "second"):
            seen = Happening(alert=name, subject="", **words)
            alert = alerts.note(conn, seen, now=NOW)
            alerts.raise_(conn, alert, seen, now=NOW)
        alerts.resolve(conn, alerts.of_now(conn)[0], what_to_do="", now=NOW)
    assert main(["alerts"]) == 0
    _, newest, older = said(capsys)[0].splitlines()
    assert "second" in newest and "goes on" in newest and "over 2026-11-23" in older
