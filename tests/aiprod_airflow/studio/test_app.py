"""Every page says who may see it, what it may load, and that nobody keeps a copy."""

from __future__ import annotations

import pytest

from tests.aiprod_airflow.api.people import API


@pytest.mark.parametrize("page", ["", "/new", "/needs-you", "/money", "/run"])
def test_a_page_is_for_who_is_logged_in_and_loads_only_our_own(api: API, page: str) -> None:
    assert api.client(role=None).get(f"/aiprod/studio{page}").status_code == 401
    said = api.browser("vera", "viewer").get(f"/aiprod/studio{page}")

    assert said.status_code == 200
    assert (said.headers["cache-control"], said.headers["x-content-type-options"]) == ("no-store", "nosniff")
    policy = said.headers["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy and "frame-ancestors 'self'" in policy
