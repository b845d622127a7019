"""Bugs that would cost money, one line each, and the tests that have to notice them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PLANTED", "Mutant"]


@dataclass(frozen=True)
class Mutant:
    """One bug: `old` stands exactly once in `file` (below include/aiprod) and becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    noticed_by: tuple[str, ...]
    #: A second edit (file, old, new) without which the first is no bug.
    also: tuple[str, str, str] | None = None

    @property
    def edits(self) -> tuple[tuple[str, str, str], ...]:
        return ((self.file, self.old, self.new), *([self.also] if self.also else []))


_LEDGER = "tests/aiprod/ledger"
_PURCHASES = (f"{_LEDGER}/test_purchases.py",)
_BUYING = ("tests/aiprod/test_purchasing.py",)

PLANTED = (
    Mutant(
        "one micro-dollar too many is admitted",
        "ledger/purchases.py",
        "if r.cap - r.reserved - r.settled < amount]",
        "if r.cap - r.reserved - r.settled < amount - 1]",
        _PURCHASES,
    ),
    Mutant(
        "an exact fit is refused",
        "ledger/purchases.py",
        "if r.cap - r.reserved - r.settled < amount]",
        "if r.cap - r.reserved - r.settled <= amount]",
        _PURCHASES,
    ),
    Mutant(
        "the overrun sticks after a refund",
        "ledger/caps.py",
        "overrun=case((used > caps.c.cap, used - caps.c.cap), else_=0)",
        "overrun=case((used > caps.c.cap, used - caps.c.cap), else_=caps.c.overrun)",
        (f"{_LEDGER}/test_caps.py",),
    ),
    Mutant(
        # Alone, reading an exact overrun changes nothing: together they admit $10 after a bill of 120 and a refund of 15.
        "admission reads an overrun that sticks",
        "ledger/purchases.py",
        "if r.cap - r.reserved - r.settled < amount]",
        "if r.cap + r.overrun - r.reserved - r.settled < amount]",
        (f"{_LEDGER}/test_caps.py",),
        also=(
            "ledger/caps.py",
            "overrun=case((used > caps.c.cap, used - caps.c.cap), else_=0)",
            "overrun=case((used > caps.c.cap + caps.c.overrun, used - caps.c.cap), else_=caps.c.overrun)",
        ),
    ),
    Mutant(
        "caps are read without a lock",
        "ledger/caps.py",
        ".order_by(caps.c.lock_rank, caps.c.cap_id).with_for_update()",
        ".order_by(caps.c.lock_rank, caps.c.cap_id)",
        (f"{_LEDGER}/test_caps.py", f"{_LEDGER}/test_purchases.py"),
    ),
    Mutant(
        "a purchase has no leg on the day",
        "budgets.py",
        "return sorted(caps, key=lambda cap: cap.rank)",
        "return sorted(caps, key=lambda cap: cap.rank)[:-1]",
        ("tests/aiprod/test_budgets.py",),
    ),
    Mutant(
        "the same move is booked twice",
        "ledger/caps.py",
        "    if not _post(conn, purchase_id, kind, d_reserved, d_settled, dedup, now=now):\n        return False\n",
        "    _post(conn, purchase_id, kind, d_reserved, d_settled, dedup, now=now)\n",
        (f"{_LEDGER}/test_caps.py", f"{_LEDGER}/test_purchases.py"),
    ),
    Mutant(
        "an insert's rowcount is trusted",
        "ledger/insertion.py",
        "return conn.execute(statement).first() is not None",
        "return conn.execute(statement).rowcount != 0",
        (f"{_LEDGER}/test_insertion.py",),
    ),
    Mutant(
        "what was sent expires like what was held",
        "ledger/states.py",
        'Step.EXPIRE: (("held",), "expired")',
        'Step.EXPIRE: (("held", "submitting", "unknown"), "expired")',
        (f"{_LEDGER}/test_states.py", f"{_LEDGER}/test_purchases.py"),
    ),
    Mutant(
        "a slot is free while a lost request may run",
        "ledger/purchases.py",
        'purchases.c.state == "unknown", purchases.c.slot_until > now',
        'purchases.c.state == "unknown", purchases.c.slot_until < now',
        _PURCHASES,
    ),
    Mutant(
        "every retry is a strike",
        "ledger/health.py",
        "    if not fresh and not ok:\n        return\n",
        "",
        (f"{_LEDGER}/test_health.py",),
    ),
    Mutant(
        "the kill switch is forgotten at the request",
        "ledger/purchases.py",
        "    purchase = _must_get(conn, purchase_id)\n    gates.require_open(conn, envelope, now=now)\n",
        "    purchase = _must_get(conn, purchase_id)\n",
        (f"{_LEDGER}/test_gates.py", *_PURCHASES, *_BUYING),
    ),
    Mutant(
        "the request leaves before the intent is committed",
        "purchasing.py",
        "fence = purchases.claim(conn, key, envelope=envelope, catalog=catalog, now=now)",
        "adapter.submit(purchase.render_request, key=key)\n"
        "                fence = purchases.claim(conn, key, envelope=envelope, catalog=catalog, now=now)",
        _BUYING,
    ),
    Mutant(
        "a lost request is sent again",
        "purchasing.py",
        "            accepted = adapter.submit(purchase.render_request, key=key)\n",
        "            try:\n"
        "                accepted = adapter.submit(purchase.render_request, key=key)\n"
        "            except SubmitAmbiguous:\n"
        "                accepted = adapter.submit(purchase.render_request, key=key)\n",
        _BUYING,
    ),
    Mutant(
        "nothing found counts as proof that nothing runs",
        "purchasing.py",
        "        elif found.proof:\n",
        "        elif not found.vendor_ids:\n",
        _BUYING,
    ),
    Mutant(
        "a lost download is bought again",
        "purchasing.py",
        'raise StorageError(f"{paid}: {error}") from error',
        "return",
        _BUYING,
    ),
    Mutant(
        "an answer about another version makes an envelope",
        "ordering.py",
        "        if jobs.latest(conn, job_id) != version:\n",
        "        if False:\n",
        ("tests/aiprod/test_ordering.py", "tests/aiprod_airflow/operators/test_approval.py"),
    ),
    Mutant(
        "automatic approval looks at the expected price",
        "ordering.py",
        "return envelope_amount(left, jobs.priced(conn, job_id, version).estimate.worst_case)",
        "return envelope_amount(left, jobs.priced(conn, job_id, version).estimate.expected)",
        ("tests/aiprod/test_ordering.py",),
    ),
    Mutant(
        "a vetoed take may ship",
        "finishing.py",
        "if j.take.shot == shot.index and not j.report.vetoed]",
        "if j.take.shot == shot.index]",
        ("tests/aiprod/test_finishing.py",),
    ),
    Mutant(
        "an unscored take gets a quality",
        "qa/judge.py",
        "semantic_status=semantic_status,",
        "semantic_status=semantic_status,\n        quality=1.0,",
        ("tests/aiprod/qa/test_judge.py",),
    ),
)
