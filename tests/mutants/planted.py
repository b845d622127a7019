"""Bugs that would cost money, one line each, and the tests that have to notice them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MODEL", "PLANTED", "Mutant"]


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
_BUYING = "tests/aiprod/test_purchasing.py"
_VEO = "tests/aiprod/backends/test_veo3.py"
_TOLD = "tests/aiprod/metrics/test_google.py"
#: An independent model of the whole ledger. Where it is named it finds the bug by itself, whatever it happens to try.
MODEL = f"{_LEDGER}/test_model.py::test_the_ledger_does_what_the_model_does"

PLANTED = (
    Mutant(
        "one micro-dollar too many is admitted",
        "ledger/holds.py",
        '_FITS = _NEW["hold"] <= _FREE\n',
        '_FITS = _NEW["hold"] - 1 <= _FREE\n',
        (f"{_LEDGER}/test_purchases.py::TestHold::test_an_exact_fit_is_taken_and_one_micro_dollar_more_is_not", MODEL),
    ),
    Mutant(
        "an exact fit is refused",
        "ledger/holds.py",
        '_FITS = _NEW["hold"] <= _FREE\n',
        '_FITS = _NEW["hold"] < _FREE\n',
        (f"{_LEDGER}/test_purchases.py::TestHold::test_an_exact_fit_is_taken_and_one_micro_dollar_more_is_not", MODEL),
    ),
    Mutant(
        "the overrun sticks after a refund",
        "ledger/caps.py",
        "overrun=case((used > caps.c.cap, used - caps.c.cap), else_=0)",
        "overrun=case((used > caps.c.cap, used - caps.c.cap), else_=caps.c.overrun)",
        (f"{_LEDGER}/test_caps.py", MODEL),
    ),
    Mutant(
        # Alone, reading an exact overrun changes nothing: together they admit $10 after a bill of 120 and a refund of 15.
        "admission reads an overrun that sticks",
        "ledger/holds.py",
        "_FREE = caps.c.cap - caps.c.reserved - caps.c.settled\n",
        "_FREE = caps.c.cap + caps.c.overrun - caps.c.reserved - caps.c.settled\n",
        (f"{_LEDGER}/test_caps.py", MODEL),
        also=(
            "ledger/caps.py",
            "overrun=case((used > caps.c.cap, used - caps.c.cap), else_=0)",
            "overrun=case((used > caps.c.cap + caps.c.overrun, used - caps.c.cap), else_=caps.c.overrun)",
        ),
    ),
    Mutant(
        "caps are read without a lock",
        "ledger/holds.py",
        "        .order_by(caps.c.lock_rank, caps.c.cap_id)\n        .with_for_update(of=caps)\n",
        "        .order_by(caps.c.lock_rank, caps.c.cap_id)\n",
        (
            f"{_LEDGER}/test_holds.py::TestTogether"
            "::test_a_hold_under_another_day_waits_for_the_one_that_takes_the_projects_last_dollar",
        ),
    ),
    Mutant(
        "a hold looks at no door",
        "ledger/holds.py",
        "locked.c.fits, locked.c.door))",
        "locked.c.fits))",
        (f"{_LEDGER}/test_gates.py",),
        also=("ledger/holds.py", "row.fits and row.door for row", "row.fits for row"),
    ),
    Mutant(
        "a purchase has no leg on the day",
        "budgets.py",
        "return sorted(caps, key=lambda cap: cap.rank)",
        "return sorted(caps, key=lambda cap: cap.rank)[:-1]",
        ("tests/aiprod/test_budgets.py", MODEL),
    ),
    Mutant(
        "the same move is booked twice",
        "ledger/caps.py",
        "    if not _post(conn, purchase_id, kind, d_reserved, d_settled, dedup, now=now):\n        return False\n",
        "    _post(conn, purchase_id, kind, d_reserved, d_settled, dedup, now=now)\n",
        (f"{_LEDGER}/test_purchases.py::TestEveryStepFromEveryState", f"{_LEDGER}/test_purchases.py::TestAdjust", MODEL),
    ),
    Mutant(
        "an insert's rowcount is trusted",
        "ledger/insertion.py",
        "return conn.execute(statement).first() is not None",
        "return conn.execute(statement).rowcount != 0",
        (f"{_LEDGER}/test_insertion.py", MODEL),
    ),
    Mutant(
        "what was sent expires like what was held",
        "ledger/states.py",
        'Step.EXPIRE: (("held",), "expired")',
        'Step.EXPIRE: (("held", "submitting", "unknown"), "expired")',
        (f"{_LEDGER}/test_states.py", f"{_LEDGER}/test_purchases.py::TestRelease", MODEL),
    ),
    Mutant(
        "a slot is free while a lost request may run",
        "ledger/purchases.py",
        'purchases.c.state.in_(("unknown", "submitted")), purchases.c.slot_until > now',
        'purchases.c.state.in_(("unknown", "submitted")), purchases.c.slot_until < now',
        (f"{_LEDGER}/test_purchases.py::TestSlots", MODEL),
    ),
    Mutant(
        "every retry is a strike",
        "ledger/health.py",
        "    if not fresh and not ok:\n        return\n",
        "",
        (f"{_LEDGER}/test_health.py", MODEL),
    ),
    Mutant(
        "the kill switch is forgotten at the request",
        "ledger/purchases.py",
        "    purchase = _must_get(conn, purchase_id)\n    gates.require_open(conn, envelope, now=now)\n",
        "    purchase = _must_get(conn, purchase_id)\n",
        (f"{_LEDGER}/test_gates.py", MODEL),
    ),
    Mutant(
        "the request leaves before the intent is committed",
        "purchasing.py",
        "fence = purchases.claim(conn, key, envelope=envelope, catalog=catalog, now=now, account=account)",
        "adapter.submit(purchase.render_request, key=key)\n"
        "                fence = purchases.claim(conn, key, envelope=envelope, catalog=catalog, now=now, account=account)",
        ("tests/aiprod/test_purchasing.py::test_a_process_killed_anywhere_leaves_a_shot_that_is_paid_once",),
    ),
    Mutant(
        "a lost request is sent again",
        "purchasing.py",
        "            accepted = adapter.submit(purchase.render_request, key=key)\n",
        "            try:\n"
        "                accepted = adapter.submit(purchase.render_request, key=key)\n"
        "            except SubmitAmbiguous:\n"
        "                accepted = adapter.submit(purchase.render_request, key=key)\n",
        ("tests/aiprod/test_purchasing.py::test_a_lost_answer_is_found_and_not_bought_again",),
    ),
    Mutant(
        "nothing found counts as proof that nothing runs",
        "purchasing.py",
        "        elif found.proof:\n",
        "        elif not found.vendor_ids:\n",
        ("tests/aiprod/test_purchasing.py::test_a_vendor_that_cannot_be_asked_is_not_asked_again_and_its_money_stays_held",),
    ),
    Mutant(
        "a lost download is bought again",
        "purchasing.py",
        'raise StorageError(f"{paid}: {error}") from error',
        "return",
        ("tests/aiprod/test_purchasing.py::test_a_failed_download_is_tried_again_and_never_bought_again",),
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
    Mutant(
        # Alone, the taken sequence would still refuse it.
        "a shot that went on elsewhere is bought again",
        "purchasing.py",
        "    if newest.sequence > purchase.sequence:\n",
        "    if False:\n",
        (f"{_BUYING}::test_a_shot_that_has_a_take_elsewhere_is_not_bought_again_where_it_never_arrived",),
        also=("purchasing.py", "sequence=purchase.sequence + 1,", "sequence=newest.sequence + 1,"),
    ),
    Mutant(
        "a request is proved absent by a look that failed",
        "purchasing.py",
        "        found = Found()\n",
        "        found = Found(proof=True)\n",
        (f"{_BUYING}::test_a_lost_request_that_cannot_be_looked_for_is_parked_after_the_longest_run",),
    ),
    Mutant(
        "an adapter that breaks while submitting is believed to have sent nothing",
        "purchasing.py",
        '            lost = f"{type(error).__name__}: {error}"\n',
        '            rejected = Failure(kind=FailureKind.TRANSIENT, message=str(error), money_moved="no")\n',
        (f"{_BUYING}::test_an_adapter_that_breaks_its_contract_while_submitting_may_have_sent_it",),
    ),
    Mutant(
        "a claim is sent however old it is",
        "purchasing.py",
        "    if monotonic() - claimed_at > MAX_CLAIM_AGE.total_seconds():\n",
        "    if False:\n",
        (f"{_BUYING}::test_a_claim_that_got_too_old_is_not_sent",),
    ),
    Mutant(
        "a dry run buys",
        "purchasing.py",
        "    if settings.dry_run():\n",
        "    if False:\n",
        (f"{_BUYING}::test_in_a_dry_run_nothing_leaves",),
    ),
    Mutant(
        "a failure that may have cost something is free",
        "purchasing.py",
        'owed = 0 if state.money_moved == "no" else purchase.hold',
        'owed = 0 if state.money_moved != "yes" else purchase.hold',
        (f"{_BUYING}::test_a_shot_costs_what_the_vendor_says_else_its_quote",),
    ),
    Mutant(
        "what is paid and not home is forgotten by the next attempt",
        "purchasing.py",
        "        if purchase.round == round or unfinished(conn, purchase):\n",
        "        if purchase.round == round or purchase.live:\n",
        (f"{_BUYING}::test_a_failed_download_is_tried_again_and_never_bought_again",),
    ),
    Mutant(
        "who tidies up buys",
        "reconciling.py",
        "may_send=False)",
        "may_send=True)",
        ("tests/aiprod/test_reconciling.py::test_a_proven_loss_is_not_bought_again_by_who_only_tidies_up",),
    ),
    Mutant(
        "a process that slept buys a shot that has its take",
        "sourcing.py",
        "    if shot not in shots_without_take(conn, job_id, version):\n",
        "    if False:\n",
        ("tests/aiprod/test_sourcing.py::test_a_process_that_slept_over_the_job_buys_nothing_more",),
    ),
    Mutant(
        "attempts are not counted",
        "choosing.py",
        "    if used >= envelope.attempts_per_shot:\n",
        "    if False:\n",
        ("tests/aiprod/test_choosing.py::test_attempts_per_shot_are_counted_over_every_round",),
    ),
    Mutant(
        "a run that starts again revives the approval it used up",
        "ordering.py",
        "        if jobs.of_run(conn, run_id).get(job_id) != version:\n",
        "        if True:\n",
        ("tests/aiprod/test_ordering.py::test_clearing_the_whole_run_also_asks_again",),
    ),
    Mutant(
        "a rejected take ships without a person's word",
        "delivering.py",
        "    if review.reasons and review.answer is None:\n",
        "    if False:\n",
        ("tests/aiprod/test_finishing.py::TestReview",),
    ),
    Mutant(
        "what was written off is booked twice when it turns up",
        "ledger/purchases.py",
        'if purchase.state == "written_off" and _turned_up(',
        'if purchase.state == "lost" and _turned_up(',
        (f"{_LEDGER}/test_parked.py::TestWriteOff",),
    ),
    Mutant(
        "a render that is watched is said not to have run",
        "ledger/parked.py",
        'if known.state == "submitted" and known.parked_at is not None:\n        raise',
        "if False:\n        raise",
        (f"{_LEDGER}/test_parked.py::TestDidNotRun",),
        also=("ledger/parked.py", 'if known.state != "unknown" or known.parked_at is None:\n', "if known.parked_at is None:\n"),
    ),
    Mutant(
        "a person's word is taken about what is still looked for",
        "ledger/parked.py",
        'if known.state != "unknown" or known.parked_at is None:\n',
        'if known.state != "unknown":\n',
        (f"{_LEDGER}/test_parked.py::TestEveryAnswer",),
    ),
    Mutant(
        "a restored ledger buys",
        "ledger/backup.py",
        "            gates.stop_purchasing(conn, f",
        "            str(f",
        (f"{_LEDGER}/test_backup.py::TestRestore",),
        also=("ledger/backup.py", 'vendor usage first", by=by, now=now)', 'vendor usage first")'),
    ),
    Mutant(
        "the auditor does not see a balance that is too low",
        "ledger/audit.py",
        'caps.c.reserved != n["held"],',
        'caps.c.reserved > n["held"],',
        (f"{_LEDGER}/test_audit.py",),
        also=("ledger/audit.py", 'caps.c.reserved != n["d_reserved"],', 'caps.c.reserved > n["d_reserved"],'),
    ),
    Mutant(
        "a backend is up because it has rested",
        "ledger/health.py",
        "return since is None or since.unhealthy_since is None",
        "return True",
        (f"{_LEDGER}/test_health.py::TestUp",),
    ),
    Mutant(
        "a hold is sent although its shot came home meanwhile",
        "purchasing.py",
        "            elif _served(conn, purchase):\n",
        "            elif False:\n",
        (f"{_BUYING}::test_a_parked_render_that_ends_after_all_takes_the_place_of_what_was_not_sent_yet",),
    ),
    Mutant(
        "a cap set by hand is forgotten at the hold",
        "ledger/limits.py",
        "            words=self.words,\n",
        "            words={},\n",
        (f"{_LEDGER}/test_limits.py::TestSetting",),
    ),
    Mutant(
        "a cap set by hand does not count what was bought before",
        "ledger/limits.py",
        "    left_out = _bought_outside(conn, scope, cap)\n",
        "    left_out = []\n",
        (f"{_LEDGER}/test_limits.py::TestSetting",),
    ),
    Mutant(
        "another zone hands out a second day's budget",
        "ledger/limits.py",
        "return sorted([*found, *old], key=lambda cap: cap.rank)",
        "return sorted(found, key=lambda cap: cap.rank)",
        (f"{_LEDGER}/test_limits.py::TestZone",),
    ),
    Mutant(
        "a refund is larger than the charge",
        "ledger/purchases.py",
        "    if left < 0 and conn.execute(",
        "    if False and conn.execute(",
        (f"{_LEDGER}/test_bills.py::TestAdjustBelowNothing",),
    ),
    Mutant(
        "a bill is booked again after a credit",
        "ledger/bills.py",
        " - sum(others.values()) - credits[row.purchase_id]",
        " - sum(others.values())",
        (f"{_LEDGER}/test_bills.py::TestBooking",),
    ),
    Mutant(
        "a purchase settles on the row of today",
        "ledger/caps.py",
        "    ids = lock_legs(conn, purchase_id)\n",
        '    today = max(conn.execute(select(caps.c.cap_id).where(caps.c.kind == "day")).scalars(), default=0)\n'
        '    days = set(conn.execute(select(caps.c.cap_id).where(caps.c.kind == "day")).scalars())\n'
        "    ids = [today if cap_id in days else cap_id for cap_id in lock_legs(conn, purchase_id)]\n",
        (
            f"{_LEDGER}/test_purchases.py::TestHold::test_the_legs_are_the_caps_of_the_day_it_was_held_whatever_day_it_settles",
            MODEL,
        ),
    ),
    Mutant(
        # Either guard alone would still refuse the second one.
        "a hold is given back twice",
        "ledger/purchases.py",
        "    condition: ColumnElement[bool] = purchases.c.state.in_(allowed)\n",
        "    condition: ColumnElement[bool] = purchases.c.state.in_((*allowed, leads_to))\n",
        (f"{_LEDGER}/test_purchases.py::TestEveryStepFromEveryState", MODEL),
        also=("ledger/purchases.py", '    dedup = f"{purchase_id}.close"\n', '    dedup = f"{purchase_id}.close.{id(done)}"\n'),
    ),
    Mutant(
        "a lost answer gives its hold back",
        "ledger/purchases.py",
        "    if done.rowcount == 1:\n        purchase = _must_get(conn, purchase_id)\n",
        "    if done.rowcount == 1:\n        purchase = _must_get(conn, purchase_id)\n"
        '        caps.move(conn, purchase_id, "close", d_reserved=-purchase.hold, d_settled=0, dedup=purchase_id, now=now)\n',
        (f"{_LEDGER}/test_purchases.py::TestLose", MODEL),
    ),
    Mutant(
        "a bill above the hold is cut to the hold",
        "ledger/purchases.py",
        "d_reserved=-purchase.hold, d_settled=charge,",
        "d_reserved=-purchase.hold, d_settled=min(charge, purchase.hold),",
        (f"{_LEDGER}/test_purchases.py::TestClose", MODEL),
    ),
    Mutant(
        "a second render is not booked",
        "ledger/purchases.py",
        '    adjust(conn, purchase_id, purchase.hold, reference=f"duplicate.{vendor_id}", now=now)\n',
        "",
        (f"{_LEDGER}/test_purchases.py::TestAccept", MODEL),
    ),
    Mutant(
        "a second render is forgotten when the first ends",
        "ledger/purchases.py",
        "charged=func.coalesce(purchases.c.charged, 0) + charge,",
        "charged=charge,",
        (f"{_LEDGER}/test_purchases.py::TestAccept", MODEL),
    ),
    Mutant(
        "a claim is taken over while its request may still leave",
        "ledger/purchases.py",
        "else purchases.c.lease_until < now\n",
        "else purchases.c.lease_until > now\n",
        (f"{_LEDGER}/test_purchases.py::TestLose", MODEL),
    ),
    Mutant(
        "whoever claimed it before may still say what came of it",
        "ledger/purchases.py",
        "condition = purchases.c.fence == fence if fence is not None",
        "condition = purchases.c.fence >= 0 if fence is not None",
        (f"{_LEDGER}/test_purchases.py::TestLose", MODEL),
    ),
    Mutant(
        "a hold that ran out is sent",
        "ledger/purchases.py",
        "or_(purchases.c.expires_at.is_(None), purchases.c.expires_at > now),",
        "purchases.c.hold >= 0,",
        (f"{_LEDGER}/test_purchases.py::TestClaim", MODEL),
    ),
    Mutant(
        "slots are counted without a lock",
        "ledger/health.py",
        "where(backend_health.c.backend == backend).with_for_update()",
        "where(backend_health.c.backend == backend)",
        (f"{_LEDGER}/test_purchases.py::TestSlots::test_never_more_than_its_slots_however_many_claim_at_once",),
    ),
    Mutant(
        "everybody wins the probe",
        "ledger/health.py",
        "return won.rowcount == 1",
        "return True",
        (f"{_LEDGER}/test_health.py::TestProbe", MODEL),
    ),
    Mutant(
        "a request refused for its content is a strike",
        "ledger/purchases.py",
        "if failure.strike and failure.kind not in health.NO_STRIKE:",
        "if True:",
        (f"{_LEDGER}/test_health.py::TestStrikes", MODEL),
    ),
    Mutant(
        "a cancelled job goes on buying",
        "ledger/gates.py",
        "if cancelled is not None and cancelled.cancelled_at is not None:",
        "if False:",
        (f"{_LEDGER}/test_gates.py::TestDoors", MODEL),
    ),
    Mutant(
        "an approval that ran out still pays",
        "ledger/gates.py",
        "if envelope.expires_at <= now:",
        "if envelope.expires_at < now:",
        (f"{_LEDGER}/test_gates.py::TestApprovalThatRanOut", MODEL),
    ),
    Mutant(
        "a day is the same everywhere",
        "budgets.py",
        "    day = now.astimezone(zone).date()\n",
        "    day = now.date()\n",
        ("tests/aiprod/test_budgets.py", MODEL),
    ),
    Mutant(
        "a parked purchase that turns up gets in the way of its successor",
        "ledger/purchases.py",
        "parked_at = known.parked_at if _replaced(conn, known) else None",
        "parked_at = None",
        (f"{_LEDGER}/test_purchases.py::TestOneLivePurchase",),
    ),
    Mutant(
        "a vendor that has no room is asked again at once",
        "purchasing.py",
        "    if purchase.retry_at is not None and purchase.retry_at > now:\n        return None\n",
        "",
        (f"{_BUYING}::TestRateLimit",),
    ),
    Mutant(
        "a render that looks like ours is taken from another purchase",
        "purchasing.py",
        "ours = purchases.unclaimed(conn, purchase.backend, ours)[:1]",
        "ours = ours[:1]",
        (f"{_BUYING}::TestLookAlikes",),
    ),
    Mutant(
        "every render that looks like ours is taken",
        "purchasing.py",
        "ours = purchases.unclaimed(conn, purchase.backend, ours)[:1]",
        "ours = purchases.unclaimed(conn, purchase.backend, ours)",
        (f"{_BUYING}::TestLookAlikes",),
    ),
    Mutant(
        "a late render is forgotten with its deadline",
        "ledger/purchases.py",
        '            purchases.c.state == "submitted",\n',
        '            and_(purchases.c.state == "submitted", purchases.c.parked_at.is_(None)),\n',
        (f"{_BUYING}::TestDeadline",),
    ),
    Mutant(
        "what was stopped is free",
        "purchasing.py",
        '{"yes": "no", "no": "yes", "unknown": "maybe"}',
        '{"yes": "no", "no": "no", "unknown": "no"}',
        ("tests/aiprod/test_cancelling.py",),
    ),
    Mutant(
        "a render nobody stopped is given up with its money",
        "purchasing.py",
        '    if said.stopped == "yes":\n        purchase = _close',
        "    if True:\n        purchase = _close",
        ("tests/aiprod/test_cancelling.py",),
    ),
    Mutant(
        "what a vendor objects to is bought from it",
        "choosing.py",
        "if why and not facts.unfit else facts",
        "if False else facts",
        ("tests/aiprod/test_choosing.py::TestObjections",),
    ),
    Mutant(
        "credits are taken for dollars",
        "pricing.py",
        "return micros(usage.credits * tariff.credit_usd)",
        "return micros(usage.credits)",
        ("tests/aiprod/test_pricing.py::TestCharged",),
    ),
    Mutant(
        "an empty folder is proof, whatever time it is",
        "backends/veo3.py",
        " and listing.at > over",
        "",
        (f"{_VEO}::test_absence_is_proved_only_after_the_longest_run_by_the_stores_own_clock",),
    ),
    Mutant(
        "a folder also holds what is in those that begin like it",
        "backends/google_storage.py",
        'return f"gs://{self.bucket}/{self.prefix}/" if',
        'return f"gs://{self.bucket}/{self.prefix}" if',
        (f"{_VEO}::test_a_key_that_begins_like_another_is_another",),
    ),
    Mutant(
        "a folder that cannot be listed is an empty one",
        "backends/google_storage.py",
        "        if answer.status_code != 200:\n",
        "        if answer.status_code not in (200, 404):\n",
        ("tests/aiprod/backends/test_google_storage.py::test_what_could_not_be_listed_is_never_an_empty_folder",),
        ("backends/google_storage.py", 'row.get("kind") == "storage#objects"', "True"),
    ),
    Mutant(
        # Alone neither does harm: the wire lets nothing through twice, whatever the SDK tries.
        "a lost answer is asked for again",
        "backends/veo3_wire.py",
        "HttpRetryOptions(attempts=1)",
        "HttpRetryOptions(attempts=3, initial_delay=0.01)",
        ("tests/aiprod/backends/test_veo3_wire.py::test_a_lost_answer_is_one_request",),
        ("backends/veo3_wire.py", "        if self.sent:\n", "        if False:\n"),
    ),
    Mutant(
        # What issue 3 calls "client retries left on". The SDK asks three times by itself.
        "the client's own retries are left on",
        "backends/runway_wire.py",
        '"max_retries": 0',
        '"max_retries": 2',
        ("tests/aiprod/backends/test_runway.py::test_a_lost_answer_is_one_render_in_runways_books",),
    ),
    Mutant(
        "what the server broke off was not accepted",
        "backends/veo3_words.py",
        "if refusal.code in _CANNOT_TELL or not 400 <= refusal.code < 500:",
        "if refusal.code in _CANNOT_TELL:",
        (f"{_VEO}::test_a_request_without_an_answer_is_never_sent_again",),
    ),
    Mutant(
        "a withheld video is a finished one",
        "backends/veo3_words.py",
        "    if operation.videos:\n",
        "    if operation.videos or operation.withheld:\n",
        (f"{_VEO}::test_an_end_without_a_video_says_why_and_whether_money_moved",),
    ),
    Mutant(
        "what was lost is looked for with another account",
        "purchasing.py",
        "here = purchase.account in (None, adapter.account)",
        "here = True",
        ("tests/vendors/test_faults.py::test_what_was_lost_is_never_proved_absent_with_another_account_or_in_another_place",),
    ),
    Mutant(
        "who may still be making a shot is asked for it again",
        "choosing.py",
        'if any(p.parked_at is not None and p.state in ("unknown", "submitted") for p in here):',
        "if False:",
        ("tests/aiprod/test_choosing.py::test_who_may_still_be_making_a_shot_is_not_asked_for_it_again",),
    ),
    Mutant(
        "nobody wakes at the deadline",
        "purchasing.py",
        "            again.append(_late_at(catalog, p))\n",
        "",
        (f"{_BUYING}::TestDeadline",),
    ),
    Mutant(
        # An outage would then lose what was to be told.
        "a sink's cursor moves before anything is sent",
        "metrics/flushing.py",
        "    try:\n        told = sink.send(batch, now, seconds=seconds)\n",
        "    with ledger.write() as conn:\n        cursors.ack(conn, sink.name, batch, ended_at=now)\n"
        "    try:\n        told = sink.send(batch, now, seconds=seconds)\n",
        (f"{_TOLD}::TestExact::test_what_was_not_taken_is_told_though_nothing_follows",),
    ),
    Mutant(
        "a sink is believed to have what it did not take",
        "metrics/flushing.py",
        "cursors.ack(conn, sink.name, told.stored, ended_at=now)",
        "cursors.ack(conn, sink.name, batch, ended_at=now)",
        (f"{_TOLD}::TestExact::test_what_was_not_taken_is_told_though_nothing_follows",),
        ("metrics/flushing.py", "    if told.stored or told.refused:\n", "    if batch:\n"),
    ),
    Mutant(
        "points are deleted that were not folded",
        "ledger/points.py",
        "delete(metric_outbox).where(metric_outbox.c.id.in_([row.id for row in rows]))",
        "delete(metric_outbox)",
        (f"{_LEDGER}/test_points.py::TestFold",),
    ),
    Mutant(
        "a late word turns a sink's cursor back",
        "ledger/cursors.py",
        'upsert(conn, metric_sent, rows, forward="ended_at")',
        "upsert(conn, metric_sent, rows)",
        (f"{_LEDGER}/test_cursors.py::test_a_word_that_comes_late_does_not_turn_the_cursor_back",),
    ),
    Mutant(
        "figures are told as differences and not as totals",
        "metrics/google_words.py",
        'return {"int64_value": round(series.total)}',
        'return {"int64_value": round(series.last)}',
        (f"{_TOLD}::TestExact::test_a_flush_tells_every_series_and_the_next_tells_only_what_changed",),
    ),
    Mutant(
        "an alert is told every minute",
        "ledger/alerts.py",
        "    if conn.execute(update(alerts).where(pending).values(raised_at=now)).rowcount != 1:\n        return False\n",
        "    conn.execute(update(alerts).where(pending).values(raised_at=now))\n",
        (f"{_LEDGER}/test_alerts.py::test_of_many_who_raise_and_resolve_it_each_is_told_once",),
    ),
)
