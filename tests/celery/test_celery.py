"""Under CeleryExecutor, killing a worker, the triggerer and the scheduler loses nothing and buys nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.celery import environment, trial
from tests.celery.trial import REPORT
from tests.celery.verdict import Verdict


class TestEnvironment:
    """What the trial runs on is what the image has."""

    def test_everything_it_installs_is_the_images_with_its_hashes(self) -> None:
        lines = environment.wanted()
        assert "apache-airflow-providers-celery==" in lines and "celery==5.6." in lines
        packages = [line for line in lines.splitlines() if not line.startswith(" ")]
        assert all("==" in line for line in packages)
        assert lines.count("--hash=sha256:") >= len(packages) == len(set(packages))

    def test_a_package_that_the_image_lacks_is_not_fetched_from_elsewhere(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.lock").write_text("celery==5.6.3 \\\n    --hash=sha256:00\n")
        with pytest.raises(KeyError, match="apache-airflow-providers-celery"):
            environment.wanted(tmp_path / "requirements.lock")


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """One trial for every test of this folder."""
    lacking = environment.lacks()
    if lacking:
        pytest.skip(lacking)
    return trial.run(tmp_path_factory.mktemp("celery"))


@pytest.mark.slow
@pytest.mark.airflow
@pytest.mark.postgres
class TestTrial:
    def test_every_job_is_delivered(self, verdict: Verdict) -> None:
        assert verdict.delivered == verdict.jobs == 50
        assert verdict.runs == {"success": 23}

    def test_nothing_is_lost_bought_twice_or_overspent(self, verdict: Verdict) -> None:
        assert verdict.findings == []
        assert verdict.accepted >= verdict.jobs

    def test_the_ledger_and_the_vendors_name_the_same_sum(self, verdict: Verdict) -> None:
        """Runway cannot be asked for a request whose answer was lost: its money stays held until a person says."""
        assert verdict.charged_micros + verdict.parked_micros == verdict.billed_micros > 0

    def test_each_kill_hit_something_and_was_recovered_from_in_time(self, verdict: Verdict) -> None:
        """A worker's tasks wait for its heartbeat to be missed, and once more for the retry's delay."""
        assert [kill.what.partition("-")[0] for kill in verdict.kills] == ["worker", "triggerer", "scheduler"]
        assert all(0 < kill.recovered_after < 200 for kill in verdict.kills)
        assert "waited for an answer" in verdict.kills[0].how

    def test_the_figures_are_kept(self, verdict: Verdict) -> None:
        kept = json.loads(REPORT.read_text(encoding="utf-8"))
        assert (kept["lost"], kept["duplicates"], kept["overspent"]) == (0, 0, 0)
        assert len(kept["kills"]) == 3
