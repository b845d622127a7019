"""The door through which money leaves: whatever dies, repeats or lies, one shot is paid once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aiprod import parking, purchasing
from aiprod.errors import BackendError, FailureKind, StorageError, SubmitAmbiguous, SubmitRejected
from aiprod.ledger import health, parked, purchases, results
from aiprod.ledger.engine import now as database_now
from aiprod.models import Accepted, Found, JobState, RenderRequest, Usage
from aiprod.purchasing import MAX_AGAIN
from aiprod.storage import Storage
from tests import vendor
from tests.desk import race_of_processes
from tests.market import Market, killed, lethal
from tests.vendor import ListingVendor, MuteVendor, Vendor

SHOTS_OF_THREE = [{"prompt": f"shot {n} [[runway=slow:600]]", "seconds": 1} for n in (1, 2, 3)]


def _takes(market: Market, job_id: str = "job-1") -> int:
    with market.ledger.read() as conn:
        return len(results.unjudged(conn, job_id, 1)) + len(results.judged(conn, job_id, 1))


# --- the same thing done again --------------------------------------------------------------------------


def test_rendering_again_and_again_buys_once(market: Market) -> None:
    market.routed()
    assert [market.render().done for _ in range(3)] == [1, 1, 1]
    assert len(market.accepts()) == 1
    assert market.states() == [("runway", "succeeded")]


def test_rendering_without_a_hold_buys_nothing(local_market: Market) -> None:
    local_market.approved()
    assert local_market.render().finished
    assert local_market.accepts() == []


@pytest.mark.parametrize("order", ["", "[[runway=lose]]"])
def test_processes_that_render_at_the_same_moment_buy_once(market: Market, order: str) -> None:
    market.routed(f"a lighthouse {order}")
    answers = race_of_processes(3, lambda n: type(market.render()).__name__)
    assert answers == ["Progress"] * 3
    market.render()
    assert len(market.accepts()) == 1
    assert market.states() == [("runway", "succeeded")]


def test_processes_that_find_a_request_lost_at_the_same_moment_buy_it_again_a_bounded_number_of_times(market: Market) -> None:
    market.routed("a lighthouse [[runway=drop]]")
    race_of_processes(3, lambda n: type(market.render()).__name__)
    market.render()
    assert market.states() == [("runway", "absent")] * (1 + MAX_AGAIN)
    assert [p.sequence for p in market.purchases()] == [1, 2, 3]
    assert [purchase_id for _, purchase_id, _ in market.decisions()] == [p.purchase_id for p in market.purchases()]
    assert market.balance().reserved == 0


# --- killed on the way ----------------------------------------------------------------------------------

POINTS: dict[str, Callable[[], None]] = {
    "before the intent is committed": lambda: lethal(purchases, "claim", after=True),
    "before the request leaves": lambda: lethal(Vendor, "submit"),
    "after the vendor accepted": lambda: lethal(Vendor, "_accept", after=True),
    "before the answer is committed": lambda: lethal(purchases, "accept", after=True),
    "before the vendor is asked": lambda: lethal(Vendor, "poll"),
    "before the end is committed": lambda: lethal(purchases, "close", after=True),
    "before the file is fetched": lambda: lethal(Vendor, "fetch"),
    "before the file is stored": lambda: lethal(Storage, "keep"),
    "after the file is stored": lambda: lethal(Storage, "keep", after=True),
    "before the take is committed": lambda: lethal(results, "keep", after=True),
}
#: Where a vendor that cannot be asked leaves us without knowing what happened.
BLIND = ("before the request leaves", "after the vendor accepted", "before the answer is committed")


def _dies(market: Market, point: str) -> None:
    def work() -> None:
        POINTS[point]()
        market.render()

    killed(work)
    market.leases_run_out()


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_anywhere_leaves_a_shot_that_is_paid_once(market: Market, point: str) -> None:
    market.routed()
    _dies(market, point)
    assert market.render().done == 1
    assert len(market.accepts()) == 1
    assert _takes(market) == 1
    assert (market.balance().reserved, market.balance().settled) == (0, market.purchases()[-1].hold)


@pytest.mark.parametrize("point", [p for p in POINTS if p not in BLIND])
def test_a_vendor_that_cannot_be_asked_is_paid_once_where_the_ledger_knows(mute_market: Market, point: str) -> None:
    mute_market.routed()
    _dies(mute_market, point)
    assert mute_market.render().done == 1
    assert len(mute_market.accepts()) == 1


@pytest.mark.parametrize("point", BLIND)
def test_a_vendor_that_cannot_be_asked_is_not_asked_again_and_its_money_stays_held(mute_market: Market, point: str) -> None:
    mute_market.routed()
    _dies(mute_market, point)
    for _ in range(3):
        assert "parked" in mute_market.render().failed[0]
    parked = mute_market.only()
    assert parked.state == "unknown" and parked.parked_at is not None
    assert mute_market.balance().reserved == parked.hold
    assert len(mute_market.accepts()) <= 1


def test_a_parked_shot_goes_on_elsewhere_with_a_hold_of_its_own(mute_market: Market) -> None:
    mute_market.routed("a lighthouse [[runway=lose]]")
    mute_market.render()
    assert mute_market.pipeline.route(["job-1"], 2) == ["veo3"]
    assert mute_market.render("veo3", round=2).done == 1
    parked, bought = mute_market.purchases()
    assert (parked.state, bought.state) == ("unknown", "succeeded")
    assert (mute_market.balance().reserved, mute_market.balance().settled) == (parked.hold, bought.hold)
    assert [len(mute_market.accepts(name)) for name in ("runway", "veo3")] == [1, 1]


def test_a_paid_file_comes_home_later_without_being_bought_again(mute_market: Market) -> None:
    mute_market.routed()
    _dies(mute_market, "before the file is fetched")
    assert mute_market.pipeline.reconcile().troubles == ()
    assert _takes(mute_market) == 1
    assert len(mute_market.accepts()) == 1


# --- answers that are lost ------------------------------------------------------------------------------


def test_a_lost_answer_is_found_and_not_bought_again(market: Market) -> None:
    market.routed("a lighthouse [[runway=lose]]")
    assert market.render().done == 1
    assert len(market.accepts()) == 1


def test_a_request_that_provably_never_arrived_is_bought_again_a_bounded_number_of_times(market: Market) -> None:
    market.routed("a lighthouse [[runway=drop]]")
    assert "never arrived" in market.render().failed[0]
    assert market.render().failed
    assert market.states() == [("runway", "absent")] * (1 + MAX_AGAIN)
    assert market.balance().reserved == market.balance().settled == 0


def test_what_is_bought_again_keeps_the_reason_for_which_it_was_chosen(
    local_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_market.routed("a lighthouse")
    _dies(local_market, "before the request leaves")
    local_market.render()
    absent, bought = local_market.purchases()
    reasons = {purchase_id: str(decision) for _, purchase_id, decision in local_market.decisions()}
    assert reasons[bought.purchase_id] == reasons[absent.purchase_id]


def test_a_shot_that_has_a_take_elsewhere_is_not_bought_again_where_it_never_arrived(market: Market) -> None:
    """Its process died between the proof and buying again; the next attempt went elsewhere; somebody clears the first task."""
    market.routed("a lighthouse")
    _dies(market, "before the request leaves")

    def dies_after_the_proof() -> None:
        lethal(purchasing, "_buy_again")
        market.render()

    killed(dies_after_the_proof)
    assert market.states() == [("runway", "absent")]
    market.sql("UPDATE backend_health SET unhealthy_since = :us", us=2**52)
    assert market.pipeline.route(["job-1"], 2) == ["veo3"]
    assert market.render("veo3", round=2).done == 1
    market.pipeline.score(["job-1"], 2)
    market.sql("UPDATE backend_health SET unhealthy_since = NULL")
    assert market.render("runway", round=1).done == 0
    assert market.states() == [("runway", "absent"), ("veo3", "succeeded")]
    assert len(market.accepts()) == 1


def test_an_adapter_that_breaks_its_contract_while_submitting_may_have_sent_it(
    mute_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accepts_and_breaks(self: Vendor, request: RenderRequest, *, key: str) -> Accepted:
        self._accept(request, key, [])
        raise RuntimeError("a bug in the adapter")

    monkeypatch.setattr(Vendor, "submit", accepts_and_breaks)
    mute_market.routed()
    for _ in range(2):
        assert "parked" in mute_market.render().failed[0]
    assert mute_market.only().state == "unknown"
    assert len(mute_market.accepts()) == 1


def test_an_answer_without_an_id_is_a_lost_answer(mute_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vendor, "submit", lambda self, request, *, key: Accepted(vendor_id=""))
    mute_market.routed()
    mute_market.render()
    assert mute_market.only().state == "unknown"


@pytest.mark.parametrize(
    "trouble", [RuntimeError("a bug in the adapter"), BackendError("503", kind=FailureKind.TRANSIENT, money_moved="no")]
)
def test_a_lost_request_that_cannot_be_looked_for_is_parked_after_the_longest_run(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def find(self: ListingVendor, request: RenderRequest, *, key: str, since: object) -> Found:
        raise trouble

    monkeypatch.setattr(ListingVendor, "find", find)
    local_market.routed("a lighthouse [[runway=lose]]")
    assert local_market.render().look_again_at is not None
    assert local_market.only().parked_at is None
    local_market.age("purchases", "submitted_at")
    assert "parked" in local_market.render().failed[0]
    assert local_market.balance().reserved == local_market.only().hold


def test_looking_without_proof_never_frees_the_money(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListingVendor, "find", lambda self, request, *, key, since: Found())
    market.routed("a lighthouse [[runway=lose]]")
    for _ in range(3):
        assert market.render().look_again_at is not None
    assert market.states() == [("runway", "unknown")]
    assert market.balance().reserved == market.only().hold
    assert len(market.accepts()) == 1


def test_a_second_render_under_the_same_mark_is_seen_and_booked(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(self: Vendor, request: RenderRequest, *, key: str) -> Accepted:
        self._accept(request, key, [])
        self._accept(request, key, [])
        raise SubmitAmbiguous("read timeout")

    monkeypatch.setattr(Vendor, "submit", twice)
    market.routed()
    market.render()
    assert market.only().state == "succeeded"
    assert market.balance().settled == 2 * market.only().hold


# --- doors that are shut --------------------------------------------------------------------------------


def test_in_a_dry_run_nothing_leaves(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    local_market.routed()
    monkeypatch.setenv("AIPROD_DRY_RUN", "1")
    progress = local_market.render()
    assert progress.finished and "dry run" in progress.failed[0]
    assert local_market.accepts() == []
    assert local_market.states() == [("runway", "held")]


@pytest.mark.parametrize(
    ("shut", "why"),
    [
        (Market.cancel, "cancelled by somebody"),
        (Market.stop, "purchasing is stopped: a test says so"),
        (lambda m: m.age("approvals", "expires_at"), "ran out"),
        (lambda m: m.sql("UPDATE approvals SET answer = 'rejected'"), "has no approval"),
    ],
    ids=["cancelled", "kill switch", "approval ran out", "approval withdrawn"],
)
def test_a_door_that_shuts_between_hold_and_request_keeps_the_request_in(
    market: Market, shut: Callable[[Market], None], why: str
) -> None:
    market.routed()
    shut(market)
    assert why in market.render().failed[0]
    assert market.accepts() == []
    assert market.states() == [("runway", "held")]


def test_a_hold_that_ran_out_is_given_back_and_not_sent(market: Market) -> None:
    market.routed()
    market.age("purchases", "expires_at")
    assert "given back" in market.render().failed[0]
    assert market.accepts() == []
    assert market.states() == [("runway", "expired")]
    assert market.balance().reserved == 0


def test_a_shut_door_also_stops_buying_again(market: Market) -> None:
    market.routed()
    _dies(market, "before the request leaves")
    market.cancel()
    assert "never arrived" in market.render().failed[0]
    assert market.states() == [("runway", "absent")]


def test_a_shot_that_was_stopped_does_not_stop_the_others(local_market: Market) -> None:
    first, second = local_market.routed(job_id="job-1"), local_market.routed(job_id="job-2")
    local_market.cancel(first)
    progress = local_market.pipeline.render([first, second], "runway", 1)
    assert progress.done == 1 and len(progress.failed) == 1
    assert local_market.states(second) == [("runway", "succeeded")]


@pytest.mark.parametrize("where", ["poll", "fetch"])
def test_an_adapter_that_breaks_over_one_shot_does_not_keep_the_others_from_home(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    local_market.routed(shots=[{"prompt": f"shot {n}", "seconds": 1} for n in (1, 2)])
    original = getattr(Vendor, where)

    def breaks_on_the_first(self: Vendor, vendor_id: str, *args: Any) -> Any:
        if self._booked(vendor_id)["request"]["shot"] == 1:  # type: ignore[index]
            raise RuntimeError("a bug in the adapter")
        return original(self, vendor_id, *args)

    monkeypatch.setattr(Vendor, where, breaks_on_the_first)
    with pytest.raises(RuntimeError, match="a bug in the adapter"):
        local_market.render()
    assert _takes(local_market) == 1
    assert len(local_market.accepts()) == 2


def test_a_claim_that_got_too_old_is_not_sent(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was stopped between its intent and its request: somebody else may have taken over by now."""
    clock = iter([100.0, 100.0 + purchasing.MAX_CLAIM_AGE.total_seconds() + 1])
    market.routed()
    monkeypatch.setattr(purchasing, "monotonic", lambda: next(clock))
    assert "not sent" in market.render().failed[0]
    assert market.accepts() == []
    assert market.balance().reserved == 0
    assert market.count("health_observations") == 0, "the vendor had no part in it"


def test_a_claim_ages_from_the_moment_its_lease_was_written(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is stopped while its intent commits has no less stale a claim."""
    clock = [100.0]
    claim = purchases.claim

    def slow_claim(*args: Any, **kwargs: Any) -> int | None:
        fence = claim(*args, **kwargs)
        clock[0] += purchasing.MAX_CLAIM_AGE.total_seconds() + 1
        return fence

    local_market.routed()
    monkeypatch.setattr(purchasing, "monotonic", lambda: clock[0])
    monkeypatch.setattr(purchases, "claim", slow_claim)
    assert "not sent" in local_market.render().failed[0]
    assert local_market.accepts() == []


# --- slots ----------------------------------------------------------------------------------------------


def test_more_shots_than_slots_wait_for_their_turn(market: Market) -> None:
    market.with_backend("runway", slots=1)
    market.routed(shots=SHOTS_OF_THREE)
    for turn in (1, 2, 3):
        progress = market.render()
        (runs,) = (p for p in market.purchases() if p.vendor_id in {w.vendor_id for w in progress.waiting})
        assert runs.submitted_at is not None and progress.look_again_at is not None
        # While one waits for its turn that is soon; after that nothing changes before the deadline.
        late_at = runs.submitted_at + timedelta(seconds=market.catalog.backends["runway"].deadline)
        assert (progress.look_again_at < late_at, progress.look_again_at <= late_at) == (turn < 3, True)
        assert len(market.accepts()) == turn
        market.finish()
        market.pipeline.reconcile()
    assert market.render().done == 3
    assert len(market.accepts()) == 3


def test_a_lost_request_keeps_its_slot(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListingVendor, "find", lambda self, request, *, key, since: Found())
    market.with_backend("runway", slots=1)
    market.routed(shots=[{"prompt": f"shot {n} [[runway=lose]]", "seconds": 1} for n in (1, 2)])
    market.render()
    market.render()
    assert sorted(p.state for p in market.purchases()) == ["held", "unknown"]
    assert len(market.accepts()) == 1


# --- files ----------------------------------------------------------------------------------------------


def test_a_failed_download_is_tried_again_and_never_bought_again(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Vendor, vendor_id: str, into: Path) -> None:
        raise BackendError("404", kind=FailureKind.GONE, money_moved="yes")

    with monkeypatch.context() as broken:
        broken.setattr(Vendor, "fetch", gone)
        market.routed()
        for _ in range(2):
            with pytest.raises(StorageError, match="is paid at runway"):
                market.render()
        assert market.pipeline.route(["job-1"], 2) == ["runway"]
        with pytest.raises(StorageError, match="is paid at runway"):
            market.render(round=2)
    assert market.render(round=2).done == 1
    assert len(market.accepts()) == 1
    assert _takes(market) == 1


def test_a_full_disk_while_downloading_is_tried_again(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Vendor, vendor_id: str, into: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Vendor, "fetch", full)
        local_market.routed()
        with pytest.raises(StorageError, match="No space left"):
            local_market.render()
    assert local_market.render().done == 1


def test_a_second_download_with_other_bytes_still_comes_home(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process stored the file and died before it could say so; the vendor stamps every download."""
    fetch = Vendor.fetch
    local_market.routed()
    _dies(local_market, "after the file is stored")

    def stamped(self: Vendor, vendor_id: str, into: Path) -> None:
        fetch(self, vendor_id, into)
        with into.open("ab") as file:
            file.write(b"\x00\x00\x00\x08free")

    monkeypatch.setattr(Vendor, "fetch", stamped)
    assert local_market.render().done == 1
    assert _takes(local_market) == 1


# --- what it costs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "charged", "source"),
    [
        (JobState(state="succeeded", charged=123, money_moved="yes"), 123, "vendor"),
        (JobState(state="succeeded", money_moved="yes"), "hold", "quote"),
        (JobState(state="succeeded", charged=9_999_999, money_moved="yes"), 9_999_999, "vendor"),
        (JobState(state="failed", charged=0, money_moved="no"), 0, "vendor"),
        (JobState(state="failed", money_moved="no"), 0, "quote"),
        (JobState(state="failed", money_moved="maybe"), "hold", "quote"),
        (JobState(state="failed", charged=50_000, money_moved="yes"), 50_000, "vendor"),
        (JobState(state="cancelled", money_moved="maybe"), "hold", "quote"),
    ],
    ids=lambda value: value.state if isinstance(value, JobState) else str(value),
)
def test_a_shot_costs_what_the_vendor_says_else_its_quote(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, said: JobState, charged: int | str, source: str
) -> None:
    monkeypatch.setattr(Vendor, "poll", lambda self, vendor_id: said)
    local_market.routed()
    local_market.render()
    ended = local_market.only()
    owed = ended.hold if charged == "hold" else charged
    assert (ended.state, ended.charged, ended.cost_source) == (said.state, owed, source)
    assert (local_market.balance().settled, local_market.balance().reserved) == (owed, 0)


def test_an_answer_that_is_final_at_once_is_booked_at_once(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = Vendor.submit
    done = JobState(state="succeeded", charged=77, money_moved="yes")
    monkeypatch.setattr(
        Vendor, "submit", lambda self, request, *, key: submit(self, request, key=key).model_copy(update={"state": done})
    )
    monkeypatch.setattr(Vendor, "poll", lambda self, vendor_id: pytest.fail("was asked although it had said all"))
    local_market.routed()
    assert local_market.render().done == 1
    assert local_market.only().charged == 77


@pytest.mark.parametrize(
    ("order", "state", "charged"),
    [("reject", "rejected", False), ("fail", "failed", False), ("fail-charged", "failed", True), ("moderated", "failed", True)],
)
def test_a_failure_is_booked_as_what_it_cost(local_market: Market, order: str, state: str, charged: bool) -> None:
    local_market.routed(f"a lighthouse [[runway={order}]]")
    assert len(local_market.render().failed) == 1
    ended = local_market.only()
    assert (ended.state, ended.charged) == (state, ended.hold if charged else 0)
    assert local_market.balance().reserved == 0


def test_a_vendor_that_does_not_answer_changes_nothing(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(self: Vendor, vendor_id: str) -> JobState:
        raise BackendError("502", kind=FailureKind.TRANSIENT, money_moved="maybe")

    monkeypatch.setattr(Vendor, "poll", down)
    local_market.routed()
    assert len(local_market.render().waiting) == 1
    assert local_market.states() == [("runway", "submitted")]


def test_two_processes_told_different_ends_keep_the_first(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """While this process was being told one end, another one booked another."""
    market.routed("a lighthouse [[runway=slow:600]]")
    market.render()

    poll = Vendor.poll

    def told_late(self: Vendor, vendor_id: str) -> JobState:
        monkeypatch.setattr(Vendor, "poll", poll)
        market.finish()

        def closes_it_and_dies() -> None:
            POINTS["before the file is fetched"]()
            market.render()

        killed(closes_it_and_dies)
        return JobState(state="failed", charged=1, money_moved="yes")

    monkeypatch.setattr(Vendor, "poll", told_late)
    assert market.render().done == 1
    assert market.only().charged == market.only().hold
    assert _takes(market) == 1


# --- who is asked next ----------------------------------------------------------------------------------


def test_who_moderated_a_shot_is_not_asked_for_it_again(local_market: Market) -> None:
    local_market.bought("a lighthouse [[runway=moderated]]")
    local_market.pipeline.score(["job-1"], 1)
    assert local_market.pipeline.route(["job-1"], 2) == ["veo3"]
    decision = local_market.decisions()[-1][2]
    assert "runway: moderated this shot before" in str(decision)
    assert len(local_market.accepts("runway")) == 1


def test_a_refusal_is_said_in_one_line(local_market: Market) -> None:
    local_market.routed("a lighthouse [[runway=reject]]")
    assert local_market.render().failed == ("job-1 shot 1 at runway: transient: runway: HTTP 503, try later",)


def test_what_was_refused_is_free_and_frees_its_slot(local_market: Market) -> None:
    local_market.with_backend("runway", slots=1)
    local_market.routed(shots=[{"prompt": f"shot {n} [[runway=reject]]", "seconds": 1} for n in (1, 2)])
    assert len(local_market.render().failed) == 2
    assert local_market.accepts() == []


def test_a_mute_vendor_is_mute_and_a_listing_one_is_not() -> None:
    assert ListingVendor.can_find and not MuteVendor.can_find


def test_a_refusal_that_comes_after_the_lease_was_taken_over_is_no_crash(
    mute_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower than its lease: another process declared it lost and parked it; what the vendor says now stops nobody."""

    def refuses_late(self: Vendor, request: RenderRequest, *, key: str) -> Accepted:
        mute_market.leases_run_out()
        mute_market.pipeline.reconcile()
        raise SubmitRejected("HTTP 503", kind=FailureKind.TRANSIENT)

    monkeypatch.setattr(Vendor, "submit", refuses_late)
    mute_market.routed()
    assert "parked" in mute_market.render().failed[0]


def test_an_acceptance_that_comes_after_the_request_was_given_up_is_seen_and_booked(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The facts call it a zombie: proven absent, then accepted after all. We pay for it, visibly."""
    done = JobState(state="succeeded", money_moved="yes")
    submit = Vendor.submit

    def accepts_late(self: Vendor, request: RenderRequest, *, key: str) -> Accepted:
        monkeypatch.setattr(Vendor, "submit", submit)
        market.leases_run_out()
        market.pipeline.reconcile()
        return Accepted(vendor_id=self._accept(request, key, []), state=done)

    monkeypatch.setattr(Vendor, "submit", accepts_late)
    market.routed()
    market.render()
    absent = market.purchases()[0]
    assert (absent.state, absent.charged) == ("absent", absent.hold)


def test_a_claim_that_is_still_sent_is_answered_before_its_lease_is_over() -> None:
    assert purchasing.MAX_CLAIM_AGE < purchases.LEASE_MARGIN


def test_too_long_a_wait_at_the_lease_says_when_to_look_again(local_market: Market) -> None:
    local_market.routed()

    def work() -> None:
        POINTS["before the request leaves"]()
        local_market.render()

    killed(work)
    progress = local_market.render()
    with local_market.ledger.read() as conn:
        assert progress.look_again_at is not None
        assert timedelta(0) < progress.look_again_at - database_now(conn) < timedelta(minutes=1)
    assert local_market.accepts() == []


# --- never ending ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [False, True], ids=["it runs for ever", "the vendor forgot it"])
def test_a_render_that_does_not_end_is_parked_and_its_shot_goes_on_elsewhere(market: Market, gone: bool) -> None:
    market.bought("[[runway=slow:600]]")
    if gone:
        next((market.books / "accepts").glob("*.json")).unlink()
    assert not market.render().finished
    market.age("purchases", "submitted_at")

    assert "not ended in time; still watched" in market.render().failed[0]
    assert market.balance().reserved == market.only().hold
    market.pipeline.score(["job-1"], 1)
    assert market.pipeline.route(["job-1"], 2) == ["veo3"]
    market.render("veo3", round=2)
    assert market.states() == [("runway", "submitted"), ("veo3", "succeeded")]


def test_a_parked_render_that_ends_after_all_is_brought_home(market: Market) -> None:
    market.bought("[[runway=slow:600]]")
    market.age("purchases", "submitted_at")
    market.render()
    market.finish()
    market.pipeline.reconcile()
    assert market.states() == [("runway", "succeeded")]
    assert _takes(market) == 1


def test_a_parked_render_that_ends_after_all_takes_the_place_of_what_was_not_sent_yet(market: Market) -> None:
    market.bought("[[runway=slow:600]]")
    market.age("purchases", "submitted_at")
    market.render()
    market.pipeline.route(["job-1"], 2)
    market.finish()
    market.pipeline.reconcile()
    market.render("veo3", round=2)
    assert market.states() == [("runway", "succeeded"), ("veo3", "voided")]
    assert (len(market.accepts()), market.balance().reserved) == (1, 0)
    assert market.pipeline.score(["job-1"], 2).then == "assemble"


def test_a_late_render_keeps_its_slot_until_the_vendors_longest_run_is_over(market: Market) -> None:
    market.with_backend("runway", slots=1)
    market.bought("[[runway=slow:600]]", job_id="stuck")
    market.age("purchases", "submitted_at")
    market.render(job_id="stuck")
    market.bought(job_id="next")
    assert market.only("next").state == "held"
    market.sql("UPDATE purchases SET slot_until = slot_until - :us WHERE job_id = 'stuck'", us=30 * 86_400_000_000)
    market.render(job_id="next")
    assert market.only("next").state == "succeeded"


class TestDeadline:
    """A render that takes longer than its backend's deadline."""

    @pytest.fixture
    def late(self, market: Market) -> Market:
        market.with_backend("runway", max_run_seconds=3_600, deadline_seconds=60)
        market.bought("[[runway=slow:600]]")
        market.age("purchases", "submitted_at", by=timedelta(minutes=2))
        assert "not ended in time; still watched" in market.render().failed[0]
        return market

    def test_whoever_waits_is_woken_at_the_deadline_and_not_after_the_longest_run(self, market: Market) -> None:
        """Counted from the request, however often the waiting began anew."""
        market.with_backend("runway", max_run_seconds=3_600, deadline_seconds=600)
        market.bought("[[runway=slow:600]]")
        market.age("purchases", "submitted_at", by=timedelta(minutes=2))
        sent = market.only().submitted_at
        assert sent is not None
        assert [market.render().look_again_at for _ in range(2)] == [sent + timedelta(seconds=600)] * 2

    def test_its_shot_goes_on_elsewhere_while_its_money_stays_held(self, late: Market) -> None:
        late.pipeline.score(["job-1"], 1)
        assert late.pipeline.route(["job-1"], 2) == ["veo3"]
        late.render("veo3", round=2)
        assert late.states() == [("runway", "submitted"), ("veo3", "succeeded")]
        assert late.balance().reserved == late.purchases()[0].hold

    def test_it_waits_for_a_person_only_after_the_vendors_longest_run(self, late: Market) -> None:
        assert parking.listed(late.ledger) == []
        assert late.events("purchase_late") and not late.events("purchase_parked")
        late.age("purchases", "submitted_at", by=timedelta(hours=1))
        late.age("purchases", "slot_until", by=timedelta(hours=1))
        late.pipeline.reconcile()
        assert [p.purchase.backend for p in parking.listed(late.ledger)] == ["runway"]
        assert len(late.events("purchase_parked")) == 1

    def test_when_it_ends_after_all_it_is_brought_home(self, late: Market) -> None:
        late.finish()
        late.pipeline.reconcile()
        assert late.states() == [("runway", "succeeded")]
        assert _takes(late) == 1


class TestRateLimit:
    """A vendor that takes no more requests and says when to come again."""

    def test_it_is_asked_again_when_it_said_and_nothing_goes_elsewhere(self, market: Market) -> None:
        market.routed("[[runway=limit:30]]")
        waits = market.render()
        assert not waits.finished and waits.look_again_at is not None and not waits.failed
        assert not market.render().finished
        market.age("purchases", "retry_at", by=timedelta(seconds=31))
        assert market.render().done == 1
        assert market.states() == [("runway", "rejected"), ("runway", "succeeded")]
        assert len(market.accepts()) == 1

    def test_it_is_asked_a_bounded_number_of_times(self, market: Market) -> None:
        market.routed("[[runway=limit-always:30]]")
        for _ in range(MAX_AGAIN + 3):
            progress = market.render()
            market.age("purchases", "retry_at", by=timedelta(seconds=31))
        assert market.render().failed and progress.failed
        assert market.states() == [("runway", "rejected")] * (1 + MAX_AGAIN)
        assert market.balance().reserved == 0

    def test_a_wait_that_is_too_long_is_a_failure_now(self, market: Market) -> None:
        market.routed("[[runway=limit:3600]]")
        assert "rate_limited" in market.render().failed[0]
        assert market.only().retry_at is None

    def test_it_is_no_strike(self, market: Market) -> None:
        market.with_backend("runway", slots=20)
        market.routed("[[runway=limit-always:30]]")
        for _ in range(MAX_AGAIN + 1):
            market.render()
            market.age("purchases", "retry_at", by=timedelta(seconds=31))
        with market.ledger.read() as conn:
            assert health.up(conn, "runway")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [(Usage(credits=Decimal(7)), 70_000), (Usage(output_seconds=Decimal("1.5")), 180_000), (Usage(run_seconds=Decimal(9)), None)],
    ids=["credits", "seconds of video", "a meter that is not paid by"],
)
def test_what_the_vendors_meter_says_is_booked_and_else_the_quote(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, usage: Usage, expected: int | None
) -> None:
    done = JobState(state="succeeded", usage=usage, money_moved="yes")
    monkeypatch.setattr(Vendor, "poll", lambda self, vendor_id: done)
    local_market.bought()
    bought = local_market.only()
    assert (bought.charged, bought.cost_source) == ((expected, "vendor") if expected else (bought.hold, "quote"))


class TestLookAlikes:
    """Renders asked for in the very same words, at a vendor that can only be asked for words."""

    @pytest.fixture
    def alike(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> Market:
        def by_words(self: Vendor, request: RenderRequest, *, key: str, since: datetime) -> Found:
            if (self.books / "silent").exists():
                return Found()
            ids = tuple(str(a["id"]) for a in vendor.accepts(self.books, self.name))
            return Found(vendor_ids=ids, proof=True, interchangeable=True)

        monkeypatch.setattr(ListingVendor, "find", by_words)
        return market

    def test_each_is_taken_by_one_purchase(self, alike: Market) -> None:
        alike.books.mkdir(parents=True, exist_ok=True)
        silent = alike.books / "silent"
        silent.touch()
        for job_id in ("one", "two"):
            alike.routed("[[runway=lose]]", job_id=job_id)
            alike.render(job_id=job_id)
        silent.unlink()
        for job_id in ("one", "two"):
            alike.render(job_id=job_id)
        ids = {alike.only(job_id).vendor_id for job_id in ("one", "two")}
        assert ids == {str(a["id"]) for a in alike.accepts()} and len(ids) == 2
        assert alike.events("duplicate_vendor_job") == []

    def test_one_that_is_somebody_elses_is_not_taken_and_with_proof_the_shot_is_bought(self, alike: Market) -> None:
        alike.bought(job_id="one")
        alike.routed("[[runway=drop]]", job_id="two")
        alike.render(job_id="two")
        assert alike.states("two")[0] == ("runway", "absent")
        assert alike.only("one").state == "succeeded"


def test_a_negative_charge_is_no_word_on_money(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done = JobState(state="succeeded", charged=-1, money_moved="yes")
    monkeypatch.setattr(Vendor, "poll", lambda self, vendor_id: done)
    local_market.bought()
    assert (local_market.only().charged, local_market.only().cost_source) == (local_market.only().hold, "quote")
    assert "-1 micro-dollars: no word on money" in caplog.text


class TestFileGone:
    """It is paid, and the vendor no longer has its file."""

    @pytest.fixture
    def gone(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> Market:
        def deleted(self: Vendor, vendor_id: str, into: Path) -> None:
            raise BackendError("404", kind=FailureKind.GONE, money_moved="yes")

        with monkeypatch.context() as broken:
            broken.setattr(Vendor, "fetch", deleted)
            market.routed()
            with pytest.raises(StorageError, match="is paid at runway"):
                market.render()
        with market.ledger.write() as conn:
            now = database_now(conn)
            parked.file_gone(conn, market.only().purchase_id, by="Ada", why="their page says deleted", now=now)
        return market

    def test_its_task_is_red_and_fetches_no_more(self, gone: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Vendor, "fetch", lambda *_: pytest.fail("it was fetched"))
        assert gone.render().failed == ("job-1 shot 1 at runway: paid, and the vendor no longer has its file",)

    def test_the_next_attempt_buys_the_shot_and_sends_it(self, gone: Market) -> None:
        (name,) = gone.pipeline.route(["job-1"], 2)
        assert gone.render(name, round=2).done == 1
        assert (len(gone.accepts()), _takes(gone)) == (2, 1)
        assert [p.charged for p in gone.purchases()] == [p.hold for p in gone.purchases()]
