"""The instruments that look at the pages would see what they are there to see."""

from __future__ import annotations

import pytest

from tests.browser.browsing import Studio, chromium_program, kept_out


def test_without_a_browser_its_tests_are_skipped_except_where_everything_has_to_be_there() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        chromium_program({"PATH": "/nowhere"})
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        chromium_program({"PATH": "/nowhere", "CI": "1"})


def test_only_a_complaint_that_was_made_can_be_forgiven() -> None:
    studio = Studio(
        "", None, lambda name, role: "", troubles=["the server responded with 401 (/aiprod/studio)", "x is not defined"]
    )
    studio.forgive("401")

    assert studio.troubles == ["x is not defined"]
    with pytest.raises(AssertionError, match="never spoke of 401"):
        studio.forgive("401")


@pytest.mark.browser
def test_a_button_without_a_name_is_found_to_keep_people_out(studio: Studio) -> None:
    page = studio.page()
    page.goto(studio.at())
    page.locator("main").evaluate("main => { main.innerHTML = '<button></button>'; }")

    assert [found.split()[0] for found in kept_out(page)] == ["button-name"]
