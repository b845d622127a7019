"""Whatever the API's own document allows, and some that it does not: never a fault of ours, always in the same shape."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode

from tests.aiprod_airflow.api.people import API

#: Examples of each kind for every operation: a fixed draw, so that a failure is seen again.
EXAMPLES = 4

bounded = hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["what it allows", "what it does not"])
@pytest.mark.parametrize("real", [False, True], ids=["no such job", "a real job"])
def test_no_request_is_a_fault_of_ours(api: API, mode: GenerationMode, real: bool) -> None:
    api.recorded()
    names = {"job_id": api.asked()} if real else {}
    bearer = {"Authorization": f"Bearer {api.token('alice', 'admin')}"}
    schema = schemathesis.openapi.from_asgi("/aiprod/openapi.json", api.app, headers=bearer)
    asked: set[str] = set()

    def ask(case: Case) -> None:
        case.path_parameters.update({name: value for name, value in names.items() if name in case.path_parameters})
        said = case.call(headers=bearer)
        asked.add(case.operation.label)
        assert said.status_code < 500, f"{case.as_curl_command()}\n{said.text}"
        if said.status_code >= 400 and said.status_code != 405:
            assert said.headers["content-type"][0].startswith("application/problem+json"), said.text

    for found in schema.get_all_operations():
        operation = found.ok()
        # Deleting a job would be the last thing that is asked of it.
        if real and ("{job_id}" not in operation.path or operation.method == "delete"):
            continue
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.headers or operation.body):
            continue
        bounded(given(case=operation.as_strategy(generation_mode=mode))(ask))()
    assert len(asked) >= 10
