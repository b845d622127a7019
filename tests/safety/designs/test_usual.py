"""Each usual design breaks where it is said to break, without any storm, and holds where it is said to hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from signal import SIGKILL

import pytest

from aiprod.errors import BackendError
from aiprod.storage import Storage
from tests.safety.designs.run import OURS, one
from tests.safety.designs.score import Score, score
from tests.safety.designs.shop import Shop, make_tables
from tests.safety.designs.usual import CheckThenAct, CountAfterwards, IdAfterSubmit, RetryAndFallBack
from tests.safety.ground import Ground
from tests.safety.plan import BACKENDS, Fate, Plan, Worker, draw
from tests.safety.storm import caps_of
from tests.safety.worker import Troubles


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    made = Ground("sqlite")
    yield made
    made.close()


def plan(*prompts: str, budget: str = "100", offers: str = "none") -> Plan:
    """One job of three-second shots, $0.36 each at the first backend, at vendors that all offer the same."""
    drawn = draw(1, "sqlite")
    budgets = drawn.catalog.budgets.model_copy(update={"day_usd": Decimal(100), "project_usd": {}, "backend_day_usd": {}})
    adapter = f"tests.safety.backend:{'KeyBackend' if offers == 'key' else 'MuteBackend'}"
    entries = dict(drawn.catalog.backends)
    entries |= {name: entries[name].model_copy(update={"adapter": adapter}) for name in BACKENDS}
    order = {"shots": [{"prompt": p, "seconds": 3} for p in prompts], "budget_usd": budget, "project": "zeta"}
    return replace(
        drawn,
        orders={"job-1": order},
        bad=frozenset(),
        offers=dict.fromkeys(BACKENDS, offers),
        catalog=drawn.catalog.model_copy(update={"budgets": budgets, "backends": entries}),
    )


def shop(ground: Ground, plan: Plan, design: type[Shop]) -> Shop:
    ledger = ground.prepare(plan)
    ground.booked()
    make_tables(ledger)
    troubles = Troubles(ground.folder / "troubles.jsonl")
    return design(ledger, plan.catalog, Storage.at(str(ground.storage)), plan, troubles, caps_of(plan))


def found(ground: Ground, shop: Shop) -> Score:
    accepts = [line for line in ground.booked() if line["event"] == "accept"]
    return score(accepts, shop.records(), shop.done_at(), shop.caps)


@pytest.mark.parametrize("design", [CheckThenAct, CountAfterwards, IdAfterSubmit, RetryAndFallBack])
def test_when_nothing_goes_wrong_every_design_is_right(ground: Ground, design: type[Shop]) -> None:
    made = shop(ground, plan("a lake", "a hill"), design)
    for _ in range(2):
        made.walk("job-1", "run-1")

    assert found(ground, made) == Score(accepts=2, overspend=0, duplicates=0, lost=0, parked=0, delivered=2)


@pytest.mark.parametrize(
    ("design", "over"), [(CheckThenAct, 360_000), (CountAfterwards, 360_000), (IdAfterSubmit, 0), (RetryAndFallBack, 0)]
)
def test_two_that_ask_at_once_both_hear_that_there_is_money(ground: Ground, design: type[Shop], over: int) -> None:
    """Money for one shot. The second asks after the first was told yes, and before its answer is there."""
    made = shop(ground, plan("a lake", "a hill", budget="0.36"), design)
    renders = [made._afford("job-1", shot, f"job-1/{shot}/1") for shot in _leased(made, 1, 2)]
    for render in renders:
        if render is not None and render.backend == "runway":
            made._order(render)

    assert found(ground, made).overspend == over


@pytest.mark.parametrize("design", [CheckThenAct, CountAfterwards, IdAfterSubmit])
def test_a_lost_answer_is_bought_again_by_the_retry_and_the_first_clip_is_lost(ground: Ground, design: type[Shop]) -> None:
    made = shop(ground, plan("[[runway=lose|ok]]"), design)
    with pytest.raises(BackendError):
        made.make("job-1", 1)
    made.make("job-1", 1)

    score = found(ground, made)

    assert (score.duplicates, score.lost, score.delivered) == (1, 1, 1)


def test_a_gateway_at_its_defaults_buys_a_lost_answer_four_times(ground: Ground) -> None:
    made = shop(ground, plan("[[runway=lose]] [[veo3=lose]] [[replicate=lose]]"), RetryAndFallBack)
    made.make("job-1", 1)
    score = found(ground, made)

    assert (score.accepts, score.duplicates, score.lost) == (4, 3, 4)


def test_a_storm_over_a_design_and_over_ours_is_scored_alike(ground: Ground, door_open: None) -> None:
    """The first process is killed when the vendor has the request and the answer is there."""
    fates = {
        "first": (Worker("walk", Fate(signal=SIGKILL, point="after submit"), 0),),
        "second": (Worker("walk", Fate(), 1),),
        "jump": None,
        "cuts": (),
    }
    ours = one(replace(plan("a lake", offers="key"), **fates), ground, None)
    theirs = one(replace(plan("a lake"), **fates), ground, IdAfterSubmit)

    assert (ours.accepts, ours.duplicates, ours.lost, ours.delivered) == (1, 0, 0, 1), OURS
    assert (theirs.accepts, theirs.duplicates, theirs.lost, theirs.delivered) == (2, 1, 1, 1)


def _leased(made: Shop, *shots: int) -> tuple[int, ...]:
    with made.ledger.write() as conn:
        for shot in shots:
            made._lease(conn, "job-1", shot)
    return shots
