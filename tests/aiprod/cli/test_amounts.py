"""An amount on a command line is dollars that a person meant, or it is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aiprod.cli.amounts import typed_usd
from aiprod.errors import SpecError


@pytest.mark.parametrize(
    ("text", "usd"), [("50", "50"), ("12.50", "12.50"), ("$0.60", "0.60"), ("0", "0"), ("1000000", "1000000")]
)
def test_dollars_are_read_exactly(text: str, usd: str) -> None:
    assert typed_usd(text) == Decimal(usd)


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "-1", "1e3", "1_000", "1,5", "12.50 USD", "٣", "1000000.01", "9" * 40])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        typed_usd(text)
