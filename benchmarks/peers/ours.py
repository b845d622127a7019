"""AIPROD on the same two questions: the shipped adapters, the vendors' emulators, a ledger on SQLite."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiprod.emulators.running import Emulators
from aiprod.errors import AiprodError
from aiprod.ledger import Ledger
from aiprod.models import USD
from aiprod.pipeline import Pipeline
from tests.catalogue import write_catalogue
from tests.vendors.street import Street

__all__ = ["budget", "lost"]

#: The cap leaves room for two clips and a half, as the peer's does.
_ROOM = 2.5
_TIMES_EACH = 3


@contextmanager
def _city(**budgets: Any) -> Iterator[tuple[Emulators, Path]]:
    """Vendors in a process of their own, and an environment that buys from them; as it was before, afterwards."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as name, Emulators(Path(name) / "vendors") as vendors:
        folder = Path(name)
        (folder / "var").mkdir()
        os.environ.pop("AIPROD_DRY_RUN", None)
        os.environ |= {
            **vendors.environment,
            "AIPROD_VAR_DIR": str(folder / "var"),
            "AIPROD_DATABASE_URL": f"sqlite:///{folder / 'var' / 'ledger.db'}",
            # Room for all of them: nothing but the cap may hold anybody back.
            "AIPROD_CONFIG_DIR": str(
                write_catalogue(folder / "config", vendors=None, backends={"runway": {"slots": 20}}, budgets=budgets)
            ),
        }
        Ledger(os.environ["AIPROD_DATABASE_URL"]).upgrade()
        try:
            yield vendors, folder
        finally:
            os.environ.clear()
            os.environ |= before


def lost(backend: str) -> dict[str, Any]:
    """One clip at a backend that loses its first answer; half an hour later, with everything that looks after it."""
    with _city() as (vendors, folder):
        vendors.rule(backend, "lose|ok")
        street = Street(Ledger(os.environ["AIPROD_DATABASE_URL"]), vendors, folder)  # type: ignore[arg-type]
        street.order("a lake", backend=backend)
        for _ in range(3):
            with suppress(AiprodError):
                street.attempt()
            street.passes(timedelta(minutes=12))
            street.look_again()
        bought = street.purchases()
        sent = len(vendors.accepts(backend))
        found = sum(purchase.state == "succeeded" for purchase in bought)
        parked = len(street.waiting())
        return {"sent": sent, "delivered": found, "parked": parked, "lost": sent - found - parked}


def budget(callers: int) -> dict[str, Any]:
    """Processes that start together, each with three jobs, under a day's cap of two clips and a half."""
    price = _price()
    with _city(day_usd=str(price * _ROOM / USD), day_warn_usd="0.1") as (vendors, _):
        context = multiprocessing.get_context("fork")
        start = context.Barrier(callers)
        workers = [context.Process(target=_caller, args=(start, n, _TIMES_EACH * 8 // callers)) for n in range(callers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        accepts = vendors.accepts()
        spent = sum(line["billable_micros"] for line in accepts)
        return {
            "asked": _TIMES_EACH * 8,
            "bought": len(accepts),
            "clip_usd": price / USD,
            "cap_usd": price * _ROOM / USD,
            "spent_usd": spent / USD,
            "overspent_usd": max(0, spent - price * _ROOM) / USD,
        }


def _price() -> int:
    """What the clip costs, in micro-dollars, by the vendor's own books."""
    with _city() as (vendors, _):
        _buy("price")
        (line,) = vendors.accepts()
        return int(line["billable_micros"])


def _caller(start: Any, caller: int, times: int) -> None:
    start.wait(60)
    for n in range(times):
        try:
            _buy(f"job-{caller}-{n}")
        except AiprodError:
            # No money is left; the next one asks all the same.
            continue


def _buy(job_id: str) -> None:
    """Order, approve, and push the first attempt as far as it goes."""
    pipeline = Pipeline()
    order = {"job_id": job_id, "prompt": "a lake", "preset": "quick_social", "seconds": 5, "audio": False, "backend": "runway"}
    pipeline.estimate([order], run_id=job_id, job_id=job_id)
    pipeline.ask(job_id, run_id=job_id)
    for backend in pipeline.route([job_id], 1):
        pipeline.render([job_id], backend, 1)
