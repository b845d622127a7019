"""Cancelling from a shell: what is given back, what is not stopped, and who is asked."""

from __future__ import annotations

import json

import pytest

from aiprod.cli import main
from tests import api
from tests.market import Market
from tests.shell import refused, said


def done(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 0
    return said(capsys)[0]


class TestHere:
    def test_a_cancelled_job_says_what_it_does_not_stop(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        two = [{"prompt": "[[runway=slow:600]]", "seconds": 1}, {"prompt": "b", "seconds": 1}]
        local_market.with_backend("runway", slots=1)
        local_market.routed(shots=two)
        local_market.render()
        out = done(capsys, "cancel", "job-1", "--by", "ann")
        assert "job-1 is cancelled: nothing more is held or sent for it" in out
        assert "1 holds of $0.12 were not sent and are given back" in out
        assert "job-1 shot 1 at runway: stopped no, refunded no; submitted, $0.12 stay held" in out
        assert "not stopped: 1 renders already sent, up to $0.12; they are still billed, watched and kept" in out

    def test_what_was_held_is_not_sent_any_more(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.routed()
        done(capsys, "cancel", "job-1", "--by", "ann")
        assert "the hold was given back before it was sent" in local_market.render().failed[0]
        assert local_market.accepts() == []

    def test_an_unknown_job_is_one_line(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["cancel", "ghost"]) == 3
        assert refused(capsys) == "aiprod: job ghost is not in the ledger\n"

    def test_cancelling_twice_says_so(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.order()
        done(capsys, "cancel", "job-1")
        assert "job-1 is cancelled since before" in done(capsys, "cancel", "job-1")

    def test_for_programs_it_is_json(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.order()
        assert json.loads(done(capsys, "cancel", "job-1", "--json"))["not_stopped"] == 0


class TestOverTheApi:
    def purchase(self, state: str) -> dict[str, object]:
        fields = {"purchase_id": "p", "version": 1, "shot": 1, "kind": "render", "backend": "runway", "model": "gen4.5"}
        money = {"quote": 1, "hold": 600_000, "charged": None, "cost_source": None, "difference": None}
        return {**fields, **money, "state": state}

    def test_it_says_what_is_not_stopped(self, server: api.Server, capsys: pytest.CaptureFixture[str]) -> None:
        view = api.view("cancelled").model_dump(mode="json")
        server.says("POST", "/aiprod/job/job-1/cancel", view)
        bought = [self.purchase("submitted"), self.purchase("succeeded")]
        server.says("GET", "/aiprod/job/job-1/costs", {"job_id": "job-1", "purchases": bought, "sums": view["costs"]})
        out = done(capsys, "cancel", "job-1")
        assert "job-1 is cancelled: nothing more is held or sent for it" in out
        assert "not stopped: 1 renders already sent, up to $0.60" in out

    def test_the_ledger_can_be_told_although_a_server_is_named(
        self, local_market: Market, server: api.Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.order()
        assert "job-1 is cancelled" in done(capsys, "cancel", "job-1", "--local", "--by", "ann")
        assert server.asked == []
