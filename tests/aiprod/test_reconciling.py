"""What nobody watched is finished, without ever sending anything."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from aiprod import reconciling, settings
from aiprod.errors import StorageError
from aiprod.ledger import purchases
from aiprod.ledger.states import Step
from aiprod.models import Found
from aiprod.reconciling import Reconciled
from aiprod.storage import Storage
from tests.desk import race_of_processes, rows
from tests.market import Market
from tests.vendor import ListingVendor, Vendor


def test_a_hold_that_ran_out_gives_its_money_back_and_is_not_sent(market: Market) -> None:
    market.routed()
    market.age("purchases", "expires_at")
    assert market.pipeline.reconcile().moved == ("job-1 shot 1 at runway: held → expired",)
    assert (market.balance().reserved, market.accepts()) == (0, [])


def test_a_fresh_hold_is_left_alone(market: Market) -> None:
    market.routed()
    done = market.pipeline.reconcile()
    assert (done.looked_at, done.moved, market.accepts()) == (0, (), [])


@pytest.mark.parametrize(
    ("state", "vendor_has_it", "after"),
    [
        ("submitting", True, "succeeded"),
        ("submitting", False, "absent"),
        ("unknown", True, "succeeded"),
        ("unknown", False, "absent"),
    ],
)
def test_a_lost_request_is_found_or_proved_absent(market: Market, state: str, vendor_has_it: bool, after: str) -> None:
    market.routed("[[runway=lose]]" if vendor_has_it else "[[runway=drop]]")
    only = market.only()
    if vendor_has_it:
        adapter = Vendor("runway", market.catalog.backends["runway"])
        adapter._accept(only.render_request, only.purchase_id, [])
    market.sql("UPDATE purchases SET state = :s, lease_until = 1, submitted_at = 1, fence = 1", s=state)
    market.pipeline.reconcile()
    assert market.only().state == after
    assert len(market.accepts()) == int(vendor_has_it)


def test_where_nobody_can_look_it_is_parked_with_its_hold(mute_market: Market) -> None:
    mute_market.routed()
    mute_market.sql("UPDATE purchases SET state = 'submitting', lease_until = 1, submitted_at = 1, fence = 1")
    mute_market.pipeline.reconcile()
    only = mute_market.only()
    assert (only.state, only.parked_at is not None) == ("unknown", True)
    assert mute_market.balance().reserved == only.hold


def test_a_render_that_finished_unwatched_is_brought_home(market: Market) -> None:
    market.bought("[[runway=slow:600]]")
    market.finish()
    assert market.pipeline.reconcile().moved == ("job-1 shot 1 at runway: submitted → succeeded",)
    assert market.count("takes") == 1


def test_what_is_paid_and_not_stored_is_fetched_and_not_bought(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Storage, *_: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "keep", full)
        with pytest.raises(StorageError):
            market.bought()
        assert market.pipeline.reconcile().troubles == ("job-1 shot 1 at runway: the disk is full",)
    market.pipeline.reconcile()
    assert (market.count("takes"), len(market.accepts())) == (1, 1)


def test_one_trouble_does_not_stop_the_rest(local_market: Market) -> None:
    local_market.bought("[[runway=slow:600]]", job_id="gone")
    local_market.bought("[[runway=slow:600]]", job_id="fine")
    local_market.finish()
    book = next(
        b for b in (local_market.books / "accepts").glob("*.json") if local_market.only("gone").purchase_id in b.read_text()
    )
    book.unlink()
    done = local_market.pipeline.reconcile()
    assert local_market.only("fine").state == "succeeded"
    assert local_market.only("gone").state == "submitted"
    assert done.looked_at == 2


def test_a_backend_whose_key_was_taken_away_is_a_trouble_with_a_name(local_market: Market) -> None:
    local_market.bought("[[runway=slow:600]]")
    local_market.with_backend("runway", needs=("RUNWAYML_API_SECRET",))
    (trouble,) = local_market.pipeline.reconcile().troubles
    assert "runway is not configured: RUNWAYML_API_SECRET is not set" in trouble


def test_settling_gives_back_only_what_was_never_sent(market: Market) -> None:
    market.routed("[[runway=slow:600]]", job_id="sent")
    market.render(job_id="sent")
    market.routed(job_id="held")
    market.pipeline.settle("run-1")
    assert [market.only(j).state for j in ("sent", "held")] == ["submitted", "voided"]
    assert (market.balance(key="sent").reserved, market.balance(key="held").reserved) == (120_000, 0)


def test_nothing_to_do_touches_nothing(market: Market) -> None:
    market.approved("[[runway=fail-charged]]")
    market.run("job-1")
    market.routed(job_id="held")
    tables = ("purchases", "caps", "postings", "legs", "takes", "outbox", "metric_outbox", "backend_health", "decisions")
    before = rows(market.ledger, *tables)
    assert market.pipeline.reconcile() == Reconciled()
    assert rows(market.ledger, *tables) == before


@pytest.mark.parametrize("verb", ["poll", "find", "fetch"])
def test_an_adapter_that_breaks_its_contract_does_not_stop_the_rest(
    local_market: Market, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    for job_id in ("sick", "fine"):
        local_market.routed("[[runway=slow:600]]", job_id=job_id)
        local_market.render(job_id=job_id)
    local_market.finish()
    if verb == "find":
        local_market.sql("UPDATE purchases SET state = 'unknown', vendor_id = NULL WHERE job_id = 'sick'")
    sick, original = local_market.only("sick"), getattr(ListingVendor, verb)

    def breaks(self: ListingVendor, *args: Any, **kwargs: Any) -> Any:
        mine = kwargs.get("key") or self._booked(args[0])["key"]
        if mine == sick.purchase_id:
            raise RuntimeError("a bug in the adapter")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(ListingVendor, verb, breaks)
    done = local_market.pipeline.reconcile()
    assert local_market.only("fine").state == "succeeded"
    # Not having been able to look is no trouble yet: it is looked for again.
    assert [("a bug in the adapter" in t) for t in done.troubles] == ([] if verb == "find" else [True])
    assert local_market.balance(key="sick").free < local_market.balance(key="sick").cap


def test_a_backend_that_left_the_catalogue_does_not_stop_the_rest(local_market: Market) -> None:
    local_market.bought("[[runway=slow:600]]", job_id="orphan")
    local_market.bought("[[veo3=slow:600]]", job_id="fine", backend="veo3")
    local_market.finish()
    left = {name: entry for name, entry in local_market.catalog.backends.items() if name != "runway"}
    local_market.catalog = local_market.catalog.model_copy(update={"backends": left})
    (trouble,) = local_market.pipeline.reconcile().troubles
    assert trouble.startswith("orphan shot 1 at runway")
    assert local_market.only("fine").state == "succeeded"
    assert local_market.balance(key="orphan").reserved == local_market.only("orphan").hold


def test_what_nobody_can_prove_is_parked_after_the_longest_run_and_then_left_to_a_person(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ListingVendor, "find", lambda self, request, *, key, since: Found())
    market.bought("[[runway=lose]]")
    market.pipeline.reconcile()
    assert market.only().parked_at is None
    market.age("purchases", "submitted_at")
    market.pipeline.reconcile()
    assert market.only().parked_at is not None
    assert market.pipeline.reconcile().looked_at == 0
    assert market.balance().reserved == market.only().hold


def test_a_proven_loss_is_not_bought_again_by_who_only_tidies_up(market: Market) -> None:
    market.routed("[[runway=drop]]")
    market.sql("UPDATE purchases SET state = 'submitting', lease_until = 1, submitted_at = 1, fence = 1")
    for _ in range(2):
        market.pipeline.reconcile()
    assert market.states() == [("runway", "absent")]


def test_processes_that_tidy_up_at_the_same_moment_book_one_end(market: Market) -> None:
    market.bought("[[runway=slow:600]]")
    market.finish()
    told = race_of_processes(3, lambda n: market.pipeline.reconcile().troubles)
    assert told == [()] * 3
    assert (market.balance().settled, market.count("takes")) == (market.only().hold, 1)


@pytest.mark.parametrize("state", ["submitting", "submitted", "unknown", "succeeded"])
def test_settling_leaves_alone_whatever_left_the_house(local_market: Market, state: str) -> None:
    local_market.routed("[[runway=slow:600]]")
    if state in ("submitted", "succeeded"):
        local_market.render()
    if state == "succeeded":
        local_market.finish()
        local_market.render()
    elif state != "submitted":
        local_market.sql("UPDATE purchases SET state = :s, lease_until = 1, submitted_at = 1, fence = 1", s=state)
    before = local_market.only(), local_market.balance()
    assert before[0].state == state
    assert local_market.pipeline.settle("run-1") == ["job-1: failed, 0 unused holds given back"]
    assert (local_market.only(), local_market.balance()) == before


def test_tidying_up_sends_nothing_whatever_state_things_are_in(local_market: Market) -> None:
    """Held, run out, lost before it left, and refused: none of them is a reason to buy."""
    for job_id, prompt in (("held", ""), ("late", ""), ("lost", "[[runway=drop]]"), ("no", "[[runway=reject]]")):
        local_market.routed(prompt or "a lake", job_id=job_id)
    local_market.sql("UPDATE purchases SET expires_at = 1 WHERE job_id = 'late'")
    local_market.sql(
        "UPDATE purchases SET state = 'submitting', lease_until = 1, submitted_at = 1, fence = 1 WHERE job_id = 'lost'"
    )
    local_market.render(job_id="no")
    for _ in range(3):
        assert local_market.pipeline.reconcile().troubles == ()
    states = {job_id: local_market.only(job_id).state for job_id in ("held", "late", "lost", "no")}
    assert states == {"held": "held", "late": "expired", "lost": "absent", "no": "rejected"}
    assert local_market.accepts() == []


class TestAudit:
    @pytest.fixture
    def broken(self, market: Market) -> Iterator[Market]:
        """One balance does not fit; put right again before the independent auditor looks."""
        market.routed()
        market.sql("UPDATE caps SET reserved = reserved + 1 WHERE kind = 'job'")
        yield market
        market.sql("UPDATE caps SET reserved = reserved - 1 WHERE kind = 'job'")

    def told(self, market: Market) -> list[dict[str, Any]]:
        return [row for row in rows(market.ledger, "outbox")["outbox"] if row["topic"] == "invariant_broken"]

    def test_a_fault_in_the_books_is_a_trouble_of_every_pass_and_told_once(self, broken: Market) -> None:
        lines = [broken.pipeline.reconcile().troubles for _ in range(2)]
        assert lines[0] == lines[1] == ("I2 cap job job-1: reserved 120001, open holds 120000, postings 120000",)
        (event,) = self.told(broken)
        assert json.loads(event["payload"])["invariant"] == "I2"

    def test_another_fault_is_another_event(self, broken: Market) -> None:
        broken.pipeline.reconcile()
        broken.sql("UPDATE caps SET settled = settled + 1 WHERE kind = 'day'")
        broken.pipeline.reconcile()
        broken.sql("UPDATE caps SET settled = settled - 1 WHERE kind = 'day'")
        assert len(self.told(broken)) == 2

    def test_an_audit_that_cannot_run_is_a_trouble_and_what_was_moved_is_told(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        market.routed()
        market.age("purchases", "expires_at")

        def breaks(*_: object, **__: object) -> None:
            raise RuntimeError("out of memory")

        monkeypatch.setattr(reconciling, "audit", breaks)
        done = market.pipeline.reconcile()
        assert len(done.moved) == 1
        assert done.troubles == ("the books could not be audited: out of memory",)


class TestTidying:
    def test_delivered_events_go_after_a_month(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconciling, "_PRUNE", 2)
        for n in range(5):
            market.sql(
                "INSERT INTO outbox (event_key, topic, payload, created_at, tries, delivered_at) VALUES (:k, 't', '{}', 1, 1, 1)",
                k=f"old-{n}",
            )
        market.bought("[[runway=fail]]")
        kept = market.count("outbox") - 5
        assert market.pipeline.reconcile().tidied == ("5 delivered events deleted",)
        assert market.count("outbox") == kept
        assert market.pipeline.reconcile().tidied == ()

    def test_half_a_download_of_a_killed_process_goes_after_a_day(self, market: Market) -> None:
        market.routed()
        left = settings.var_dir() / "incoming" / "tmpabc"
        left.mkdir(parents=True)
        os.utime(left, (0, 0))
        (line,) = market.pipeline.reconcile().tidied
        assert str(left) in line and not left.exists()


def test_an_idle_pass_writes_nothing_and_asks_as_often_however_much_there_is(market: Market) -> None:
    counts: list[int] = []
    asked: list[str] = []
    event.listen(market.ledger.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    for n in range(3):
        market.bought(job_id=f"job-{n}")
        asked.clear()
        assert market.pipeline.reconcile() == Reconciled()
        counts.append(len(asked))
    assert len(set(counts)) == 1
    assert not [line for line in asked if line.split()[0] not in ("SELECT", "SET", "WITH", "BEGIN")]
    # Four look for work, one at the last audit's count, the rest audit; Postgres also asks for the time.
    assert counts[0] <= 15


def test_a_paid_render_whose_address_dies_comes_before_everything_else(market: Market) -> None:
    for job_id in ("older", "paid"):
        market.bought("[[runway=slow:600]]", job_id=job_id)
    paid = market.only("paid")
    with market.ledger.write() as conn:
        purchases.close(conn, paid.purchase_id, Step.SUCCEED, catalog=market.catalog, now=paid.created_at, charge=paid.hold)
    market.finish()
    assert [line.split()[0] for line in market.pipeline.reconcile().moved] == ["paid", "older"]


def test_a_parked_render_is_still_watched_and_paid_and_fetched_when_it_ends(market: Market) -> None:
    market.bought("[[runway=slow:600]]")
    market.age("purchases", "submitted_at")
    market.pipeline.reconcile()
    assert market.only().parked_at is not None
    market.finish()
    market.pipeline.reconcile()
    assert (market.only().state, market.count("takes")) == ("succeeded", 1)
