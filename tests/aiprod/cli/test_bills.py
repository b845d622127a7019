"""Bills from a shell: every line explained to the cent, and booked once."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.cli import main
from tests.desk import rows
from tests.market import Market
from tests.shell import refused, said


def done(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main(list(argv)) == code
    return said(capsys)[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bill.csv"


class TestBill:
    def bill(self, market: Market, file: Path, *lines: str) -> list[str]:
        today = str(market.only().submitted_at)[:10]
        file.write_text("vendor_id,amount_usd,date\n" + "".join(f"{line},{today}\n" for line in lines))
        return ["bill", "import", str(file), "--backend", "runway", "--by", "ann"]

    def test_a_bill_that_fits_says_so_and_the_same_again_is_the_same(
        self, local_market: Market, capsys: pytest.CaptureFixture[str], file: Path
    ) -> None:
        local_market.bought()
        argv = self.bill(local_market, file, f"{local_market.only().vendor_id},$0.12")
        out = done(capsys, *argv)
        assert "1 lines, imported\nmatched: 1, $0.12\n" in out
        assert "billed $0.12 - ours $0.12 = +$0.00, explained by: nothing" in out
        assert "1 lines, imported before" in done(capsys, *argv)
        assert local_market.count("bills") == local_market.count("bill_lines") == 1

    def test_an_unknown_charge_is_an_alarm_and_names_what_was_lost_about_then(
        self, mute_market: Market, capsys: pytest.CaptureFixture[str], file: Path
    ) -> None:
        mute_market.bought("[[runway=lose]]")
        lost = mute_market.only()
        out = done(capsys, *self.bill(mute_market, file, "ghost,0.12"), code=1)
        assert "UNKNOWN TO US: ghost, line 2, billed $0.12; no purchase has this id" in out
        assert f"could be {lost.purchase_id} (job-1 shot 1, parked, sent " in out
        assert [e["topic"] for e in rows(mute_market.ledger, "outbox")["outbox"]].count("bill_unknown_charge") == 1

    def test_another_amount_is_reported_and_booked_only_when_asked(
        self, local_market: Market, capsys: pytest.CaptureFixture[str], file: Path
    ) -> None:
        local_market.bought()
        vendor_id = local_market.only().vendor_id
        argv = self.bill(local_market, file, f"{vendor_id},0.10")
        out = done(capsys, *argv)
        assert f"other amount: {vendor_id}, line 2, billed $0.10, ours $0.12: -$0.02, job-1 shot 1" in out
        assert "explained by: other amount -$0.02" in out and "nothing was booked" in out
        assert local_market.only().charged == 120_000
        assert "booked -$0.02 on job-1 shot 1" in done(capsys, *argv, "--book")
        assert "booked" not in done(capsys, *argv, "--book")
        assert local_market.only().charged == 100_000

    def test_what_the_vendor_forgot_is_named(self, local_market: Market, capsys: pytest.CaptureFixture[str], file: Path) -> None:
        local_market.bought()
        out = done(capsys, *self.bill(local_market, file, "ghost,0.12"), code=1)
        assert f"not billed: {local_market.only().vendor_id}, ours $0.12, job-1 shot 1" in out
        assert "= +$0.00, explained by: not billed -$0.12, unknown to us +$0.12" in out

    def test_a_row_that_cannot_be_read_stops_the_import(
        self, local_market: Market, capsys: pytest.CaptureFixture[str], file: Path
    ) -> None:
        local_market.bought()
        assert main(self.bill(local_market, file, "a,0.12", "b,twelve")) == 1
        assert refused(capsys) == f"aiprod: {file}: line 3, column amount_usd: 'twelve' is no amount in dollars\n"
        assert local_market.count("bills") == local_market.count("bill_lines") == 0

    @pytest.mark.parametrize(("name", "says"), [("absent.csv", "No such file or directory"), (".", "Is a directory")])
    def test_a_file_that_cannot_be_read_is_one_line(
        self, local_market: Market, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
    ) -> None:
        assert main(["bill", "import", str(tmp_path / name), "--backend", "runway"]) == 1
        assert says in refused(capsys)

    def test_a_backend_nobody_knows_is_one_line(
        self, local_market: Market, capsys: pytest.CaptureFixture[str], file: Path
    ) -> None:
        assert main(["bill", "import", str(file), "--backend", "sora"]) == 1
        assert "--backend sora: no such backend; known: runway" in refused(capsys)
