"""One contract for every backend: the same suite, whoever the vendor is."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from aiprod.backends.animatic import AnimaticBackend
from aiprod.backends.base import Backend
from aiprod.catalog import catalog
from aiprod.errors import BackendError, FailureKind
from aiprod.models import RenderRequest
from aiprod.qa.judge import Expected, judge
from aiprod.qa.measure import measure
from tests import vendor
from tests.catalogue import CONFIG

#: Every class that may be bought from. A new adapter joins here and has to keep all of this.
BACKENDS: tuple[type[Backend], ...] = (AnimaticBackend, vendor.ListingVendor, vendor.MuteVendor)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_adapter_of_the_catalogue_is_held_to_the_contract() -> None:
    entries = yaml.safe_load((CONFIG / "backends.yaml").read_text())["backends"]
    adapters = set()
    for entry in entries.values():
        if entry["adapter"]:
            module, _, name = entry["adapter"].partition(":")
            adapters.add(getattr(importlib.import_module(module), name))
    assert adapters <= set(BACKENDS)


@pytest.fixture(params=BACKENDS, ids=lambda c: c.__name__)
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    monkeypatch.setenv(vendor.BOOKS, str(tmp_path / "books"))
    return request.param("animatic", catalog().backends["animatic"])


def wanted(prompt: str = "a lake") -> RenderRequest:
    return RenderRequest(
        backend="animatic", model="m", prompt=prompt, seconds=1, asked_seconds=1, aspect_ratio="16:9", resolution="480p",
        width=320, height=180, fps=24, audio=True, seed=7,
    )  # fmt: skip


def test_what_was_accepted_ends_as_a_video_of_what_was_bought(backend: Backend, tmp_path: Path) -> None:
    accepted = backend.submit(backend.validate(wanted()), key="k1")
    assert backend.poll(accepted.vendor_id).state == "succeeded"
    file = tmp_path / "take.mp4"
    backend.fetch(accepted.vendor_id, file)
    expected = Expected(seconds=1, fps=24, width=320, height=180, audio=True)
    assert judge(measure(file), expected, catalog().quality) == ()


def test_a_take_can_be_fetched_again(backend: Backend, tmp_path: Path) -> None:
    accepted = backend.submit(wanted(), key="k1")
    for name in ("one", "two"):
        backend.fetch(accepted.vendor_id, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_unknown_render_is_an_error_of_ours_and_never_an_answer(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(BackendError):
        backend.poll("nobody-0")
    with pytest.raises(BackendError) as gone:
        backend.fetch("nobody-0", tmp_path / "none")
    assert gone.value.kind is FailureKind.GONE


def test_what_was_accepted_is_found_and_what_was_not_is_proved_absent_only_by_who_can(backend: Backend) -> None:
    nothing = backend.find(wanted(), key="k1", since=LONG_AGO)
    assert (nothing.vendor_ids, nothing.proof) == ((), backend.can_find)
    accepted = backend.submit(wanted(), key="k1")
    found = backend.find(wanted(), key="k1", since=LONG_AGO)
    assert found.vendor_ids == ((accepted.vendor_id,) if backend.can_find else ())
    assert not found.proof


def test_another_key_is_another_render(backend: Backend) -> None:
    assert backend.submit(wanted(), key="k1").vendor_id != backend.submit(wanted(), key="k2").vendor_id


def test_cancelling_says_what_the_vendor_said(backend: Backend) -> None:
    accepted = backend.submit(wanted(), key="k1")
    outcome = backend.cancel(accepted.vendor_id)
    assert outcome.stopped in ("yes", "no", "unknown")
    assert outcome.refunded in ("yes", "no", "unknown")
