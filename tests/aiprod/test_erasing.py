"""An erased job has no file and no word left, and every micro-dollar where it was."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from aiprod import erasing, settings
from aiprod.catalog import Retention
from aiprod.errors import JobFailed, StorageError
from aiprod.ledger import Ledger, erasures, jobs
from aiprod.ledger.audit import audit as own_audit
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.erasures import MARK, Erasure
from aiprod.ledger.schema import metadata
from aiprod.storage import Storage
from tests.auditor import audit
from tests.desk import rows
from tests.market import RUN, Market, killed, lethal

SHOTS = [
    {"prompt": "a CANARY sings [[runway=moderated]]", "seconds": 1, "reference_image_url": "https://cdn.example/CANARY.png"},
    {"prompt": "the CANARY flies", "seconds": 1},
]
#: What money did, to the last digit.
MONEY = ("caps", "legs", "postings", "approvals", "bills", "bill_lines")


@pytest.fixture
def kept() -> Storage:
    """Where the market keeps its files."""
    return Storage.at(settings.storage_url())


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The market keeps its files in a bucket."""
    fsspec.filesystem("memory").store.clear()
    monkeypatch.setenv("AIPROD_STORAGE_URL", "memory://bucket/files")
    return Storage.at(settings.storage_url())


def delivered(market: Market, job_id: str = "job-1", run_id: str = RUN, **spec: Any) -> None:
    """Order, buy, deliver and settle."""
    market.approved(job_id=job_id, run_id=run_id, **spec)
    market.run(job_id)
    market.pipeline.assemble([job_id])
    market.pipeline.deliver([job_id])
    market.pipeline.settle(run_id)


def short(market: Market, job_id: str = "job-1", run_id: str = RUN, prompt: str = "a CANARY") -> None:
    """A job that ended with a take and no delivery: the cheapest that has files."""
    market.approved(prompt, job_id=job_id, run_id=run_id)
    market.run(job_id)
    market.pipeline.settle(run_id)


def erase(market: Market, job_id: str = "job-1") -> Erasure:
    return market.pipeline.erase(job_id, by="ann", why="the customer asked")


def words(ledger: Ledger) -> str:
    """Everything that stands in the ledger."""
    return repr(rows(ledger, *(table.name for table in metadata.sorted_tables)))


def without_words(purchases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(({k: v for k, v in row.items() if k not in ("request", "message")} for row in purchases), key=repr)


def test_no_file_and_no_word_is_left_and_the_money_is_where_it_was(market: Market, kept: Storage) -> None:
    delivered(market, shots=SHOTS)
    short(market, "job-10", "run-10", prompt="a neighbour")
    with market.ledger.write() as conn:
        jobs.fail(conn, "job-1", 1, "route", "runway said: no CANARY", code="JobFailed", now=database_now(conn))
    files, neighbours = kept.below("job-1"), kept.below("job-10")
    before = rows(market.ledger, *MONEY, "purchases")
    assert files and neighbours and "CANARY" in words(market.ledger)

    done = erase(market)

    assert kept.below("job-1") == [] and kept.below("job-10") == neighbours
    assert (done.files, done.size) == (len(files), sum(size for _, size in files))
    assert done.finished_at is not None and (done.erased_by, done.why) == ("ann", "the customer asked")
    assert "CANARY" not in words(market.ledger)
    after = rows(market.ledger, *MONEY, "purchases")
    assert {name: after[name] for name in MONEY} == {name: before[name] for name in MONEY}
    assert without_words(after["purchases"]) == without_words(before["purchases"])
    with market.ledger.read() as conn:
        assert audit(conn) == []
        assert own_audit(conn, catalog=market.catalog, now=database_now(conn)) == []
        assert [shot.prompt for shot in jobs.spec(conn, "job-1").shots or ()] == [MARK, MARK]
        assert {shot.reference_image_url for shot in jobs.priced(conn, "job-1", 1).manifest.shots} == {None}
    assert {p.render_request.prompt for p in market.purchases()} == {MARK}
    assert [p.render_request.prompt for p in market.purchases("job-10")] == ["a neighbour"]


def test_in_a_bucket_no_file_of_the_job_is_left_and_every_neighbours(bucket: Storage, local_market: Market) -> None:
    short(local_market)
    bucket.keep_text("half", "job-1/v1/cuts/.a1b2.part")
    bucket.keep_text("another job's", "job-10/v1/take.mp4")
    assert erase(local_market).files == 2
    assert bucket.below("job-1") == [] and [path for path, _ in bucket.below("job-10")] == ["job-10/v1/take.mp4"]


def test_on_sqlite_the_words_are_not_left_in_the_file_either(local_market: Market, tmp_path: Path) -> None:
    short(local_market)
    erase(local_market)
    # The last connection that closes moves the log into the file.
    local_market.ledger.engine.dispose()
    left = [path.name for path in tmp_path.glob("ledger.db*") if b"CANARY" in path.read_bytes()]
    assert left == []


def test_again_it_changes_nothing(local_market: Market) -> None:
    short(local_market)
    once = erase(local_market)
    before = rows(local_market.ledger, *(table.name for table in metadata.sorted_tables))
    assert local_market.pipeline.erase("job-1", by="bob", why="again") == once
    assert rows(local_market.ledger, *(table.name for table in metadata.sorted_tables)) == before


@pytest.mark.parametrize("order", ["slow:600", "lose"], ids=["a render that runs", "an answer that is lost"])
def test_what_is_not_over_is_refused_and_nothing_is_touched(mute_market: Market, order: str) -> None:
    mute_market.bought(f"a CANARY [[runway={order}]]")
    mute_market.pipeline.settle(RUN)
    before = words(mute_market.ledger)
    with pytest.raises(JobFailed, match="job job-1 can not be erased: "):
        erase(mute_market)
    assert words(mute_market.ledger) == before


def test_a_run_that_goes_on_is_refused_and_keeps_its_files(local_market: Market, kept: Storage) -> None:
    local_market.bought()
    with pytest.raises(JobFailed, match="a run of it is not over"):
        erase(local_market)
    assert len(kept.below("job-1")) == 1
    local_market.pipeline.settle(RUN)
    assert erase(local_market).files == 1


def test_a_run_that_begins_in_the_middle_is_refused_too(local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    short(local_market)
    listed = Storage.below

    def then_begun(self: Storage, folder: str) -> list[tuple[str, int]]:
        with local_market.ledger.write() as conn:
            jobs.attach_run(conn, "run-2", "job-1", 1, now=database_now(conn))
        return listed(self, folder)

    monkeypatch.setattr(Storage, "below", then_begun)
    with pytest.raises(JobFailed, match="a run of it is not over"):
        erase(local_market)
    assert "CANARY" in words(local_market.ledger) and local_market.count("erasures") == 0


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [(Storage, "delete", False), (Storage, "delete", True), (erasures, "record", True), (erasures, "finish", False)],
)
def test_whoever_is_killed_half_way_is_finished_next_time(local_market: Market, owner: object, name: str, after: bool) -> None:
    storage = Storage.at(settings.storage_url())
    short(local_market)
    storage.keep_text("more", "job-1/v1/more.txt")

    def dying() -> None:
        lethal(owner, name, after=after)
        erase(local_market)

    killed(dying)
    done = local_market.pipeline.reconcile() if local_market.count("erasures") else erase(local_market)
    with local_market.ledger.read() as conn:
        standing = erasures.of_job(conn, "job-1")
    assert standing is not None and (standing.files, standing.finished_at is not None) == (2, True), done
    assert storage.below("job-1") == [] and "CANARY" not in words(local_market.ledger)


def test_a_job_with_more_files_than_one_call_deletes_is_finished_by_the_next(
    local_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(local_market)
    Storage.at(settings.storage_url()).keep_text("more", "job-1/v1/more.txt")
    monkeypatch.setattr(erasing, "_FILES", 1)
    assert erase(local_market).finished_at is None
    assert erase(local_market).finished_at is not None


def test_an_erased_job_is_not_bought_again_by_the_same_order(local_market: Market) -> None:
    local_market.approved("a CANARY")
    local_market.pipeline.settle(RUN)
    erase(local_market)
    local_market.order("a CANARY", run_id="run-2")
    asked = local_market.pipeline.ask("job-1", run_id="run-2")
    assert (asked.answer, asked.by) == ("rejected", "ann (erased) (cancelled)")
    with pytest.raises(JobFailed, match=r"was cancelled by ann \(erased\)"):
        local_market.pipeline.route(["job-1"], 1)
    assert local_market.accepts() == []
    assert "CANARY" not in words(local_market.ledger)


class TestRetention:
    def after(self, market: Market, **retention: Any) -> None:
        market.catalog = market.catalog.model_copy(update={"retention": Retention(**retention)})

    def test_nothing_is_deleted_unless_somebody_said_so(self, local_market: Market) -> None:
        short(local_market)
        for table, column in (("jobs", "created_at"), ("runs", "started_at"), ("runs", "settled_at")):
            local_market.age(table, column, by=timedelta(days=3_000))
        assert local_market.pipeline.reconcile().tidied == ()
        assert local_market.count("erasures") == 0

    def test_reconcile_erases_what_is_old_a_few_at_a_time(self, local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(erasing, "_JOBS", 1)
        for n in ("1", "2"):
            short(local_market, f"job-{n}", f"run-{n}")
            for table, column in (("jobs", "created_at"), ("runs", "started_at"), ("runs", "settled_at")):
                local_market.age(table, column, by=timedelta(days=31))
        short(local_market, "job-3", "run-3")
        self.after(local_market, days=30)
        told = [local_market.pipeline.reconcile().tidied for _ in range(3)]
        assert [len(lines) for lines in told] == [1, 1, 0] and told[0][0].startswith("job-1 erased: 1 files, ")
        assert local_market.count("erasures WHERE job_id IN ('job-1', 'job-2')") == 2 == local_market.count("erasures")

    def test_a_storage_that_refuses_is_told_and_tried_again(self, local_market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: Storage, relative: str) -> None:
            raise StorageError("the bucket is locked")

        short(local_market)
        with monkeypatch.context() as patch:
            patch.setattr(Storage, "delete", refuse)
            with pytest.raises(StorageError):
                erase(local_market)
            assert local_market.pipeline.reconcile().troubles == ("job-1 could not be erased: the bucket is locked",)
        assert local_market.pipeline.reconcile().tidied[0].startswith("job-1 erased")
