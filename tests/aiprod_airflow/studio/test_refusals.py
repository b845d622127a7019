"""What is refused is a page too, under its own status, in plain words and without the inside."""

from __future__ import annotations

import pytest

from tests.aiprod_airflow.api.people import API


def test_an_ended_session_is_told_where_to_log_in(api: API) -> None:
    said = api.client(role=None).get("/aiprod/studio")

    assert (said.status_code, said.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "Your session has ended" in said.text and 'href="/auth/login?next=' in said.text


@pytest.mark.parametrize("path", ["job/no-such-job", "job/%3Cscript%3E", "static/x.js", "?before=%00"])
def test_what_is_not_there_is_told_as_a_page(api: API, path: str) -> None:
    said = api.browser().get(f"/aiprod/studio/{path}".replace("/?", "?"))

    assert said.status_code in (404, 422)
    assert "All jobs" in said.text or path.startswith("static")
    assert "<script>" not in said.text


def test_a_fault_of_ours_tells_nothing_of_the_inside(api: API, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("the password is canary")

    monkeypatch.setattr("aiprod_airflow.studio.jobs._query", broken)
    api.strict = False
    said = api.browser().get("/aiprod/studio")

    assert said.status_code == 500
    assert "canary" not in said.text
