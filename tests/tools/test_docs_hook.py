"""On the site a link that leaves docs/ is a name; every other link stays as it is."""

from __future__ import annotations

import pytest

from tools.docs_hook import inward


@pytest.mark.parametrize(
    ("source", "before", "after"),
    [
        ("a.md", "[prices](../include/config/prices)", "prices (`include/config/prices`)"),
        ("a.md", "[`deploy/values.yaml`](../deploy/values.yaml)", "`deploy/values.yaml`"),
        ("adr/a.md", "[x](../../tests/y.py)", "x (`tests/y.py`)"),
        ("adr/a.md", "[money](../money.md#caps)", "[money](../money.md#caps)"),
        ("a.md", "[here](#caps) [there](b.md) ![p](../x.png)", "[here](#caps) [there](b.md) ![p](../x.png)"),
    ],
)
def test_a_link_that_leaves_is_a_name(source: str, before: str, after: str) -> None:
    assert inward(before, source) == after
