"""The campaign itself: a few storms on each database hold, and a library with a bug in it does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiprod.catalog import catalog
from tests.mutants.planted import PLANTED, Mutant
from tests.mutants.planting import plant
from tests.safety.backend import ADDRESS
from tests.safety.campaign import Campaign, Database, Tally, rage, require_all
from tests.safety.ground import Ground
from tests.safety.judge import Finding
from tests.safety.plan import BACKENDS, PROCESSES, Fate, Vendors, draw
from tests.safety.report import broken, figures, write
from tests.safety.shops import faults
from tests.safety.storm import Outcome, run

ROOT = Path(__file__).parents[2]
NAMED = {mutant.name: mutant for mutant in PLANTED}


class TestStorms:
    @pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
    def test_a_few_storms_break_no_promise(self, database: Database, door_open: None) -> None:
        tally = rage(Campaign(seed=1, schedules=10, databases=(database,)))

        assert tally.findings == []
        assert tally.schedules[database] == 10
        assert tally.processes >= 10 * PROCESSES
        assert tally.billable
        assert tally.kills

    @pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
    def test_who_is_stopped_before_the_start_keeps_nobody_waiting(
        self, number: int, door_open: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ADDRESS, "")
        plan = draw(2, "sqlite")
        first = (replace(plan.first[0], fate=Fate(signal=number, after=0.0)), *plan.first[1:])
        ground = Ground("sqlite")
        try:
            outcome = run(replace(plan, first=first), ground)
        finally:
            ground.close()

        assert outcome.findings == []
        assert outcome.faults["stopped"] or outcome.kills["at a random time"]

    def test_one_seed_draws_one_storm(self) -> None:
        assert draw(7, "sqlite") == draw(7, "sqlite")
        assert draw(7, "sqlite") != draw(8, "sqlite")

    @pytest.mark.slow
    @pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
    def test_a_few_storms_at_the_shipped_adapters_break_no_promise(self, database: Database, door_open: None) -> None:
        tally = rage(Campaign(seed=1, schedules=6, databases=(database,), vendors="real"))

        assert tally.findings == []
        assert tally.by_vendors.keys() == {"real"}
        assert tally.billable
        assert tally.kills

    @pytest.mark.slow
    def test_every_storm_of_every_kind_rages(self, door_open: None) -> None:
        """Each kind counts its own: lanes that shared a counter left one storm in eight out."""
        tally = rage(Campaign(seed=1, schedules=20, databases=("sqlite",), vendors="mixed"))

        assert {kind: sum(part.schedules.values()) for kind, part in tally.by_vendors.items()} == {"generic": 18, "real": 2}

    def test_storms_that_did_not_rage_are_no_proof(self) -> None:
        with pytest.raises(RuntimeError, match="5 storms are missing"):
            require_all(Campaign(seed=1, schedules=5, databases=("sqlite",)), [], Tally())

    def test_a_real_storm_buys_from_what_is_shipped_at_the_prices_that_are_shipped(self) -> None:
        plan, shipped = draw(7, "sqlite", "real"), catalog()
        for name in BACKENDS:
            assert plan.catalog.backends[name].adapter == shipped.backends[name].adapter
            assert plan.catalog.backends[name].models == shipped.backends[name].models
        assert plan.catalog.prices == shipped.prices

    def test_vertex_is_not_told_to_bill_what_it_tells_nobody(self) -> None:
        """More than its quote is found when the bill is imported, not by a storm."""
        assert any("bill" in word for word, _ in faults("runway"))
        assert not any("bill" in word for word, _ in faults("veo3"))

    @pytest.mark.parametrize("vendors", ["generic", "real"])
    def test_a_storm_that_broke_a_promise_says_how_to_repeat_it(self, vendors: Vendors) -> None:
        command = draw(7, "postgres", vendors).repeat
        assert f"--seed 7 --schedules 1 --database postgres --vendors {vendors}" in command

    @pytest.mark.parametrize("schedules", [1, 2, 10, 1_000])
    def test_every_storm_is_on_some_database(self, schedules: int) -> None:
        campaign = Campaign(1, schedules, ("sqlite", "postgres"))
        assert campaign.share("sqlite") + campaign.share("postgres") == schedules

    @pytest.mark.parametrize(("vendors", "real"), [("generic", 0), ("mixed", 87 + 12), ("real", 1_000)])
    def test_one_storm_in_ten_is_real_where_they_are_mixed(self, vendors: Any, real: int) -> None:
        shares = list(Campaign(1, 1_000, ("sqlite", "postgres"), vendors=vendors).shares())
        assert sum(share for _, _, share in shares) == 1_000
        assert sum(share for _, kind, share in shares if kind == "real") == real

    def test_all_storms_are_on_the_only_database(self) -> None:
        assert Campaign(1, 7, ("postgres",)).share("postgres") == 7


class TestReport:
    #: What `issues show 3` asks for, in its order.
    ASKED = (
        "schedules", "processes", "kills", "faults", "billable_accepts", "overspend_usd", "duplicate_charges",
        "lost_paid_clips", "unexplained_holds", "parked", "mutants_killed", "mutants_total", "seconds",
    )  # fmt: skip

    def said(self, *findings: Finding, **mutants: str) -> dict[str, Any]:
        tally = Tally()
        outcome = Outcome(seed=5, database="sqlite", processes=10, billable=3, findings=list(findings), repeat="again")
        outcome.kills["after submit"] = 2
        tally.add(outcome)
        return figures(Campaign(5, 1, ("sqlite",)), tally, mutants, 1.0)

    def test_it_says_what_was_asked_for_first_and_in_order(self) -> None:
        assert tuple(self.said())[: len(self.ASKED)] == self.ASKED

    def test_a_campaign_without_findings_holds(self) -> None:
        assert broken(self.said(a="killed")) == []

    @pytest.mark.parametrize(
        ("kind", "figure"),
        [
            ("overspend", "overspend_usd"),
            ("duplicate", "duplicate_charges"),
            ("lost", "lost_paid_clips"),
            ("unexplained hold", "unexplained_holds"),
            ("unforeseen", "unforeseen"),
        ],
    )
    def test_every_kind_of_finding_breaks_it(self, kind: str, figure: str) -> None:
        said = self.said(Finding(kind, "x", 500_000))
        assert said[figure] in (1, 0.5)
        assert [line.split()[0] for line in broken(said)] == [figure]

    @pytest.mark.parametrize("word", ["survived", "did not run: moved"])
    def test_a_bug_that_nobody_noticed_breaks_it(self, word: str) -> None:
        assert broken(self.said(a=word)) == [f"mutant 'a': {word}"]

    def test_where_nothing_was_bought_nothing_was_shown(self) -> None:
        assert broken(figures(Campaign(5, 1, ("sqlite",)), Tally(), {}, 1.0)) == ["nothing was bought, so nothing is shown"]

    def test_the_page_names_the_finding_and_how_to_repeat_it(self, tmp_path: Path) -> None:
        write(self.said(Finding("lost", "k: never came home")), tmp_path)
        page = (tmp_path / "report.md").read_text()
        assert "A promise was broken" in page
        assert "k: never came home — repeat with `again`" in page
        assert json.loads((tmp_path / "report.json").read_text())["kills_by_point"] == {"after submit": 2}

    def test_it_names_the_places_where_nobody_was_killed(self) -> None:
        said = self.said()
        assert "before submit" in said["points_without_kill"]
        assert "after submit" not in said["points_without_kill"]

    def test_it_counts_every_kind_of_vendors_by_itself(self, tmp_path: Path) -> None:
        tally = Tally()
        for kind in ("generic", "real"):
            findings = [Finding("lost", "k: never came home")] if kind == "real" else []
            tally.add(Outcome(seed=5, database="sqlite", vendors=kind, billable=3, findings=findings, repeat="again"))
        said = figures(Campaign(5, 2, ("sqlite",)), tally, {}, 1.0)
        write(said, tmp_path)
        assert (said["lost_paid_clips"], said["billable_accepts"]) == (1, 6)
        assert {kind: (part["lost_paid_clips"], part["billable_accepts"]) for kind, part in said["vendors"].items()} == {
            "generic": (0, 3),
            "real": (1, 3),
        }
        assert "| lost paid clips | 0 | 1 |" in (tmp_path / "report.md").read_text()

    def test_the_page_says_when_no_bug_was_planted(self, tmp_path: Path) -> None:
        write(self.said(), tmp_path)
        assert "Not run this time." in (tmp_path / "report.md").read_text()


#: Bugs that the storms see by themselves, with where they are looked for and for how many storms.
VISIBLE: tuple[tuple[Mutant, Database, str], ...] = (
    (NAMED["the request leaves before the intent is committed"], "sqlite", "duplicate_charges"),
    (NAMED["a lost request is sent again"], "sqlite", "duplicate_charges"),
    (NAMED["nothing found counts as proof that nothing runs"], "sqlite", "lost_paid_clips"),
    # The database's own check steps in before money is lost: that it had to is the finding.
    (NAMED["caps are read without a lock"], "postgres", "unforeseen"),
    (NAMED["a purchase has no leg on the day"], "sqlite", "overspend_usd"),
    (
        Mutant(
            "the hold of a lost request is given back",
            "purchasing.py",
            "purchases.lose(conn, key, catalog=catalog, now=now, fence=fence, why=lost)",
            'gone = Failure(kind=FailureKind.TIMEOUT, message=lost, money_moved="no")\n'
            "                purchases.close(conn, key, Step.REJECT, catalog=catalog, now=now, failure=gone, fence=fence)",
            (),
        ),
        "sqlite",
        "lost_paid_clips",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "database", "figure"), VISIBLE, ids=lambda v: v.name.replace(" ", "-") if isinstance(v, Mutant) else ""
)
def test_storms_see_a_bug_by_themselves(bug: Mutant, database: Database, figure: str, tmp_path: Path) -> None:
    assert _storms(bug, tmp_path, "--schedules", "40", "--database", database, "--vendors", "generic")[figure] > 0


@pytest.mark.slow
def test_storms_at_the_shipped_adapters_see_a_client_that_repeats_itself(tmp_path: Path) -> None:
    bug = NAMED["the client's own retries are left on"]
    said = _storms(bug, tmp_path, "--schedules", "12", "--database", "sqlite", "--vendors", "real")
    assert said["duplicate_charges"] > 0


def _storms(bug: Mutant, folder: Path, *options: str) -> dict[str, Any]:
    """The report of a campaign on a library with a bug in it, which has to fail."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIPROD_", "PYTEST_"))}
    env["PYTHONPATH"] = os.pathsep.join([str(plant(bug, folder)), "plugins"])

    ran = subprocess.run(
        [sys.executable, "-m", "tests.safety", "--no-mutants", "--out", str(folder / "out"), *options],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ran.returncode == 1, ran.stdout[-2000:] + ran.stderr[-2000:]
    said: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
    return said
