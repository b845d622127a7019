"""The trigger form asks for what `JobSpec` takes, and what it lets through is a `JobSpec`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError

from aiprod.catalog import catalog
from aiprod.models import JobSpec
from aiprod_airflow.forms import backend_tasks, campaign_params, job_name, job_params

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "jobs").glob("*.yaml"))

#: Orders in words that a form, the API or a file may send.
GOOD: dict[str, dict[str, Any]] = {
    "a prompt": {"prompt": "a lake"},
    "everything": {
        "prompt": "a lake",
        "preset": "premium_spot",
        "seconds": 12.5,
        "aspect_ratio": "9:16",
        "audio": False,
        "backend": "veo3",
        "budget_usd": 12.34,
        "quality_floor": 0.9,
        "prefer": "speed",
        "priority": "high",
        "project": "spring-2027",
        "reference_image_url": "https://example.com/a.png",
        "seed": 4_294_967_295,
        "job_id": "spring-1",
    },
    "shots": {"shots": [{"prompt": "one", "seconds": 3}, {"prompt": "two", "seed": 1, "reference_image_url": None}]},
}

BAD: dict[str, dict[str, Any]] = {
    "too long": {"prompt": "a lake", "seconds": 4_000},
    "too short": {"prompt": "a lake", "seconds": 0.5},
    "no shape": {"prompt": "a lake", "aspect_ratio": "2:1"},
    "another backend": {"prompt": "a lake", "backend": "sora"},
    "another preset": {"prompt": "a lake", "preset": "cheap"},
    "a negative budget": {"prompt": "a lake", "budget_usd": -1},
    "a floor above one": {"prompt": "a lake", "quality_floor": 2},
    "an empty prompt": {"prompt": ""},
    "a shot without a prompt": {"shots": [{"seconds": 3}]},
    "no shots": {"shots": []},
    "a project with spaces": {"prompt": "a lake", "project": "My Project"},
    "a seed below zero": {"prompt": "a lake", "seed": -1},
}


def filled(order: dict[str, Any]) -> dict[str, Any]:
    """What a run gets whose form was filled in like this. Raises `ParamValidationError`."""
    params = ParamsDict(job_params())
    params.update(order)
    return dict(params.validate())


def test_every_field_of_an_order_is_asked_in_its_order() -> None:
    assert list(job_params()) == list(JobSpec.model_fields)


@pytest.mark.parametrize("name", JobSpec.model_fields)
def test_every_field_explains_itself(name: str) -> None:
    param = job_params()[name]

    assert len(param.description or "") > 10
    assert param.schema["title"]


def test_every_schema_is_one_that_airflow_can_check() -> None:
    for param in job_params().values():
        jsonschema.Draft202012Validator.check_schema(param.schema)
        assert "$ref" not in str(param.schema)
        assert "anyOf" not in param.schema


def test_the_defaults_are_fine_but_for_what_only_the_customer_knows() -> None:
    with pytest.raises(Exception, match="either a prompt or a shot list"):
        JobSpec.parse(filled({}))

    assert JobSpec.parse(filled({"prompt": "a lake"})) == JobSpec(prompt="a lake")


@pytest.mark.parametrize("order", GOOD.values(), ids=GOOD)
def test_what_the_form_lets_through_is_the_order(order: dict[str, Any]) -> None:
    assert JobSpec.parse(filled(order)) == JobSpec.parse(order)


@pytest.mark.parametrize("order", BAD.values(), ids=BAD)
def test_the_form_refuses_what_the_order_would(order: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        filled(order)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_can_be_ordered_through_the_form(file: Path) -> None:
    order = yaml.safe_load(file.read_text())

    assert JobSpec.parse(filled(order)) == JobSpec.parse(order)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_presets_and_backends_are_those_of_the_catalogue_by_their_titles() -> None:
    params = job_params()

    assert params["preset"].schema["enum"] == list(catalog().presets)
    assert params["preset"].schema["values_display"] == {name: preset.title for name, preset in catalog().presets.items()}
    assert params["backend"].schema["enum"] == ["auto", *catalog().backend_order]
    assert set(params["backend"].schema["values_display"]) == set(params["backend"].schema["enum"])


def test_the_form_opens_on_what_matters_and_folds_the_rest() -> None:
    open_fields = [name for name, param in job_params().items() if "section" not in param.schema]

    assert open_fields == ["prompt", "preset", "seconds", "aspect_ratio", "audio", "backend", "budget_usd"]


def test_a_prompt_gets_room_for_many_lines() -> None:
    assert job_params()["prompt"].schema["format"] == "multiline"


def test_a_budget_is_a_number_box() -> None:
    assert set(job_params()["budget_usd"].schema["type"]) == {"number", "null"}


def test_every_backend_of_the_catalogue_gets_a_task() -> None:
    assert set(backend_tasks()) == set(catalog().backends)


class TestCampaigns:
    def test_every_field_explains_itself_in_a_schema_that_airflow_can_check(self) -> None:
        for param in campaign_params().values():
            jsonschema.Draft202012Validator.check_schema(param.schema)
            assert len(param.description or "") > 10 and param.schema["title"]

    def test_a_source_and_a_name_are_all_it_needs(self) -> None:
        params = ParamsDict(campaign_params())
        with pytest.raises(ParamValidationError):
            params.validate()
        params.update({"source": "gs://bucket/rows.csv", "campaign": "spring"})
        assert params.validate()["defaults"] == {}

    @pytest.mark.parametrize("bad", [{"campaign": "No!"}, {"budget_usd": -1}, {"in_flight": 0}, {"defaults": "x"}])
    def test_what_cannot_be_is_refused_by_the_form(self, bad: dict[str, Any]) -> None:
        said = ParamsDict(campaign_params())
        said.update({"source": "x.csv", "campaign": "spring"})
        with pytest.raises(ParamValidationError):
            said.update(bad)


class TestJobName:
    @pytest.mark.parametrize("run_id", ["spring-1", "a", "a" * 64])
    def test_a_run_id_that_can_be_a_job_id_is_one(self, run_id: str) -> None:
        assert job_name(run_id) == run_id

    @pytest.mark.parametrize(
        "run_id",
        ["manual__2026-11-23T12:00:00+00:00", "Ünïcode", "../../etc/passwd", "x" * 300, "🎬", "", "-a", "{{ ds }}", "A"],
    )
    def test_any_run_id_becomes_a_legal_job_id(self, run_id: str) -> None:
        assert JobSpec.parse({"prompt": "a lake", "job_id": job_name(run_id)}).job_id == job_name(run_id)

    def test_the_same_run_is_the_same_job(self) -> None:
        assert job_name("manual__1") == job_name("manual__1")

    def test_runs_that_look_alike_are_different_jobs(self) -> None:
        alike = ["manual:1", "manual+1", "manual 1", "Manual-1", "manual-1", "x" * 100, "x" * 101]

        assert len({job_name(run_id) for run_id in alike}) == len(alike)
