"""The environment decides, safely: the door fails shut, and the ledger is never Airflow's database."""

from __future__ import annotations

import pytest

from aiprod import settings
from aiprod.errors import ConfigError


class TestDatabase:
    def test_by_default_it_is_a_file_of_this_machine(self, tmp_path):
        assert settings.database_url() == f"sqlite:///{tmp_path}/var/ledger.db"

    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_postgres_is_spoken_with_the_driver_we_ship(self, monkeypatch, scheme):
        monkeypatch.setenv("AIPROD_DATABASE_URL", f"{scheme}://u:p@db/aiprod")
        assert settings.database_url() == "postgresql+psycopg://u:p@db/aiprod"

    @pytest.mark.parametrize(
        ("ours", "airflows"),
        [
            ("postgresql://u:p@db/airflow", "postgresql+psycopg2://u:p@db/airflow"),
            ("postgresql://other:pw@db:5432/airflow?sslmode=require", "postgresql+psycopg2://u:p@DB/airflow"),
            ("sqlite:////var/airflow.db", "sqlite:////var/airflow.db"),
        ],
    )
    def test_airflows_own_is_refused_however_it_is_spelled(self, monkeypatch, ours, airflows):
        monkeypatch.setenv("AIPROD_DATABASE_URL", ours)
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", airflows)
        with pytest.raises(ConfigError, match="Airflow's own database"):
            settings.database_url()

    @pytest.mark.parametrize(
        "ours", ["postgresql://u:p@db/aiprod", "postgresql://u:p@db2/airflow", "postgresql://u:p@db:5433/airflow"]
    )
    def test_another_on_the_same_server_or_elsewhere_is_fine(self, monkeypatch, ours):
        monkeypatch.setenv("AIPROD_DATABASE_URL", ours)
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://u:p@db/airflow")
        assert settings.database_url().endswith(ours.split("@")[1])


class TestExecutors:
    @pytest.mark.parametrize(
        "executor",
        [
            "CeleryExecutor",
            "KubernetesExecutor",
            "LocalExecutor,KubernetesExecutor",
            "my.company.EdgeExecutor",
            "here:LocalExecutor,there:CeleryExecutor",
            "LocalExecutor;team1=CeleryExecutor",
        ],
    )
    def test_sqlite_is_refused_when_tasks_may_run_elsewhere(self, executor):
        with pytest.raises(ConfigError, match="AIPROD_DATABASE_URL to a PostgreSQL database"):
            settings.require_distributed_safe(executor)

    @pytest.mark.parametrize(
        "executor",
        [
            "LocalExecutor",
            "",
            "airflow.executors.local_executor.LocalExecutor",
            "here:LocalExecutor",
            "LocalExecutor;team1=LocalExecutor",
        ],
    )
    def test_sqlite_is_fine_on_one_machine(self, executor):
        settings.require_distributed_safe(executor)

    def test_postgres_is_fine_anywhere(self, monkeypatch):
        monkeypatch.setenv("AIPROD_DATABASE_URL", "postgresql://u@db/aiprod")
        settings.require_distributed_safe("CeleryExecutor", airflow_database="postgresql+psycopg2://u@db/airflow")

    @pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor"])
    def test_airflows_own_database_is_no_file_either(self, monkeypatch, executor):
        monkeypatch.setenv("AIPROD_DATABASE_URL", "postgresql://u@db/aiprod")
        with pytest.raises(ConfigError, match=rf"Airflow's own database is on SQLite, but {executor} .* AIRFLOW__DATABASE__"):
            settings.require_distributed_safe(executor, airflow_database="sqlite:////opt/airflow/airflow.db")


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@db:port/x", "postgresql://u:hunter2@[db/x"])
def test_an_address_that_is_none_is_said_without_its_password(monkeypatch, url):
    monkeypatch.setenv("AIPROD_DATABASE_URL", url)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://airflow@db/airflow")
    with pytest.raises(ConfigError, match="is no address") as caught:
        settings.database_url()
    assert "hunter2" not in str(caught.value)


class TestDoor:
    def test_it_is_shut_in_tests(self):
        assert settings.dry_run()

    def test_a_test_can_open_it(self, door_open):
        assert not settings.dry_run()

    @pytest.mark.parametrize("word", ["1", "true", "YES", " on ", "y", "ja", "dry", "tru"])
    def test_a_word_nobody_foresaw_keeps_it_shut(self, monkeypatch, word):
        monkeypatch.setenv("AIPROD_DRY_RUN", word)
        assert settings.dry_run()

    @pytest.mark.parametrize("word", ["", "0", "false", "No", "off"])
    def test_only_a_clear_no_opens_it(self, monkeypatch, word):
        monkeypatch.setenv("AIPROD_DRY_RUN", word)
        assert not settings.dry_run()


class TestTheRest:
    def test_the_shipped_config_is_found_without_being_told(self):
        assert (settings.config_dir() / "backends.yaml").exists()

    def test_storage_is_a_folder_here_unless_told_otherwise(self, monkeypatch, tmp_path):
        assert settings.storage_url() == (tmp_path / "var" / "storage").as_uri()
        monkeypatch.setenv("AIPROD_STORAGE_URL", "gs://bucket/x")
        assert settings.storage_url() == "gs://bucket/x"

    def test_the_list_tariff_is_the_default(self, monkeypatch):
        assert settings.tariff() == "list"
        monkeypatch.setenv("AIPROD_TARIFF", "phase3")
        assert settings.tariff() == "phase3"

    def test_the_first_event_waits_long_enough_unless_told(self, monkeypatch):
        assert settings.first_event_seconds() == 20.0
        monkeypatch.setenv("AIPROD_FIRST_EVENT_SECONDS", "1.5")
        assert settings.first_event_seconds() == 1.5

    def test_a_stream_of_events_lasts_half_a_minute_unless_told(self, monkeypatch):
        assert settings.stream_seconds() == 30.0
        monkeypatch.setenv("AIPROD_STREAM_SECONDS", "5")
        assert settings.stream_seconds() == 5.0

    def test_a_time_that_is_no_number_is_said_by_name(self, monkeypatch):
        monkeypatch.setenv("AIPROD_FIRST_EVENT_SECONDS", "soon")
        with pytest.raises(ConfigError, match="AIPROD_FIRST_EVENT_SECONDS must be a number of seconds, not 'soon'"):
            settings.first_event_seconds()
