"""The queue in front of SQLite: one at a time, in order, and never a reason to wait for ever."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from aiprod.ledger import Ledger
from aiprod.ledger.turns import turn


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ledger.db"


def test_only_one_has_the_turn(file):
    with turn(file) as first, turn(file, patience=0.01) as second:
        assert (first, second) == (True, False)


def test_who_waits_gets_it_when_the_one_before_is_done(file):
    waiting, got = threading.Event(), []

    def wait():
        waiting.set()
        with turn(file) as ours:
            got.append(ours)

    with turn(file):
        follower = threading.Thread(target=wait)
        follower.start()
        waiting.wait(5)
        assert got == []
    follower.join(5)
    assert got == [True]


def test_who_gave_up_waiting_does_not_keep_the_turn_when_it_comes(file):
    with turn(file), turn(file, patience=0.01) as ours:
        assert not ours
    with turn(file, patience=5) as ours:
        assert ours


def test_who_gave_up_leaves_no_open_file_behind(file):
    for _ in range(5):
        with turn(file), turn(file, patience=0.001):
            pass
    # Who gave up left a thread standing in the queue, which closes the file when its turn comes.
    for standing in [thread for thread in threading.enumerate() if thread.name == "aiprod-turn"]:
        standing.join(20)
    assert _open(file) == 0


def _open(file):
    """How many descriptors of this process lead to the queue of a file."""
    with os.scandir("/proc/self/fd") as numbers:
        return sum(os.path.realpath(number.path) == os.path.realpath(f"{file}-queue") for number in numbers)


def test_without_flock_the_writer_goes_on_to_the_lock_that_counts(file, monkeypatch):
    def unsupported(*_):
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with turn(file) as ours:
        assert ours is False


def test_without_a_folder_to_queue_in_too(tmp_path):
    with turn(tmp_path / "nowhere" / "ledger.db") as ours:
        assert ours is False


def test_the_queue_is_its_owners_only(file):
    with turn(file):
        assert stat.S_IMODE(os.stat(f"{file}-queue").st_mode) == 0o600


def test_an_error_in_a_turn_ends_it(file):
    with pytest.raises(ZeroDivisionError), turn(file):
        raise ZeroDivisionError
    with turn(file, patience=0.01) as ours:
        assert ours


def test_every_transaction_that_writes_stands_in_it(sqlite_url):
    ledger, file = Ledger(sqlite_url), Path(sqlite_url.removeprefix("sqlite:///"))
    with ledger.write(), turn(file, patience=0.01) as ours:
        assert not ours
    with ledger.read(), turn(file, patience=0.01) as ours:
        assert ours
