"""A thousand triggers of one process ask through one client and one adapter, not all at once, and leave nothing open."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from aiprod.errors import BackendError, ConfigError, FailureKind
from aiprod.ledger import open_ledger
from aiprod.models import JobState
from aiprod_airflow.triggers import lookout as module
from aiprod_airflow.triggers.lookout import AT_ONCE, lookout
from tests.catalogue import write_catalogue
from tests.vendor import BOOKS, Vendor

pytestmark = pytest.mark.usefixtures("vendors")


class Slow(Vendor):
    """Counts its copies and the questions that are on their way at the same time."""

    made: ClassVar[int] = 0
    asking: ClassVar[int] = 0
    most: ClassVar[int] = 0
    clients: ClassVar[set[int]] = set()
    answers: ClassVar[asyncio.Event | None] = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        Slow.made += 1

    async def watch(self, vendor_id: str, http: httpx.AsyncClient) -> JobState:
        assert not http.is_closed
        Slow.clients.add(id(http))
        Slow.asking += 1
        Slow.most = max(Slow.most, Slow.asking)
        try:
            await (asyncio.sleep(0) if Slow.answers is None else Slow.answers.wait())
        finally:
            Slow.asking -= 1
        return JobState(state="running")


@pytest.fixture(scope="module")
def _catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(tmp_path_factory.mktemp("slow") / "config", vendors=f"{__name__}:Slow")


@pytest.fixture
def vendors(_catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_CONFIG_DIR", str(_catalogue))
    monkeypatch.setenv(BOOKS, str(tmp_path / "books"))
    Slow.made, Slow.asking, Slow.most, Slow.answers = 0, 0, 0, None
    Slow.clients.clear()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


async def one(name: str = "runway") -> JobState:
    async with lookout() as shared:
        return await shared.ask(name, "v-1")


def test_all_triggers_of_a_process_share_one_client_and_one_adapter_and_take_turns() -> None:
    async def many() -> None:
        Slow.answers = asyncio.Event()
        all_of_them = [asyncio.create_task(one()) for _ in range(200)]
        while Slow.asking < AT_ONCE:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        Slow.answers.set()
        await asyncio.gather(*all_of_them)

    run(many())

    assert (Slow.made, len(Slow.clients), Slow.most) == (1, 1, AT_ONCE)


def test_one_backend_that_hangs_keeps_nobody_waiting_at_another() -> None:
    async def both() -> JobState:
        Slow.answers = asyncio.Event()
        hanging = [asyncio.create_task(one("runway")) for _ in range(2 * AT_ONCE)]
        while Slow.asking < AT_ONCE:
            await asyncio.sleep(0)
        other = asyncio.create_task(one("veo3"))
        while Slow.asking <= AT_ONCE:
            await asyncio.sleep(0)
        Slow.answers.set()
        await asyncio.gather(*hanging)
        return await other

    assert run(both()).state == "running"


def test_a_vendor_that_never_answers_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> None:
        Slow.answers = asyncio.Event()
        await one()

    monkeypatch.setattr(module, "PATIENCE", 0.01)

    with pytest.raises(TimeoutError):
        run(never())


@pytest.mark.parametrize(("old", "made"), [(True, 2), (False, 1)], ids=["an old key", "one just looked up"])
def test_a_key_that_is_refused_is_looked_up_anew_but_not_at_every_question(
    monkeypatch: pytest.MonkeyPatch, old: bool, made: int
) -> None:
    async def refused(*_: object) -> None:
        raise BackendError("runway: the key was refused", kind=FailureKind.AUTH, money_moved="maybe")

    async def twice() -> None:
        async with lookout() as shared:
            for _ in range(2):
                with pytest.raises(BackendError):
                    await shared.ask("runway", "v-1")

    forgotten: list[str] = []
    monkeypatch.setattr(Slow, "watch", refused)
    monkeypatch.setattr(module, "KEY_LASTS", 0.0 if old else 60.0)
    monkeypatch.setattr(module, "forget_connections", lambda: forgotten.append("all"))

    run(twice())

    assert Slow.made == made
    assert bool(forgotten) == old


def test_the_last_one_to_leave_closes_the_client_and_nobody_else() -> None:
    async def two() -> list[bool]:
        async with lookout() as first:
            async with lookout() as second:
                assert first is second
            closed = [first._http.is_closed]
        return [*closed, first._http.is_closed]

    assert run(two()) == [False, True]


def test_a_trigger_that_is_cancelled_leaves_nothing_open() -> None:
    seen: list[httpx.AsyncClient] = []

    async def cancelled() -> None:
        async def wait() -> None:
            async with lookout() as shared:
                seen.append(shared._http)
                await asyncio.sleep(3600)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(cancelled())

    assert [client.is_closed for client in seen] == [True]
    assert len(module._open) == 0


def test_a_second_event_loop_has_a_lookout_of_its_own() -> None:
    run(one())
    run(one())

    assert len(Slow.clients) <= 2
    assert Slow.made == 2


def test_a_backend_that_cannot_be_used_says_why() -> None:
    with pytest.raises(ConfigError, match="unknown backend 'nobody'"):
        run(one("nobody"))


def test_no_proxy_of_the_machine_sees_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mounts() -> dict[Any, Any]:
        async with lookout() as shared:
            return dict(shared._http._mounts)

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert run(mounts()) == {}


def test_how_far_renders_are_is_written_down_together_and_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[dict[str, list[str]]] = []
    monkeypatch.setattr(module, "_write_down", lambda seen: written.append({name: sorted(of) for name, of in seen.items()}))

    async def rounds() -> None:
        async with lookout() as shared:
            for _ in range(2):
                await asyncio.gather(*(shared.ask(name, f"v-{n}") for name in ("runway", "veo3") for n in range(3)))
            while not written:
                await asyncio.sleep(0)
            await asyncio.gather(*(shared.ask("runway", f"v-{n}") for n in range(3)))
            for _ in range(50):
                await asyncio.sleep(0)

    run(rounds())

    assert written == [{"runway": ["v-0", "v-1", "v-2"], "veo3": ["v-0", "v-1", "v-2"]}]


def test_a_ledger_that_cannot_be_written_is_no_trouble_of_the_renders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIPROD_DATABASE_URL", f"sqlite:///{tmp_path}/nobody/upgraded/this.db")

    module._write_down({"runway": {"v-1": JobState(state="running", progress=0.5)}})

    assert "was not written down" in caplog.text


def test_what_is_written_down_is_in_the_ledger(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> None:
    monkeypatch.setenv("AIPROD_DATABASE_URL", sqlite_url)

    module._write_down({"runway": {"v-1": JobState(state="running", progress=0.5)}})

    with open_ledger().read() as conn:
        assert conn.exec_driver_sql("SELECT backend, vendor_id, progress FROM sightings").all() == [("runway", "v-1", 0.5)]
