"""Costs from a shell: totals that tie, and old prices flagged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.cli import main
from tests.api import Server
from tests.market import Market
from tests.shell import refused, said


def done(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main(list(argv)) == code
    return said(capsys)[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bill.csv"


class TestCosts:
    def test_it_says_quoted_charged_and_the_total(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought()
        out = done(capsys, "costs")
        assert out.splitlines()[0] == (
            "runway gen4.5: 1 purchases, quoted $0.12, charged $0.12 (+0.00 %), told by quote 1, total $0.12"
        )
        assert "total $0.12 in 30 days, as settled in the ledger" in out

    def test_corrections_are_named(self, local_market: Market, capsys: pytest.CaptureFixture[str], file: Path) -> None:
        local_market.bought()
        file.write_text(f"vendor_id,amount_usd\n{local_market.only().vendor_id},0.15\n")
        done(capsys, "bill", "import", str(file), "--backend", "runway", "--book")
        assert "late bills $0.03, total $0.15" in done(capsys, "costs")

    def test_old_prices_are_flagged_with_date_and_source(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        out = done(capsys, "costs")
        assert "old price: runway gen4.5 $0.12/s since 2026-01-01 (" in out
        assert "runwayml/skills rw-api-reference (12 credits/s)" in out

    def test_for_programs_it_is_json_and_its_lines_add_up(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought()
        whole = json.loads(done(capsys, "costs", "--json", "--days", "1"))
        assert whole["total"] == sum(line["total"] for line in whole["lines"]) == 120_000
        assert {price["valid_from"] for price in whole["old_prices"]} == {"2026-01-01"}

    @pytest.mark.parametrize("days", ["0", "-1", "ten", "1.5", "99999"])
    def test_what_is_no_number_of_days_is_wrong_usage(self, capsys: pytest.CaptureFixture[str], days: str) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(["costs", f"--days={days}"])
        assert stopped.value.code == 2


class TestOfOneJob:
    def test_every_purchase_is_a_row_and_the_sums_are_told(
        self, local_market: Market, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.bought()
        out = done(capsys, "costs", "job-1")
        row = ["1", "1", "render", "runway", "gen4.5", "succeeded", "$0.12", "$0.12", "quote"]
        assert out.splitlines()[1].split() == row and "charged $0.12; " in out

    def test_a_server_is_asked_where_one_is_named(
        self, local_market: Market, server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.bought()
        here = json.loads(done(capsys, "costs", "job-1", "--local", "--json"))
        server.says("GET", "/aiprod/job/job-1/costs", here)
        assert json.loads(done(capsys, "costs", "job-1", "--json")) == here
        assert len(server.asked) == 1

    def test_a_job_that_is_not_there_has_its_own_code(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["costs", "ghost"]) == 3
        assert "ghost is not in the ledger" in refused(capsys)
