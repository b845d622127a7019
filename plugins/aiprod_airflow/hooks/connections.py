"""The vendors' keys out of Airflow's connections `aiprod_<backend>`, for tasks and triggers."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cache

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSecretsBackendAccessDenied, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ConnectionResult, ErrorResponse, GetConnection
from airflow.sdk.execution_time.secrets import ExecutionAPISecretsBackend
from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
from airflow.sdk.log import mask_secret

from aiprod.backends import keys
from aiprod.catalog import catalog
from aiprod.errors import AiprodError, ConfigError
from aiprod_airflow.hooks.fields import SECRETS, secrets_in, values

__all__ = [
    "ConnectionUnreachable",
    "connection_id",
    "find",
    "forget_connections",
    "offer_connections",
    "offer_connections_to_server",
]

log = logging.getLogger(__name__)

#: What is no backend and has a connection all the same, and what it needs.
_OTHERS = {"cloud_monitoring": ("GCP_PROJECT_ID",)}
#: Seconds for which a server remembers what it was told of connections.
_REMEMBERED = 60.0
_forgotten_at = 0.0


class ConnectionUnreachable(AiprodError):
    """Airflow could not say whether a connection exists. Not knowing is no reason to go on without the vendor."""

    retryable = True


def connection_id(backend: str) -> str:
    """The id of the connection that a backend's keys are looked for in."""
    return f"aiprod_{backend}"


def offer_connections() -> None:
    """Let this process find vendors' keys in Airflow's connections, and keep those of its environment out of its logs."""
    _hide_environment()
    keys.offer(_known)


def offer_connections_to_server() -> None:
    """The same in the api-server, which has no supervisor to ask and lives long: a changed key is known within a minute."""
    global _forgotten_at
    _hide_environment()
    keys.offer(_found)
    now = time.monotonic()
    if now - _forgotten_at > _REMEMBERED:
        _forgotten_at = now
        keys.forget()


def forget_connections() -> None:
    """Ask Airflow again the next time: a key that was good once is refused."""
    keys.offer(None)
    keys.offer(_known)


@cache
def _hide_environment() -> None:
    # Before anything is offered, all that is known is the environment's.
    for value in keys.keys_of("", SECRETS).values():
        mask_secret(value)


def _known(backend: str) -> Mapping[str, str]:
    """What Airflow knows of a backend. Only where there is a supervisor to ask: in a task or a trigger."""
    return {} if getattr(task_runner, "SUPERVISOR_COMMS", None) is None else _found(backend)


def _found(backend: str) -> Mapping[str, str]:
    """What the connection of a backend says; nothing where there is none."""
    known = catalog()
    entry = known.backends.get(backend) or known.judges.get(backend)
    needs = _OTHERS.get(backend) or (entry.needs if entry else ())
    connection = find(connection_id(backend)) if needs else None
    if connection is None:
        return {}
    found = values(backend, connection, needs=needs)
    for secret in secrets_in(found, needs=needs):
        mask_secret(secret)
    return found


def find(conn_id: str) -> Connection | None:
    """Return a connection, or None when nobody defined it.

    Airflow's own lookup calls a connection undefined when it could not be looked up, too. Here that is told apart: raises
    `ConnectionUnreachable`, or `ConfigError` when Airflow refuses this task the connection.
    """
    troubles: list[str] = []
    for place in ensure_secrets_backend_loaded():
        try:
            ours = isinstance(place, ExecutionAPISecretsBackend)
            found = _asked(conn_id) if ours else place.get_connection(conn_id=conn_id)
        except (AirflowSecretsBackendAccessDenied, ConfigError):
            raise ConfigError(f"Airflow does not let this task read connection {conn_id}") from None
        except Exception as error:  # noqa: BLE001 - whatever a secrets backend raises
            # Its words may hold what it found.
            troubles.append(f"{type(place).__name__}: {type(error).__name__}")
            continue
        if found is not None:
            return found
    if troubles:
        raise ConnectionUnreachable(f"connection {conn_id} could not be looked up ({'; '.join(troubles)}); it is tried again")
    return None


def _asked(conn_id: str) -> Connection | None:
    """Ask Airflow's API server, by way of the supervisor."""
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    except AirflowRuntimeError as error:
        answer = error.error
    if isinstance(answer, ConnectionResult):
        return Connection(**answer.model_dump(exclude={"type"}, by_alias=True))
    error = answer.error if isinstance(answer, ErrorResponse) else None
    if error == ErrorType.CONNECTION_NOT_FOUND:
        return None
    if error == ErrorType.PERMISSION_DENIED:
        raise ConfigError(conn_id)
    raise ConnectionUnreachable(conn_id)
