"""A button is shown to whoever may press it."""

from __future__ import annotations

import pytest

from tests.aiprod_airflow.api.people import API


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("user", True), ("admin", True)])
def test_only_who_may_order_is_shown_the_button(api: API, role: str, may: bool) -> None:
    said = api.browser("vera", role).get("/aiprod/studio/new").text

    assert (">Order</button>" in said) is may
