"""The ledger's database from a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.cli import main
from tests.market import Market
from tests.shell import refused, said


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


@pytest.mark.postgres
def test_an_empty_postgres_is_upgraded_once_and_again_without_harm(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIPROD_DATABASE_URL", empty_postgres)
    assert main(["ledger", "check"]) == 1
    assert "has no schema yet; run `python -m aiprod.cli ledger upgrade`" in refused(capsys)
    assert [main(["ledger", "upgrade"]) for _ in range(2)] == [0, 0]
    assert main(["ledger", "check"]) == 0


@pytest.mark.parametrize("verb", ["upgrade", "check"])
@pytest.mark.parametrize("url", ["postgresql://me:secret@127.0.0.1:1/x", "no address", "sqlite:///{file}"])
def test_a_ledger_that_cannot_be_used_is_one_line_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, verb: str
) -> None:
    no_database = tmp_path / "order.yaml"
    no_database.write_text("prompt: a lake\n" * 100)
    monkeypatch.setenv("AIPROD_DATABASE_URL", url.format(file=no_database))
    assert main(["ledger", verb]) == 1
    assert "secret" not in refused(capsys)


class TestAudit:
    def test_books_in_order_are_said_to_be(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.bought()
        assert main(["ledger", "audit"]) == 0
        assert "the books are in order" in said(capsys)[0]

    def test_a_fault_is_a_line_and_the_exit_code(self, local_market: Market, capsys: pytest.CaptureFixture[str]) -> None:
        local_market.routed()
        local_market.sql("UPDATE caps SET reserved = reserved + 1 WHERE kind = 'day'")
        assert main(["ledger", "audit"]) == 1
        out, _ = said(capsys)
        local_market.sql("UPDATE caps SET reserved = reserved - 1 WHERE kind = 'day'")
        assert out.startswith("I2 cap day ") and "1 faults" in out


class TestBackup:
    def test_a_backup_says_what_is_in_it_and_a_restore_what_to_do_next(
        self, local_market: Market, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.bought()
        file = tmp_path / "monday"
        assert main(["ledger", "backup", str(file)]) == 0
        assert said(capsys)[0].startswith(f"{file}: 1 purchases as of ")
        assert main(["ledger", "restore", str(file)]) == 1
        assert "with --yes it is kept aside" in refused(capsys)
        assert main(["ledger", "restore", str(file), "--yes"]) == 0
        out, _ = said(capsys)
        assert "restored 1 purchases; what was there is kept as " in out
        assert "purchasing is stopped: restored from backup of " in out and "docs/runbook.md" in out

    def test_a_backup_that_is_there_already_is_one_line(
        self, local_market: Market, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["ledger", "backup", str(tmp_path)]) == 1
        assert "already there" in refused(capsys)

    def test_faulty_books_are_backed_up_and_said(
        self, local_market: Market, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        local_market.routed()
        local_market.sql("UPDATE caps SET reserved = reserved + 1 WHERE kind = 'day'")
        assert main(["ledger", "backup", str(tmp_path / "x")]) == 1
        local_market.sql("UPDATE caps SET reserved = reserved - 1 WHERE kind = 'day'")
        out, _ = said(capsys)
        assert out.startswith("I2 cap day") and "its books have 1 faults" in out
