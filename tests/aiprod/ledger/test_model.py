"""The ledger beside an independent model: whatever is done, in whatever order, both say the same after every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, text

from aiprod.budgets import Cap, caps_for
from aiprod.catalog import Catalog
from aiprod.errors import FailureKind, MoneyError
from aiprod.ledger import Ledger, approvals, gates, jobs, purchases
from aiprod.ledger.purchases import Failure, NewHold
from aiprod.ledger.states import Step
from aiprod.models import Envelope, Estimate, JobSpec
from tests import desk
from tests.auditor import audit
from tests.model import ENDS, MICROSECOND, Model, Order, Terms

BACKENDS = ("runway", "veo3")
JOBS = ("job-a", "job-b", "job-c")
#: The next day has 24, 25, 23 and 23 hours; in Cairo and São Paulo it starts at 01:00.
EVENINGS = (("UTC", date(2026, 11, 23)), ("Europe/Rome", date(2026, 10, 24)), ("Africa/Cairo", date(2026, 4, 23)),
            ("America/Sao_Paulo", date(2018, 11, 3)))  # fmt: skip
#: Events that tell of money. Others may come and go.
TOLD = {
    "budget_warning",
    "vendor_overbilled",
    "charge_adjusted",
    "duplicate_vendor_job",
    "purchase_unknown",
    "written_off_turned_up",
}
SIZES = st.sampled_from(["some", "some", "some", "half", "all that is left", "one more than is left", "nothing"])
CHARGES = st.sampled_from(["nothing", "the hold", "a fifth more", "over the cap", "one less"])
WAYS = st.sampled_from(["submitting", "submitted", "submitted", "unknown"])
MEDDLING = st.sampled_from([None, None, *("expire", "void") * 2, *ENDS])
FAILURES = st.sampled_from([FailureKind.VENDOR_INTERNAL, FailureKind.VENDOR_INTERNAL, FailureKind.MODERATED])


def among(*states: str) -> st.SearchStrategy[str]:
    """One purchase in one of the states, as they are at that moment."""
    return st.runner().flatmap(lambda machine: st.sampled_from(machine.model.ids(*states)))


def there_is(*states: str) -> Callable[[Any], bool]:
    return lambda machine: bool(machine.model.ids(*states))


def micros(amount: int) -> Decimal:
    """Micro-dollars in dollars, as people write limits."""
    return Decimal(amount) / 1_000_000


class Refused:
    """The ledger said no, as it should have."""


class Beside(RuleBasedStateMachine):
    """A ledger and its model. Every rule is one transaction; the example is rolled back at its end."""

    ledger: ClassVar[Ledger]
    shipped: ClassVar[Catalog]
    bought = Bundle("bought")

    # --- setting out ------------------------------------------------------------------------------

    def __init__(self) -> None:
        super().__init__()
        self.open = self.ledger.engine.connect()
        self.conn: Connection = self.open

    def teardown(self) -> None:
        self.open.rollback()
        self.open.close()

    @initialize(
        target=bought,
        evening=st.sampled_from(EVENINGS),
        late=st.booleans(),
        clock=st.booleans(),
        day=st.sampled_from([60, 90, 200]),
        project=st.sampled_from([50, 80, None]),
        at_backend=st.sampled_from([40, 70, None]),
        campaign=st.sampled_from([45, 100]),
        budgets=st.tuples(*[st.sampled_from([30, 60, 300])] * len(JOBS)),
        envelopes=st.tuples(*[st.sampled_from([25, 50, 300])] * len(JOBS)),
        slots=st.sampled_from([2, 3, 50]),
        first=st.lists(
            st.tuples(st.sampled_from(JOBS), st.sampled_from(BACKENDS), st.integers(1, 20), WAYS, MEDDLING), min_size=2
        ),
    )
    def start(self, evening, late, clock, day, project, at_backend, campaign, budgets, envelopes, slots, first):
        zone = ZoneInfo(evening[0])
        hour = time(23, 59, 59, 999_999) if late else time(12)
        terms = Terms(
            zone=zone,
            day=day,
            warn=day * 9 // 10,
            projects={} if project is None else {"acme": project},
            backends={} if at_backend is None else {"runway": at_backend},
            campaigns={"spring": campaign},
            slots=slots,
            strikes=3,
            rest=timedelta(seconds=300),
            probe=timedelta(seconds=900),
            run=timedelta(seconds=1200),
            hold=timedelta(hours=1),
        )
        now = datetime.combine(evening[1], hour, tzinfo=zone).astimezone(UTC)
        until = now + timedelta(hours=72)
        orders = {
            job: Order(
                project="acme" if job != "job-c" else "other",
                campaign="spring" if job != "job-a" else None,
                budget=budgets[n],
                envelopes=[(envelopes[n], until)],
            )
            for n, job in enumerate(JOBS)
        }
        self.clock = clock
        self.model = Model(terms, orders, now)
        self.catalog = self._catalogue(terms)
        self.envelopes: dict[str, list[Envelope]] = {job: [] for job in JOBS}
        self.specs: dict[str, JobSpec] = {}
        self.news = 0
        for job, order in orders.items():
            self._enter(job, order)
        keys = [self._sent(job, str(n), *the_rest) for n, (job, *the_rest) in enumerate(first[:6])]
        return multiple(*[key for key in keys if isinstance(key, str)])

    def _catalogue(self, terms: Terms) -> Catalog:
        said = {
            "zone": terms.zone.key,
            "day_usd": micros(terms.day),
            "day_warn_usd": micros(terms.warn),
            "backend_day_usd": {name: micros(cap) for name, cap in terms.backends.items()},
            "project_usd": {name: micros(cap) for name, cap in terms.projects.items()},
            "hold_hours": terms.hold / timedelta(hours=1),
        }
        entries = {
            name: entry.model_copy(update={"slots": terms.slots, "max_run_seconds": terms.run.total_seconds()})
            for name, entry in self.shipped.backends.items()
        }
        return self.shipped.model_copy(
            update={
                "budgets": type(self.shipped.budgets).model_validate(said),
                "backends": entries,
                "strikes": terms.strikes,
                "cooldown_seconds": terms.rest.total_seconds(),
                "probe_seconds": terms.probe.total_seconds(),
            }
        )

    def _enter(self, job: str, order: Order) -> None:
        self.specs[job] = JobSpec(prompt="a lighthouse", project=order.project, budget_usd=micros(order.budget))
        estimate = Estimate(tariff="list", lines=(), expected=0, worst_case=order.envelopes[0][0])
        jobs.enter(self.conn, job, self.specs[job], now=self.model.now)
        jobs.write_manifest(self.conn, desk.manifest(job), estimate, BACKENDS, by="test", now=self.model.now)
        self._approve(job)

    def _approve(self, job: str) -> None:
        amount, until = self.model.orders[job].envelopes[-1]
        answered = approvals.answer(
            self.conn, job, 1, "approved", sequence=len(self.model.orders[job].envelopes), amount=amount, backends=BACKENDS,
            attempts_per_shot=3, expires_at=until, by="test", now=self.model.now,
        )  # fmt: skip
        self.envelopes[job].append(answered.envelope)

    # --- asking both ------------------------------------------------------------------------------

    def _both(self, refusals: set[str], act: Callable[[], Any]) -> Any:
        """Do it in the ledger. It is refused exactly when the model says so, for a reason that the model knows."""
        try:
            with self.conn.begin_nested():
                done = act()
        except MoneyError as error:
            if type(error).__name__ in refusals:
                return Refused
            raise AssertionError(f"refused, but {refusals or 'nothing'} stands against it") from error
        assert not refusals, f"done, but {refusals} stands against it"
        return done

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        before = self._picture()
        yield
        assert self._picture() == before

    def _size(self, size: str, left: int, some: int) -> int:
        sizes = {"all that is left": left, "one more than is left": left + 1, "some": some, "half": left // 2, "nothing": 0}
        return max(0, sizes[size])

    def _new(self, job: str, kind: str, subject: str, backend: str, amount: int, number: int, prompt: str = "a") -> NewHold:
        campaign = self.model.orders[job].campaign
        limit = None if campaign is None else Cap(kind="campaign", key=campaign, cap=self.model.terms.campaigns[campaign])
        envelope = self.envelopes[job][-1]
        limits = caps_for(
            spec=self.specs[job], job_id=job, envelope=envelope, backend=backend, catalog=self.catalog, now=self.model.now,
            campaign=limit,
        )  # fmt: skip
        return NewHold(desk.request(backend=backend, prompt=prompt), envelope, kind, subject, number, 1, amount, limits)

    def _hold(self, *what: Any) -> Any:
        return purchases.hold(self.conn, self._new(*what), catalog=self.catalog, now=self.model.now)

    def _new_hold(self, job: str, kind: str, subject: str, backend: str, amount: int) -> Any:
        number = self.model.next_number(job, kind, subject)
        refusals = self.model.why_not_hold(job, kind, subject, backend, amount)
        held = self._both(refusals, lambda: self._hold(job, kind, subject, backend, amount, number))
        if held is Refused:
            return multiple()
        self.model.hold(held.purchase_id, job, kind, subject, backend, amount, (amount, len(self.envelopes[job])))
        return held.purchase_id

    def _end(self, key: str, how: str, charge: int, kind: FailureKind | None, fence: int | None = None) -> bool | None:
        """End it in both; None when both refuse."""
        strike = kind is FailureKind.VENDOR_INTERNAL
        why = None if kind is None else Failure(kind=kind, message="the vendor said no", money_moved="maybe")
        expected = self.model.end(key, how, charge, strike=strike, fence=fence)
        done = self._both(
            {"StaleState"} if expected is None else set(),
            lambda: purchases.close(
                self.conn, key, Step(how), catalog=self.catalog, now=self.model.now, charge=charge, cost_source="vendor",
                failure=why, fence=fence,
            ),
        )  # fmt: skip
        assert done is (Refused if expected is None else expected)
        return expected

    def _adjust(self, key: str, delta: int, line: str) -> None:
        act = lambda: purchases.adjust(self.conn, key, delta, reference=line, now=self.model.now)  # noqa: E731
        item = self.model.items[key]
        if item.charged + delta < 0 and line not in item.lines:
            # Nobody gives back more than was charged.
            assert self._both({"MoneyError"}, act) is Refused
            return
        expected = self.model.adjust(key, delta, line)
        assert self._both(set(), act) is expected

    def _charge(self, key: str, size: str) -> int:
        item = self.model.items[key]
        hold, room = item.hold, max(0, self.model.tightest(item.accounts))
        return {
            "nothing": 0,
            "the hold": hold,
            "a fifth more": hold * 6 // 5,
            "over the cap": hold + room + 3,
            "one less": max(0, hold - 1),
        }[size]

    # --- holding ----------------------------------------------------------------------------------

    @rule(
        target=bought,
        job=st.sampled_from(JOBS),
        kind=st.sampled_from(["render", "render", "judge"]),
        subject=st.sampled_from(["1", "2", "3"]),
        backend=st.sampled_from(BACKENDS),
        size=SIZES,
        some=st.integers(1, 20),
    )
    def hold(self, job, kind, subject, backend, size, some):
        return self._new_hold(job, kind, subject, backend, self._size(size, self.model.left(job, backend), some))

    @rule(
        target=bought,
        wanted=st.lists(
            st.tuples(st.sampled_from(JOBS), st.sampled_from("1234"), st.sampled_from(BACKENDS), SIZES, st.integers(1, 9)),
            min_size=2,
            max_size=6,
        ),
    )
    def hold_together(self, wanted):
        """Each is answered as if it had come alone, after those before it; after one short of money nobody is tried."""
        news: list[NewHold] = []
        expected: list[set[str] | str | None] = []
        for job, subject, backend, size, some in wanted:
            amount = self._size(size, max(0, self.model.left(job, backend)), some)
            number = self.model.next_number(job, "render", subject)
            news.append(self._new(job, "render", subject, backend, amount, number))
            why = self.model.why_not_hold(job, "render", subject, backend, amount)
            short = "BudgetExceeded" in why and "PurchasingStopped" not in why and not self.model.live(job, "render", subject)
            if {"BudgetExceeded"} in expected:
                expected.append(None)
            elif why:
                expected.append({"BudgetExceeded"} if short else why - {"BudgetExceeded"})
            else:
                expected.append(purchases.purchase_key(job, 1, "render", subject, number))
                content = (amount, len(self.envelopes[job]))
                self.model.hold(expected[-1], job, "render", subject, backend, amount, content)
        found = purchases.hold_all(self.conn, news, catalog=self.catalog, now=self.model.now)
        for answer, wish in zip(found, expected, strict=True):
            if isinstance(wish, set):
                assert type(answer).__name__ in wish
            else:
                assert (answer.purchase_id if isinstance(answer, purchases.Purchase) else answer) == wish
        return multiple(*[wish for wish in expected if isinstance(wish, str)])

    @rule(
        target=bought,
        job=st.sampled_from(JOBS),
        subject=st.sampled_from(["1", "2", "3"]),
        backend=st.sampled_from(BACKENDS),
        some=st.integers(1, 20),
        far=WAYS,
        meddling=MEDDLING,
    )
    def hold_and_send(self, job, subject, backend, some, far, meddling):
        """What mostly happens, in one go."""
        return self._sent(job, subject, backend, some, far, meddling)

    @precondition(lambda self: self.model.terms.slots < 10)
    @rule(target=bought, job=st.sampled_from(JOBS), backend=st.sampled_from(BACKENDS))
    def lost_requests_fill_a_backend(self, job, backend):
        """Each may be running: there is no slot for one more."""
        keys = []
        while self.model.slots_taken(backend) < self.model.terms.slots and len(keys) < self.model.terms.slots:
            keys.append(self._sent(job, f"l{self._next()}", backend, 1, "unknown"))
        keys.append(self._new_hold(job, "render", f"l{self._next()}", backend, 1))
        if isinstance(keys[-1], str):
            self._claim(keys[-1])
        return multiple(*[key for key in keys if isinstance(key, str)])

    def _sent(self, job: str, subject: str, backend: str, some: int, far: str, meddling: str | None = None) -> Any:
        key = self._new_hold(job, "render", subject, backend, some)
        if not isinstance(key, str):
            return key
        self._claim(key)
        item = self.model.items[key]
        if item.state != "submitting":
            return key
        # Neither who had an older claim, nor anybody before the lease ran out, may call it lost.
        self._lose(key, item.fence - 1)
        self._lose(key, None)
        if far == "submitted":
            self._accept(key, f"vendor-{key}")
        elif far == "unknown":
            self._lose(key, item.fence)
        if meddling is not None:
            # Mostly not how it can end from here: above all, what was sent is not given back.
            self._end(key, meddling, 0, None)
        return key

    @rule(key=bought, other=st.sampled_from(["nothing", "nothing", "amount", "prompt"]))
    def hold_again(self, key, other):
        """The same content is the same hold, whatever became of it; other content under its name is a mistake."""
        item = self.model.items[key]
        amount = item.hold + (other == "amount")
        same = other == "nothing" and item.content == (amount, len(self.envelopes[item.job]))
        with self._unchanged():
            again = self._both(
                set() if same else {"KeyReused"},
                lambda: self._hold(
                    item.job, item.kind, item.subject, item.backend, amount, item.number, "b" if other == "prompt" else "a"
                ),
            )
        assert again is Refused or again.purchase_id == key

    @precondition(there_is("submitted"))
    @rule(
        target=bought, key=among("submitted"), over=st.integers(1, 9), back=st.integers(0, 12), subject=st.sampled_from("456"),
        more=st.integers(-1, 1),
    )  # fmt: skip
    def overbilled_refunded_and_held_again(self, key, over, back, subject, more):
        """The bill crosses the cap, a refund takes some of it back, and the next hold is at the very edge of what that left."""
        item = self.model.items[key]
        bill = item.hold + max(0, self.model.tightest(item.accounts)) + over
        self._end(key, "succeed", bill, None)
        self.agree()
        self._adjust(key, -back, f"refund-{self._next()}")
        self.agree()
        amount = max(1, self.model.left(item.job, item.backend) + more)
        return self._new_hold(item.job, "render", subject, item.backend, amount)

    # --- sending ----------------------------------------------------------------------------------

    @precondition(there_is("held"))
    @rule(key=among("held"))
    def claim(self, key):
        self._claim(key)

    @rule(key=bought)
    def claim_whatever_it_is(self, key):
        self._claim(key)

    def _claim(self, key: str) -> None:
        item, model = self.model.items[key], self.model
        full = item.state == "held" and model.slots_taken(item.backend) >= model.terms.slots
        why = model.why_not_claim(key)
        claimed = self._claimed(key, item.job, why if not full or "PurchasingStopped" in why else set())
        if claimed is Refused:
            return
        if full:
            assert claimed is None
            return
        found = purchases.get(self.conn, key)
        assert found is not None and found.lease_until is not None and claimed == item.fence + 1
        timeout = self.catalog.backends[item.backend].submit_timeout_seconds
        assert found.lease_until > model.now + timedelta(seconds=timeout), "its owner may still be sending when the lease is over"
        model.claim(key, found.lease_until)

    def _claimed(self, key: str, job: str, why: set[str]) -> Any:
        envelope = self.envelopes[job][-1]
        act = lambda: purchases.claim(self.conn, key, envelope=envelope, catalog=self.catalog, now=self.model.now)  # noqa: E731
        return self._both(why, act)

    @precondition(there_is("submitting", "unknown"))
    @rule(key=among("submitting", "unknown"))
    def accept(self, key):
        self._accept(key, f"vendor-{key}")

    @precondition(there_is("submitting", "unknown", "submitted", "succeeded", "failed", "absent", "written_off"))
    @rule(key=among("submitting", "unknown", "submitted", "succeeded", "failed", "absent", "written_off"), known=st.booleans())
    def late_news(self, key, known):
        """The vendor speaks up again, with the id that is known or with a second one."""
        item = self.model.items[key]
        self._accept(key, item.vendor if known and item.vendor else f"vendor-{key}-{self._next() % 2}")

    def _accept(self, key: str, vendor: str) -> None:
        expected = self.model.accept(key, vendor)
        done = self._both(set(), lambda: purchases.accept(self.conn, key, vendor, now=self.model.now))
        assert done is expected

    @precondition(there_is("submitting", "unknown"))
    @rule(key=among("submitting", "unknown"), other=bought)
    def accept_somebody_elses_render(self, key, other):
        mine, theirs = self.model.items[key], self.model.items[other]
        if theirs.vendor is None or theirs.backend != mine.backend or key == other:
            return
        with self._unchanged():
            self._both({"StaleState"}, lambda: purchases.accept(self.conn, key, theirs.vendor or "", now=self.model.now))

    @precondition(there_is("submitting"))
    @rule(key=among("submitting"), fence=st.sampled_from([None, 0, 0, -1]))
    def lose(self, key, fence):
        """By who sent it (its fence), by an older claim, or by the lease."""
        self._lose(key, None if fence is None else self.model.items[key].fence + fence)

    def _lose(self, key: str, asked: int | None) -> None:
        expected = self.model.lose(key, asked)
        done = self._both(
            set(), lambda: purchases.lose(self.conn, key, catalog=self.catalog, now=self.model.now, fence=asked, why="lost")
        )
        assert done is expected

    @precondition(there_is("unknown", "submitted"))
    @rule(key=among("unknown", "submitted"))
    def park(self, key):
        self.model.park(key)
        self._both(set(), lambda: purchases.park(self.conn, key, now=self.model.now))

    @precondition(there_is("unknown"))
    @rule(
        target=bought, key=among("unknown"), backend=st.sampled_from(BACKENDS), some=st.integers(1, 20), found=st.booleans(),
        kind=FAILURES,
    )  # fmt: skip
    def lost_bought_elsewhere_and_found(self, key, backend, some, found, kind):
        """Both have holds of their own; the one that turns up is watched and billed, and gets in nobody's way."""
        item = self.model.items[key]
        self.park(key)
        elsewhere = self._new_hold(item.job, item.kind, item.subject, backend, some)
        self.agree()
        if found:
            self._accept(key, f"vendor-{key}")
            self.agree()
            self._end(key, "fail", 0, kind)
        return elsewhere

    # --- ending -----------------------------------------------------------------------------------

    @precondition(there_is("submitted"))
    @rule(key=among("submitted"), how=st.sampled_from(["succeed", "succeed", "fail", "cancel"]), size=CHARGES, kind=FAILURES)
    def finish(self, key, how, size, kind):
        self._end(key, how, self._charge(key, size), None if how == "succeed" else kind)

    @precondition(there_is("submitting", "unknown"))
    @rule(
        key=among("submitting", "unknown"),
        size=CHARGES,
        kind=FAILURES,
        write_off=st.booleans(),
        fence=st.sampled_from([None, 0, -1]),
    )
    def never_ran(self, key, size, kind, write_off, fence):
        """Refused by the vendor, proved absent, or written off by a person."""
        item = self.model.items[key]
        if item.state == "submitting":
            self._end(key, "reject", 0, kind, None if fence is None else item.fence + fence)
        elif write_off:
            self._end(key, "write_off", self._charge(key, size), None)
        else:
            self._end(key, "prove_absent", 0, kind)

    @rule(
        target=bought,
        backend=st.sampled_from(BACKENDS),
        job=st.sampled_from(JOBS),
        kinds=st.lists(st.tuples(FAILURES, st.booleans()), min_size=3, max_size=4),
    )
    def fail_in_a_row(self, backend, job, kinds):
        """Three strikes make it rest; who is refused for his own request is no strike."""
        keys = []
        for kind, lost in kinds:
            key = self._sent(job, f"f{self._next()}", backend, 1, "unknown" if lost else "submitted")
            if isinstance(key, str):
                keys.append(key)
                if self.model.items[key].state == "unknown":
                    # Lost and then failed is still one strike.
                    self._accept(key, f"vendor-{key}")
                if self.model.items[key].state == "submitted":
                    self._end(key, "fail", 0, kind)
        return multiple(*keys)

    @precondition(lambda self: self.clock and any(h.since for h in self.model.health.values()))
    @rule(
        target=bought,
        nudge=st.sampled_from([-MICROSECOND, timedelta(0)]),
        jobs=st.tuples(st.sampled_from(JOBS), st.sampled_from(JOBS)),
    )
    def its_rest_is_over(self, nudge, jobs):
        """Exactly one of two wins the probe."""
        name, sick = next((name, h) for name, h in self.model.health.items() if h.since)
        self.model.now = max(self.model.now, sick.since + self.model.terms.rest + nudge)
        keys = [self._new_hold(job, "render", f"p{self._next()}", name, 1) for job in jobs]
        return multiple(*[key for key in keys if isinstance(key, str)])

    @rule(key=bought, how=st.sampled_from(sorted(ENDS)))
    def end_whatever_it_is(self, key, how):
        """Only what may end so ends so; and nothing ends twice."""
        for _ in range(2):
            self._end(key, how, 0, None)

    @rule(key=bought, size=st.sampled_from(["all of it", "a little", "more"]), line=st.sampled_from(["line-1", "line-2"]))
    def correct_the_bill(self, key, size, line):
        delta = {"all of it": -self.model.items[key].charged, "a little": -3, "more": 4}[size]
        for _ in range(2):
            self._adjust(key, delta, line)

    @rule(key=bought, how=st.sampled_from(["expire", "expire", "void"]))
    def release(self, key, how):
        item = self.model.items[key]
        ripe = how == "void" or (item.expires is not None and item.expires <= self.model.now)
        expected = item.state == "held" and ripe
        if expected:
            self.model.end(key, how, 0, strike=False)
        act = lambda: purchases.release(self.conn, key, Step(how), catalog=self.catalog, now=self.model.now)  # noqa: E731
        for turn in (expected, False):
            assert self._both(set(), act) is turn

    # --- people and time --------------------------------------------------------------------------

    @precondition(lambda self: self.model.accounts)
    @rule(pick=st.integers(0, 20), to=st.sampled_from(["what is used", "a little more", "nothing", "twice", "twice", "half"]))
    def somebody_sets_a_cap(self, pick, to):
        """Raised or lowered by hand, below what is used as well: that shows as overrun and closes it."""
        names = sorted(name for name in self.model.accounts if name[0] != "envelope")
        name = names[pick % len(names)]
        account = self.model.accounts[name]
        used = account.held + account.charged
        wanted = {
            "what is used": used,
            "a little more": used + 7,
            "nothing": 0,
            "twice": account.amount * 2,
            "half": account.amount // 2,
        }
        self.model.set_cap(name, max(0, wanted[to]))
        self.conn.execute(
            text("UPDATE caps SET cap = :cap, overrun = :over, set_by = 'ada' WHERE kind = :kind AND key = :key"),
            {"cap": account.amount, "over": account.over, "kind": name[0], "key": name[1]},
        )

    @precondition(there_is("held"))
    @rule(target=bought, key=among("held"), job=st.sampled_from(JOBS), subject=st.sampled_from(["1", "2", "3"]))
    def while_the_kill_switch_is_on(self, key, job, subject):
        """Nothing is held and nothing is sent; what was sent before may still end, and its bill is booked."""
        gates.stop_purchasing(self.conn, "a test says so", by="ada", now=self.model.now)
        self.model.stopped = True
        self._claim(key)
        assert not isinstance(self._new_hold(job, "render", subject, "runway", 1), str)
        for running in self.model.ids("submitted")[:1]:
            self._end(running, "succeed", self.model.items[running].hold, None)
        self.agree()
        gates.open_purchasing(self.conn, by="ada", now=self.model.now)
        self.model.stopped = False
        return self._new_hold(job, "render", subject, "runway", 1)

    @precondition(lambda self: not self.model.orders["job-c"].cancelled)
    @rule()
    def cancel(self):
        self.model.orders["job-c"].cancelled = True
        assert gates.cancel_job(self.conn, "job-c", by="ada", now=self.model.now)

    @rule(
        job=st.sampled_from(JOBS),
        amount=st.sampled_from([10, 40]),
        until=st.sampled_from([timedelta(minutes=30), timedelta(hours=72)]),
    )
    def approve_again(self, job, amount, until):
        """A new envelope: another account; what was held under the one before stays there."""
        self.model.approve(job, amount, self.model.now + until)
        self._approve(job)

    @precondition(lambda self: self.clock)
    @rule(to=st.runner().flatmap(lambda machine: st.sampled_from(machine.model.moments())))
    def time_passes(self, to):
        self.model.now = to

    @precondition(lambda self: self.clock and self.model.ids("held"))
    @rule(key=among("held"), nudge=st.sampled_from([-MICROSECOND, timedelta(0)]))
    def a_hold_runs_out(self, key, nudge):
        self.model.now = max(self.model.now, self.model.items[key].expires + nudge)
        self._claim(key)

    @precondition(lambda self: self.clock)
    @rule(target=bought, job=st.sampled_from(JOBS), nudge=st.sampled_from([-MICROSECOND, timedelta(0)]))
    def an_approval_runs_out(self, job, nudge):
        self.approve_again(job, 40, timedelta(minutes=30))
        self.model.now += timedelta(minutes=30) + nudge
        key = self._new_hold(job, "render", f"a{self._next()}", "veo3", 1)
        self.approve_again(job, 40, timedelta(hours=72))
        return key

    @precondition(lambda self: self.clock)
    @rule(nudge=st.sampled_from([-MICROSECOND, timedelta(0)]))
    def until_midnight(self, nudge):
        self.model.now = max(self.model.now, self.model.midnight() + nudge)

    # --- comparing --------------------------------------------------------------------------------

    def _next(self) -> int:
        self.news += 1
        return self.news

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.conn.exec_driver_sql(statement).mappings()]

    def _picture(self) -> tuple[object, ...]:
        """Everything that money depends on; caps that nothing counts against are none."""
        used = self._rows("SELECT * FROM caps WHERE cap_id IN (SELECT cap_id FROM legs) ORDER BY cap_id")
        others = ("purchases", "legs", "postings", "health_observations")
        return used, [self._rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in others]  # noqa: S608 - our own names

    @invariant()
    def agree(self) -> None:
        assert audit(self.conn) == []
        self._purchases_agree()
        self._caps_agree()
        self._the_rest_agrees()

    def _purchases_agree(self) -> None:
        expected = {k: (i.state, i.hold, i.charged, i.vendor, i.fence, i.parked) for k, i in self.model.items.items()}
        assert expected == {
            row["purchase_id"]: (
                row["state"], row["hold"], row["charged"] or 0, row["vendor_id"], row["fence"], row["parked_at"] is not None,
            )
            for row in self._rows("SELECT * FROM purchases")
        }  # fmt: skip
        legs: dict[str, set[tuple[str, str]]] = {key: set() for key in self.model.items}
        for row in self._rows("SELECT purchase_id, kind, key FROM legs JOIN caps USING (cap_id)"):
            legs[row["purchase_id"]].add((row["kind"], row["key"]))
        assert legs == {key: set(item.accounts) for key, item in self.model.items.items()}

    def _caps_agree(self) -> None:
        found = {
            (row["kind"], row["key"]): (row["cap"], row["reserved"], row["settled"], row["overrun"])
            for row in self._rows("SELECT * FROM caps")
        }
        for name, account in self.model.accounts.items():
            assert found.pop(name) == (account.amount, account.held, account.charged, account.over), name
        # Opened, and nothing held under it yet.
        assert all(row[1:] == (0, 0, 0) for row in found.values())

    def _the_rest_agrees(self) -> None:
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        when = lambda at: None if at is None else epoch + timedelta(microseconds=at)  # noqa: E731
        health = {
            row["backend"]: (row["strikes"], when(row["unhealthy_since"]), when(row["probe_until"]))
            for row in self._rows("SELECT * FROM backend_health")
        }
        for name in BACKENDS:
            known = self.model.health.get(name)
            assert health.get(name, (0, None, None)) == ((known.strikes, known.since, known.probe) if known else (0, None, None))
        told = Counter(row["topic"] for row in self._rows("SELECT topic FROM outbox"))
        assert {t: told[t] for t in TOLD} == {t: self.model.events[t] for t in TOLD}
        assert told["purchase_parked"] == len(self.model.parked_once)
        assert told["purchase_late"] == len(self.model.late_once)
        due = {p.purchase_id for p in purchases.due(self.conn, now=self.model.now)}
        assert self.model.must_be_due() <= due


def both_agree(ledger: Ledger, catalog: Catalog, *, examples: int, steps: int) -> None:
    """Run the machine over a ledger. A failure prints the steps that lead to it, and a blob that repeats them."""
    machine = type("LedgerBesideModel", (Beside,), {"ledger": ledger, "shipped": catalog})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            # A bug found once and remembered would count as found again.
            database=None,
            suppress_health_check=list(HealthCheck),
            # Explaining a failure runs it hundreds of times more.
            phases=[phase for phase in settings().phases if phase is not Phase.explain],
        ),
    )


def test_the_ledger_does_what_the_model_does(sqlite_url: str, config: Catalog) -> None:
    both_agree(Ledger(sqlite_url), config, examples=60, steps=40)


@pytest.mark.postgres
def test_postgres_does_what_the_model_does(postgres_url: str, config: Catalog) -> None:
    both_agree(Ledger(postgres_url), config, examples=12, steps=40)


@pytest.mark.slow
def test_the_ledger_does_what_the_model_does_for_long(ledger: Ledger, config: Catalog) -> None:
    both_agree(ledger, config, examples=600, steps=60)
