"""Orders from a shell: what was done, or in one line why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aiprod.cli import main
from tests.market import Market
from tests.shell import refused, said


@pytest.fixture
def order(tmp_path: Path) -> Path:
    file = tmp_path / "order.yaml"
    file.write_text("prompt: a lake\nseconds: 5\npreset: quick_social\n")
    return file


@pytest.mark.parametrize("argv", [["estimate", "{order}"], ["result", "job-1"], ["reconcile"], ["ledger", "check"]])
def test_without_a_schema_every_command_says_how_to_make_one_and_makes_none(
    order: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    file = tmp_path / "absent" / "ledger.db"
    monkeypatch.setenv("AIPROD_DATABASE_URL", f"sqlite:///{file}")
    assert main([word.format(order=order) for word in argv]) == 1
    assert "run `python -m aiprod.cli ledger upgrade`" in refused(capsys)
    assert not file.parent.exists()


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
        ("", "order.yaml: must hold the fields of one order"),
        ("- prompt: a\n", "order.yaml: must hold the fields of one order"),
        ("a lake\n", "order.yaml: must hold the fields of one order"),
        ("[" * 5000, "order.yaml: is nested too deeply"),
        ("prompt: !!python/name:os.system\n", "order.yaml: could not determine a constructor"),
        ("seconds: 2026-13-45\n", "order.yaml: month must be in 1..12"),
        ("prompt: a\nbudget_usd: 0.01\n", "budget_usd: $0.01 cannot pay for this video"),
        ("prompt: a\nbackend: veo3\nbudget_usd: 1\n", "cannot pay for this video; replicate would make it for $0.50"),
        ("promt: a\n", "promt: unknown field"),
        ("- a\n- b\n", "aiprod:"),
        ("", "aiprod:"),
        ("just words", "aiprod:"),
    ],
)
def test_a_bad_order_is_refused_in_plain_lines(
    local_market: Market, order: Path, capsys: pytest.CaptureFixture[str], text: str, line: str
) -> None:
    order.write_text(text)
    assert main(["estimate", str(order)]) == 1
    assert line in refused(capsys)
    assert local_market.count("jobs") == 0


def test_every_problem_of_an_order_is_a_line_of_its_own(
    local_market: Market, order: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order.write_text("prompt: a\ncolour: red\nsize: big\n")
    assert main(["estimate", str(order)]) == 1
    assert said(capsys) == ("", "aiprod: colour: unknown field\naiprod: size: unknown field\n")


def test_a_file_that_is_no_text_is_named(local_market: Market, order: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order.write_bytes(b"\xff\xfe\x00")
    assert main(["estimate", str(order)]) == 1
    assert "order.yaml" in refused(capsys)


def test_a_folder_is_no_order(local_market: Market, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(tmp_path)]) == 1
    assert refused(capsys) == f"aiprod: {tmp_path}: Is a directory\n"


def test_a_missing_file_is_named(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "/nowhere/order.yaml"]) == 1
    assert refused(capsys) == "aiprod: /nowhere/order.yaml: No such file or directory\n"


class TestEnlist:
    def rows(self, order: Path, text: str = "- {prompt: a lake, seconds: 1}\n- {prompt: a hill, seconds: 1}\n") -> list[str]:
        order.write_text(text)
        return ["enlist", str(order), "--campaign", "spring", "--amount"]

    def test_the_jobs_of_a_campaign_wait_for_a_run(
        self, local_market: Market, order: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([*self.rows(order), "5.00", "--by", "ann"]) == 0
        assert "2 jobs of campaign spring wait for a run" in said(capsys)[0]
        assert local_market.count("queue") == 2
        assert local_market.count("approvals WHERE answered_by = 'ann'") == 2

    @pytest.mark.parametrize("amount", ["NaN", "-1", "lots", "1e12", "Infinity"])
    def test_an_amount_that_is_none_is_refused(
        self, local_market: Market, order: Path, capsys: pytest.CaptureFixture[str], amount: str
    ) -> None:
        assert main([*self.rows(order), f"{amount}"] if amount[0] != "-" else [*self.rows(order)[:-1], f"--amount={amount}"]) == 1
        assert refused(capsys).startswith("aiprod: --amount:")
        assert local_market.count("jobs") == 0

    @pytest.mark.parametrize("text", ["prompt: a lake\n", "[]\n", "- a lake\n", "- prompt: a lake\n  seconds: 99\n"])
    def test_rows_that_are_no_orders_are_refused(
        self, local_market: Market, order: Path, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        assert main([*self.rows(order, text), "5"]) == 1
        refused(capsys)
        assert local_market.count("jobs") == 0


def test_a_result_is_json_and_an_unknown_job_is_one_line(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    local_market.bought()
    assert main(["result", "job-1"]) == 0
    assert json.loads(said(capsys)[0])["cost_usd"] == 0.12
    assert main(["result", "nobody"]) == 3
    assert refused(capsys).startswith("aiprod: job nobody")


def test_reconcile_says_what_it_looked_at(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    local_market.routed()
    local_market.age("purchases", "expires_at")
    assert main(["reconcile"]) == 0
    out, _ = said(capsys)
    assert "job-1 shot 1 at runway: held → expired" in out
    assert "1 open purchases looked at, 1 moved, 0 in trouble" in out


@pytest.mark.parametrize("argv", [[], ["ledger"], ["bogus"], ["estimate"], ["result"], ["reconcile", "now"]])
def test_wrong_usage_is_two(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, _ = said(capsys)
    assert all(word in out for word in ("ledger", "estimate", "result", "reconcile", "cancel", "budget", "costs", "bill"))


def test_a_file_that_is_no_text_is_refused_in_one_line(
    local_market: Market, order: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order.write_bytes(b"\xff\xfe\x00\x81")
    assert main(["estimate", str(order)]) == 1
    assert len(said(capsys)[1].splitlines()) == 1


@pytest.mark.parametrize("command", [["ledger", "upgrade"], ["ledger", "check"], ["reconcile"], ["result", "job-1"]])
@pytest.mark.parametrize("url", ["postgresql://ann:hunter2@127.0.0.1:1/aiprod", "nonsense"])
def test_a_database_that_cannot_be_reached_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str], url: str
) -> None:
    monkeypatch.setenv("AIPROD_DATABASE_URL", url)
    assert main(command) == 1
    err = said(capsys)[1]
    assert err.startswith("aiprod: ") and "hunter2" not in err


def test_reconcile_that_finds_trouble_names_it(local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    local_market.bought("[[runway=slow:600]]")
    local_market.sql("UPDATE purchases SET backend = 'runaway'")
    assert main(["reconcile"]) == 1
    out, _ = said(capsys)
    assert "1 open purchases looked at, 0 moved, 1 in trouble" in out
    assert "job-1 shot 1 at runaway" in out


def test_it_is_a_program(tmp_path: Path) -> None:
    """The exit code is the command's, not only the function's."""
    env = {"PYTHONPATH": str(Path(__file__).parents[3] / "include"), "AIPROD_DATABASE_URL": f"sqlite:///{tmp_path / 'absent.db'}"}
    done = subprocess.run([sys.executable, "-m", "aiprod.cli", "ledger", "check"], capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("aiprod: the ledger at") and done.stderr.count("\n") == 1
