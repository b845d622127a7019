"""What all render triggers of one event loop share: one HTTP client, one adapter per backend, a bound on questions at once.

What vendors say is also written down for people who watch: every few seconds, for all renders in one thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import httpx

from aiprod.backends import Backend, backend
from aiprod.catalog import catalog
from aiprod.errors import BackendError, FailureKind
from aiprod.models import JobState
from aiprod_airflow.hooks.connections import forget_connections, offer_connections

__all__ = ["AT_ONCE", "KEY_LASTS", "PATIENCE", "Lookout", "lookout"]

#: Questions on the way to one backend at the same time; the rest wait for their turn.
AT_ONCE = 16
#: Longer than any answer may take, waiting for its turn included, in seconds.
PATIENCE = 60.0
#: A triggerer lives for weeks, and keys are changed: one that is refused is looked up anew, but not more often than this.
KEY_LASTS = 60.0

#: How often sightings are written, in seconds.
_WRITE_EVERY = 5.0

log = logging.getLogger(__name__)

_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_LIMITS = httpx.Limits(max_connections=4 * AT_ONCE, max_keepalive_connections=AT_ONCE)


class Lookout:
    """Asks vendors how renders are doing, for every trigger of this process."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.users = 0
        self._http = http
        self._adapters: dict[str, tuple[Backend, float]] = {}
        self._first = asyncio.Lock()
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._seen: dict[str, dict[str, JobState]] = {}
        self._writer: asyncio.Task[None] | None = None
        self._written_at = float("-inf")

    async def ask(self, name: str, vendor_id: str) -> JobState:
        """Ask once. Raises what the adapter raises, `TimeoutError` after `PATIENCE`, and when there is no adapter, why."""
        async with asyncio.timeout(PATIENCE), self._turns.setdefault(name, asyncio.Semaphore(AT_ONCE)):
            adapter = await self._adapter(name)
            try:
                state = await adapter.watch(vendor_id, self._http)
            except BackendError as error:
                if error.kind is FailureKind.AUTH:
                    self._forget(name)
                raise
        self._saw(name, vendor_id, state)
        return state

    def _saw(self, name: str, vendor_id: str, state: JobState) -> None:
        """Remember what a vendor said until it is written down. Nobody waits for that, and nothing depends on it."""
        if state.final:
            return
        self._seen.setdefault(name, {})[vendor_id] = state
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_soon())

    async def _write_soon(self) -> None:
        loop = asyncio.get_running_loop()
        # A moment for the others of the same round, and never sooner than allowed after the last time.
        await asyncio.sleep(max(0.1, self._written_at + _WRITE_EVERY - loop.time()))
        self._written_at = loop.time()
        seen, self._seen = self._seen, {}
        await asyncio.to_thread(_write_down, seen)

    async def _adapter(self, name: str) -> Backend:
        async with self._first:
            if name not in self._adapters:
                offer_connections()
                # Imports a vendor's library and may ask Airflow for a connection; the loop is everybody's.
                self._adapters[name] = await asyncio.to_thread(backend, catalog(), name), asyncio.get_running_loop().time()
        return self._adapters[name][0]

    def _forget(self, name: str) -> None:
        made = self._adapters.get(name)
        if made is not None and asyncio.get_running_loop().time() - made[1] >= KEY_LASTS:
            del self._adapters[name]
            forget_connections()

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self._http.aclose()


def _write_down(seen: Mapping[str, Mapping[str, JobState]]) -> None:
    """Write sightings to the ledger; a ledger that cannot be written now says nothing about a render."""
    # Here, and not at the top: it loads the ledger, which asking does not need.
    from aiprod.ledger import open_ledger, sightings
    from aiprod.ledger.engine import now as database_now

    try:
        with open_ledger().write() as conn:
            for name, states in seen.items():
                sightings.see(conn, name, states.items(), now=database_now(conn))
    except Exception as error:  # noqa: BLE001 - whatever it is, the renders are paid and watched all the same
        log.warning("how far renders are was not written down: %s", type(error).__name__)


_open: WeakKeyDictionary[asyncio.AbstractEventLoop, Lookout] = WeakKeyDictionary()


@asynccontextmanager
async def lookout() -> AsyncIterator[Lookout]:
    """Share this event loop's lookout; the last one to leave closes it."""
    loop = asyncio.get_running_loop()
    shared = _open.get(loop)
    if shared is None:
        # No proxy and no netrc of the machine's: what an adapter sends is what leaves.
        shared = _open[loop] = Lookout(httpx.AsyncClient(timeout=_TIMEOUT, limits=_LIMITS, trust_env=False))
    shared.users += 1
    try:
        yield shared
    finally:
        shared.users -= 1
        if not shared.users:
            del _open[loop]
            await shared.close()
