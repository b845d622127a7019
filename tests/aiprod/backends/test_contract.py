"""One contract for every backend: the same suite, whoever the vendor is."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
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
from aiprod.backends.veo3 import Veo3Backend
from aiprod.catalog import catalog
from aiprod.emulators.running import Vendors
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, AspectRatio, CancelOutcome, Checkup, Found, JobState, RenderRequest
from aiprod.pricing import frame_size
from aiprod.qa.judge import Expected, judge
from aiprod.qa.measure import measure
from tests import vendor
from tests.catalogue import CONFIG


@dataclass(frozen=True)
class Configured:
    """One adapter as somebody may have it: the backend of the catalogue it stands for, and what its vendor can say."""

    adapter: type[Backend]
    name: str = "animatic"
    #: Names of the environment that are not set, though they could be.
    without: tuple[str, ...] = ()
    #: Whether a render that fails says if it is charged. Where it does not, it may have been.
    tells_cost: bool = True


#: Everything that may be bought from. A new adapter joins here and has to keep all of this; paid ones talk to the emulators.
CONFIGURED = {
    "animatic": Configured(AnimaticBackend),
    "a vendor that can be asked": Configured(vendor.ListingVendor),
    "a vendor that cannot": Configured(vendor.MuteVendor),
    "runway": Configured(RunwayBackend, "runway"),
    "veo3": Configured(Veo3Backend, "veo3", tells_cost=False),
    "veo3 without a bucket": Configured(Veo3Backend, "veo3", without=("AIPROD_VEO3_BUCKET",), tells_cost=False),
    "replicate": Configured(ReplicateBackend, "replicate"),
}
BACKENDS = tuple(one.adapter for one in CONFIGURED.values())
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
#: What a vendor can be ordered to do, here and in the emulators' words; to every other backend these are words of a prompt.
ORDERS = ("reject", "lose", "drop", "fail", "moderated")
EMULATED = {"reject": "refuse:422", "drop": "reset"}
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


@pytest.fixture(params=CONFIGURED)
def configured(request: pytest.FixtureRequest) -> Configured:
    return CONFIGURED[request.param]


@pytest.fixture
def backend(request: pytest.FixtureRequest, configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    monkeypatch.setenv(vendor.BOOKS, str(tmp_path / "books"))
    if configured.name != "animatic":
        for name, value in request.getfixturevalue("vendors").environment.items():
            if name not in configured.without:
                monkeypatch.setenv(name, value)
    return configured.adapter(configured.name, catalog().backends[configured.name])


def wanted(backend: Backend, prompt: str = "a lake", **changes: Any) -> RenderRequest:
    """The smallest request that is legal here."""
    model = backend.entry.models[0]
    shape: dict[str, Any] = {"seconds": 1, "width": 160, "height": 90, "fps": 12, "resolution": "480p", "audio": True}
    if not backend.entry.embedded:
        resolution = model.resolutions[0]
        width, height = frame_size(model.aspect_ratios[0], resolution)
        shape = {"seconds": model.snap(1), "width": width, "height": height, "fps": model.fps}
        shape |= {"resolution": resolution, "audio": model.audio}
    shape |= {"aspect_ratio": model.aspect_ratios[0], **changes}
    return RenderRequest(backend=backend.name, model=model.name, prompt=prompt, asked_seconds=shape["seconds"], seed=7, **shape)


def ordered(backend: Backend, words: str) -> RenderRequest:
    """A request in whose prompt the vendor is ordered to misbehave."""
    return wanted(backend, f"[[{backend.name}={words if backend.entry.embedded else EMULATED.get(words, words)}]]")


def same(backend: Backend, some: Collection[str], others: Collection[str], folder: Path) -> bool:
    """Whether these are the same renders, by name or by what they show: one may be known by two names."""

    def shown(vendor_ids: Collection[str], name: str) -> list[bytes]:
        for n, vendor_id in enumerate(vendor_ids):
            backend.fetch(vendor_id, folder / f"{name}-{n}.mp4")
        return sorted(path.read_bytes() for path in folder.glob(f"{name}-*.mp4"))

    return set(some) == set(others) or (len(some) == len(others) and shown(some, "some") == shown(others, "others"))


def outcome(backend: Backend, request: RenderRequest, key: str) -> Accepted | SubmitRejected | SubmitAmbiguous:
    """What came of sending a request. Whatever else is raised, fails the test."""
    try:
        return backend.submit(request, key=key)
    except (SubmitRejected, SubmitAmbiguous) as error:
        return error


# --- sending --------------------------------------------------------------------------------------------


def test_a_request_is_accepted_refused_or_lost_and_nothing_else(backend: Backend) -> None:
    requests = [wanted(backend), *(ordered(backend, words) for words in ORDERS), *(wanted(backend, p) for p in PROMPTS)]
    requests += [wanted(backend, **odd) for odd in ({"width": 1, "height": 1}, {"width": 161}, {"fps": 0}, {"seconds": 0.001})]
    for n, request in enumerate(requests):
        came = outcome(backend, request, f"k{n}")
        if isinstance(came, Accepted):
            assert came.vendor_id
        else:
            assert came.money_moved == ("no" if isinstance(came, SubmitRejected) else "maybe")


def test_what_validate_takes_is_not_refused_as_wrong_later(backend: Backend) -> None:
    """`validate` speaks before money is set aside; taking what `submit` then calls invalid would be too late."""
    for n, change in enumerate(({}, {"audio": False}, {"width": 1, "height": 1}, {"width": 161}, {"fps": 0}, {"seconds": 5.5})):
        request = wanted(backend, **change)
        try:
            taken = backend.validate(request)
        except SubmitRejected:
            continue
        assert backend.validate(taken) == taken
        came = outcome(backend, taken, f"k{n}")
        assert not (isinstance(came, SubmitRejected) and came.kind is FailureKind.INVALID_INPUT), came


def test_an_acceptance_that_is_final_at_once_says_what_asking_says(backend: Backend) -> None:
    accepted = backend.submit(wanted(backend), key="k1")
    assert accepted.state in (None, backend.poll(accepted.vendor_id))


def test_another_key_is_another_render(backend: Backend) -> None:
    assert backend.submit(wanted(backend), key="k1").vendor_id != backend.submit(wanted(backend), key="k2").vendor_id


@pytest.mark.parametrize("order", ["refuse:503|ok", "refuse:429|ok", "reset|ok", "lose|ok", "lose:500|ok", "refuse:402|ok"])
@pytest.mark.parametrize("configured", [one for one in CONFIGURED if CONFIGURED[one].name != "animatic"], indirect=True)
def test_one_request_is_sent_and_never_another(backend: Backend, order: str, vendors: Vendors) -> None:
    """The vendor would take the next one; what its books say does not pass through the adapter."""
    came = outcome(backend, ordered(backend, order), "k1")
    assert not isinstance(came, Accepted)
    assert len(vendors.accepts()) == ("lose" in order)
    assert isinstance(came, SubmitAmbiguous) or not vendors.accepts()


# --- looking for what was lost --------------------------------------------------------------------------


def test_what_was_accepted_is_found_and_what_was_not_is_proved_absent_only_by_who_can(backend: Backend, tmp_path: Path) -> None:
    nothing = backend.find(wanted(backend), key="k1", since=LONG_AGO)
    assert (nothing.vendor_ids, nothing.proof) == ((), backend.can_find)
    accepted = backend.submit(wanted(backend), key="k1")
    for _ in range(2):
        found = backend.find(wanted(backend), key="k1", since=LONG_AGO)
        assert same(backend, found.vendor_ids, [accepted.vendor_id] if backend.can_find else [], tmp_path)
        assert not found.proof


def test_nothing_that_runs_under_a_key_stays_hidden_from_who_can_look(backend: Backend, tmp_path: Path) -> None:
    """Sent twice by mistake, it is the same render, or both are shown: never one that is billed and not seen."""
    running = {backend.submit(wanted(backend), key="k1").vendor_id for _ in range(2)}
    found = backend.find(wanted(backend), key="k1", since=LONG_AGO)
    assert same(backend, found.vendor_ids, running if backend.can_find else [], tmp_path)
    assert not found.proof


def test_a_request_whose_answer_was_lost_is_found_by_who_can_look(backend: Backend) -> None:
    came = outcome(backend, ordered(backend, "lose"), "k1")
    found = backend.find(ordered(backend, "lose"), key="k1", since=LONG_AGO)
    assert (len(found.vendor_ids), found.proof) == (int(backend.can_find), False)
    assert isinstance(came, Accepted | SubmitAmbiguous)


def test_somebody_elses_render_is_not_ours(backend: Backend) -> None:
    backend.submit(wanted(backend), key="k1")
    # Who finds by what was asked, knows it by its seed.
    other = backend.find(wanted(backend).model_copy(update={"seed": 8}), key="k2", since=LONG_AGO)
    assert (other.vendor_ids, other.proof) == ((), backend.can_find)


# --- asking ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["ok", "fail", "fail-charged", "moderated"])
def test_an_end_says_whether_money_moved_and_a_failure_says_why(backend: Backend, configured: Configured, order: str) -> None:
    accepted = backend.submit(ordered(backend, order), key="k1")
    ended = backend.poll(accepted.vendor_id)
    assert ended.final
    assert ended.money_moved in ("no", "yes") or (ended.state == "failed" and not configured.tells_cost)
    assert not (ended.money_moved == "no" and ended.charged)
    assert ended.state == "succeeded" or (ended.kind and ended.message)
    assert backend.poll(accepted.vendor_id) == ended


def test_an_event_loop_is_told_the_same(backend: Backend) -> None:
    accepted = backend.submit(wanted(backend), key="k1")

    async def watched() -> JobState:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await backend.watch(accepted.vendor_id, http)

    assert asyncio.run(watched()) == backend.poll(accepted.vendor_id)


def test_a_render_that_runs_has_no_end_yet(backend: Backend) -> None:
    accepted = backend.submit(ordered(backend, "slow:600"), key="k1")
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


SHAPES: dict[str, dict[str, Any]] = {
    "wide": {"seconds": 1, "width": 320, "height": 180, "fps": 24, "audio": True},
    "tall": {"seconds": 1.5, "width": 180, "height": 320, "fps": 30, "audio": False},
}


def shape_of(backend: Backend, name: str) -> dict[str, Any]:
    """A wide shape with sound or a tall one without, longer, as the backend's model makes them."""
    if backend.entry.embedded:
        return SHAPES[name]
    model, wide = backend.entry.models[0], name == "wide"
    ratio: AspectRatio = "16:9" if wide else "9:16"
    width, height = frame_size(ratio, model.resolutions[0])
    made = {"seconds": model.snap(1 if wide else 5), "fps": model.fps, "audio": wide and model.audio}
    return {"aspect_ratio": ratio, "width": width, "height": height, **made}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_accepted_ends_as_a_video_of_what_was_bought(backend: Backend, tmp_path: Path, shape: str) -> None:
    size = shape_of(backend, shape)
    accepted = backend.submit(backend.validate(wanted(backend, **size)), key="k1")
    assert backend.poll(accepted.vendor_id).state == "succeeded"
    file = tmp_path / "take.mp4"
    backend.fetch(accepted.vendor_id, file)
    size.pop("aspect_ratio", None)
    found = judge(measure(file), Expected(**size), catalog().quality)
    assert not {"veto", "major"} & {finding.severity for finding in found}


def test_a_take_can_be_fetched_again(backend: Backend, tmp_path: Path) -> None:
    accepted = backend.submit(wanted(backend), key="k1")
    for name in ("one", "two"):
        backend.fetch(accepted.vendor_id, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() != b""


def test_another_object_of_the_same_backend_knows_the_same_renders(backend: Backend, tmp_path: Path) -> None:
    """Whoever asks next is another process: nothing may be kept in the adapter."""
    accepted = backend.submit(wanted(backend), key="k1")
    later = type(backend)(backend.name, backend.entry)
    assert later.poll(accepted.vendor_id).final
    assert later.find(wanted(backend), key="k1", since=LONG_AGO) == backend.find(wanted(backend), key="k1", since=LONG_AGO)
    later.fetch(accepted.vendor_id, tmp_path / "take.mp4")
    assert (tmp_path / "take.mp4").stat().st_size > 0


# --- whatever happens -----------------------------------------------------------------------------------


def test_cancelling_says_what_the_vendor_said_and_hides_nothing(backend: Backend) -> None:
    accepted = backend.submit(wanted(backend), key="k1")
    said = backend.cancel(accepted.vendor_id)
    assert isinstance(said, CancelOutcome)
    assert isinstance(backend.poll(accepted.vendor_id), JobState)
    if said.stopped == "no":
        assert backend.poll(accepted.vendor_id).state != "cancelled"


def test_a_checkup_spends_nothing(backend: Backend) -> None:
    assert isinstance(backend.checkup(), Checkup)
    assert backend.find(wanted(backend), key="k1", since=LONG_AGO).vendor_ids == ()


def test_nothing_but_our_own_errors_leaves_a_backend_whose_disk_is_unusable(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a file where a folder should be"
    blocked.touch()
    monkeypatch.setenv("AIPROD_VAR_DIR", str(blocked))
    verbs: dict[str, Callable[[], object]] = {
        "validate": lambda: backend.validate(wanted(backend)),
        "submit": lambda: backend.submit(wanted(backend), key="k1"),
        "find": lambda: backend.find(wanted(backend), key="k1", since=LONG_AGO),
        "poll": lambda: backend.poll("k1"),
        "fetch": lambda: backend.fetch("k1", tmp_path / "take.mp4"),
        "cancel": lambda: backend.cancel("k1"),
        "checkup": backend.checkup,
    }
    answers: list[object] = []
    for call in verbs.values():
        with suppress(BackendError):
            answers.append(call())
    # Not having been able to look is no proof.
    proofs = [a for a in answers if isinstance(a, Found) and a.proof]
    assert not (proofs and isinstance(backend, AnimaticBackend))
