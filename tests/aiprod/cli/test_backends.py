"""The vendors as they stand, from this machine or from a server, in the same words."""

from __future__ import annotations

import json

import pytest

from aiprod.cli import main
from tests.api import Server
from tests.market import Market
from tests.shell import said


def test_this_machine_says_what_is_ready_and_what_a_second_costs(
    local_market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backends"]) == 0
    out = said(capsys)[0].splitlines()
    assert out[0] == "tariff list"
    runway = next(line for line in out if line.startswith("runway"))
    assert "ready" in runway and "0.95" in runway and "$0.12" in runway


def test_a_server_is_asked_where_one_is_named(local_market: Market, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "--local", "--json"]) == 0
    here = json.loads(said(capsys)[0])
    server.says("GET", "/aiprod/backends", here)
    assert main(["backends", "--json"]) == 0
    assert json.loads(said(capsys)[0]) == here and len(server.asked) == 1
