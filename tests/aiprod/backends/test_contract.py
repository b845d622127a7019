"""One contract for every backend: the same suite, whoever the vendor is."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from aiprod.backends.animatic import AnimaticBackend
from aiprod.backends.base import Backend
from aiprod.backends.replicate import ReplicateBackend
from aiprod.backends.runway import RunwayBackend
from aiprod.catalog import catalog
from aiprod.emulators.running import Vendors
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, CancelOutcome, Checkup, Found, JobState, RenderRequest
from aiprod.qa.judge import Expected, judge
from aiprod.qa.measure import measure
from tests import vendor
from tests.catalogue import CONFIG

Legal = dict[str, Any]

#: Every class that may be bought from. A new adapter joins here and has to keep all of this.
BACKENDS: tuple[type[Backend], ...] = (AnimaticBackend, vendor.ListingVendor, vendor.MuteVendor, ReplicateBackend, RunwayBackend)
#: Who buys from the emulators, and as what: the entry of the catalogue and two legal requests, one wide and one tall.
EMULATED: dict[type[Backend], tuple[str, Legal, Legal]] = {
    ReplicateBackend: (
        "replicate",
        {"seconds": 5, "asked_seconds": 5, "width": 832, "height": 480, "fps": 24},
        {"seconds": 5, "asked_seconds": 5, "width": 480, "height": 832, "fps": 24, "aspect_ratio": "9:16"},
    ),
    RunwayBackend: (
        "runway",
        {"seconds": 2, "asked_seconds": 2, "width": 1280, "height": 720, "resolution": "720p", "fps": 24, "audio": False},
        {"seconds": 3, "asked_seconds": 3, "width": 720, "height": 1280, "resolution": "720p", "fps": 24, "aspect_ratio": "9:16"}
        | {"audio": False},
    ),
}
PLAIN: tuple[str, Legal, Legal] = (
    "animatic",
    {"seconds": 1, "width": 320, "height": 180, "fps": 24},
    {"seconds": 1.5, "width": 180, "height": 320, "fps": 30, "audio": False, "aspect_ratio": "9:16"},
)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
#: What a vendor can be ordered to do, in the words of the test vendors and of the emulators; to others it is a prompt.
ORDERS = ("", "reject", "lose", "drop", "fail", "moderated")
IN_EMULATORS = {"reject": "refuse:422", "drop": "reset"}
#: Prompts that are code, markup or rubbish somewhere; each takes its own way through an adapter.
PROMPTS = ("{{ conn.x.password }} ${HOME} $(id)", "'; DROP TABLE jobs;-- \"\\", "🎬 שלום\n\t\u0000", "x" * 5_000)
#: Ids that no vendor gave.
STRANGERS = ("nobody-0", "../nobody", "nobody 0", "")


def uncovered(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The backends of a catalogue whose adapter this suite does not hold to the contract."""
    found = []
    for name, entry in entries.items():
        if entry["adapter"]:
            module, _, adapter = entry["adapter"].partition(":")
            if getattr(importlib.import_module(module), adapter) not in BACKENDS:
                found.append(name)
    return found


def test_every_adapter_of_the_catalogue_is_held_to_the_contract() -> None:
    assert uncovered(yaml.safe_load((CONFIG / "backends.yaml").read_text())["backends"]) == []


def test_an_adapter_that_nobody_holds_to_the_contract_is_noticed() -> None:
    assert uncovered({"new": {"adapter": "tests.vendor:Vendor"}, "priced only": {"adapter": None}}) == ["new"]


@pytest.fixture(params=BACKENDS, ids=lambda c: c.__name__)
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    monkeypatch.setenv(vendor.BOOKS, str(tmp_path / "books"))
    if request.param in EMULATED:
        for name, value in request.getfixturevalue("vendors").environment.items():
            monkeypatch.setenv(name, value)
    name, _, _ = EMULATED.get(request.param, PLAIN)
    made: Backend = request.param(name, catalog().backends[name])
    return made


@pytest.fixture
def sizes(backend: Backend) -> tuple[Legal, Legal]:
    """What is bought from this backend, wide and tall."""
    return EMULATED.get(type(backend), PLAIN)[1:]


@pytest.fixture
def wanted(backend: Backend, sizes: tuple[Legal, Legal]) -> Callable[..., RenderRequest]:
    """Return requests that this backend takes; the same words make the same request."""

    def asked(prompt: str = "a lake", order: str = "", **changes: Any) -> RenderRequest:
        word = IN_EMULATORS.get(order, order) if type(backend) in EMULATED else order
        plain = RenderRequest(
            backend=backend.name, model=backend.entry.models[0].name, prompt=f"[[{backend.name}={word}]]" if order else prompt,
            seconds=1, asked_seconds=1, aspect_ratio="16:9", resolution="480p", width=160, height=90, fps=12, audio=True, seed=7,
        )  # fmt: skip
        return plain.model_copy(update={**(sizes[0] if type(backend) in EMULATED else {}), **changes})

    return asked


Wanted = Callable[..., RenderRequest]


def outcome(backend: Backend, request: RenderRequest, key: str) -> Accepted | SubmitRejected | SubmitAmbiguous:
    """What came of sending a request. Whatever else is raised, fails the test."""
    try:
        return backend.submit(request, key=key)
    except (SubmitRejected, SubmitAmbiguous) as error:
        return error


# --- sending --------------------------------------------------------------------------------------------


def test_a_request_is_accepted_refused_or_lost_and_nothing_else(backend: Backend, wanted: Wanted) -> None:
    odd = [wanted(width=1, height=1), wanted(width=161), wanted(fps=0), wanted(seconds=0.001)]
    for n, request in enumerate([*(wanted(order=order) for order in ORDERS), *(wanted(prompt) for prompt in PROMPTS), *odd]):
        came = outcome(backend, request, f"k{n}")
        if isinstance(came, Accepted):
            assert came.vendor_id
        else:
            assert came.money_moved == ("no" if isinstance(came, SubmitRejected) else "maybe")


def test_what_validate_takes_is_not_refused_as_wrong_later(backend: Backend, wanted: Wanted) -> None:
    """`validate` speaks before money is set aside; taking what `submit` then calls invalid would be too late."""
    for n, request in enumerate((wanted(), wanted(audio=False), wanted(width=1, height=1), wanted(width=161), wanted(fps=0))):
        try:
            taken = backend.validate(request)
        except SubmitRejected:
            continue
        assert backend.validate(taken) == taken
        came = outcome(backend, taken, f"k{n}")
        assert not (isinstance(came, SubmitRejected) and came.kind is FailureKind.INVALID_INPUT), came


def test_an_acceptance_that_is_final_at_once_says_what_asking_says(backend: Backend, wanted: Wanted) -> None:
    accepted = backend.submit(wanted(), key="k1")
    assert accepted.state in (None, backend.poll(accepted.vendor_id))


def test_another_key_is_another_render(backend: Backend, wanted: Wanted) -> None:
    assert backend.submit(wanted(), key="k1").vendor_id != backend.submit(wanted(), key="k2").vendor_id


@pytest.mark.parametrize("order", ["refuse:503|ok", "refuse:429|ok", "reset|ok", "lose|ok", "lose:500|ok", "refuse:402|ok"])
@pytest.mark.parametrize("backend", EMULATED, indirect=True, ids=lambda c: c.__name__)
def test_one_request_is_sent_and_never_another(backend: Backend, wanted: Wanted, order: str, vendors: Vendors) -> None:
    """The vendor would take the next one; what its books say does not pass through the adapter."""
    came = outcome(backend, wanted(order=order), "k1")
    assert not isinstance(came, Accepted)
    assert len(vendors.accepts()) == ("lose" in order)
    assert isinstance(came, SubmitAmbiguous) or not vendors.accepts()


# --- looking for what was lost --------------------------------------------------------------------------


def test_what_was_accepted_is_found_and_what_was_not_is_proved_absent_only_by_who_can(backend: Backend, wanted: Wanted) -> None:
    nothing = backend.find(wanted(), key="k1", since=LONG_AGO)
    assert (nothing.vendor_ids, nothing.proof) == ((), backend.can_find)
    accepted = backend.submit(wanted(), key="k1")
    for _ in range(2):
        found = backend.find(wanted(), key="k1", since=LONG_AGO)
        assert found.vendor_ids == ((accepted.vendor_id,) if backend.can_find else ())
        assert not found.proof


def test_nothing_that_runs_under_a_key_stays_hidden_from_who_can_look(backend: Backend, wanted: Wanted) -> None:
    """Sent twice by mistake, it is the same render, or both are shown: never one that is billed and not seen."""
    running = {backend.submit(wanted(), key="k1").vendor_id for _ in range(2)}
    found = backend.find(wanted(), key="k1", since=LONG_AGO)
    assert (set(found.vendor_ids), found.proof) == (running if backend.can_find else set(), False)


def test_a_request_whose_answer_was_lost_is_found_by_who_can_look(backend: Backend, wanted: Wanted) -> None:
    came = outcome(backend, wanted(order="lose"), "k1")
    found = backend.find(wanted(order="lose"), key="k1", since=LONG_AGO)
    assert (len(found.vendor_ids), found.proof) == (int(backend.can_find), False)
    assert isinstance(came, Accepted | SubmitAmbiguous)


def test_somebody_elses_render_is_not_ours(backend: Backend, wanted: Wanted) -> None:
    backend.submit(wanted(), key="k1")
    # Who finds by what was asked, knows it by its seed.
    other = backend.find(wanted(seed=8), key="k2", since=LONG_AGO)
    assert (other.vendor_ids, other.proof) == ((), backend.can_find)


# --- asking ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["", "fail", "fail-charged", "moderated"])
def test_an_end_says_whether_money_moved_and_a_failure_says_why(backend: Backend, wanted: Wanted, order: str) -> None:
    accepted = backend.submit(wanted(order=order), key="k1")
    ended = backend.poll(accepted.vendor_id)
    assert ended.final
    assert ended.money_moved in ("no", "yes")
    assert not (ended.money_moved == "no" and ended.charged)
    assert ended.state == "succeeded" or (ended.kind and ended.message)
    assert backend.poll(accepted.vendor_id) == ended


def test_an_event_loop_is_told_the_same(backend: Backend, wanted: Wanted) -> None:
    accepted = backend.submit(wanted(), key="k1")

    async def watched() -> JobState:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await backend.watch(accepted.vendor_id, http)

    assert asyncio.run(watched()) == backend.poll(accepted.vendor_id)


def test_a_render_that_runs_has_no_end_yet(backend: Backend, wanted: Wanted) -> None:
    accepted = backend.submit(wanted(order="slow:600"), key="k1")
    state = backend.poll(accepted.vendor_id)
    assert state.final == isinstance(backend, AnimaticBackend)
    assert state.progress is None or 0 <= state.progress <= 1


@pytest.mark.parametrize("stranger", STRANGERS)
def test_an_unknown_render_is_an_error_of_ours_and_never_an_answer(backend: Backend, stranger: str, tmp_path: Path) -> None:
    with pytest.raises(BackendError):
        backend.poll(stranger)
    with pytest.raises(BackendError):
        backend.fetch(stranger, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_render_that_is_not_there_any_more_is_gone(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(BackendError) as gone:
        backend.fetch("nobody-0", tmp_path / "none")
    assert gone.value.kind is FailureKind.GONE


# --- bringing it home -----------------------------------------------------------------------------------


def test_what_was_accepted_ends_as_a_video_of_what_was_bought(
    backend: Backend, wanted: Wanted, sizes: tuple[Legal, Legal], tmp_path: Path
) -> None:
    for n, size in enumerate(sizes):
        request = backend.validate(wanted(**size))
        accepted = backend.submit(request, key=f"k{n}")
        assert backend.poll(accepted.vendor_id).state == "succeeded"
        file = tmp_path / f"take{n}.mp4"
        backend.fetch(accepted.vendor_id, file)
        bought = Expected(**{name: getattr(request, name) for name in ("seconds", "width", "height", "fps", "audio")})
        assert judge(measure(file), bought, catalog().quality) == ()


def test_a_take_can_be_fetched_again(backend: Backend, wanted: Wanted, tmp_path: Path) -> None:
    accepted = backend.submit(wanted(), key="k1")
    for name in ("one", "two"):
        backend.fetch(accepted.vendor_id, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() != b""


def test_another_object_of_the_same_backend_knows_the_same_renders(backend: Backend, wanted: Wanted, tmp_path: Path) -> None:
    """Whoever asks next is another process: nothing may be kept in the adapter."""
    accepted = backend.submit(wanted(), key="k1")
    later = type(backend)(backend.name, backend.entry)
    assert later.poll(accepted.vendor_id).final
    assert later.find(wanted(), key="k1", since=LONG_AGO) == backend.find(wanted(), key="k1", since=LONG_AGO)
    later.fetch(accepted.vendor_id, tmp_path / "take.mp4")
    assert (tmp_path / "take.mp4").stat().st_size > 0


# --- whatever happens -----------------------------------------------------------------------------------


def test_cancelling_says_what_the_vendor_said_and_hides_nothing(backend: Backend, wanted: Wanted) -> None:
    accepted = backend.submit(wanted(), key="k1")
    said = backend.cancel(accepted.vendor_id)
    assert isinstance(said, CancelOutcome)
    assert isinstance(backend.poll(accepted.vendor_id), JobState)
    if said.stopped == "no":
        assert backend.poll(accepted.vendor_id).state != "cancelled"


def test_a_checkup_spends_nothing(backend: Backend, wanted: Wanted) -> None:
    assert isinstance(backend.checkup(), Checkup)
    found = backend.find(wanted(), key="k1", since=LONG_AGO)
    assert found.vendor_ids == ()


def test_nothing_but_our_own_errors_leaves_a_backend_whose_disk_is_unusable(
    backend: Backend, wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a file where a folder should be"
    blocked.touch()
    monkeypatch.setenv("AIPROD_VAR_DIR", str(blocked))
    verbs: dict[str, Callable[[], object]] = {
        "validate": lambda: backend.validate(wanted()),
        "submit": lambda: backend.submit(wanted(), key="k1"),
        "find": lambda: backend.find(wanted(), key="k1", since=LONG_AGO),
        "poll": lambda: backend.poll("k1"),
        "fetch": lambda: backend.fetch("k1", tmp_path / "take.mp4"),
        "cancel": lambda: backend.cancel("k1"),
    }
    answers: list[object] = []
    for call in verbs.values():
        with suppress(BackendError):
            answers.append(call())
    # Not having been able to look is no proof.
    proofs = [a for a in answers if isinstance(a, Found) and a.proof]
    assert not (proofs and isinstance(backend, AnimaticBackend))
