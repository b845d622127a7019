"""A vendor's key is looked up once, in tasks and triggers only, and what Airflow could not say is never taken for a no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner

from aiprod.backends import keys, why_not_configured
from aiprod.catalog import catalog
from aiprod.errors import ConfigError
from aiprod_airflow.failures import told_to_airflow
from aiprod_airflow.hooks import connections
from aiprod_airflow.hooks.connections import (
    ConnectionUnreachable,
    forget_connections,
    offer_connections,
    offer_connections_to_server,
)
from tests.aiprod_airflow.supervisor import Supervisor
from tests.catalogue import write_catalogue

KEY = "CANARY-runway-key"


@pytest.fixture(scope="module")
def _catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs = {"runway": {"needs": ["RUNWAYML_API_SECRET"]}, "veo3": {"needs": ["GCP_PROJECT_ID"]}}
    return write_catalogue(tmp_path_factory.mktemp("needs") / "config", backends=needs)


@pytest.fixture
def asked(_catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A process of Airflow's that has a supervisor and has looked nothing up yet."""
    supervisor = Supervisor()
    monkeypatch.setenv("AIPROD_CONFIG_DIR", str(_catalogue))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    connections._hide_environment.cache_clear()
    keys.offer(None)
    yield supervisor
    keys.offer(None)


def known(backend: str = "runway") -> dict[str, str]:
    offer_connections()
    entry = catalog().backends[backend]
    return dict(keys.keys_of(backend, ["RUNWAYML_API_SECRET", "RUNWAYML_BASE_URL"], needs=entry.needs))


def test_a_key_comes_from_the_connection_and_is_looked_up_once(asked: Supervisor) -> None:
    asked.connections["aiprod_runway"] = {"password": KEY}

    assert [known() for _ in range(3)] == [{"RUNWAYML_API_SECRET": KEY}] * 3
    assert why_not_configured(catalog(), "runway") == ""
    assert asked.asked == ["aiprod_runway"]


def test_a_key_that_was_changed_is_found_after_the_old_one_was_refused(asked: Supervisor) -> None:
    asked.connections["aiprod_runway"] = {"password": "old"}
    known()
    asked.connections["aiprod_runway"] = {"password": KEY}

    assert known() == {"RUNWAYML_API_SECRET": "old"}
    forget_connections()
    assert known() == {"RUNWAYML_API_SECRET": KEY}


def test_a_connection_that_nobody_made_is_nothing_and_is_asked_for_once(asked: Supervisor) -> None:
    assert [known() for _ in range(3)] == [{}] * 3
    assert "RUNWAYML_API_SECRET is not set" in why_not_configured(catalog(), "runway")
    assert asked.asked == ["aiprod_runway"]


def test_the_environment_wins_whole_so_no_key_meets_the_others_address(
    asked: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.connections["aiprod_runway"] = {"password": KEY, "host": "https://elsewhere.example"}
    monkeypatch.setenv("RUNWAYML_API_SECRET", "of-the-environment")

    assert known() == {"RUNWAYML_API_SECRET": "of-the-environment"}
    assert asked.asked == []


@pytest.mark.parametrize("trouble", [ErrorType.API_SERVER_ERROR, ErrorType.GENERIC_ERROR])
def test_an_airflow_that_cannot_answer_fails_the_try_and_the_next_one_asks_again(asked: Supervisor, trouble: ErrorType) -> None:
    asked.connections["aiprod_runway"] = {"password": KEY}
    asked.down = trouble

    # Not turned into a failure without retries.
    with pytest.raises(ConnectionUnreachable, match="connection aiprod_runway could not be looked up"), told_to_airflow():
        known()

    asked.down = None
    assert known() == {"RUNWAYML_API_SECRET": KEY}


def test_a_refusal_is_told_and_not_retried(asked: Supervisor) -> None:
    asked.down = ErrorType.PERMISSION_DENIED

    with pytest.raises(ConfigError, match="Airflow does not let this task read connection aiprod_runway"):
        known()


def test_a_secrets_backend_that_is_down_is_no_missing_key_unless_another_has_it(
    asked: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vault:
        def get_connection(self, conn_id: str) -> None:
            raise OSError(f"no route, token={KEY}")

    places = connections.ensure_secrets_backend_loaded()
    monkeypatch.setattr(connections, "ensure_secrets_backend_loaded", lambda: [Vault(), *places])

    with pytest.raises(ConnectionUnreachable, match="Vault: OSError") as told:
        known()
    assert KEY not in str(told.value)
    asked.connections["aiprod_runway"] = {"password": KEY}

    assert known() == {"RUNWAYML_API_SECRET": KEY}


def test_a_connection_of_the_environment_is_found_without_asking_airflow(
    asked: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AIPROD_RUNWAY", f'{{"conn_type": "aiprod_runway", "password": "{KEY}"}}')

    assert known() == {"RUNWAYML_API_SECRET": KEY}
    assert asked.asked == []


def test_outside_of_a_task_and_a_trigger_nobody_is_asked(asked: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.connections["aiprod_runway"] = {"password": KEY}
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS")

    assert known() == {}
    assert asked.asked == []


def test_backends_without_a_key_and_unknown_ones_are_not_asked_for(asked: Supervisor) -> None:
    offer_connections()

    assert [keys.keys_of(name, ["ANY"]) for name in ("animatic", "nobody")] == [{}, {}]
    assert asked.asked == []


def test_what_is_found_is_hidden_from_the_logs_before_anybody_can_log_it(asked: Supervisor) -> None:
    asked.connections["aiprod_veo3"] = {"extra": '{"project": "p", "keyfile_dict": {"private_key": "CANARY-veo"}}'}
    known("veo3")

    assert '{"private_key": "CANARY-veo"}' in asked.masked
    assert "CANARY-veo" in asked.masked
    assert "p" not in asked.masked


def test_keys_of_the_environment_are_hidden_too(asked: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "CANARY-replicate")

    offer_connections()

    assert asked.masked == ["CANARY-replicate"]


def test_cloud_monitoring_has_a_connection_of_its_own(asked: Supervisor) -> None:
    asked.connections["aiprod_cloud_monitoring"] = {"extra": '{"project": "p", "keyfile_dict": {"private_key": "CANARY-gcm"}}'}
    offer_connections()
    found = keys.keys_of("cloud_monitoring", ("GCP_PROJECT_ID", "GOOGLE_CREDENTIALS_JSON"), needs=("GCP_PROJECT_ID",))
    assert found["GCP_PROJECT_ID"] == "p"
    assert "CANARY-gcm" in found["GOOGLE_CREDENTIALS_JSON"]


class TestServer:
    """The api-server has no supervisor, and lives for weeks."""

    @pytest.fixture(autouse=True)
    def _no_supervisor(self, asked: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS")
        monkeypatch.setattr(connections, "_forgotten_at", 0.0)

    def known(self) -> dict[str, str]:
        offer_connections_to_server()
        return dict(keys.keys_of("runway", ["RUNWAYML_API_SECRET"], needs=["RUNWAYML_API_SECRET"]))

    def test_it_finds_keys_where_airflow_itself_looks_for_connections(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AIPROD_RUNWAY", f'{{"conn_type": "aiprod_runway", "password": "{KEY}"}}')

        assert self.known() == {"RUNWAYML_API_SECRET": KEY}

    def test_it_learns_of_a_changed_key_after_a_minute_and_not_by_every_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1_000.0]
        monkeypatch.setattr(connections.time, "monotonic", lambda: now[0])
        monkeypatch.setenv("AIRFLOW_CONN_AIPROD_RUNWAY", '{"conn_type": "aiprod_runway", "password": "old"}')
        self.known()
        monkeypatch.setenv("AIRFLOW_CONN_AIPROD_RUNWAY", f'{{"conn_type": "aiprod_runway", "password": "{KEY}"}}')

        now[0] += 59
        assert self.known() == {"RUNWAYML_API_SECRET": "old"}
        now[0] += 2
        assert self.known() == {"RUNWAYML_API_SECRET": KEY}
