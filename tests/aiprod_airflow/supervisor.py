"""What a task or a trigger asks its supervisor, answered by a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import (
    ConnectionResult,
    ErrorResponse,
    GetConnection,
    GetTaskStates,
    MaskSecret,
    TaskStatesResult,
)

__all__ = ["Supervisor"]


@dataclass
class Supervisor:
    """Knows connections by id and states by task id; counts what it is asked, and is down when told so."""

    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, str | None] = field(default_factory=dict)
    down: ErrorType | None = None
    asked: list[str] = field(default_factory=list)
    masked: list[Any] = field(default_factory=list)

    def send(self, message: Any) -> Any:
        if isinstance(message, MaskSecret):
            self.masked.append(message.value)
            return None
        self.asked.append(getattr(message, "conn_id", type(message).__name__))
        if self.down is ErrorType.PERMISSION_DENIED:
            return ErrorResponse(error=self.down)
        if self.down is not None:
            raise AirflowRuntimeError(ErrorResponse(error=self.down))
        if isinstance(message, GetTaskStates):
            return TaskStatesResult(task_states={run: dict(self.states) for run in message.run_ids or ()})
        assert isinstance(message, GetConnection)
        if message.conn_id not in self.connections:
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": message.conn_id})
        empty = dict.fromkeys(("host", "schema", "login", "password", "port", "extra"))
        told = {"conn_id": message.conn_id, "conn_type": message.conn_id, **empty, **self.connections[message.conn_id]}
        return ConnectionResult(**told)
