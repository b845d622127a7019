"""What the money ledger must do, in plain arithmetic: a model that shares no code and no table with it.

It knows purchases, the accounts (caps) they count against, backends' health and the doors. Every question has two
halves: `why_not_…` says which refusals are right now (none: it must be done), the verb then does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

__all__ = ["ENDS", "Account", "Item", "Model", "Order", "Terms"]

MICROSECOND = timedelta(microseconds=1)
OPEN = ("held", "submitting", "submitted", "unknown")

#: How a purchase can end: from which states, in which.
ENDS = {
    "succeed": ({"submitted"}, "succeeded"),
    "fail": ({"submitted"}, "failed"),
    "cancel": ({"submitted"}, "cancelled"),
    "reject": ({"submitting"}, "rejected"),
    "prove_absent": ({"unknown"}, "absent"),
    "write_off": ({"unknown", "submitted"}, "written_off"),
    "expire": ({"held"}, "expired"),
    "void": ({"held"}, "voided"),
}


@dataclass(frozen=True)
class Terms:
    """What the configuration says. Amounts in micro-dollars."""

    zone: ZoneInfo
    day: int
    warn: int
    projects: dict[str, int]
    backends: dict[str, int]
    campaigns: dict[str, int]
    slots: int
    strikes: int
    rest: timedelta
    probe: timedelta
    run: timedelta
    hold: timedelta


@dataclass
class Order:
    """One job: whose money it spends and what was approved, as (amount, until)."""

    project: str
    campaign: str | None
    budget: int
    envelopes: list[tuple[int, datetime]]
    cancelled: bool = False


@dataclass
class Account:
    """One cap and what counts against it."""

    amount: int
    warn: int | None = None
    held: int = 0
    charged: int = 0
    warned: bool = False

    @property
    def left(self) -> int:
        return self.amount - self.held - self.charged

    @property
    def over(self) -> int:
        return max(0, -self.left)


@dataclass
class Item:
    """One purchase."""

    job: str
    kind: str
    subject: str
    number: int
    backend: str
    hold: int
    envelope: int
    content: object
    accounts: tuple[tuple[str, str], ...]
    expires: datetime | None
    state: str = "held"
    charged: int = 0
    bill: int | None = None
    vendor: str | None = None
    fence: int = 0
    parked: bool = False
    lease: datetime | None = None
    slot: datetime | None = None
    lines: set[str] = field(default_factory=set)

    @property
    def live(self) -> bool:
        return self.state in OPEN and not self.parked


@dataclass
class Health:
    strikes: int = 0
    since: datetime | None = None
    probe: datetime | None = None


@dataclass
class Model:
    """The whole ledger, one number at a time."""

    terms: Terms
    orders: dict[str, Order]
    now: datetime
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    observed: set[str] = field(default_factory=set)
    parked_once: set[str] = field(default_factory=set)
    late_once: set[str] = field(default_factory=set)
    stopped: bool = False

    # --- looking ----------------------------------------------------------------------------------

    def ids(self, *states: str) -> list[str]:
        """Purchases in one of the states, oldest first; all of them without a state."""
        return [key for key, item in self.items.items() if not states or item.state in states]

    def caps(self, job: str, backend: str) -> dict[tuple[str, str], Account]:
        """Every account a purchase would count against now; those not met before are new."""
        order = self.orders[job]
        day = f"{self.now.astimezone(self.terms.zone).date()}@{self.terms.zone.key}"
        number = len(order.envelopes)
        wanted = {
            ("envelope", f"{job}/1/{number}"): Account(order.envelopes[-1][0]),
            ("job", job): Account(order.budget),
            ("day", day): Account(self.terms.day, self.terms.warn),
        }
        if order.campaign:
            wanted["campaign", order.campaign] = Account(self.terms.campaigns[order.campaign])
        if order.project in self.terms.projects:
            wanted["project", order.project] = Account(self.terms.projects[order.project])
        if backend in self.terms.backends:
            wanted["backend_day", f"{backend}:{day}"] = Account(self.terms.backends[backend])
        return {name: self.accounts.get(name, fresh) for name, fresh in wanted.items()}

    def left(self, job: str, backend: str) -> int:
        """What the tightest account has left."""
        return min(account.left for account in self.caps(job, backend).values())

    def live(self, job: str, kind: str, subject: str) -> bool:
        return any(i.live for i in self.items.values() if (i.job, i.kind, i.subject) == (job, kind, subject))

    def next_number(self, job: str, kind: str, subject: str) -> int:
        return 1 + sum((i.job, i.kind, i.subject) == (job, kind, subject) for i in self.items.values())

    def must_be_due(self) -> set[str]:
        """What somebody has to look after now."""
        return {key for key, i in self.items.items() if self._due(i)}

    def _due(self, i: Item) -> bool:
        return (
            (i.state == "held" and i.expires is not None and i.expires <= self.now)
            or (i.state == "submitting" and i.lease is not None and i.lease < self.now)
            or (i.state == "unknown" and not i.parked)
            or i.state in ("submitted", "succeeded")
        )

    def moments(self) -> list[datetime]:
        """Instants at which something changes, with the microsecond on either side; soonest first."""
        turns: set[datetime] = {self.now + timedelta(seconds=1), self.midnight()}
        for i in self.items.values():
            turns |= {t for t in (i.expires, i.lease, i.slot) if t is not None and i.state in OPEN}
        for h in self.health.values():
            turns |= {h.since + self.terms.rest} if h.since else set()
            turns |= {h.probe} if h.probe else set()
        turns |= {order.envelopes[-1][1] for order in self.orders.values()}
        return sorted(t + nudge for t in turns for nudge in (-MICROSECOND, MICROSECOND * 0, MICROSECOND) if t + nudge > self.now)

    def midnight(self) -> datetime:
        """The first instant that is another local date, found by halving."""
        today = self.now.astimezone(self.terms.zone).date()
        early, late = self.now, self.now + timedelta(hours=26)
        while late - early > MICROSECOND:
            middle = early + (late - early) / 2
            early, late = (middle, late) if middle.astimezone(self.terms.zone).date() == today else (early, middle)
        return late

    # --- T1 ---------------------------------------------------------------------------------------

    def why_not_spend(self, job: str) -> set[str]:
        order = self.orders[job]
        shut = self.stopped or order.cancelled or order.envelopes[-1][1] <= self.now
        return {"PurchasingStopped"} if shut else set()

    def why_not_hold(self, job: str, kind: str, subject: str, backend: str, amount: int) -> set[str]:
        why = self.why_not_spend(job)
        if self.live(job, kind, subject):
            why.add("StaleState")
        if self.left(job, backend) < amount:
            why.add("BudgetExceeded")
        sick = self.health.get(backend, Health())
        if sick.since and (sick.since + self.terms.rest > self.now or (sick.probe is not None and sick.probe >= self.now)):
            why.add("StaleState")
        return why

    def hold(self, key: str, job: str, kind: str, subject: str, backend: str, amount: int, content: object) -> None:
        number = self.next_number(job, kind, subject)
        caps = self.caps(job, backend)
        expires = min(self.orders[job].envelopes[-1][1], self.now + self.terms.hold)
        envelope = len(self.orders[job].envelopes)
        self.items[key] = Item(job, kind, subject, number, backend, amount, envelope, content, tuple(caps), expires)
        self.accounts |= caps
        for account in caps.values():
            account.held += amount
            if account.warn is not None and not account.warned and account.held + account.charged >= account.warn:
                account.warned = True
                self.events["budget_warning"] += 1
        sick = self.health.get(backend)
        if sick and sick.since:
            sick.probe = self.now + self.terms.probe

    # --- T2 to T4 ---------------------------------------------------------------------------------

    def slots_taken(self, backend: str) -> int:
        return sum(
            (i.state in ("submitting", "submitted") and not i.parked)
            or (i.state in ("unknown", "submitted") and i.slot is not None and i.slot > self.now)
            for i in self.items.values()
            if i.backend == backend
        )

    def why_not_claim(self, key: str) -> set[str]:
        item = self.items[key]
        why = self.why_not_spend(item.job)
        if item.state != "held" or (item.expires is not None and item.expires <= self.now):
            why.add("StaleState")
        return why

    def claim(self, key: str, lease: datetime) -> None:
        item = self.items[key]
        item.state, item.fence, item.expires = "submitting", item.fence + 1, None
        item.lease, item.slot = lease, self.now + self.terms.run

    def accept(self, key: str, vendor: str) -> bool:
        """Whether it is this purchase's render, and not a second one that costs its hold once more."""
        item = self.items[key]
        if item.state in ("submitting", "unknown"):
            item.parked = item.parked and self.live(item.job, item.kind, item.subject)
            item.state, item.vendor, item.lease = "submitted", vendor, None
            return True
        if item.vendor == vendor:
            return True
        if item.state == "written_off" and item.vendor is None:
            item.vendor = vendor
            self.events["written_off_turned_up"] += 1
            if item.hold > (item.charged or 0):
                self.adjust(key, item.hold - (item.charged or 0), f"turned_up.{vendor}")
            return False
        if f"duplicate.{vendor}" not in item.lines:
            self.events["duplicate_vendor_job"] += 1
        self.adjust(key, item.hold, f"duplicate.{vendor}")
        return False

    def lose(self, key: str, fence: int | None) -> bool:
        item = self.items[key]
        ours = item.fence == fence if fence is not None else item.lease is not None and item.lease < self.now
        if item.state != "submitting" or not ours:
            return False
        item.state = "unknown"
        self.events["purchase_unknown"] += 1
        self._observe(key, ok=False)
        return True

    def park(self, key: str) -> None:
        item = self.items[key]
        if item.state not in ("unknown", "submitted"):
            return
        late = item.state == "submitted" and item.slot is not None and item.slot > self.now
        if not late:
            self.parked_once.add(key)
        elif not item.parked:
            self.late_once.add(key)
        item.parked = True

    # --- T5 to T7 ---------------------------------------------------------------------------------

    def end(self, key: str, how: str, charge: int, *, strike: bool, fence: int | None = None) -> bool | None:
        """True: ended now; False: had ended just so; None: must be refused."""
        item, (allowed, leads_to) = self.items[key], ENDS[how]
        if item.state not in allowed or (fence is not None and fence != item.fence):
            return False if item.state == leads_to and item.bill == charge else None
        item.state, item.bill, item.lease, item.slot = leads_to, charge, None, None
        item.charged += charge
        for name in item.accounts:
            self.accounts[name].held -= item.hold
            self.accounts[name].charged += charge
        self.events["vendor_overbilled"] += charge > item.hold
        if how == "succeed":
            self._observe(key, ok=True)
        elif how in ("fail", "reject") and strike:
            self._observe(key, ok=False)
        return True

    def adjust(self, key: str, delta: int, line: str) -> bool:
        item = self.items[key]
        if line in item.lines:
            return False
        item.lines.add(line)
        item.charged += delta
        for name in item.accounts:
            self.accounts[name].charged += delta
        self.events["charge_adjusted"] += 1
        return True

    def _observe(self, key: str, *, ok: bool) -> None:
        """Three strikes in a row and it rests; a purchase strikes once; any success makes it well."""
        seen = key in self.observed
        self.observed.add(key)
        health = self.health.setdefault(self.items[key].backend, Health())
        if ok:
            health.strikes, health.since, health.probe = 0, None, None
        elif not seen:
            health.strikes, health.probe = health.strikes + 1, None
            health.since = self.now if health.strikes >= self.terms.strikes else health.since

    # --- people -----------------------------------------------------------------------------------

    def set_cap(self, name: tuple[str, str], amount: int) -> None:
        self.accounts[name].amount = amount

    def approve(self, job: str, amount: int, until: datetime) -> None:
        self.orders[job].envelopes.append((amount, until))

    # --- the whole picture ------------------------------------------------------------------------

    def tightest(self, names: Iterable[tuple[str, str]]) -> int:
        return min(self.accounts[name].left for name in names)
