"""Who judges: found by name, and configured by any one of its names."""

from __future__ import annotations

import pytest

from aiprod.backends.gemini import GeminiJudge
from aiprod.backends.judges import judge, why_no_judge
from aiprod.catalog import catalog
from aiprod.errors import ConfigError


def test_without_a_key_nobody_judges_and_it_says_which_name_is_missing() -> None:
    assert why_no_judge(catalog()) == "no judge is configured: none of GEMINI_API_KEY, AIPROD_JUDGE_PROJECT is set"


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "AIPROD_JUDGE_PROJECT"])
def test_any_one_of_its_names_configures_a_judge(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "something")
    assert why_no_judge(catalog()) == ""


def test_a_veo_project_alone_does_not_start_to_pay_for_judging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_PROJECT_ID", "p-1")
    assert why_no_judge(catalog())


def test_none_in_force_is_nobody() -> None:
    quiet = catalog().quality.semantic.model_copy(update={"judge": None})
    quality = catalog().quality.model_copy(update={"semantic": quiet})
    assert why_no_judge(catalog().model_copy(update={"quality": quality})) == "no judge is in force"


def test_a_judge_is_found_by_its_name() -> None:
    assert isinstance(judge(catalog(), "gemini"), GeminiJudge)
    with pytest.raises(ConfigError, match="unknown judge 'claire'"):
        judge(catalog(), "claire")
