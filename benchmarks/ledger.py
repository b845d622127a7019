"""Reservations per second under four caps, beside what the same database does at best in the same minute.

    python -m benchmarks.ledger [--rounds 3] [--seconds 4] [--quick]

One hold per transaction, and ten together, as the shots of a job are placed. Postgres is measured against `pgbench`
updating one hot row, with connections that stay and with one per transaction (as short tasks have); SQLite against one-row
commits with synchronous=FULL by one client. The floor is `pgbench` sending the very same transaction: what Python costs
is the difference. Every client is a process with a job of its own; project and day are shared by all. Both databases keep
their files on disk and flush every commit. What was overspent is computed from the postings.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import re
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from aiprod.budgets import Cap
from aiprod.catalog import catalog
from aiprod.errors import BudgetExceeded
from aiprod.ledger import Connection, Ledger, hold_statements, holds, purchases
from aiprod.ledger.purchases import NewHold, Purchase
from aiprod.models import USD, Envelope
from benchmarks.kept import keep
from tests.desk import NOW, Desk, request
from tests.postgres import PrivatePostgres, binaries

CLIENTS = (1, 8, 64)
#: How many holds go in one transaction.
TOGETHER = (1, 10)
DAY = "2026-11-23@UTC"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="per measurement")
    parser.add_argument("--quick", action="store_true", help="one round of a second each")
    args = parser.parse_args()
    rounds, seconds = (1, 1.0) if args.quick else (args.rounds, args.seconds)
    rows = measure(rounds, seconds)
    print(table(rows))
    print(f"\nwritten to {keep('ledger', {'rounds': rounds, 'seconds': seconds, 'rows': rows})}")


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Measure every line in turn, `rounds` times, each next to its own yardstick."""
    found: dict[tuple[str, int, int], list[dict[str, float]]] = {}
    # On a disk, not in memory, and where Postgres's own user may go.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        os.chmod(scratch, 0o755)  # noqa: S103 - Postgres runs as a user of its own
        server = PrivatePostgres(_programs(), folder=Path(scratch))
        try:
            for n, clients, together in itertools.product(range(rounds), CLIENTS, TOGETHER):
                for keep in (True, False):
                    name = "postgres" if keep else "postgres, connecting each time"
                    best = _hot_row(server, clients, seconds, keep=keep)
                    ledger = _fresh(server.url(server.database()))
                    seen = _compared(ledger, clients, seconds, best, keep=keep, together=together)
                    seen["floor"] = _floor(server, clients, seconds, keep=keep, together=together)
                    found.setdefault((name, clients, together), []).append(seen)
                best = _full_commits(Path(scratch) / f"best-{n}-{clients}-{together}.db", seconds / 2)
                ledger = _fresh(f"sqlite:///{scratch}/ledger-{n}-{clients}-{together}.db")
                seen = _compared(ledger, clients, seconds, best, keep=True, together=together)
                found.setdefault(("sqlite", clients, together), []).append(seen)
        finally:
            server.stop()
    return [_row(*line, figures) for line, figures in sorted(found.items())]


def _programs() -> Path:
    folder = binaries()
    if folder is None:
        raise SystemExit("PostgreSQL is not installed; `apt-get install postgresql` brings it")
    return folder


def _fresh(url: str) -> str:
    Ledger(url).upgrade()
    return url


def _compared(url: str, clients: int, seconds: float, best: float, *, keep: bool, together: int) -> dict[str, float]:
    """Reserve without reaching a cap, then until $100 are gone: rates, waits, and what the postings add up to."""
    desk = Desk(Ledger(url), catalog())
    envelopes = [desk.order(f"job-{n}", amount=10**15) for n in range(clients)]

    def hold(ledger: Ledger, n: int, shot: int, amount: int, day: int) -> int:
        """Place holds from a shot on; return how many were not refused."""
        shots = range(shot, shot + together)
        placed = ledger.transact(lambda conn: _held(conn, desk, envelopes[n], shots, amount, day))
        return sum(isinstance(one, Purchase) for one in placed)

    def steadily(ledger: Ledger, n: int) -> list[float]:
        waits: list[float] = []
        over = time.monotonic() + seconds
        while (begun := time.monotonic()) < over:
            assert hold(ledger, n, together * len(waits), 1, 10**15) == together
            waits.append(time.monotonic() - begun)
        return waits

    def until_refused(ledger: Ledger, n: int) -> list[float]:
        placed = []
        for shot in itertools.count(10**6, together):
            placed.append(hold(ledger, n, shot, 400_000, 100 * USD + total))
            if placed[-1] < together:
                break
        return [float(sum(placed))]

    def ready(n: int, warm: int) -> Ledger:
        # A client's first hold compiles its statements and opens its job's caps: 40 ms of Python, once per process.
        ledger = Ledger(url, keep=keep)
        hold(ledger, n, warm, 0, 10**15)
        return ledger

    took, waits = _at_once(clients, lambda n: ready(n, 10**7), steadily)
    total = together * len(waits)
    _, placed = _at_once(clients, lambda n: ready(n, 2 * 10**7), until_refused)
    waits.sort()
    return {
        "best": best,
        "rate": total / took,
        "p50": waits[len(waits) // 2] * 1e3,
        "p99": waits[int(len(waits) * 0.99)] * 1e3,
        "placed_of_250": sum(placed),
        "overspend_micros": _overspent(desk.ledger),
    }


def _new(envelope: Envelope, shot: int, amount: int, limits: list[Cap]) -> NewHold:
    return NewHold(request(shot), envelope, "render", str(shot), 1, 1, amount, limits)


def _limits(envelope: Envelope, day: int) -> list[Cap]:
    return [
        Cap(kind="envelope", key=f"{envelope.job_id}/1/1", cap=envelope.amount),
        Cap(kind="job", key=envelope.job_id, cap=10**15),
        Cap(kind="project", key="acme", cap=10**15),
        Cap(kind="day", key=DAY, cap=day),
    ]


def _held(conn: Connection, desk: Desk, envelope: Envelope, shots: range, amount: int, day: int) -> list[object]:
    limits = _limits(envelope, day)
    if len(shots) > 1:
        news = [_new(envelope, shot, amount, limits) for shot in shots]
        return [*purchases.hold_all(conn, news, catalog=desk.catalog, now=NOW)]
    try:
        return [purchases.hold(conn, _new(envelope, shots[0], amount, limits), catalog=desk.catalog, now=NOW)]
    except BudgetExceeded as error:
        return [error]


def _at_once(
    clients: int, ready: Callable[[int], Ledger], work: Callable[[Ledger, int], list[float]]
) -> tuple[float, list[float]]:
    """Run `work` in as many processes from one moment on; return how long it took, and every wait in seconds."""
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(clients + 1), context.Queue()

    def run(n: int) -> None:
        try:
            ledger = ready(n)
            start.wait()
            answers.put(work(ledger, n))
        except Exception as error:  # noqa: BLE001 - reported by who asked
            start.abort()
            answers.put(f"{type(error).__name__}: {error}")

    workers = [context.Process(target=run, args=(n,)) for n in range(clients)]
    for worker in workers:
        worker.start()
    start.wait()
    begun = time.monotonic()
    told = [answers.get() for _ in workers]
    took = time.monotonic() - begun
    for worker in workers:
        worker.join()
    if wrong := [answer for answer in told if isinstance(answer, str)]:
        raise SystemExit(f"{len(wrong)} of {clients} clients failed: {wrong[0][:500]}")
    return took, [wait for waits in told for wait in waits]


def _overspent(ledger: Ledger) -> int:
    """Micro-dollars by which the postings go over any cap, or differ from its balance."""
    sums = """
        SELECT c.cap, c.reserved + c.settled AS balance, SUM(p.d_reserved + p.d_settled) AS posted
        FROM caps c JOIN legs l ON l.cap_id = c.cap_id JOIN postings p ON p.purchase_id = l.purchase_id
        GROUP BY c.cap_id, c.cap, c.reserved, c.settled
    """
    with ledger.read() as conn:
        rows = conn.execute(text(sums)).all()
    assert all(row.balance == row.posted for row in rows)
    return max(max(0, int(row.posted - row.cap)) for row in rows)


def _hot_row(server: PrivatePostgres, clients: int, seconds: float, *, keep: bool) -> float:
    """Updates of one row per second."""
    name = server.database()
    with server.connect(name) as conn:
        conn.execute("CREATE TABLE hot (id int PRIMARY KEY, n bigint)")
        conn.execute("INSERT INTO hot VALUES (1, 0)")
    return _pgbench(server, name, "UPDATE hot SET n = n + 1 WHERE id = 1;", clients, seconds, keep=keep)


def _floor(server: PrivatePostgres, clients: int, seconds: float, *, keep: bool, together: int) -> float:
    """Holds per second without any Python: the same transaction, its JSON made once, its ids made new by the database."""
    name = server.database()
    ledger = Ledger(_fresh(server.url(name)))
    desk = Desk(ledger, catalog())
    with server.connect(name) as conn:
        conn.execute("CREATE TABLE sent (client int PRIMARY KEY, holds text, caps text, legs text)")
        for client in range(clients):
            envelope = desk.order(f"job-{client}", amount=10**15)
            limits = _limits(envelope, 10**15)
            desk.hold(envelope, shot=10**7, amount=0, limits=limits)
            wanted = [_new(envelope, shot, 1, limits).wanted(catalog=desk.catalog, now=NOW) for shot in range(together)]
            marked = [
                replace(w, purchase={**w.purchase, "purchase_id": f"{n}@", "subject": f"{n}@"}) for n, w in enumerate(wanted)
            ]
            sent = holds.sent(marked)
            conn.execute("INSERT INTO sent VALUES (%s, %s, %s, %s)", (client, sent["holds"], sent["caps"], sent["legs"]))
    given = {"caps_count": "4", "probing": "false", "caps": "(SELECT caps FROM sent WHERE client = :client_id)"}
    mark = "'-' || :client_id::text || '-' || :n::text"
    mine = "FROM sent WHERE client = :client_id"
    given |= {of: f"(SELECT replace({of}, '@', {mark}) {mine})" for of in ("holds", "legs")}
    statement = hold_statements.in_one().compile(dialect=ledger.engine.dialect)
    given |= {of: f"'{value}'" for of, value in statement.params.items() if of not in given}
    hottest = holds.gate(_limits(envelope, 10**15))
    queue = f"SELECT set_config('lock_timeout', '4s', true), pg_advisory_xact_lock({hottest});"
    script = f"\\set n :n + 1\nBEGIN;\n{queue}\n{str(statement) % given};\nEND;"
    return together * _pgbench(server, name, script, clients, seconds, keep=keep)


def _pgbench(server: PrivatePostgres, name: str, script: str, clients: int, seconds: float, *, keep: bool) -> float:
    """Runs of a script per second."""
    file = server.folder / "script.sql"
    file.write_text(script + "\n")
    options = ["-n", "-M", "prepared", "-D", "n=0", "-c", str(clients), "-j", str(min(clients, os.cpu_count() or 1))]
    command = [str(_programs() / "pgbench"), *options, "-T", str(max(1, round(seconds))), "-f", str(file)]
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "aiprod", *([] if keep else ["-C"]), name]
    said = subprocess.run([*command, *where], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"tps = ([\d.]+)", said)
    assert rate is not None, said
    return float(rate[1])


def _full_commits(file: Path, seconds: float) -> float:
    """One-row commits per second by one client, each flushed."""
    conn = sqlite3.connect(file, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE hot (id INTEGER PRIMARY KEY, n)"):
        conn.execute(statement)
    conn.execute("INSERT INTO hot VALUES (1, 0)")
    done, begun = 0, time.monotonic()
    while time.monotonic() < begun + seconds:
        conn.execute("UPDATE hot SET n = n + 1 WHERE id = 1")
        done += 1
    conn.close()
    return done / seconds


def _row(name: str, clients: int, together: int, figures: list[dict[str, float]]) -> dict[str, Any]:
    """Medians over the rounds; the ratio with its lowest and highest."""
    ratios = sorted(f["rate"] / f["best"] for f in figures)
    medians = {key: statistics.median(f[key] for f in figures) for key in ("best", "rate", "p50", "p99")}
    floors = [f["floor"] / f["best"] for f in figures if "floor" in f]
    return {
        "what": name,
        "clients": clients,
        "together": together,
        **medians,
        "ratio": statistics.median(ratios),
        "ratio_lowest": ratios[0],
        "ratio_highest": ratios[-1],
        "floor_ratio": statistics.median(floors) if floors else None,
        "placed_of_250": [f["placed_of_250"] for f in figures],
        "overspend_usd": max(f["overspend_micros"] for f in figures) / USD,
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"{'':31}{'clients':>7}{'holds':>6}{'best/s':>8}{'ours/s':>8}{'ratio':>7}{'(spread)':>13}{'floor':>7}{'p50 ms':>8}"
        f"{'p99 ms':>8}{'$100/$0.40':>12}{'overspend':>11}"
    ]
    for r in rows:
        spread = f"{r['ratio_lowest']:.2f}-{r['ratio_highest']:.2f}"
        floor = "" if r["floor_ratio"] is None else f"{r['floor_ratio']:.2f}"
        placed = "/".join(str(int(n)) for n in sorted(set(r["placed_of_250"])))
        lines.append(
            f"{r['what']:31}{r['clients']:7}{r['together']:6}{r['best']:8.0f}{r['rate']:8.0f}{r['ratio']:7.2f}{spread:>13}"
            f"{floor:>7}{r['p50']:8.1f}{r['p99']:8.1f}{placed:>12}{r['overspend_usd']:>10.2f}$"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
