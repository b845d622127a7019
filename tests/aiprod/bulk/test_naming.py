"""A template names videos below one folder, whatever the words that fill it."""

from __future__ import annotations

import pytest

from aiprod.bulk.naming import DEFAULT, Naming
from aiprod.errors import SpecError
from aiprod.models import JobSpec

ORDER = JobSpec(prompt="Ein Café, früh/spät?", aspect_ratio="9:16", seconds=4)


def test_every_field_is_filled_and_made_safe() -> None:
    naming = Naming("{campaign}/{aspect_ratio}/{preset}-{project}-{seconds}s-{prompt}-{row}.mp4")
    made = naming.name("spring", "row 7", 1, ORDER)
    assert made == "campaigns/spring/9x16/quick_social-default-4s-Ein-Cafe-fruh-spat-row-7.mp4"


@pytest.mark.parametrize("row", ["../../etc/passwd", "..", "/", "a/b", "C:\\x", "\0"])
def test_no_key_leads_out_of_its_folder(row: str) -> None:
    made = Naming(DEFAULT).name("spring", row, 1, ORDER)
    assert made.startswith("campaigns/spring/") and made.count("/") == 2 and ".." not in made


def test_a_later_revision_never_has_the_name_of_an_earlier_one() -> None:
    assert Naming(DEFAULT).name("spring", "a", 2, ORDER) == "campaigns/spring/a-r2.mp4"
    assert Naming("{row}/{revision}.mp4").name("spring", "a", 2, ORDER) == "campaigns/a/2.mp4"


@pytest.mark.parametrize(
    "template",
    [
        "{row.__class__}.mp4",
        "{row!r}.mp4",
        "{0}.mp4",
        "{who}.mp4",
        "../{row}.mp4",
        "/{row}.mp4",
        "{row}",
        "{row}.mov",
        "a//b.mp4",
    ],
)
def test_a_template_that_could_lead_elsewhere_is_refused(template: str) -> None:
    with pytest.raises(SpecError, match="naming: "):
        Naming(template)
