"""What a command said, as the tests of every command read it."""

from __future__ import annotations

import pytest

__all__ = ["refused", "said"]


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out, err


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """What a refused command said: one line, on stderr alone."""
    out, err = said(capsys)
    assert out == ""
    assert err.startswith("aiprod: ") and err.count("\n") == 1 and err.endswith("\n")
    return err
