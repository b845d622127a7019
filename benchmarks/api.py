"""What a worker serves: 200 jobs, 50 watchers, p95 of GET /job/{id}, and whether memory stays: `python -m benchmarks.api`.

In one process, through Airflow's own application with its real login: an event loop with every watcher's stream open and one
request after the other, while a writer moves jobs on in the ledger. Memory is this process's own (RSS).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tests.airflow_home

# isort: split
import httpx
import psutil

from benchmarks.kept import keep
from tests.catalogue import write_catalogue
from tools import airflow_env, metadata_db
from tools.airflow_env import CHECKOUT

LIMIT_MS = 100.0
#: What this process may grow by while it answers.
GROWTH_MB = 20.0
ORDER = {"preset": "brand_campaign", "audio": False}


def main(argv: list[str]) -> int:
    """Measure, print one line of JSON, and return 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(prog="api", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--watchers", type=int, default=50)
    parser.add_argument("--requests", type=int, default=400)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        app = _airflow(Path(folder))
        measured = asyncio.run(_measure(app, args.jobs, args.watchers, args.requests))
    print(json.dumps(measured))
    keep("api", {**measured, "goals": {"p95_ms": LIMIT_MS, "rss_growth_mb": GROWTH_MB}})
    kept = measured["p95_ms"] <= LIMIT_MS and measured["watchers_told"] == args.watchers
    return 0 if kept and measured["rss_growth_mb"] < GROWTH_MB else 1


def _airflow(folder: Path) -> Any:
    """Airflow's application with our plugin, and an empty ledger."""
    from aiprod.ledger import Ledger

    home = Path(tests.airflow_home.HOME)
    metadata_db.provide(home / "airflow.db", {**airflow_env.inherited(os.environ), "AIRFLOW_HOME": str(home)})
    os.environ |= {
        "AIPROD_VAR_DIR": str(folder),
        "AIPROD_DATABASE_URL": f"sqlite:///{folder / 'ledger.db'}",
        "AIPROD_CONFIG_DIR": str(write_catalogue(folder / "config")),
        "AIPROD_STREAM_SECONDS": "3600",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    Ledger(os.environ["AIPROD_DATABASE_URL"]).upgrade()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.api_fastapi.app import create_app

        return create_app(apps="core")


async def _measure(app: Any, jobs: int, watchers: int, requests: int) -> dict[str, Any]:
    names = await asyncio.to_thread(_fill, jobs)
    bearer = {"Authorization": f"Bearer {_token()}"}
    told = [0] * watchers
    streams = [asyncio.create_task(_watch(app, names[n % jobs], bearer, told, n)) for n in range(watchers)]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://airflow/aiprod", headers=bearer, timeout=60
    ) as client:
        while not all(told):
            await asyncio.sleep(0.1)
        for name in names[:50]:
            (await client.get(f"/job/{name}")).raise_for_status()
        before, rss = list(told), _rss()
        took = []
        for n in range(requests):
            if n % 4 == 0:
                await asyncio.to_thread(_move, names[n // 4 % jobs])
            started = time.perf_counter()
            (await client.get(f"/job/{names[n % jobs]}")).raise_for_status()
            took.append((time.perf_counter() - started) * 1_000)
        await asyncio.sleep(2.5)
        grown = _rss() - rss
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    took.sort()
    return {
        "jobs": jobs,
        "watchers": watchers,
        "requests": requests,
        "p50_ms": round(took[len(took) // 2], 1),
        "p95_ms": round(took[int(len(took) * 0.95)], 1),
        "max_ms": round(took[-1], 1),
        "watchers_told": sum(now > then for now, then in zip(told, before, strict=True)),
        "rss_mb": round(_rss() / 2**20),
        "rss_growth_mb": round(grown / 2**20, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def _fill(jobs: int) -> list[str]:
    """Jobs of three shots each, entered as the API does."""
    from aiprod.pipeline import Pipeline

    names = [f"bench-{n}" for n in range(jobs)]
    shots = [{"prompt": f"shot {n}", "seconds": 3} for n in range(3)]
    for name in names:
        Pipeline().enter({**ORDER, "shots": shots}, job_id=name, by="bench")
    return names


def _move(name: str) -> None:
    """Something changes in a job: another run carries it."""
    from aiprod.pipeline import Pipeline

    Pipeline().carry([name], run_id=f"{name}-{datetime.now(UTC).isoformat()}")


async def _watch(app: Any, name: str, bearer: dict[str, str], told: list[int], n: int) -> None:
    """Hold one event stream open and count what it tells; httpx's own transport would wait for its end."""

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        told[n] += bytes(message.get("body", b"")).count(b"event: ")

    path = f"/aiprod/job/{name}/events"
    headers = [(b"host", b"airflow"), (b"authorization", bearer["Authorization"].encode())]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
    scope |= {
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "server": ("airflow", 80),
        "client": ("::1", 1),
    }
    scope |= {"root_path": "", "state": {}, "extensions": {}}
    with suppress(asyncio.CancelledError):
        await app(scope, receive, send)


def _token() -> str:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="bench", role="admin")))


def _rss() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
