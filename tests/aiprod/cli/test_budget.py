"""Budgets from a shell: shown, set, cleared, and the switch that stops all buying."""

from __future__ import annotations

import json

import pytest

from aiprod.cli import main
from aiprod.models import USD
from tests.market import Market
from tests.shell import refused, said


def done(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 0
    return said(capsys)[0]


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, object]:
    whole: dict[str, object] = json.loads(done(capsys, "budget", "show", "--json", *argv))
    return whole


def caps(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, dict[str, object]]:
    found = shown(capsys, *argv)["caps"]
    assert isinstance(found, list)
    return {cap["scope"]: cap for cap in found}


class TestShow:
    def test_it_says_the_day_its_zone_its_end_and_every_cap(
        self, local_market: Market, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.bought()
        out = done(capsys, "budget", "show")
        first, header, day = out.splitlines()
        assert " in UTC, ends " in first and first.endswith(" 00:00 UTC. Purchasing is open.")
        assert header.split() == ["cap", "limit", "held", "charged", "left", "overrun", "warns", "at", "set", "by"]
        assert day.split() == ["day", "(UTC)", "$100.00", "$0.00", "$0.12", "$99.88", "-", "$90.00", "configuration"]

    def test_for_programs_it_is_json_in_micro_dollars(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought()
        whole = shown(capsys)
        assert (whole["zone"], whole["stopped"]) == ("UTC", None)
        assert {"cap": 100 * USD, "charged": 120_000, "left": 100 * USD - 120_000}.items() <= caps(capsys)["day"].items()

    def test_jobs_and_envelopes_are_shown_when_asked_for(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought()
        assert set(caps(capsys)) == {"day"}
        assert set(caps(capsys, "--all")) == {"day", "job:job-1", "envelope:job-1/1/1"}

    def test_another_day_has_its_own_caps(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought()
        assert caps(capsys, "--day", "2020-02-02")["day"]["charged"] == 0
        assert done(capsys, "budget", "show", "--day", "2020-02-02").startswith("Day 2020-02-02 in UTC. ")

    @pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "2026-02-30"])
    def test_what_is_no_day_is_wrong_usage(self, capsys: pytest.CaptureFixture[str], day: str) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(["budget", "show", "--day", day])
        assert stopped.value.code == 2
        assert "is no day; write YYYY-MM-DD" in said(capsys)[1]


class TestSet:
    def test_a_day_set_by_hand_refuses_what_does_not_fit(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.approved()
        out = done(capsys, "budget", "set", "day", "0.11", "--by", "ann")
        assert out == "day is $0.11 by ann, until it is cleared: $0.00 charged, $0.00 held\n"
        assert local_market.pipeline.route(["job-1"], 1) == ["replicate"]
        assert local_market.only().hold == 100_000
        assert caps(capsys)["day"]["set_by"] == "ann"

    def test_zero_closes_and_says_so(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought()
        out = done(capsys, "budget", "set", "day", "0", "--today", "--by", "ann")
        assert "day is $0.00 by ann, until the day ends: $0.12 charged" in out
        assert "closed for new purchases, $0.12 over; what runs goes on and is paid" in out

    def test_a_project_nobody_configured_can_be_capped(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought(project="acme")
        done(capsys, "budget", "set", "project:acme", "$0.15", "--by", "ann")
        local_market.approved(job_id="job-2", project="acme", run_id="run-2")
        local_market.approved(job_id="job-3", run_id="run-3")
        assert local_market.pipeline.route(["job-3"], 1) == ["runway"]
        with pytest.raises(Exception, match=r"project acme has \$0\.03 left"):
            local_market.pipeline.route(["job-2"], 1)

    def test_cleared_it_follows_the_configuration_again(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        done(capsys, "budget", "set", "day", "1")
        assert done(capsys, "budget", "clear", "day", "--by", "ann") == "day follows the configuration again\n"
        assert (caps(capsys)["day"]["cap"], caps(capsys)["day"]["set_by"]) == (100 * USD, None)
        assert done(capsys, "budget", "clear", "day") == "day was not set by hand; nothing changed\n"

    @pytest.mark.parametrize(
        "amount",
        ["NaN", "nan", "inf", "-5", "-0.01", "1e12", "1000000.01", "ten", "", "1,50", "5 $", "0x10", "٣", "$", "1.", "--1"],
    )
    def test_what_is_no_amount_is_one_line_and_changes_nothing(
        self, local_market: Market, capsys: pytest.CaptureFixture[str], amount: str
    ) -> None:
        argv = (
            ["budget", "set", "day", "--by", "ann", "--", amount] if amount.startswith("--") else ["budget", "set", "day", amount]
        )
        assert main(argv) == 1
        assert amount in refused(capsys)
        assert local_market.count("meta") == local_market.count("caps") == 0

    @pytest.mark.parametrize(
        ("scope", "says"),
        [
            ("week", "'week' is no cap: say day, project:NAME"),
            ("backend:sora", "no such backend; known: runway, veo3, replicate, animatic"),
            ("job:ghost", "no such job in the ledger"),
            ("campaign:ghost", "no such campaign in the ledger"),
        ],
    )
    def test_what_nobody_knows_is_one_line_and_changes_nothing(
        self, local_market: Market, capsys: pytest.CaptureFixture[str], scope: str, says: str
    ) -> None:
        assert main(["budget", "set", scope, "5"]) == 1
        assert says in refused(capsys)
        assert local_market.count("meta") == local_market.count("caps") == 0

    def test_no_order_can_set_a_cap(self, local_market: Market) -> None:
        with pytest.raises(Exception, match="unknown field"):
            local_market.order(day_usd=1_000, caps={"day": 1_000})
        local_market.order(budget_usd=1_000_000)
        assert local_market.count("caps") == 0


class TestSwitch:
    def test_stopped_nothing_is_held(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.approved()
        assert "STOPPED by ann" in done(capsys, "budget", "stop", "the card is being changed", "--by", "ann")
        with pytest.raises(Exception, match="purchasing is stopped: the card is being changed"):
            local_market.pipeline.route(["job-1"], 1)
        assert local_market.purchases() == []

    def test_stopped_after_the_hold_nothing_is_sent_and_opened_again_it_is(
        self, local_market: Market, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.routed()
        done(capsys, "budget", "stop", "an audit")
        assert "purchasing is stopped: an audit" in local_market.render().failed[0]
        assert local_market.accepts() == []
        assert "open again, by ann" in done(capsys, "budget", "open", "--by", "ann")
        local_market.render()
        assert len(local_market.accepts()) == 1

    def test_show_says_who_stopped_it_and_why(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        done(capsys, "budget", "stop", "an\naudit", "--by", "ann")
        assert "Purchasing is STOPPED by ann since " in (out := done(capsys, "budget", "show")) and ": an audit\n" in out
        stopped = shown(capsys)["stopped"]
        assert isinstance(stopped, dict) and stopped["why"] == "an audit"

    def test_a_second_stop_says_whose_stands(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        done(capsys, "budget", "stop", "an audit", "--by", "ann")
        assert "It was stopped before. Purchasing is STOPPED by ann" in done(capsys, "budget", "stop", "me too", "--by", "eve")
        done(capsys, "budget", "open")
        assert done(capsys, "budget", "open") == "Purchasing was open; nothing changed.\n"

    def test_without_a_reason_nothing_is_stopped(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["budget", "stop", " "]) == 1
        assert "say why" in refused(capsys)
        assert local_market.count("meta") == 0
