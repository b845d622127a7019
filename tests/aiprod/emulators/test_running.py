"""The vendors up and running: rules, clock and terms from outside, in a thread or in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprod.emulators.__main__ import _parser, main
from aiprod.emulators.books import Books
from aiprod.emulators.film import Studio
from aiprod.emulators.house import House, Terms
from aiprod.emulators.orders import StrangeOrder
from aiprod.emulators.running import Emulators, Vendors, environment, exports, opened

BODY = {"model": "gen4.5", "promptText": "a kite", "ratio": "1280:720", "duration": 2}
HEADERS = {"Authorization": "Bearer emulated-runway", "X-Runway-Version": "2024-11-06"}


def create(vendors: Any, prompt: str = "a kite", timeout: float = 10) -> httpx.Response:
    body = BODY | {"promptText": prompt}
    return httpx.post(f"{vendors.url}/v1/text_to_video", json=body, headers=HEADERS, timeout=timeout, trust_env=False)


def test_a_storm_is_a_rule_that_passes(vendors: Any) -> None:
    vendors.rule("runway", "refuse:503*2|ok")
    assert [create(vendors, str(n)).status_code for n in range(4)] == [503, 503, 200, 200]
    assert len(vendors.accepts("runway")) == 2


def test_a_rule_for_one_backend_is_no_rule_for_another(vendors: Any) -> None:
    vendors.rule("replicate", "fail")
    assert create(vendors).status_code == 200
    assert vendors.accepts("replicate") == []


def test_a_rule_that_nobody_knows_is_an_error(vendors: Any) -> None:
    with pytest.raises(StrangeOrder):
        vendors.rule("runway", "explode")
    assert create(vendors, "[[runway=explode]]").status_code == 400


@pytest.mark.parametrize(("word", "faults"), [("lose", ["lose"]), ("lose:500", ["lose"]), ("reset", ["reset"])])
def test_an_answer_can_be_lost_whether_it_was_accepted_or_not(vendors: Any, word: str, faults: list[str]) -> None:
    if word == "lose:500":
        assert create(vendors, f"[[runway={word}]]").status_code == 500
    else:
        with pytest.raises(httpx.TransportError):
            create(vendors, f"[[runway={word}]]")
    assert len(vendors.accepts()) == (0 if word == "reset" else 1)
    assert vendors.faults() == faults


@pytest.mark.parametrize(("word", "now"), [("stall:600", 1), ("late:600", 0)])
def test_an_accept_can_be_slower_than_the_client_waits(vendors: Any, word: str, now: int) -> None:
    with pytest.raises(httpx.ReadTimeout):
        create(vendors, f"[[runway={word}]]", timeout=0.05)
    assert len(vendors.accepts()) == now
    vendors.advance(601)
    assert len(vendors.accepts()) == 1


def test_two_vendors_keep_two_books(vendors: Any, tmp_path: Path) -> None:
    with Vendors(tmp_path / "other", prices={"runway": 10_000}) as other:
        create(other)
        assert [booked["price_micros"] for booked in other.accepts()] == [20_000]
    assert vendors.accepts() == []


def test_what_is_exported_is_what_the_product_reads() -> None:
    names = set(environment("http://127.0.0.1:1", Path("/k.json")))
    assert names == {
        "RUNWAYML_API_SECRET", "RUNWAYML_BASE_URL", "REPLICATE_API_TOKEN", "REPLICATE_BASE_URL", "GCP_PROJECT_ID",
        "GOOGLE_CLOUD_LOCATION", "GOOGLE_VERTEX_BASE_URL", "STORAGE_EMULATOR_HOST", "AIPROD_VEO3_BUCKET",
        "GOOGLE_APPLICATION_CREDENTIALS",
    }  # fmt: skip
    assert exports({"A": "b c"}) == "export A='b c'"


def test_it_sets_nothing_by_itself(vendors: Any) -> None:
    assert not set(vendors.environment) & set(os.environ)


def test_in_a_process_of_their_own_they_do_the_same(tmp_path: Path) -> None:
    with Emulators(tmp_path, rules={"runway": "refuse:503"}, seconds_per_render=60) as own:
        assert create(own).status_code == 503
        own.rule("runway", "")
        task = create(own).json()["id"]
        assert httpx.get(f"{own.url}/v1/tasks/{task}", headers=HEADERS).json()["status"] == "PENDING"
        own.advance(60)
        assert httpx.get(f"{own.url}/v1/tasks/{task}", headers=HEADERS).json()["status"] == "SUCCEEDED"
        assert [booked["id"] for booked in own.accepts()] == [task]
        with pytest.raises(ValueError, match="unknown order"):
            own.rule("runway", "explode")
    assert own.environment["RUNWAYML_BASE_URL"] == own.url
    with pytest.raises(httpx.ConnectError):
        create(own)


def test_a_port_that_is_taken_is_said_in_one_line(vendors: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    port = int(vendors.url.rpartition(":")[2])
    with pytest.raises(RuntimeError, match="did not start"), Emulators(tmp_path / "own", port=port):
        pass
    assert capfd.readouterr().err == f"--port {port}: Address already in use\n"


def test_a_rule_that_nobody_knows_stops_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aiprod.emulators", "--port=0", f"--folder={tmp_path}", "--rule=runway=explode"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (1, "--rule: unknown order: explode\n")


@pytest.mark.parametrize("argument", ["--price=runway", "--price=runway=cheap", "--price=runway=-1", "--price=runway=0.0000001"])
def test_what_is_no_price_stops_the_start(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([argument])
    assert stopped.value.code == 2 and argument.partition("=")[2].rpartition("=")[2] in capsys.readouterr().err


@pytest.mark.parametrize(("options", "heard"), [({}, "127.0.0.1"), ({"listen": "0.0.0.0"}, "0.0.0.0")])  # noqa: S104 - compared
def test_only_who_is_given_a_name_is_heard_beyond_this_machine(tmp_path: Path, options: dict[str, str], heard: str) -> None:
    house = House(Books(tmp_path / "books.jsonl"), Terms())
    with opened(0, house, Studio(tmp_path), **options) as server:
        assert server.server_address[0] == heard
    assert _parser().parse_args([]).host == ""


def test_a_price_is_in_dollars_per_second() -> None:
    assert _parser().parse_args(["--price=runway/gen4.5=0.2", "--price=veo3=1"]).price == [
        ("runway/gen4.5", 200_000),
        ("veo3", 1_000_000),
    ]
