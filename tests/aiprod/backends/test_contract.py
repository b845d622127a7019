"""One contract for every backend: the same suite, whoever the vendor is."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiprod.backends.animatic import AnimaticBackend
from aiprod.backends.base import Backend
from aiprod.catalog import catalog
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Accepted, CancelOutcome, Found, JobState, RenderRequest
from aiprod.qa.judge import Expected, judge
from aiprod.qa.measure import measure
from tests import vendor
from tests.catalogue import CONFIG

#: Every class that may be bought from. A new adapter joins here and has to keep all of this.
BACKENDS: tuple[type[Backend], ...] = (AnimaticBackend, vendor.ListingVendor, vendor.MuteVendor)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
#: What the test vendors can be ordered to do; to every other backend these are words of a prompt.
ORDERS = ("", "[[animatic=reject]]", "[[animatic=lose]]", "[[animatic=drop]]", "[[animatic=fail]]", "[[animatic=moderated]]")
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
    made: Backend = request.param("animatic", catalog().backends["animatic"])
    return made


def wanted(prompt: str = "a lake", **changes: Any) -> RenderRequest:
    asked = RenderRequest(
        backend="animatic", model="m", prompt=prompt, seconds=1, asked_seconds=1, aspect_ratio="16:9", resolution="480p",
        width=160, height=90, fps=12, audio=True, seed=7,
    )  # fmt: skip
    return asked.model_copy(update=changes)


def outcome(backend: Backend, request: RenderRequest, key: str) -> Accepted | SubmitRejected | SubmitAmbiguous:
    """What came of sending a request. Whatever else is raised, fails the test."""
    try:
        return backend.submit(request, key=key)
    except (SubmitRejected, SubmitAmbiguous) as error:
        return error


# --- sending --------------------------------------------------------------------------------------------


def test_a_request_is_accepted_refused_or_lost_and_nothing_else(backend: Backend) -> None:
    odd = [wanted(width=1, height=1), wanted(width=161), wanted(fps=0), wanted(seconds=0.001)]
    for n, request in enumerate([*(wanted(prompt) for prompt in (*ORDERS, *PROMPTS)), *odd]):
        came = outcome(backend, request, f"k{n}")
        if isinstance(came, Accepted):
            assert came.vendor_id
        else:
            assert came.money_moved == ("no" if isinstance(came, SubmitRejected) else "maybe")


def test_what_validate_takes_is_not_refused_as_wrong_later(backend: Backend) -> None:
    """`validate` speaks before money is set aside; taking what `submit` then calls invalid would be too late."""
    for n, request in enumerate((wanted(), wanted(audio=False), wanted(width=1, height=1), wanted(width=161), wanted(fps=0))):
        try:
            taken = backend.validate(request)
        except SubmitRejected:
            continue
        assert backend.validate(taken) == taken
        came = outcome(backend, taken, f"k{n}")
        assert not (isinstance(came, SubmitRejected) and came.kind is FailureKind.INVALID_INPUT), came


def test_an_acceptance_that_is_final_at_once_says_what_asking_says(backend: Backend) -> None:
    accepted = backend.submit(wanted(), key="k1")
    assert accepted.state in (None, backend.poll(accepted.vendor_id))


def test_another_key_is_another_render(backend: Backend) -> None:
    assert backend.submit(wanted(), key="k1").vendor_id != backend.submit(wanted(), key="k2").vendor_id


# --- looking for what was lost --------------------------------------------------------------------------


def test_what_was_accepted_is_found_and_what_was_not_is_proved_absent_only_by_who_can(backend: Backend) -> None:
    nothing = backend.find(wanted(), key="k1", since=LONG_AGO)
    assert (nothing.vendor_ids, nothing.proof) == ((), backend.can_find)
    accepted = backend.submit(wanted(), key="k1")
    for _ in range(2):
        found = backend.find(wanted(), key="k1", since=LONG_AGO)
        assert found.vendor_ids == ((accepted.vendor_id,) if backend.can_find else ())
        assert not found.proof


def test_nothing_that_runs_under_a_key_stays_hidden_from_who_can_look(backend: Backend) -> None:
    """Sent twice by mistake, it is the same render, or both are shown: never one that is billed and not seen."""
    running = {backend.submit(wanted(), key="k1").vendor_id for _ in range(2)}
    found = backend.find(wanted(), key="k1", since=LONG_AGO)
    assert (set(found.vendor_ids), found.proof) == (running if backend.can_find else set(), False)


def test_a_request_whose_answer_was_lost_is_found_by_who_can_look(backend: Backend) -> None:
    came = outcome(backend, wanted("[[animatic=lose]]"), "k1")
    found = backend.find(wanted("[[animatic=lose]]"), key="k1", since=LONG_AGO)
    assert (len(found.vendor_ids), found.proof) == (int(backend.can_find), False)
    assert isinstance(came, Accepted | SubmitAmbiguous)


def test_somebody_elses_render_is_not_ours(backend: Backend) -> None:
    backend.submit(wanted(), key="k1")
    other = backend.find(wanted(), key="k2", since=LONG_AGO)
    assert (other.vendor_ids, other.proof) == ((), backend.can_find)


# --- asking ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["", "[[animatic=fail]]", "[[animatic=fail-charged]]", "[[animatic=moderated]]"])
def test_an_end_says_whether_money_moved_and_a_failure_says_why(backend: Backend, order: str) -> None:
    accepted = backend.submit(wanted(order), key="k1")
    ended = backend.poll(accepted.vendor_id)
    assert ended.final
    assert ended.money_moved in ("no", "yes")
    assert not (ended.money_moved == "no" and ended.charged)
    assert ended.state == "succeeded" or (ended.kind and ended.message)
    assert backend.poll(accepted.vendor_id) == ended


def test_a_render_that_runs_has_no_end_yet(backend: Backend) -> None:
    accepted = backend.submit(wanted("[[animatic=slow:600]]"), key="k1")
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


@pytest.mark.parametrize(
    ("seconds", "width", "height", "fps", "audio"), [(1, 320, 180, 24, True), (1.5, 180, 320, 30, False)], ids=["wide", "tall"]
)
def test_what_was_accepted_ends_as_a_video_of_what_was_bought(
    backend: Backend, tmp_path: Path, seconds: float, width: int, height: int, fps: int, audio: bool
) -> None:
    size: dict[str, Any] = {"seconds": seconds, "width": width, "height": height, "fps": fps, "audio": audio}
    accepted = backend.submit(backend.validate(wanted(**size)), key="k1")
    assert backend.poll(accepted.vendor_id).state == "succeeded"
    file = tmp_path / "take.mp4"
    backend.fetch(accepted.vendor_id, file)
    assert judge(measure(file), Expected(**size), catalog().quality) == ()


def test_a_take_can_be_fetched_again(backend: Backend, tmp_path: Path) -> None:
    accepted = backend.submit(wanted(), key="k1")
    for name in ("one", "two"):
        backend.fetch(accepted.vendor_id, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() != b""


def test_another_object_of_the_same_backend_knows_the_same_renders(backend: Backend, tmp_path: Path) -> None:
    """Whoever asks next is another process: nothing may be kept in the adapter."""
    accepted = backend.submit(wanted(), key="k1")
    later = type(backend)(backend.name, backend.entry)
    assert later.poll(accepted.vendor_id).final
    assert later.find(wanted(), key="k1", since=LONG_AGO) == backend.find(wanted(), key="k1", since=LONG_AGO)
    later.fetch(accepted.vendor_id, tmp_path / "take.mp4")
    assert (tmp_path / "take.mp4").stat().st_size > 0


# --- whatever happens -----------------------------------------------------------------------------------


def test_cancelling_says_what_the_vendor_said_and_hides_nothing(backend: Backend) -> None:
    accepted = backend.submit(wanted(), key="k1")
    said = backend.cancel(accepted.vendor_id)
    assert isinstance(said, CancelOutcome)
    assert isinstance(backend.poll(accepted.vendor_id), JobState)
    if said.stopped == "no":
        assert backend.poll(accepted.vendor_id).state != "cancelled"


def test_nothing_but_our_own_errors_leaves_a_backend_whose_disk_is_unusable(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
