"""Who looks at a take: as many samples as configured, bought one by one within the job's approval, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.backends.judges import Judge, judge, why_no_judge
from aiprod.catalog import Catalog
from aiprod.errors import BudgetExceeded, ConfigError, KeyReused, PurchasingStopped, StaleState, StorageError
from aiprod.ledger import Connection, Ledger, jobs, purchases
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.purchases import Purchase
from aiprod.ledger.states import Step
from aiprod.models import Answered, JudgeRequest, Manifest, Micros, RenderRequest, Take
from aiprod.pricing import NotCapable, judgement_quote, legal_request
from aiprod.purchasing import MAX_AGAIN, answer_file, ask_judge, place_judgement, settle_judgement
from aiprod.storage import Storage

if TYPE_CHECKING:
    from aiprod.qa.semantic import Opinion

__all__ = ["Pause", "at_once", "cost_per_take", "look_at"]

#: Waits so many seconds.
Pause = Callable[[float], None]

#: One wait, in seconds, for a judge that has no room, or for another process that asks it about the same take.
_SHORT = 5.0
#: How often the standing of a take's judgements is looked at anew: longer than three leases, each look a short wait.
_LOOKS = 100
#: Ends of a judgement that was, or may have been, billed.
_PAID = ("succeeded", "written_off")


def at_once(catalog: Catalog) -> int:
    """How many takes are worth looking at side by side: as many as the judge takes requests; without one, one."""
    entry = catalog.judge
    return 1 if entry is None or why_no_judge(catalog) else entry.slots


def cost_per_take(catalog: Catalog, manifest: Manifest, backends: Sequence[str], on: date) -> dict[int, Micros]:
    """Return what judging one take of each shot costs at most, in micro-dollars; empty when nobody judges."""
    name, entry = catalog.quality.semantic.judge, catalog.judge
    if name is None or entry is None or why_no_judge(catalog):
        return {}
    # Only here: it comes with what decodes video, which most orders do not need.
    from aiprod.qa.rubric import judge_request

    found: dict[int, Micros] = {}
    for shot in manifest.shots:
        for backend in (of for of in backends if not catalog.backends[of].embedded):
            try:
                render = legal_request(backend, catalog.backends[backend], manifest, shot)
                words, seconds = render.prompt, render.seconds
                request = judge_request(name, entry, prompt=words, seconds=seconds, take_id="0" * 32, sha256="", sequence=1)
                cost = catalog.quality.semantic.samples * judgement_quote(catalog.prices, request, on)
            except NotCapable:
                continue
            found[shot.index] = max(cost, found.get(shot.index, 0))
    return found


def look_at(
    ledger: Ledger, catalog: Catalog, storage: Storage, take: Take, render: RenderRequest, clip: Path, *, round: int, pause: Pause
) -> Opinion:
    """Have a take judged, and return what the judge thinks, or why it said nothing. Never raises for want of a judge or money.

    A judgement is only bought when the approval counted it. What was bought before, by whichever process, is not bought again.
    """
    from aiprod.qa.semantic import Opinion, opinion, read

    missing = why_no_judge(catalog)
    with ledger.read() as conn:
        counted = jobs.priced(conn, take.job_id, take.version).estimate.judging
    name, entry = catalog.quality.semantic.judge, catalog.judge
    if missing or name is None or entry is None:
        return Opinion(why=missing or "no judge is in force")
    if not counted:
        return Opinion(why="the approval of this job does not include judging")
    buyer = _Buyer(ledger, catalog, storage, take, render, clip, round, pause)
    try:
        why = buyer.buy(judge(catalog, name))
    except (BudgetExceeded, NotCapable, PurchasingStopped, StaleState, KeyReused, ConfigError) as error:
        why = str(error)
    heard = buyer.heard()
    said = [read(p.judge_request, answered) if answered else (p.message or "the answer was lost") for p, answered in heard]
    kin = take.backend in entry.kin
    rubrics = [p.judge_request.rubric for p, _ in heard][-1:] or [""]
    found = opinion(said, catalog.quality.semantic, judge=name, model=entry.model, rubric=rubrics[0], kin=kin)
    return found if found.semantic is not None or not why else Opinion(why=f"{found.why}; {why}", judgement=found.judgement)


class _Buyer:
    """The judgements of one take, as the ledger has them, pushed on until there are enough or no more can be had."""

    def __init__(
        self,
        ledger: Ledger,
        catalog: Catalog,
        storage: Storage,
        take: Take,
        render: RenderRequest,
        clip: Path,
        round: int,
        pause: Pause,
    ) -> None:
        self._ledger, self._catalog, self._storage = ledger, catalog, storage
        self._take, self._render, self._clip, self._round, self._pause = take, render, clip, round, pause

    def buy(self, adapter: Judge) -> str:
        """Buy what is missing; return why it is less than was wanted, or nothing."""
        samples = self._catalog.quality.semantic.samples
        for _ in range(_LOOKS):
            bought = self._bought()
            now = self._now()
            live = next((p for p in bought if p.live), None)
            if live is not None:
                self._push(live, adapter, now)
                continue
            paid = [p for p in bought if p.state in _PAID]
            free = [p for p in bought if p.state not in _PAID]
            if len(paid) >= samples:
                return ""
            last = free[-1] if free and free[-1] is bought[-1] else None
            if last is not None and last.state == "rejected" and last.retry_at is None:
                return last.message or "the judge refused"
            if len(free) > MAX_AGAIN:
                return free[-1].message or "the judge took no request"
            if last is not None and last.retry_at is not None:
                self._pause(max(0.0, (last.retry_at - now).total_seconds()))
            self._hold(len(bought) + 1)
        self._give_back()
        return "the judge had no room for too long"

    def heard(self) -> list[tuple[Purchase, Answered | None]]:
        """Every judgement that was paid, with its answer where that is known."""
        return [(p, self._answer(p)) for p in self._bought() if p.state in _PAID]

    def _bought(self) -> list[Purchase]:
        with self._ledger.read() as conn:
            every = purchases.of_job(conn, self._take.job_id, self._take.version, kind="judge")
        return [p for p in every if p.subject == self._take.take_id]

    def _push(self, live: Purchase, adapter: Judge, now: datetime) -> None:
        if live.state == "held":
            after = ask_judge(self._ledger, self._catalog, self._storage, adapter, live, self._clip)
            if after.state == "held":
                self._pause(_SHORT)
        elif live.lease_until is not None and live.lease_until >= now:
            # Another process asks, or died asking: until its lease is over nobody else may.
            self._pause(min(_SHORT, (live.lease_until - now).total_seconds() + 0.1))
        else:
            settle_judgement(self._ledger, self._catalog, live.purchase_id, why="the process that asked died")

    def _give_back(self) -> None:
        held = [p.purchase_id for p in self._bought() if p.state == "held"]
        with self._ledger.write() as conn:
            for purchase_id in held:
                purchases.release(conn, purchase_id, Step.VOID, catalog=self._catalog, now=database_now(conn))

    def _hold(self, sequence: int) -> None:
        request = self._request(sequence)

        def place(conn: Connection) -> Purchase:
            now = database_now(conn)
            return place_judgement(conn, self._catalog, self._take, request, sequence=sequence, round=self._round, now=now)

        self._ledger.transact(place)

    def _request(self, sequence: int) -> JudgeRequest:
        from aiprod.qa.rubric import judge_request

        name, entry = self._catalog.quality.semantic.judge, self._catalog.judge
        if name is None or entry is None:
            raise ConfigError("no judge is in force")
        return judge_request(
            name,
            entry,
            prompt=self._render.prompt,
            seconds=self._render.seconds,
            take_id=self._take.take_id,
            sha256=self._take.sha256,
            sequence=sequence,
        )

    def _answer(self, purchase: Purchase) -> Answered | None:
        try:
            with self._storage.local(answer_file(purchase)) as file:
                return Answered.model_validate_json(file.read_text(encoding="utf-8"))
        except StorageError:
            return None

    def _now(self) -> datetime:
        with self._ledger.read() as conn:
            return database_now(conn)
