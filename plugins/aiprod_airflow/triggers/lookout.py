"""What all render triggers of one event loop share: one HTTP client, one adapter per backend, a bound on questions at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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

    async def ask(self, name: str, vendor_id: str) -> JobState:
        """Ask once. Raises what the adapter raises, `TimeoutError` after `PATIENCE`, and when there is no adapter, why."""
        async with asyncio.timeout(PATIENCE), self._turns.setdefault(name, asyncio.Semaphore(AT_ONCE)):
            adapter = await self._adapter(name)
            try:
                return await adapter.watch(vendor_id, self._http)
            except BackendError as error:
                if error.kind is FailureKind.AUTH:
                    self._forget(name)
                raise

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
        await self._http.aclose()


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
