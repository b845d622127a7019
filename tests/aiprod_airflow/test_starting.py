"""A run is started once, whether or not its start was heard of."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse, TriggerDagRun

from aiprod_airflow.starting import RunNotStarted, start_run


class Comms:
    """Answers every message with the same."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.sent = answer, list[TriggerDagRun]()

    def send(self, message: TriggerDagRun) -> Any:
        self.sent.append(message)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def start(monkeypatch: pytest.MonkeyPatch, answer: Any) -> Comms:
    comms = Comms(answer)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    start_run("render_video", "batch-1", {"batch": ["a", "b"]})
    return comms


@pytest.mark.parametrize("answer", [OKResponse(ok=True), ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)])
def test_a_run_that_is_there_already_is_the_run_that_was_wanted(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    (sent,) = start(monkeypatch, answer).sent
    assert (sent.dag_id, sent.run_id, sent.conf, sent.reset_dag_run) == ("render_video", "batch-1", {"batch": ["a", "b"]}, False)


@pytest.mark.parametrize(
    "answer",
    [
        ErrorResponse(error=ErrorType.API_SERVER_ERROR),
        AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR)),
    ],
)
def test_a_run_that_was_refused_is_tried_again(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    with pytest.raises(RunNotStarted, match="batch-1 of render_video was not started") as raised:
        start(monkeypatch, answer)
    assert raised.value.retryable
