"""Whom to tell what: a slip of the pen in the file is named, and an event goes where its topic and project lead."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import ValidationError

import aiprod
from aiprod.channels import TOPICS, Notifications
from aiprod.ledger.campaigns import Word
from tests.catalogue import CONFIG
from tests.web import EVIL_URLS

HOOK = {"kind": "webhook", "url": "https://shop.example/hook", "secret_env": "AIPROD_HOOK_SECRET"}
LIBRARY = Path(aiprod.__file__).parent


def read(**changes: Any) -> Notifications:
    return Notifications.model_validate({"channels": {"shop": HOOK}, "routes": [], **changes})


def refusal(**changes: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        read(**changes)
    return str(refused.value)


@pytest.mark.parametrize("url", EVIL_URLS)
def test_a_webhook_at_an_address_that_is_not_public_is_refused(url: str) -> None:
    assert refusal(channels={"shop": {**HOOK, "url": url}})


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ({**HOOK, "secret_conn": "hook"}, "either secret_env or secret_conn"),
        ({"kind": "webhook", "url": HOOK["url"]}, "either secret_env or secret_conn"),
        ({**HOOK, "secret": "whsec_abc"}, "Extra inputs are not permitted"),
        ({"kind": "email", "conn": "smtp", "to": []}, "at least 1 item"),
        ({"kind": "slack", "conn": "a b", "channel": "#x"}, "should match pattern"),
        ({"kind": "pager"}, "does not match any of the expected tags"),
    ],
)
def test_a_channel_that_could_not_work_is_refused(channel: dict[str, Any], said: str) -> None:
    assert said in refusal(channels={"shop": channel})


def test_a_route_to_nowhere_or_of_nothing_is_refused() -> None:
    assert "unknown channels: shoop" in refusal(routes=[{"topics": ["job_failed"], "channels": ["shoop"]}])
    assert "no such topic: job_faild" in refusal(routes=[{"topics": ["job_faild"], "channels": ["shop"]}])


def test_an_event_goes_to_each_channel_once_and_a_projects_route_takes_no_others() -> None:
    routes = [
        {"topics": ["job_failed"], "channels": ["shop", "log"]},
        {"topics": ["*"], "channels": ["log"], "projects": ["acme"]},
    ]
    told = read(channels={"log": {"kind": "log"}, "shop": HOOK}, routes=routes)
    assert told.channels_for("job_failed", "acme") == ("log", "shop")
    assert told.channels_for("job_delivered", "acme") == ("log",)
    assert told.channels_for("job_delivered", "other") == told.channels_for("job_delivered", None) == ()


def test_every_topic_is_one_that_something_in_the_library_emits() -> None:
    """`outbox.emit` refuses any other; here, that none is offered of which nobody will ever hear."""
    calls = [
        node.value
        for path in LIBRARY.rglob("*.py")
        if path.name != "channels.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    words = {f"campaign_{word}" for word in get_args(Word)}
    assert set(TOPICS) - words <= set(calls) and words < set(TOPICS)


def test_what_ships_tells_nobody_outside() -> None:
    shipped = Notifications.model_validate(yaml.safe_load((CONFIG / "notifications.yaml").read_text()))
    assert {channel.kind for channel in shipped.channels.values()} == {"log"}


def test_the_examples_in_the_file_are_read() -> None:
    text = (CONFIG / "notifications.yaml").read_text()
    examples = re.findall(r"^#   (\w+): +(\{.*\})", text, re.MULTILINE)
    read(channels={name: yaml.safe_load(channel) for name, channel in examples})
    assert len(examples) == 3
