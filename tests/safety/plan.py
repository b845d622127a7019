"""A schedule: everything a storm consists of, drawn from one seed."""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

from aiprod.catalog import BackendEntry, Catalog, catalog
from tests.safety import shops
from tests.safety.points import AT_VENDORS, POINTS, RECOVERY, STOPPABLE

__all__ = ["BACKENDS", "Fate", "Plan", "Vendors", "Worker", "draw"]

BACKENDS = ("runway", "veo3", "replicate")
PROCESSES = 8
#: `generic`: adapters made for storms, which offer a key, a listing or nothing. `real`: those that are shipped.
Vendors = Literal["generic", "real"]
#: A storm at the shipped adapters takes so many times as long: so does everything that happens at a time in it.
_PACE: Mapping[Vendors, float] = {"generic": 1.0, "real": 4.0}
_KINDS = {"key": "KeyBackend", "list": "ListBackend", "none": "MuteBackend"}
#: What can go wrong at a vendor, by how often it is drawn.
_FAULTS = (
    ("lose", 6), ("lose:500", 4), ("reset", 5), ("lose|ok", 4), ("reset|ok", 4), ("reset|lose", 2), ("refuse:503", 3),
    ("refuse:429", 2), ("refuse:503|ok", 2), ("fail", 3), ("fail-charged", 3), ("bill:1.3", 4), ("slow:40", 4), ("late:20", 2),
    ("hang", 1), ("gone", 2), ("slow:40,bill:1.3", 2),
)  # fmt: skip


@dataclass(frozen=True)
class Fate:
    """What happens to one process. `point` and `nth`, or `after` real seconds; neither: nothing."""

    signal: int = 0
    point: str = ""
    nth: int = 1
    after: float | None = None
    #: SQLite pages it may still write before the disk is full; None: enough.
    pages: int | None = None


@dataclass(frozen=True)
class Worker:
    """One process: what it does, and what happens to it."""

    task: Literal["walk", "reconcile", "cancel", "stop"]
    fate: Fate
    #: Which of the jobs it begins with, and what it draws its own choices from.
    number: int
    settles: bool = False


@dataclass(frozen=True)
class Plan:
    """One storm. `orders` are raw orders by job id; `limits` in dollars, as the judge has to know them."""

    seed: int
    database: Literal["sqlite", "postgres"]
    vendors: Vendors
    catalog: Catalog
    #: What each generic backend offers after a lost answer.
    offers: dict[str, str]
    #: Whether the real Veo writes into a bucket, where a lost request can be looked for.
    bucket: bool
    listing_lag: float
    orders: dict[str, dict[str, Any]]
    bad: frozenset[str]
    starts_at: datetime
    #: Whether that is moments before a day's end.
    midnight: bool
    first: tuple[Worker, ...]
    second: tuple[Worker, ...]
    #: When the clock jumps while everybody runs: (real seconds, by how much).
    jump: tuple[float, timedelta] | None
    #: When a Postgres connection is cut.
    cuts: tuple[float, ...]

    @property
    def repeat(self) -> str:
        """The command that draws the same storm again. What the machine does in between may differ."""
        which = f"--database {self.database} --vendors {self.vendors}"
        return f"python -m tests.safety --seed {self.seed} --schedules 1 {which} --no-mutants"


def draw(seed: int, database: Literal["sqlite", "postgres"], vendors: Vendors = "generic") -> Plan:
    """Draw a storm. The same seed, database and vendors draw the same one."""
    rng = random.Random(f"{database} {seed}" if vendors == "generic" else f"{database} {vendors} {seed}")  # noqa: S311 - repeatable on purpose
    offers = {name: rng.choice(tuple(_KINDS)) for name in BACKENDS} if vendors == "generic" else {}
    orders = {f"job-{seed}-{n}": _order(rng, vendors) for n in range(rng.choice((1, 2, 2, 3)))}
    wanted = sum(_cheapest(order) for order in orders.values())
    midnight = rng.random() < 0.3
    today = datetime.combine(datetime.now(UTC).date(), time(12), UTC)
    zone = rng.choice(("UTC", "Europe/Rome", "America/New_York"))
    book = _catalog(rng, offers, wanted, zone)
    starts_at = today
    if midnight:
        tomorrow = (today + timedelta(days=1)).astimezone(book.zone).date()
        starts_at = datetime.combine(tomorrow, time(), book.zone).astimezone(UTC) - timedelta(seconds=rng.uniform(0.02, 0.4))
    pace = _PACE[vendors]
    return Plan(
        seed=seed,
        database=database,
        vendors=vendors,
        catalog=book,
        offers=offers,
        bucket=vendors == "real" and rng.random() < 0.7,
        listing_lag=rng.choice((0.0, 0.0, 20.0, 60.0)),
        orders=orders,
        bad=frozenset(job for job in orders if rng.random() < 0.3),
        starts_at=starts_at,
        midnight=midnight,
        first=_first(rng, database, vendors),
        second=_second(rng),
        jump=(rng.uniform(0.02, 0.3) * pace, timedelta(seconds=rng.choice((12, 25)))) if rng.random() < 0.25 else None,
        cuts=tuple(rng.uniform(0.05, 0.5) * pace for _ in range(3)) if database == "postgres" and rng.random() < 0.3 else (),
    )


def _order(rng: random.Random, vendors: Vendors) -> dict[str, Any]:
    shots = []
    tables = {name: _FAULTS if vendors == "generic" else shops.faults(name) for name in BACKENDS}
    lengths = (1, 2, 3) if vendors == "generic" else (shops.SECONDS,)
    for _ in range(rng.choice((1, 2, 2, 3))):
        words = [f"[[{name}={rng.choices(*zip(*tables[name], strict=True))[0]}]]" for name in BACKENDS if rng.random() < 0.45]
        shots.append({"prompt": " ".join([f"a scene {rng.getrandbits(48):x}", *words]), "seconds": rng.choice(lengths)})
    total = sum(s["seconds"] for s in shots)
    budget = _near(rng, Decimal("0.12") * total * rng.choice((1, 1, 2, 4, 10)))
    return {
        "shots": shots,
        **({} if vendors == "generic" else {"audio": False}),
        "budget_usd": str(budget),
        "project": rng.choice(("acme", "zeta")),
        "prefer": rng.choice(("quality", "cost")),
    }


def _cheapest(order: dict[str, Any]) -> Decimal:
    return sum((Decimal("0.12") * s["seconds"] for s in order["shots"]), Decimal(0))


def _near(rng: random.Random, dollars: Decimal) -> Decimal:
    """Whole cents, or, as often as not, one micro-dollar less: what fits exactly, and what just does not."""
    return dollars.quantize(Decimal("0.01")) - rng.choice((Decimal(0), Decimal("0.000001")))


def _catalog(rng: random.Random, offers: dict[str, str], wanted: Decimal, zone: str) -> Catalog:
    shipped = catalog()
    # Small enough that holds are refused in many storms, and hit exactly in some.
    caps = [_near(rng, wanted * Decimal(rng.choice(("0.5", "1", "1.2", "2", "20")))) for _ in range(3)]
    budgets = shipped.budgets.model_copy(
        update={
            "zone": zone,
            "day_usd": caps[0],
            "day_warn_usd": caps[0] * Decimal("0.9"),
            "project_usd": {"acme": caps[1]},
            "backend_day_usd": {rng.choice(BACKENDS): caps[2]} if rng.random() < 0.4 else {},
        }
    )
    preset = shipped.presets["quick_social"].model_copy(update={"auto_approve_usd": Decimal(1_000), "quality_floor": 0.0})
    entries = _backends(rng, offers, shipped) if offers else shops.entries(rng, shipped.backends, BACKENDS)
    changes = {"budgets": budgets, "backends": entries, "strikes": rng.choice((1, 3, 100))}
    if not offers:
        return shipped.model_copy(update={**changes, "presets": {**shipped.presets, "quick_social": preset}})
    preset = preset.model_copy(update={"resolution": "480p"})
    tariff = shipped.prices
    since = min(p.valid_from for p in tariff.prices)
    prices = tuple(p.model_copy(update={"audio": None, "resolutions": None, "valid_from": since}) for p in tariff.prices)
    tariffs = {**shipped.tariffs, tariff.name: tariff.model_copy(update={"prices": prices})}
    return shipped.model_copy(update={**changes, "presets": {**shipped.presets, "quick_social": preset}, "tariffs": tariffs})


def _backends(rng: random.Random, offers: dict[str, str], shipped: Catalog) -> dict[str, BackendEntry]:
    """The shipped backends with the emulator's adapters behind them, and few slots in some storms."""
    entries = dict(shipped.backends)
    slots = rng.choice((1, 2, 20))
    for name in BACKENDS:
        model = (
            shipped.backends[name]
            .models[0]
            .model_copy(
                update={"seconds": None, "seconds_range": (1, 10), "resolutions": ("480p",), "audio": True, "max_prompt": 2_000}
            )
        )
        entries[name] = shipped.backends[name].model_copy(
            update={
                "adapter": f"tests.safety.backend:{_KINDS[offers[name]]}", "needs": (), "models": (model,), "slots": slots,
                "submit_timeout_seconds": 2, "max_run_seconds": 240, "deadline_seconds": None, "poll_seconds": 1,
            }
        )  # fmt: skip
    return entries


def _first(rng: random.Random, database: str, vendors: Vendors) -> tuple[Worker, ...]:
    workers = []
    # What only the shipped adapters do is where most die who buy from them.
    points = POINTS if vendors == "generic" else POINTS + 3 * AT_VENDORS
    for number in range(PROCESSES):
        task: Any = "walk"
        if number == PROCESSES - 1:
            task = rng.choices(("walk", "reconcile", "cancel", "stop"), (6, 4, 1, 1))[0]
        workers.append(
            Worker(task=task, fate=_fate(rng, points, database, _PACE[vendors]), number=number, settles=rng.random() < 0.15)
        )
    return tuple(workers)


def _fate(rng: random.Random, points: tuple[str, ...], database: str, pace: float) -> Fate:
    drawn = rng.random()
    if drawn < 0.22:
        return Fate(signal=signal.SIGKILL, point=rng.choice(points), nth=rng.choice((1, 1, 2, 3)))
    if drawn < 0.32:
        return Fate(signal=signal.SIGKILL, after=rng.uniform(0, 0.4) * pace)
    if drawn < 0.37:
        return Fate(signal=signal.SIGSTOP, point=rng.choice(STOPPABLE), nth=rng.choice((1, 1, 2)))
    if drawn < 0.40:
        return Fate(signal=signal.SIGSTOP, after=rng.uniform(0, 0.4) * pace)
    if drawn < 0.43 and database == "sqlite":
        return Fate(pages=rng.choice((0, 1, 2, 4)))
    return Fate()


def _second(rng: random.Random) -> tuple[Worker, ...]:
    """Who comes after the lease ran out: a retry and a tidier, killed more often than not where they tidy up."""
    fates = [Fate(signal=signal.SIGKILL, point=rng.choice(RECOVERY)) if rng.random() < 0.6 else Fate() for _ in range(2)]
    return (Worker("walk", fates[0], PROCESSES), Worker("reconcile", fates[1], PROCESSES + 1))
