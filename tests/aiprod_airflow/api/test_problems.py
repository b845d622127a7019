"""Every error has one shape, says which field, and repeats nothing that could do harm."""

from __future__ import annotations

import pytest

from aiprod.errors import AiprodError, ConfigError, JobMoved, JobUnknown, SamePerson, SpecError, StaleState, StorageError
from aiprod_airflow.api.problems import _ours
from tests.aiprod_airflow.api.people import API

ESTIMATE = "/aiprod/cost-estimate"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (JobUnknown("x"), 404, "job-unknown"),
        (JobMoved("x"), 409, "job-moved"),
        (SamePerson("x"), 403, "same-person"),
        (StaleState("x"), 409, "stale-state"),
        (SpecError(["x"]), 422, "spec-error"),
        (StorageError("x"), 503, "storage-error"),
        (ConfigError("x"), 503, "config-error"),
        (AiprodError("x"), 503, "aiprod-error"),
    ],
)
def test_an_error_of_the_library_has_one_status_and_a_name_programs_can_read(error: AiprodError, status: int, kind: str) -> None:
    told = _ours(None, error)  # type: ignore[arg-type]

    assert (told.status_code, told.media_type) == (status, "application/problem+json")
    assert f'"urn:aiprod:{kind}"'.encode() in told.body


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"prompt": NaN}',
        b'{"prompt": "x", "seconds": Infinity}',
        b'{"prompt": "\\ud800"}',
        b'{"\\ud800": 1, "prompt": "x"}',
        b'{"prompt": "x", "seed": 1e400}',
        b'{"prompt": "x", "budget_usd": "NaN"}',
        b"[" * 50_000,
        b'{"prompt": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_order_is_told_so_and_never_breaks_anything(api: API, body: bytes) -> None:
    said = api.client().post(ESTIMATE, content=body, headers={"Content-Type": "application/json"})

    # 400 where Python's own parser gives up before there is anything to look at.
    assert said.status_code in (400, 422)
    assert said.headers["content-type"] == "application/problem+json"


def test_a_wall_of_mistakes_is_cut_short(api: API) -> None:
    said = api.client().post(ESTIMATE, json={f"field_{n}": n for n in range(500)})

    assert len(said.json()["errors"]) == 13
    assert said.json()["errors"][-1]["message"].startswith("… and")


def test_what_was_sent_is_not_sent_back(api: API) -> None:
    said = api.client().post(ESTIMATE, json={"prompt": "x", "preset": 5, "seed": "canary-secret"})

    assert "canary" not in said.text


def test_nobody_is_told_how_to_log_in(api: API) -> None:
    said = api.client(role=None).get("/aiprod/presets")

    assert said.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Not authenticated",
        "errors": [],
    }
    assert said.headers["www-authenticate"] == "Bearer"
