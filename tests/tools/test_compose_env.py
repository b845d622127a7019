"""Secrets for `docker compose` are new each time and need no quoting anywhere."""

from __future__ import annotations

import re

import pytest
from cryptography.fernet import Fernet

from tools import compose_env


def made(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert compose_env.main() == 0
    return dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())


def test_every_name_gets_a_value_of_its_own_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = made(capsys), made(capsys)
    assert tuple(first) == compose_env.NAMES
    assert len({*first.values(), *second.values()}) == 2 * len(compose_env.NAMES)


def test_they_are_long_and_fit_into_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    values = made(capsys)
    assert all(re.fullmatch(r"[\w=-]{32,}", value) for value in values.values())
    Fernet(values["AIRFLOW_FERNET_KEY"])
