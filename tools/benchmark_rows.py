"""What each benchmark's report comes to: one row per figure, beside a peer or a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tools.benchmark_figures import Figures, Report, Row, Verdict, beside, even, none_of, number, ranged, within

__all__ = ["SOURCES", "Source"]

#: Bytes of the studio's first view.
VIEW_ALLOWED = 200_000


@dataclass(frozen=True)
class Source:
    """One file of results: where below `var/` it may be, what it is about, which command makes it, how it is read."""

    title: str
    paths: tuple[str, ...]
    command: str
    about: str
    rows: Callable[[Report], Iterator[Row]]


def overhead(report: Report) -> Iterator[Row]:
    ours, naive = report["dags"]["render_video"], report["dags"]["naive_video"]
    for key, what, unit in (
        ("cpu_seconds_per_job", "CPU per single-shot job, whole process tree", "s"),
        ("orchestration_cpu_seconds_per_job", "of this orchestration, the library's own work subtracted", "s"),
        ("wall_seconds_to_delivered", "from trigger to delivered, vendor answers at once", "s"),
    ):
        yield beside(what, Figures.of(ours[key]), Figures.of(naive[key]), "naive polling DAG", unit)


def bulk(report: Report) -> Iterator[Row]:
    ours = Figures.of(report["designs"]["batch"]["orchestration"])
    what = f"orchestration CPU per clip, one run for {report['batch']}"
    yield within(what, ours, report["goal"], "s")
    others = {"a run of ours per clip": "single", "naive DAG, a run per clip": "naive"}
    for name, design in others.items():
        yield beside(what, ours, Figures.of(report["designs"][design]["orchestration"]), name, "s")
    yield beside(what, ours, Figures.of(report["script_cpu_per_clip"]), "bare asyncio script, no books", "s")


def inflight(report: Report) -> Iterator[Row]:
    ours, naive = report["parked"], report["naive"]
    for key, what, unit in (
        ("kb_per_render", "memory per render in flight", "KB"),
        ("cpu_ms_per_render_minute", "CPU per render and minute", "ms"),
    ):
        yield beside(what, Figures.of(ours[key]), Figures.of(naive[key]), "task that sleeps and polls", unit)
    renders = report["renders"]
    slots = Figures.of([report["worker_slots_held"]])
    yield beside(f"worker slots held by {renders:,} renders", slots, Figures.of([renders]), "task that sleeps and polls", "slots")


def ledger(report: Report) -> Iterator[Row]:
    for row in report["rows"]:
        holds = "a hold" if row["together"] == 1 else f"{row['together']} holds placed together"
        clients = "1 client" if row["clients"] == 1 else f"{row['clients']} clients"
        peer = "one-row commits" if row["what"] == "sqlite" else "pgbench, one hot row"
        spread = f"ratio {number(row['ratio_lowest'])}–{number(row['ratio_highest'])}; p99 {number(row['p99'])} ms"
        if row.get("floor_ratio") is not None:
            spread += f"; the same statement by pgbench: {number(row['floor_ratio'])} ×"
        verdict = even(row["ratio"], more_is_better=True)
        ours, best = f"{number(row['rate'])} holds/s", f"{peer}: {number(row['best'])} updates/s"
        yield Row(f"{row['what']}, {clients}, {holds}", ours, best, f"{number(row['ratio'])} ×", spread, verdict)
    over = max(row["overspend_usd"] for row in report["rows"])
    yield none_of("overspent when all clients race for the last dollar", over, "USD")


def routing(report: Report) -> Iterator[Row]:
    for name, values in report["milliseconds"].items():
        if name.endswith("p99"):
            yield within(f"{name}, {report['models']} models", Figures.of(values), 100.0, "ms")


def metrics(report: Report) -> Iterator[Row]:
    goals = report["goals"]
    for name, values in report["seconds"].items():
        figures = Figures.of([1_000 * value for value in values])
        if name in goals:
            yield within(name, figures, 1_000 * goals[name], "ms")
        else:
            yield Row(name, f"{number(figures.median)} ms", "no limit set", spread=ranged(figures))


def api(report: Report) -> Iterator[Row]:
    goals = report["goals"]
    what = f"GET /job/{{id}}, p95, {report['jobs']} jobs, {report['watchers']} watchers"
    p95 = Row(what, f"{number(report['p95_ms'])} ms", f"at most {number(goals['p95_ms'])} ms")
    spread = f"p50 {number(report['p50_ms'])}, most {number(report['max_ms'])} ms"
    kept: Verdict = "kept" if report["p95_ms"] <= goals["p95_ms"] else "missed"
    yield Row(p95.what, p95.ours, p95.other, f"{number(report['p95_ms'] / goals['p95_ms'])} ×", spread, kept)
    yield within("memory grown meanwhile", Figures.of([report["rss_growth_mb"]]), goals["rss_growth_mb"], "MB")
    yield none_of("watchers who were not told of a change", report["watchers"] - report["watchers_told"])


def studio(report: Report) -> Iterator[Row]:
    ledger = f"{report['jobs']:,} jobs on {'PostgreSQL' if report['postgres'] else 'SQLite'}"
    for row in report["rows"]:
        limit = row["line"].strip("()").removeprefix("line: ")
        verdict: Verdict = "" if row["held"] is None else "kept" if row["held"] else "missed"
        spread = f"{number(row['low'])}–{number(row['high'])}; p50 {number(row['p50'])} ms"
        other = f"at most {limit}" if limit else "no limit set"
        yield Row(f"{row['name']}, p95, {ledger}", f"{number(row['p95'])} ms", other, spread=spread, verdict=verdict)
    view = report["first_view"]
    yield within(
        f"first view with everything, {view['files']} files", Figures.of([view["bytes"] / 1000]), VIEW_ALLOWED / 1000, "kB"
    )


def qa(report: Report) -> Iterator[Row]:
    for film, seen in report["films"].items():
        for name, value, most in seen["goals"]:
            yield within(f"{film}: {name}", Figures.of([value]), most, "")
        ours = Figures.of([cpu for cpu, _ in seen["designs"][report["ours"]]])
        for design, rounds in seen["designs"].items():
            if not design.startswith("our "):
                yield beside(
                    f"{film}: CPU of looking at {report['seconds']} s", ours, Figures.of([c for c, _ in rounds]), design, "s"
                )


def celery(report: Report) -> Iterator[Row]:
    jobs = f"{report['jobs']} jobs, {len(report['kills'])} components killed"
    yield none_of(f"not delivered, of {jobs}", report["jobs"] - report["delivered"])
    for key, what in (("duplicates", "billed twice"), ("lost", "paid clips lost"), ("overspent", "caps overspent")):
        yield none_of(f"{what}, {jobs}", report[key])
    for kill in report["kills"]:
        seconds = f"{number(kill['recovered_after'])} s"
        yield Row(f"{kill['what']} killed: work goes on after", seconds, "told only", spread=kill["how"])


def load(report: Report) -> Iterator[Row]:
    for scenario in report["scenarios"].values():
        if scenario["trouble"]:
            yield Row(scenario["title"], "ended early", scenario["trouble"].splitlines()[0], verdict="missed")
        for name, figure in scenario["figures"].items():
            value = "not measured" if figure["value"] is None else f"{number(figure['value'])} {figure['unit']}".strip()
            if figure["promise"]:
                verdict: Verdict = "kept" if figure["kept"] else "missed"
                yield Row(f"{scenario['title']}: {name}", value, figure["promise"], spread=figure["said"], verdict=verdict)
            elif figure["value"] is not None:
                yield Row(f"{scenario['title']}: {name}", value, figure["goal"] or "told only", spread=figure["said"])


def safety(report: Report) -> Iterator[Row]:
    ground = (
        f"{report['schedules']:,} storms, {report['kills']:,} processes killed, {report['billable_accepts']:,} billable accepts"
    )
    for key, what, unit in (
        ("overspend_usd", "overspent", "USD"),
        ("duplicate_charges", "requests billed twice", ""),
        ("lost_paid_clips", "paid clips lost", ""),
        ("unexplained_holds", "holds that nobody can explain", ""),
    ):
        yield none_of(f"{what}, in {ground}", report[key], unit)
    if report["mutants_total"]:
        left = report["mutants_total"] - report["mutants_killed"]
        yield none_of(f"bugs planted on purpose that no test noticed, of {report['mutants_total']}", left)


def designs(report: Report) -> Iterator[Row]:
    ours = report["designs"]["AIPROD"]
    for name, theirs in report["designs"].items():
        if name == "AIPROD":
            continue
        lost = [_bad(one) for one in (ours, theirs)]
        verdict: Verdict = "better" if lost[0] < lost[1] else "worse" if lost[0] > lost[1] else "even"
        cells = [f"${one['overspend'] / 1e6:,.2f}, {one['duplicates']} twice, {one['lost']} lost" for one in (ours, theirs)]
        yield Row("overspent, accepted twice, paid and lost", cells[0], f"{name}: {cells[1]}", verdict=verdict)
        ratio = ours["delivered"] / theirs["delivered"] if theirs["delivered"] else float("inf")
        shots = even(ratio, more_is_better=True)
        cells = [f"{one['delivered']} shots" for one in (ours, theirs)]
        parked = f"ours parked {ours['parked']} for a person, theirs {theirs['parked']}"
        yield Row("shots delivered in the same storms", cells[0], f"{name}: {cells[1]}", f"{number(ratio)} ×", parked, shots)


def _bad(score: Mapping[str, int]) -> int:
    return score["overspend"] + score["duplicates"] + score["lost"]


def peers(report: Report) -> Iterator[Row]:
    for row in report["cpu"]:
        ours, theirs = Figures.of(row["ours"]), Figures.of(row["theirs"])
        yield beside(f"orchestration CPU per job, {row['setting']}", ours, theirs, row["who"], "s")
    for row in report["lost_answer"]:
        yield _against(
            f"one answer lost ({row['setting']})",
            _bought(row["ours"]),
            _bought(row),
            row["who"],
            row["ours"]["lost"] - row["lost"] or max(0, row["ours"]["sent"] - 1) - max(0, row["sent"] - 1),
        )
    blind = report["ours_where_nobody_can_look"]
    told = f"requests sent {blind['sent']}, parked for a person {blind['parked']}, paid and lost {blind['lost']}"
    yield Row("one answer lost by a vendor that cannot be asked", told, "not measured on peers: to them it is the same")
    for row in report["overspend"]:
        ours, theirs = row["ours"]["overspent_usd"], row["overspent_usd"]
        yield _against(
            f"{row['callers']} at once, each wants more clips; a cap of {row['cap_usd'] / row['clip_usd']:g} clips",
            {"bought": row["ours"]["bought"], "overspent": f"${ours:.2f}"},
            {"bought": row["bought"], "overspent": f"${theirs:.2f}"},
            row["who"],
            ours - theirs,
        )


def _bought(said: Mapping[str, int]) -> dict[str, int]:
    return {"requests sent": said["sent"], "delivered": said["delivered"], "paid and lost": said["lost"]}


def _against(what: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], name: str, difference: float) -> Row:
    cells = [", ".join(f"{key} {value}" for key, value in one.items()) for one in (ours, theirs)]
    verdict: Verdict = "even" if difference == 0 else "better" if difference < 0 else "worse"
    return Row(what, cells[0], f"{name}: {cells[1]}", verdict=verdict)


SOURCES = (
    Source(
        "Airflow per job",
        ("bench/overhead.json",),
        "make bench",
        "The same job through our DAG and through the one most people would write, in one Airflow, one after the other.",
        overhead,
    ),
    Source(
        "Airflow per clip of a campaign",
        ("bench/bulk.json",),
        "make bench-bulk",
        "The same two-second clip in one run of many, in a run of its own, in the naive DAG, and in a script without books.",
        bulk,
    ),
    Source(
        "Renders in flight",
        ("bench/inflight.json",),
        "python -m benchmarks.inflight",
        "What a render costs while the vendor works on it.",
        inflight,
    ),
    Source(
        "The ledger",
        ("bench/ledger.json",),
        "python -m benchmarks.ledger",
        "Holds under four caps, beside what the same database does at best in the same minute. A hold is ten rows, the peer's "
        "is one.",
        ledger,
    ),
    Source(
        "Routing",
        ("bench/routing.json",),
        "python -m benchmarks.routing",
        "One decision, health and caps read from SQLite.",
        routing,
    ),
    Source(
        "Looking at clips",
        ("bench/qa.json",),
        "python -m benchmarks.qa",
        "The technical check beside decoding alone and beside what people use instead, in the same rounds.",
        qa,
    ),
    Source(
        "Metrics", ("bench/metrics.json",), "python -m benchmarks.metrics", "What keeping and telling figures costs.", metrics
    ),
    Source(
        "The API", ("bench/api.json",), "python -m benchmarks.api", "One process of Airflow's application, with its login.", api
    ),
    Source(
        "The studio",
        ("bench/studio.json",),
        "python -m benchmarks.studio",
        "Pages over a full ledger, through Airflow's own application with its login.",
        studio,
    ),
    Source(
        "Load",
        ("load/report.json",),
        "make load",
        "A real Airflow and the vendors' emulators; every scenario is audited against the vendors' books.",
        load,
    ),
    Source(
        "Celery",
        ("load/celery.json",),
        "python -m tests.celery",
        "Workers, triggerer and scheduler killed in turn, on Redis and PostgreSQL of this machine.",
        celery,
    ),
    Source(
        "Safety",
        ("safety/report.json",),
        "make safety",
        "Storms of processes that are killed, judged by the vendors' own books ([method](safety.md)).",
        safety,
    ),
    Source(
        "The usual designs",
        ("safety/designs.json",),
        "python -m tests.safety.designs",
        "The same storms for four common designs ([which](safety.md#the-usual-designs-on-the-same-storms)). Being careful costs: "
        "what a lost answer left behind waits for a person, so fewer shots are delivered.",
        designs,
    ),
    Source(
        "Peers",
        ("bench/peers.json",),
        "make bench-peers",
        "Prefect and LiteLLM, pinned, each in an environment of its own "
        "([what is compared, and what is not](#how-the-peers-are-measured)).",
        peers,
    ),
)
