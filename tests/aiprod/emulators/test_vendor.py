"""The vendor as a process: what goes over the wire, and what is booked when the wire is cut."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from aiprod.emulators.books import Books


class Client:
    """One vendor process and the requests one can make."""

    def __init__(self, folder):
        self.file = folder / "books.jsonl"
        command = [sys.executable, "-m", "aiprod.emulators.vendor", "--books", str(self.file)]
        terms = ["--offer", "runway=key", "--offer", "veo3=list", "--price", "runway=120000", "--price", "veo3=400000"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen([*command, *terms], stdout=subprocess.PIPE, text=True, env=env)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def ask(self, method, path, body=None, **headers):
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            wire.request(method, path, None if body is None else json.dumps(body), headers)
            answer = wire.getresponse()
            said = answer.read()
        finally:
            wire.close()
        return answer.status, said

    def buy(self, prompt="a", backend="runway", key="k"):
        body = {"prompt": prompt, "seconds": 1, "marker": key}
        status, said = self.ask("POST", f"/{backend}/renders", body, **{"Idempotency-Key": key})
        return status, json.loads(said)

    def accepts(self):
        return [line for line in Books.read(self.file)[0] if line["event"] == "accept"]


@pytest.fixture(scope="module")
def _served(tmp_path_factory):
    client = Client(tmp_path_factory.mktemp("vendor"))
    yield client
    client.process.kill()
    client.process.wait()
    client.process.stdout.close()


@pytest.fixture
def vendor(_served, request):
    """The same process for all; every test sees only what was booked since."""
    _served.before = len(_served.accepts())
    return _served


def new(vendor):
    return vendor.accepts()[vendor.before :]


def test_a_render_is_bought_watched_and_fetched(vendor):
    status, said = vendor.buy(key="one")

    assert status == 200
    assert json.loads(vendor.ask("GET", f"/runway/renders/{said['id']}")[1])["status"] == "SUCCEEDED"
    assert said["id"].encode() in vendor.ask("GET", f"/runway/renders/{said['id']}/file")[1]


def test_a_dropped_answer_was_accepted(vendor):
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        vendor.buy("[[runway=lose]]", key="two")
    assert [a["key"] for a in new(vendor)] == ["two"]


def test_a_reset_before_reading_was_not(vendor):
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        vendor.buy("[[runway=reset]]", key="three")
    assert new(vendor) == []


def test_a_listing_is_on_the_wire_with_the_vendors_clock(vendor):
    _, said = vendor.buy(backend="veo3", key="four")
    status, listed = vendor.ask("GET", "/veo3/renders?marker=four")

    assert (status, json.loads(listed)["ids"]) == (200, [said["id"]])
    assert vendor.ask("GET", "/runway/renders?marker=four")[0] == 404


def test_new_terms_wait_for_what_is_on_the_wire(vendor):
    """A request whose sender is gone already is booked before the clock moves."""
    body = json.dumps({"prompt": "a", "seconds": 1, "marker": "five"})
    with socket.create_connection(("127.0.0.1", vendor.port)) as wire:
        wire.sendall(f"POST /runway/renders HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    terms = {"offers": {"runway": "key", "veo3": "list"}, "prices": {"runway": 120000, "veo3": 400000}, "ahead": 60}
    assert vendor.ask("PUT", "/terms", terms)[0] == 200
    assert [a["key"] for a in new(vendor)] == ["five"]


def test_books_survive_the_vendor(tmp_path):
    client = Client(tmp_path)
    client.buy()
    client.process.send_signal(signal.SIGKILL)
    client.process.wait()
    client.process.stdout.close()

    assert len(client.accepts()) == 1


def test_a_vendor_on_a_leash_ends_with_whoever_started_it(tmp_path):
    command = [sys.executable, "-m", "aiprod.emulators.vendor", "--books", str(tmp_path / "books.jsonl"), "--leash"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert int(process.stdout.readline()) > 0
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_vendor_that_forgets_bills_the_same_key_again(vendor):
    vendor.buy(key="six")
    assert vendor.ask("DELETE", "/renders", {})[0] == 200
    vendor.buy(key="six")

    assert [a["key"] for a in new(vendor)] == ["six", "six"]
