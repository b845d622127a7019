"""The steps of a job, in order: the table of contents.

Every step takes the ids of the jobs that a run carries, reads what it needs from the ledger, adds its own rows
and can be done again. One job's trouble never stops the others: it is written down, and the step fails only when
nothing is left that could go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from aiprod import batching, cancelling, delivering, finishing, metrics, ordering, purchasing, reconciling, reviewing, sourcing
from aiprod.batching import Batch
from aiprod.errors import AiprodError, JobFailed
from aiprod.finishing import Review, ReviewQuestion
from aiprod.judging import at_once
from aiprod.ledger import jobs, queue
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.queue import Waiting
from aiprod.logs import about
from aiprod.models import Delivery, Micros, dollars
from aiprod.notifying import PLAIN, Sender, Told, relay
from aiprod.ordering import Asked, SpendQuestion
from aiprod.purchasing import Progress
from aiprod.reconciling import Reconciled
from aiprod.reusing import adopt
from aiprod.scoring import score_job
from aiprod.taking_turns import turns
from aiprod.verbs import Verbs
from aiprod.watching import Minute, minute

__all__ = ["Pipeline", "Scored"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")
Answer = Literal["approved", "rejected", "expired"]

#: Jobs cut, or delivered, side by side: one waits for its disk while another is drawn. More need the memory of more films.
_AT_ONCE = 2


@dataclass(frozen=True)
class Scored:
    """What `score` decided, and one line per take judged.

    `stuck`: this round bought nothing and no job is complete; `waits`: every job waits for slots or money.
    """

    then: Literal["assemble", "again", "stuck", "waits"]
    lines: tuple[str, ...]


class Pipeline(Verbs):
    """The steps, beside what people do with a job between them."""

    # 1. estimate
    def estimate(self, orders: Sequence[Mapping[str, Any]], *, run_id: str, job_id: str, by: str | None = None) -> list[str]:
        """Take the orders of a run, price them, and return their job ids. Raises `SpecError` before anything happens."""
        names = [job_id] if len(orders) == 1 else [f"{job_id}-{n}" for n in range(1, len(orders) + 1)]
        entered = [
            ordering.enter(self.ledger, self.catalog, raw, job_id=name, run_id=run_id, by=by)
            for name, raw in zip(names, orders, strict=True)
        ]
        job_ids = list(dict.fromkeys(e.job_id for e in entered))
        for name in job_ids:
            with about(job_id=name):
                log.info("entered")
        return job_ids

    def enlist(self, orders: Sequence[Mapping[str, Any]], *, campaign: str, amount: Micros, by: str) -> list[str]:
        """Enter the jobs of a campaign, approved together; they wait for a run. Raises `SpecError`, and writes nothing."""
        return batching.enlist(self.ledger, self.catalog, orders, campaign=campaign, amount=amount, by=by)

    def carry(self, job_ids: Sequence[str], *, run_id: str, by: str | None = None) -> list[str]:
        """Let a run carry jobs that were entered before; return them in the order in which they are served."""
        return batching.carry(self.ledger, self.catalog, job_ids, run_id=run_id, by=by)

    def next_batch(self) -> Batch | None:
        """Return the jobs that wait and can go on now, for a run to carry; None when there are none."""
        return batching.next_batch(self.ledger, self.catalog)

    # 2. approve
    def ask(self, job_id: str, *, run_id: str) -> Asked:
        """Return the answer that stands about a job's money, or what a person must be asked."""
        return ordering.ask_spend(self.ledger, self.catalog, job_id, run_id)

    def spend_question(self, job_id: str, *, run_id: str, task_id: str) -> SpendQuestion:
        """Return what to show a person who is asked."""
        return ordering.spend_question(self.ledger, self.catalog, job_id, run_id=run_id, task_id=task_id)

    def answer_spend(self, job_id: str, word: Answer, *, by: str, run_id: str, task_id: str) -> Asked:
        """Write down a person's answer. Raises `JobFailed` when the job moved on from what was shown."""
        return ordering.answer_shown(self.ledger, self.catalog, job_id, word, by=by, run_id=run_id, task_id=task_id)

    # 3. attempt_n.route
    def route(self, job_ids: Sequence[str], round: int) -> list[str]:
        """Place every shot that needs a take; return the backends that have work.

        The most urgent job goes first. What finds no slot or no money now waits in the queue for another run. Raises
        `JobFailed` when there is no work and no job could go on without it.
        """
        work: list[str] = []
        with self.ledger.read() as conn:
            served = jobs.in_priority_order(conn, job_ids)
        every = sourcing.route_jobs(self.ledger, self.catalog, self._versions(served), round, batch=len(job_ids) > 1)

        def one(job_id: str, version: int) -> bool:
            routed = every[job_id]
            if isinstance(routed, AiprodError):
                raise routed
            work.extend(routed.backends)
            log.info("routed to %s", ", ".join(routed.backends) or "nobody")
            self._let_wait(job_id, version, routed)
            if routed.refused and not routed.backends:
                raise JobFailed(" ".join(routed.refused))
            return True

        if not any(map(self._complete, self._each(served, one, stage="route"))) and not work:
            raise JobFailed(self._why(job_ids, "nothing could be routed"))
        return [name for name in self.catalog.backend_order if name in work]

    # 4. attempt_n.<backend>
    def render(self, job_ids: Sequence[str], backend: str, round: int) -> Progress:
        """Push the shots routed to a backend as far as they go now."""
        return purchasing.render(self.ledger, self.catalog, self.storage, self._versions(job_ids), backend, round)

    def stop(self, backend: str, vendor_ids: Sequence[str], *, by: str) -> list[str]:
        """Ask a backend to stop renders, named by the vendor's ids; return what became of each."""
        return cancelling.stop(self.ledger, self.catalog, backend, vendor_ids, by=by)

    # 5. attempt_n.score
    def score(self, job_ids: Sequence[str], round: int) -> Scored:
        """Judge new takes, and say where the run goes: on to `assemble`, to another attempt, or nowhere."""
        rooms, side_by_side = (self.ledger, self.catalog, self.storage), at_once(self.catalog)
        takes = side_by_side if len(job_ids) == 1 else 1

        def one(job_id: str, version: int) -> list[str]:
            said = score_job(*rooms, job_id, version, side_by_side=takes)
            # What is to be the very same clip was bought once, and stands for each.
            adopt(self.ledger, job_id, version)
            return said

        scored = self._each(job_ids, one, stage="score", at_once=side_by_side)
        lines = [line for said in scored.values() for line in said]
        if not (going := self._going(job_ids)):
            return Scored("waits", tuple(lines))
        complete = list(map(self._complete, going))
        worked = [sourcing.worked_on(self.ledger, j, v, round) for j, v in self._versions(going).items()]
        if all(complete) or (any(complete) and not any(worked) and not lines):
            return Scored("assemble", tuple(lines))
        return Scored("again" if any(worked) or lines else "stuck", tuple(lines))

    # 6. assemble
    def assemble(self, job_ids: Sequence[str]) -> list[str]:
        """Cut each job's takes together; return the jobs that have a video. Raises `JobFailed` when none has."""

        def one(job_id: str, version: int) -> bool:
            finishing.assemble_job(self.ledger, self.catalog, self.storage, job_id, version)
            log.info("assembled")
            return True

        made = self._each(self._going(job_ids), one, stage="assemble", at_once=_AT_ONCE)
        if not made:
            raise JobFailed(self._why(job_ids, "no job has a take for every shot"))
        return list(made)

    # 7. review
    def reviews(self, job_ids: Sequence[str]) -> list[Review]:
        """Say for every job with a video whether a person must look at it, and what they said."""
        with_video = {j: v for j, v in self._versions(job_ids).items() if finishing.has_video(self.ledger, j, v)}
        return [finishing.review_job(self.ledger, self.catalog, j, v) for j, v in with_video.items()]

    def review_question(self, job_id: str, *, run_id: str, task_id: str) -> ReviewQuestion:
        """Return where a person is to look."""
        version = self._version(job_id)
        return finishing.review_question(self.ledger, self.catalog, job_id, version, run_id=run_id, task_id=task_id)

    def answer_review(self, job_id: str, word: Literal["accepted", "rejected"], *, by: str, run_id: str, task_id: str) -> str:
        """Write down a person's word on the video that was shown; return the word that stands."""
        return reviewing.answer_shown(self.ledger, self.catalog, job_id, word, by=by, run_id=run_id, task_id=task_id)

    def nobody_looked(self, job_id: str, *, run_id: str, task_id: str) -> None:
        """Write down that nobody looked in time at the video that was shown."""
        reviewing.nobody_looked(self.ledger, job_id, run_id=run_id, task_id=task_id)

    # 8. deliver
    def deliver(self, job_ids: Sequence[str]) -> list[Delivery]:
        """Publish every job that is ready. Raises `JobFailed` at the end when any that does not wait was not delivered."""

        def one(job_id: str, version: int) -> Delivery | None:
            if not finishing.has_video(self.ledger, job_id, version):
                return None  # `assemble` has said why
            made = delivering.deliver_job(self.ledger, self.catalog, self.storage, job_id, version)
            log.info("delivered for %s", dollars(made.cost))
            return made

        going = self._going(job_ids)
        every = self._each(going, one, stage="deliver", at_once=_AT_ONCE)
        done = [made for made in every.values() if made is not None]
        left = [job_id for job_id in going if job_id not in {made.job_id for made in done}]
        if left or not done:
            raise JobFailed(self._why(left or job_ids, f"{len(left) or len(job_ids)} of {len(job_ids)} jobs were not delivered"))
        return done

    # 9. settle
    def settle(self, run_id: str) -> list[str]:
        """Give back what the run's jobs hold and never sent; note that it is over. Returns one line per job."""
        with self.ledger.read() as conn:
            carried = jobs.of_run(conn, run_id)
            busy = {job_id for job_id in carried if jobs.carried_elsewhere(conn, run_id, job_id)}
        lines = []
        for job_id, version in carried.items():
            # What a younger run of the job has set aside is not ours to give back.
            released = [] if job_id in busy else cancelling.release_holds(self.ledger, self.catalog, job_id, version)
            told = f"{batching.ended(self.ledger, run_id, job_id, version)}, {len(released)} unused holds given back"
            with about(job_id=job_id):
                log.info("%s", told)
            lines.append(f"{job_id}: {told}")
        return lines

    # 10. push_metrics
    def push_metrics(self) -> int:
        """Fold the metric outbox into its series and tell the sinks what fits into two seconds; return how many points."""
        return metrics.push(self.ledger, self.catalog)

    # and, on schedules of their own
    def flush_metrics(self) -> Minute:
        """Tell every sink what it has not heard, and raise or resolve alerts."""
        return minute(self.ledger, self.catalog)

    def reconcile(self) -> Reconciled:
        """Finish what nobody watched."""
        return reconciling.reconcile(self.ledger, self.catalog, self.storage)

    def relay(self, senders: Mapping[str, Sender] | None = None) -> Told:
        """Tell every channel what is due for it; without `senders`, logs and webhooks are told."""
        return relay(self.ledger, self.catalog, senders or PLAIN)

    def _let_wait(self, job_id: str, version: int, routed: sourcing.Routed) -> None:
        """Put a job with shots that wait into the queue, until the last of them can be tried; else take it out."""
        with self.ledger.write() as conn:
            if not routed.waits:
                return queue.take(conn, job_id, now=database_now(conn))
            last = max(routed.waits, key=lambda wait: wait.due_at)
            since = database_now(conn)
            queue.put(conn, Waiting(job_id=job_id, version=version, since=since, **last.model_dump()))

    def _going(self, job_ids: Sequence[str]) -> list[str]:
        """The jobs that go on in this run: the others wait in the queue."""
        with self.ledger.read() as conn:
            waiting = queue.waiting(conn, job_ids)
        return [job_id for job_id in job_ids if job_id not in waiting]

    def _version(self, job_id: str) -> int:
        with self.ledger.read() as conn:
            return jobs.latest(conn, job_id)

    def _versions(self, job_ids: Sequence[str]) -> dict[str, int]:
        with self.ledger.read() as conn:
            return {job_id: jobs.latest(conn, job_id) for job_id in job_ids}

    def _complete(self, job_id: str) -> bool:
        with self.ledger.read() as conn:
            return not sourcing.shots_without_take(conn, job_id, jobs.latest(conn, job_id))

    def _each(self, job_ids: Sequence[str], do: Callable[[str, int], _T], *, stage: str, at_once: int = 1) -> dict[str, _T]:
        """Do one step for every job; write down whose trouble it was. Returns the results of those that went on.

        What may pass by itself is raised, once every other job had its turn.
        """
        done: dict[str, _T] = {}
        passing: AiprodError | None = None
        versions = self._versions(job_ids)
        for job_id, outcome in turns(versions, do, at_once):
            try:
                done[job_id] = outcome()
            except AiprodError as error:
                if error.retryable:
                    passing = passing or error
                    continue
                with about(job_id=job_id):
                    log.warning("%s failed: %s", stage, error)
                with self.ledger.write() as conn:
                    code = type(error).__name__
                    jobs.fail(conn, job_id, versions[job_id], stage, str(error), code=code, now=database_now(conn))
        if passing is not None:
            raise passing
        return done

    def _why(self, job_ids: Sequence[str], summary: str) -> str:
        """The last thing that went wrong with each job, or what it waits for."""
        with self.ledger.read() as conn:
            last = {job_id: jobs.failures_of(conn, job_id, jobs.latest(conn, job_id))[-1:] for job_id in job_ids}
            last |= {job_id: [str(waits)] for job_id, waits in queue.waiting(conn, job_ids).items()}
        lines = [f"{job_id}: {''.join(found)}" for job_id, found in last.items() if found]
        return "\n".join([summary, *lines]) if lines else summary
