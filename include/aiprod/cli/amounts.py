"""Dollars as a person types them on a command line."""

from __future__ import annotations

import re
from decimal import Decimal

from aiprod.errors import SpecError
from aiprod.models import Micros, dollars, limit_micros

__all__ = ["signed", "typed_usd"]

#: As much as a job may ask for; more is a slip of the finger.
_MOST = Decimal(1_000_000)


def typed_usd(text: str) -> Decimal:
    """Return an amount such as `50`, `12.50` or `$12.50`. Raises `SpecError` for anything else, and above a million."""
    if not re.fullmatch(r"\$?[0-9]{1,16}(\.[0-9]{1,18})?", text):
        raise SpecError([f"{text!r} is no amount in dollars; say for example 50 or 12.50"])
    usd = Decimal(text.removeprefix("$"))
    if usd > _MOST:
        raise SpecError([f"{text} is more than the largest amount of {dollars(limit_micros(_MOST))}"])
    return usd


def signed(amount: Micros, *, plus: bool = False) -> str:
    """Return micro-dollars as people read them, below zero too; with `plus`, also gains have their sign."""
    return f"-{dollars(-amount)}" if amount < 0 else f"{'+' if plus else ''}{dollars(amount)}"
