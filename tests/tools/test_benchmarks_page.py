"""The benchmarks' page says what the reports say, losses first, and never guesses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kept
from tools import benchmarks_page
from tools.benchmark_figures import Figures, Row, beside, within
from tools.benchmark_rows import SOURCES, Source

SPREAD = {"median": 3.0, "least": 2.5, "most": 3.5}
DAG = dict.fromkeys(("cpu_seconds_per_job", "orchestration_cpu_seconds_per_job", "wall_seconds_to_delivered"), SPREAD)
LITTLE = {"median": 0.07, "least": 0.06, "most": 0.08}
SLOWER = {name: {"median": 1.5, "least": 1.0, "most": 2.0} for name in DAG}
LINE = {"together": 1, "clients": 8, "rate": 500.0, "best": 5000.0, "ratio": 0.1, "ratio_lowest": 0.09, "ratio_highest": 0.12}
DESIGN = {"overspend": 0, "duplicates": 0, "lost": 0, "parked": 21, "delivered": 141}
OURS = {"sent": 1, "delivered": 1, "lost": 0}
#: One report of each kind, as its benchmark writes it.
REPORTS: dict[str, dict[str, Any]] = {
    "bench/overhead.json": {"dags": {"render_video": DAG, "naive_video": SLOWER}},
    "bench/inflight.json": {
        "renders": 1000,
        "worker_slots_held": 0,
        "parked": {"kb_per_render": SPREAD, "cpu_ms_per_render_minute": SPREAD},
        "naive": {"kb_per_render": {"median": 90e3, "least": 80e3, "most": 99e3}, "cpu_ms_per_render_minute": SPREAD},
    },
    "bench/ledger.json": {"rows": [{"what": "sqlite", **LINE, "p99": 2.0, "floor_ratio": None, "overspend_usd": 0.0}]},
    "bench/routing.json": {"models": 20, "milliseconds": {"decision, p50": [0.5], "decision, p99": [0.7, 0.8, 0.9]}},
    "bench/metrics.json": {"seconds": {"scrape": [0.06], "a minute of alerts": [0.01]}, "goals": {"scrape": 0.05}},
    "bench/api.json": {
        **{"jobs": 200, "watchers": 50, "p50_ms": 20, "p95_ms": 40, "max_ms": 50, "rss_growth_mb": 3, "watchers_told": 50},
        "goals": {"p95_ms": 100, "rss_growth_mb": 20},
    },
    "bench/bulk.json": {
        **{"batch": 50, "goal": 0.1, "script_cpu_per_clip": {"median": 0.01, "least": 0.01, "most": 0.01}},
        "designs": {"batch": {"orchestration": LITTLE}, "single": {"orchestration": SPREAD}, "naive": {"orchestration": SPREAD}},
    },
    "bench/qa.json": {
        "seconds": 5,
        "ours": "our check, all of it",
        "films": {
            "720p24": {
                "designs": {"our check, all of it": [[1.0, 1.0]], "the usual OpenCV loop": [[3.0, 3.0]]},
                "goals": [["CPU, times decoding alone", 1.8, 1.7]],
            }
        },
    },
    "bench/studio.json": {
        **{"jobs": 10000, "postgres": False, "first_view": {"files": 9, "bytes": 120000}},
        "rows": [{"name": "Jobs", "p50": 20, "p95": 600, "low": 590, "high": 610, "line": "(line: 500 ms)", "held": False}],
    },
    "load/celery.json": {
        **{"jobs": 50, "delivered": 50, "duplicates": 0, "lost": 0, "overspent": 0},
        "kills": [{"what": "worker", "at": 1, "restarted_after": 2, "recovered_after": 31.0, "how": "SIGKILL"}],
    },
    "load/report.json": {
        "scenarios": {
            "faults": {
                **{"title": "Twenty at once", "trouble": ""},
                "figures": {"delivered": {"value": 0.95, "unit": "", "promise": "≥ 0.95", "kept": True, "goal": "1", "said": ""}},
            },
            "memory": {"title": "Memory", "trouble": "Airflow died\ntraceback", "figures": {}},
        }
    },
    "safety/report.json": {
        **{"schedules": 1000, "kills": 1315, "billable_accepts": 3290, "overspend_usd": 0, "duplicate_charges": 0},
        **{"lost_paid_clips": 0, "unexplained_holds": 0, "mutants_killed": 60, "mutants_total": 61},
    },
    "safety/designs.json": {"designs": {"check, then act": {**DESIGN, "lost": 66, "delivered": 160}, "AIPROD": DESIGN}},
    "bench/peers.json": {
        "cpu": [{"who": "Prefect", "setting": "served", "ours": SPREAD, "theirs": [1.0, 1.1]}],
        "lost_answer": [{"who": "LiteLLM", "setting": "defaults", "sent": 3, "delivered": 1, "lost": 2, "ours": OURS}],
        "ours_where_nobody_can_look": {"sent": 1, "delivered": 0, "parked": 1, "lost": 0},
        "overspend": [
            {
                **{"who": "LiteLLM", "setting": "budget", "callers": 8, "cap_usd": 1.0, "clip_usd": 0.4},
                **{"bought": 24, "overspent_usd": 8.6, "ours": {"bought": 2, "overspent_usd": 0.0}},
            }
        ],
    },
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for path, report in REPORTS.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(json.dumps(report))
    return tmp_path


def shown(results: Path, title: str) -> str:
    """One section of the page."""
    return benchmarks_page.page(results).partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_every_source_has_a_report_here_and_can_be_read(results: Path) -> None:
    assert [source.title for source in SOURCES if not set(source.paths) & set(REPORTS)] == []
    assert "Not measured here" not in benchmarks_page.page(results)


def test_losses_stand_first_and_in_their_place(results: Path) -> None:
    lost = shown(results, "Where we lose")
    assert "CPU per single-shot job, whole process tree: 3 s, naive polling DAG: 1.5 s" in lost
    assert "scrape: 60 ms, at most 50 ms" in lost
    assert "shots delivered in the same storms: 141 shots" in lost
    assert "bugs planted on purpose that no test noticed, of 61: 1, none" in lost
    assert "The studio: Jobs, p95, 10,000 jobs on SQLite: 600 ms, at most 500 ms" in lost
    assert "Looking at clips: 720p24: CPU, times decoding alone: 1.8, at most 1.7" in lost
    assert "overspent" not in lost
    assert shown(results, "Airflow per job").count("**worse**") == 3


def test_wins_are_said_as_plainly(results: Path) -> None:
    assert "| 3 KB | task that sleeps and polls: 90,000 KB |" in shown(results, "Renders in flight")
    peers = shown(results, "Peers")
    assert (
        "requests sent 1, delivered 1, paid and lost 0 | LiteLLM: requests sent 3, delivered 1, paid and lost 2 |  |  | better |"
        in peers
    )
    assert "bought 2, overspent $0.00 | LiteLLM: bought 24, overspent $8.60 |  |  | better |" in peers


def test_a_scenario_that_ended_early_is_a_loss(results: Path) -> None:
    assert "- Load: Memory: ended early, Airflow died" in shown(results, "Where we lose")
    assert "| Twenty at once: delivered | 0.95 | ≥ 0.95 |" in shown(results, "Load")


def test_a_peer_that_keeps_no_books_is_cheaper_and_that_is_said(results: Path) -> None:
    assert "bare asyncio script, no books: 0.01 s | 7 × |" in shown(results, "Airflow per clip of a campaign")
    assert "Airflow per clip of a campaign: orchestration CPU per clip, one run for 50: 0.07 s, bare" in shown(
        results, "Where we lose"
    )


def test_what_was_not_measured_is_said_and_how_to_measure_it(tmp_path: Path) -> None:
    assert shown(tmp_path, "Safety").strip().endswith("*Not measured here.* `make safety` measures it.")
    assert "Nothing was measured." in shown(tmp_path, "Where we lose")


def test_a_report_that_cannot_be_read_is_an_error_and_changes_no_page(results: Path, tmp_path: Path) -> None:
    (results / "bench" / "api.json").write_text("{}")
    out = tmp_path / "page.md"
    assert benchmarks_page.main(["--results", str(results), "--out", str(out)]) == 1
    assert not out.exists()


def test_a_row_says_when_how_and_on_what(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FOLDER", results / "bench")
    kept.keep("routing", REPORTS["bench/routing.json"])
    told = shown(results, "Routing")
    assert kept.machine() in told and f"{kept.measured()['at'][:10]}" in told
    assert "machine not recorded" in shown(results, "The API")


@pytest.mark.parametrize(("ours", "theirs", "verdict"), [(1.0, 2.0, "better"), (2.0, 1.0, "worse"), (1.0, 1.04, "even")])
def test_less_is_better_unless_it_is_more(ours: float, theirs: float, verdict: str) -> None:
    row = beside("x", Figures.of([ours]), Figures.of([theirs]), "peer", "s")
    assert row.verdict == verdict
    other = {"better": "worse", "worse": "better", "even": "even"}[verdict]
    assert beside("x", Figures.of([ours]), Figures.of([theirs]), "peer", "s", more_is_better=True).verdict == other


def test_a_limit_is_kept_up_to_itself() -> None:
    assert within("x", Figures.of([5.0]), 5.0, "s").verdict == "kept"
    assert within("x", Figures.of([5.01]), 5.0, "s").verdict == "missed"


def test_a_bar_in_a_cell_breaks_no_table(tmp_path: Path) -> None:
    def rows(_: Any) -> Iterator[Row]:
        yield Row("a|b", "1", "2")

    (tmp_path / "x.json").write_text("{}")
    assert "| a\\|b | 1 | 2 |" in benchmarks_page.page(tmp_path, [Source("X", ("x.json",), "make x", "", rows)])
