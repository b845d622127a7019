"""Every vendor's key carries a word that nothing else contains; after jobs that succeed and fail it is found nowhere."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from airflow.sdk.execution_time import task_runner

from aiprod.backends import keys
from aiprod.cli import main
from aiprod.emulators.film import Studio
from aiprod.emulators.running import Vendors
from aiprod.ledger import open_ledger
from aiprod_airflow.hooks.connections import offer_connections
from aiprod_airflow.hooks.vendors import ReplicateHook, RunwayHook, Veo3Hook
from aiprod_airflow.operators.render import RenderOperator
from aiprod_airflow.triggers.render import RenderTrigger
from tests.aiprod_airflow.shop import RUN, Call, Shop, TaskInstance
from tests.aiprod_airflow.supervisor import Supervisor
from tests.catalogue import CONFIG

PAID = ("runway", "veo3", "replicate")
KEYS = {name: f"CANARY-{name}-9f3b" for name in PAID}
#: How a render ends, in the emulators' words; each takes another way through adapter, ledger and messages.
ENDS = ("ok", "refuse:401", "refuse:500", "refuse:429", "broke", "lose", "fail", "moderated", "strange", "html", "expired")
HOOKS = {"runway": RunwayHook, "veo3": Veo3Hook, "replicate": ReplicateHook}


class Found(str):
    """Where a secret was found; printing it in a failed test would be one place more."""


@pytest.fixture(scope="module")
def _catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue as it ships, with room for all orders at once."""
    folder = tmp_path_factory.mktemp("canary") / "config"
    folder.mkdir()
    for file in CONFIG.rglob("*.yaml"):
        told = yaml.safe_load(file.read_text())
        if file.name == "backends.yaml":
            told["strikes"] = 10_000
            for entry in told["backends"].values():
                entry["slots"] = 50
        (folder / file.relative_to(CONFIG)).parent.mkdir(exist_ok=True)
        (folder / file.relative_to(CONFIG)).write_text(yaml.safe_dump(told, sort_keys=False))
    return folder


@pytest.fixture
def emulated(_studio: Studio, tmp_path: Path) -> Iterator[Vendors]:
    with Vendors(tmp_path / "vendors", studio=_studio, keys=KEYS) as running:
        yield running


@pytest.fixture
def supervisor(emulated: Vendors, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """Airflow has all keys, in the connections that a person would make."""
    account = (emulated.folder / "service-account.json") if emulated.environment else Path()
    google = {"project": "aiprod-emulated", "bucket": emulated.environment["AIPROD_VEO3_BUCKET"], "storage_url": emulated.url}
    google["keyfile_dict"] = account.read_text()
    made = Supervisor(
        {
            "aiprod_runway": {"password": KEYS["runway"], "host": emulated.url},
            "aiprod_replicate": {"password": KEYS["replicate"], "host": emulated.url},
            "aiprod_veo3": {"host": emulated.url, "extra": json.dumps(google)},
        }
    )
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    keys.offer(None)
    offer_connections()
    yield made
    keys.offer(None)


@pytest.fixture
def shop(
    _catalogue: Path, sqlite_url: str, emulated: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door_open: None
) -> Shop:
    monkeypatch.setenv("AIPROD_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("AIPROD_CONFIG_DIR", str(_catalogue))
    return Shop(open_ledger(), tmp_path / "books")


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Everything that was printed or logged so far by anybody, at the lowest level, before any masking."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    def everything() -> str:
        told.extend(capfd.readouterr())
        return "\n".join([*told, caplog.text])

    return everything


def secrets_of(emulated: Vendors) -> list[str]:
    """What must not be seen: the keys, and of Google's its key's own lines and every token that was bought with it."""
    private = json.loads((emulated.folder / "service-account.json").read_text())["private_key"].splitlines()
    return [*KEYS.values(), *private[1:4], "ya29.emulated"]


def leaks(where: dict[str, bytes], emulated: Vendors) -> list[Found]:
    return [
        Found(f"{place} holds secret {n}")
        for n, secret in enumerate(secrets_of(emulated))
        for place, content in where.items()
        if secret.encode() in content or json.dumps(secret).strip('"').encode() in content
    ]


def files_under(folder: Path, besides: Path) -> dict[str, bytes]:
    """Every file that we wrote: ledger with its log, outbox, takes, var; not what the vendors keep of themselves."""
    ours = (file for file in folder.rglob("*") if file.is_file() and not file.is_relative_to(besides))
    return {str(file.relative_to(folder)): file.read_bytes() for file in ours}


def ordered(shop: Shop, backend: str) -> list[str]:
    """One job per way to end, all at one backend, with the money set aside."""
    spec = {"backend": backend, "seconds": 4, "aspect_ratio": "16:9", "audio": backend != "runway"}
    jobs = [shop.order(f"a lake [[{backend}={end}]]", job_id=f"{backend}-{n}", **spec) for n, end in enumerate(ENDS)]
    for job_id in jobs:
        assert shop.pipeline.ask(job_id, run_id=RUN).answer == "approved"
    shop.pipeline.route(jobs, 1)
    return jobs


def rendered(call: Call, jobs: list[str], backend: str) -> str:
    """Run the operator as a try and its resumption would be; return what Airflow would show of its end."""
    operator = RenderOperator(task_id=f"attempt_1.{backend}", job_ids=jobs, backend=backend, attempt=1)
    shown = [repr(operator), repr({name: getattr(operator, name) for name in operator.template_fields})]
    for method, arguments in (("execute", {}), ("resume", {"event": {"pending": []}})):
        try:
            call(operator, method, **arguments)
        except BaseException as error:  # noqa: BLE001 - deferral, failure, retry: whatever Airflow would be given
            shown += [*traceback.format_exception(error), repr(error), repr(vars(error))]
            if trigger := getattr(error, "trigger", None):
                shown += [repr(trigger), json.dumps(trigger.serialize())]
    return "\n".join(shown)


def watched(backend: str, vendor_ids: list[str]) -> None:
    now = datetime.now(UTC)
    times = {"first_event_at": now.isoformat(), "deadline": (now + timedelta(seconds=0.2)).isoformat(), "look_again_at": None}
    trigger = RenderTrigger(backend=backend, vendor_ids=vendor_ids, poll_seconds=0.1, **times)

    async def run() -> None:
        async for _ in trigger.run():
            pass

    asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize("backend", PAID)
def test_no_key_is_left_anywhere_however_a_render_ends(
    shop: Shop,
    call: Call,
    ti: TaskInstance,
    supervisor: Supervisor,
    emulated: Vendors,
    seen: Callable[[], str],
    tmp_path: Path,
    backend: str,
) -> None:
    jobs = ordered(shop, backend)
    # A file that does not come home fails the try; the others would be waited for.
    no_video = jobs[ENDS.index("html")]
    shown = rendered(call, [no_video], backend) + rendered(call, [job_id for job_id in jobs if job_id != no_video], backend)
    assert "TaskDeferred" in shown, "nothing was waited for"
    running = [p.vendor_id for job_id in jobs for p in shop.purchases(job_id) if p.vendor_id]
    watched(backend, [*running, "nobody-0"])
    shown += str(HOOKS[backend]().test_connection())
    for command in (["doctor", backend], ["reconcile"], ["parked"], *(["result", job_id] for job_id in jobs)):
        main(command)
    for job_id in jobs:
        main(["cancel", job_id, "--by", "ann"])

    assert {accept["backend"] for accept in emulated.accepts()} == {backend}, "the key was never used"
    where = files_under(tmp_path, besides=emulated.folder)
    where |= {"logs": seen().encode(), "shown": shown.encode(), "xcom": json.dumps(ti.pushed).encode()}
    assert leaks(where, emulated) == []


def test_a_key_that_would_be_left_somewhere_is_found(emulated: Vendors, tmp_path: Path) -> None:
    """The search itself: a raw key, one inside JSON, and one line of a private key."""
    secrets = secrets_of(emulated) if emulated.environment else []
    (tmp_path / "a").write_text(f"before {secrets[0]} after")
    (tmp_path / "b").write_text(json.dumps({"key": secrets[3]}))

    found = leaks(files_under(tmp_path, besides=emulated.folder), emulated)

    assert found == ["a holds secret 0", "b holds secret 3"]
