"""An event stream adds up to the job, however the network cuts it."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.client_events import Message, messages, told
from aiprod.errors import ApiUnreachable

STREAM = (
    b"retry: 2000\n\n"
    b'id: 1\nevent: snapshot\ndata: {"a": 1, "b": 1}\n\n'
    b": still here\n\n"
    b'id: 2\r\nevent: change\r\ndata: {"b":\r\ndata: 2}\r\n\r\n'
    b'event: end\ndata: {"over": true}\n\n'
)


def pieces(*parts: bytes) -> Callable[[int], bytes]:
    left = [part for part in parts if part]
    return lambda size: left.pop(0) if left else b""


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_where_the_network_cuts_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    found = list(messages(pieces(*(STREAM[a:b] for a, b in pairwise(edges)))))
    assert [(m.event, m.event_id, dict(m.data)) for m in found] == [
        ("snapshot", "1", {"a": 1, "b": 1}),
        ("change", "2", {"b": 2}),
        # An id stands until another one is given.
        ("end", "2", {"over": True}),
    ]


def test_a_message_cut_off_in_the_middle_is_none() -> None:
    assert list(messages(pieces(b'event: change\ndata: {"a": 1}\n'))) == []


@pytest.mark.parametrize("data", ["[1]", "nonsense", '"text"'])
def test_what_is_no_object_is_no_stream_of_ours(data: str) -> None:
    with pytest.raises(ApiUnreachable, match="not one of AIPROD's"):
        list(messages(pieces(f"data: {data}\n\n".encode())))


def test_a_line_that_never_ends_is_given_up() -> None:
    with pytest.raises(ApiUnreachable, match="never ends a line"):
        list(messages(lambda size: b"x" * (16 * 1024 * 1024)))


def test_a_change_keeps_what_it_does_not_name_and_a_snapshot_keeps_nothing() -> None:
    job = {"a": 1, "b": 1}
    assert told(job, Message("change", "2", {"b": 2})) == {"a": 1, "b": 2}
    assert told(job, Message("snapshot", "3", {"c": 3})) == {"c": 3}
    assert json.dumps(job) == '{"a": 1, "b": 1}'
