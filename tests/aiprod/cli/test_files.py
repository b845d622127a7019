"""An order is read from YAML or JSON, or refused in a line that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprod.cli.files import order_in, read
from aiprod.errors import SpecError


@pytest.mark.parametrize("text", ["prompt: a lake\nseconds: 5\n", '{"prompt": "a lake", "seconds": 5}'])
def test_yaml_and_json_are_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "o").write_text(text)
    assert order_in(tmp_path / "o") == {"prompt": "a lake", "seconds": 5}


@pytest.mark.parametrize("text", ["- a\n", "a\n", "", "[", "a: !!python/name:os.system\n"])
def test_anything_else_is_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "o.yaml").write_text(text)
    with pytest.raises(SpecError, match=r"o\.yaml: .*") as refused:
        order_in(tmp_path / "o.yaml")
    assert len(refused.value.problems) == 1 and "\n" not in refused.value.problems[0]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        read(tmp_path / "absent")
