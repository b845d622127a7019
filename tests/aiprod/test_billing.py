"""A vendor's CSV: every amount exact, every row that cannot be read named, nothing guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.billing import lines_of
from aiprod.errors import SpecError
from aiprod.models import USD


def read(text, **options):
    return lines_of(text.encode(**options))


def amounts(text):
    return [line.amount for line in read("vendor_id,amount_usd\n" + text)]


def problems(text):
    with pytest.raises(SpecError) as refused:
        read(text)
    return list(refused.value.problems)


@pytest.mark.parametrize(
    "text",
    [
        "vendor_id,amount_usd,date\nr-1,0.60,2026-11-23\n",
        "date,amount_usd,vendor_id\n2026-11-23,$0.60,r-1\n",
        "\ufeffvendor_id,amount_usd,date\r\nr-1,0.60,2026-11-23\r\n",
        '"vendor_id","amount_usd","date"\n"r-1","$0.60","2026-11-23T00:00:00Z"\n',
        "Vendor_ID, Amount_USD ,region,DATE\n r-1 , 0.600000 ,eu, 2026-11-23 \n\n,,,\n",
        "vendor_id,amount_usd,date\nr-1,0.60,2026-11-23T01:00:00+01:00\n",
    ],
)
def test_the_same_bill_reads_the_same_however_it_is_written(text):
    (line,) = read(text)
    assert (line.line, line.vendor_id, line.amount) == (2, "r-1", 600_000)
    assert line.billed_at == datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1234.5", 1_234_500_000),
        ('"1,234.50"', 1_234_500_000),
        ("$.5", 500_000),
        ("-$0.60", -600_000),
        ("$-0.60", -600_000),
        ("($0.60)", -600_000),
        ("0", 0),
        ("0.0000015", 2),
        ("0.0000025", 2),
    ],
)
def test_an_amount_is_exact(text, micros):
    assert amounts(f"r,{text}\n") == [micros]


@given(st.lists(st.decimals(-1_000, 1_000, places=6, allow_nan=False), min_size=1, max_size=20))
def test_the_sum_of_the_lines_is_the_sum_of_the_file(usd):
    text = "".join(f"r-{n},{amount}\n" for n, amount in enumerate(usd))
    assert sum(amounts(text)) == sum(usd) * USD


@pytest.mark.parametrize(
    "amount",
    ["", "ten", "NaN", "inf", "1e3", '"1,50"', '"1,2345"', "--1", "-(1)", "(1", "1)", "$", "1_000", "٣", "0x1", "99999999999"],
)
def test_what_is_no_amount_is_named_by_line_and_column(amount):
    (problem,) = problems(f"vendor_id,amount_usd\nr-1,1\nr-2,{amount}\n")
    assert problem.startswith("line 3, column amount_usd: ") and problem.endswith(" is no amount in dollars")


def test_every_bad_row_is_named_and_the_good_ones_do_not_count():
    assert problems("vendor_id,amount_usd,date\n,1,yesterday\nr-2,2,2026-11-23\nr-3,x,2026-02-30\n") == [
        "line 2, column vendor_id: is empty",
        "line 2, column date: 'yesterday' is no date; write YYYY-MM-DD, or with a time",
        "line 4, column amount_usd: 'x' is no amount in dollars",
        "line 4, column date: '2026-02-30' is no date; write YYYY-MM-DD, or with a time",
    ]


def test_a_row_after_a_line_break_in_quotes_is_named_by_its_line_in_the_file():
    assert problems('vendor_id,amount_usd,note\nr-1,1,"two\nlines"\nr-2,x,\n') == [
        "line 4, column amount_usd: 'x' is no amount in dollars"
    ]


def test_a_short_row_is_named():
    assert problems("amount_usd,vendor_id\n1\n") == ["line 2, column vendor_id: is empty"]


def test_a_wall_of_bad_rows_is_cut_short():
    found = problems("vendor_id,amount_usd\n" + "r,x\n" * 50)
    assert len(found) == 13 and found[-1] == "and 38 more rows that cannot be read"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "has no column vendor_id and no column amount_usd; it has none"),
        (b"vendor_id;amount_usd\nr;1\n", "has no column vendor_id and no column amount_usd; it has vendor_id;amount_usd"),
        (b"vendor_id,amount\nr,1\n", "has no column amount_usd; it has vendor_id, amount"),
        (b"vendor_id,amount_usd,amount_usd\nr,1,2\n", "has the column amount_usd twice"),
        (b"vendor_id,amount_usd\n", "the bill has no lines"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b'vendor_id,amount_usd\n"r,1\n', "cannot be read as CSV"),
        (b"vendor_id,amount_usd\nr\x00,1\n", "line 2, column vendor_id: 'r\\x00' has characters that cannot be printed"),
    ],
)
def test_what_is_no_bill_is_refused_in_one_line(raw, says):
    with pytest.raises(SpecError) as refused:
        lines_of(raw)
    assert len(refused.value.problems) == 1 and says in refused.value.problems[0]


def test_no_float_touches_an_amount():
    (amount,) = amounts("r,1000000.000001\n")
    assert amount == Decimal("1000000.000001") * USD
