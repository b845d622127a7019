"""Every fault at every vendor ends in the state, and costs the money, that the table says."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from aiprod.errors import StorageError
from aiprod.ledger import results
from tests.vendors.faults import TABLE, End, markdown
from tests.vendors.street import BACKENDS, NO_ANSWER_WITHIN, Street, shipped

DOCS = Path(__file__).parents[2] / "docs" / "backends.md"
#: One of each kind of end; the rest takes minutes.
EVERY_TIME = {"ok", "broke", "lose", "late:30", "slow:1200", "moderated", "html", "brief", "bill:1.3", "vanish"}
CASES = [
    pytest.param(name, word, ends[n], id=f"{name}-{word}", marks=() if word in EVERY_TIME else (pytest.mark.slow,))
    for word, _, ends in TABLE
    for n, name in enumerate(BACKENDS)
]


@pytest.mark.parametrize(("name", "word", "end"), CASES)
def test_a_fault_ends_as_the_table_says(street: Street, name: str, word: str, end: End) -> None:
    if word.startswith(("stall", "late")):
        street.catalog = shipped(submit_timeout_seconds=NO_ANSWER_WITHIN)
    street.order(f"a lighthouse [[{name}={word}]]", backend=name)
    with suppress(StorageError):  # paid, and its file is not home yet: tried again below
        street.attempt()
    for minutes in (2, 14, 20):
        street.passes(timedelta(minutes=minutes))
        street.look_again()
    street.market.pipeline.score(["job-1"], 1)
    (bought,) = street.purchases()
    with street.ledger.read() as conn:
        verdict = "".join(judged.verdict.value for judged in results.judged(conn, "job-1", 1))

    assert (bought.state, bought.failure.value if bought.failure else "", verdict) == (end.state, end.kind, end.verdict)
    paid = {"nothing": 0, "the bill": street.billed, "the quote": bought.hold, "held": None}[end.money]
    assert bought.charged == paid
    assert street.market.balance().reserved == (bought.hold if end.money == "held" else 0)
    assert len(street.vendors.accepts()) <= 1
    waits = [p.purchase.state for p in street.waiting()]
    assert waits == ([end.state] if end.state in ("unknown", "submitted") else [])


@pytest.mark.parametrize(
    ("name", "changed", "value"),
    [("veo3", "AIPROD_VEO3_BUCKET", "gs://aiprod-emulated/elsewhere"), ("replicate", "REPLICATE_API_TOKEN", "another-account")],
)
def test_what_was_lost_is_never_proved_absent_with_another_account_or_in_another_place(
    street: Street, monkeypatch: pytest.MonkeyPatch, name: str, changed: str, value: str
) -> None:
    street.order(f"a lighthouse [[{name}=lose,slow:60,lag:60]]", backend=name)
    street.attempt()
    assert [p.state for p in street.purchases()] == ["unknown"]
    monkeypatch.setenv(changed, value)
    for minutes in (2, 14, 20):
        street.passes(timedelta(minutes=minutes))
        street.look_again()
        street.market.pipeline.render(["job-1"], name, 1)
    assert [p.state for p in street.purchases()] == ["unknown"]
    assert len(street.vendors.accepts()) == 1
    assert [p.purchase.state for p in street.waiting()] == ["unknown"]


def test_the_docs_show_this_table() -> None:
    assert markdown() in DOCS.read_text(encoding="utf-8")


def test_no_end_books_less_than_the_vendor_bills_but_where_only_the_bill_tells() -> None:
    """Veo tells no cost: what it bills beyond the quote is found when its bill is imported."""
    cheap = {(word, name) for word, _, ends in TABLE for name, end in zip(BACKENDS, ends, strict=True) if end.money == "nothing"}
    assert not {word for word, _ in cheap} & {"fail-charged", "empty", "flip", "bill:1.3", "lose", "stall:30"}
