"""The chart's values name our image's Airflow, keep secrets out and migrate both schemas before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.configuration import conf

from tools.airflow_env import CHECKOUT

TEXT = (CHECKOUT / "deploy/helm/values.yaml").read_text(encoding="utf-8")
VALUES: dict[str, Any] = yaml.safe_load(TEXT)
#: Below these the chart takes what Kubernetes or Airflow takes.
FREE = {"config", "env", "extraEnvFrom", "resources", "extraVolumes", "extraVolumeMounts"}
#: Every key we use, as found in the chart's documentation of 1.21 and 1.22, its templates, or values that others run with
#: these versions. The chart itself is not here: a key that is not in this list was looked up by nobody.
LOOKED_UP = {
    "airflowVersion", "defaultAirflowRepository", "defaultAirflowTag", "executor", "env", "extraEnvFrom", "config",
    "images.migrationsWaitTimeout", "postgresql.enabled", "pgbouncer.enabled", "redis.enabled", "redis.passwordSecretName",
    "data.metadataSecretName", "data.resultBackendSecretName", "data.brokerUrlSecretName",
    "fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName", "createUserJob.enabled",
    "triggerer.persistence.enabled", "apiServer.replicas", "apiServer.resources", "apiServer.args", "scheduler.resources",
    "logs.persistence.enabled", "statsd.enabled", "workers.celery.persistence.enabled", "workers.celery.resources",
    "workers.celery.terminationGracePeriodSeconds", "workers.celery.keda.enabled", "workers.celery.keda.pollingInterval",
    "workers.celery.keda.cooldownPeriod", "workers.celery.keda.minReplicaCount", "workers.celery.keda.maxReplicaCount",
}  # fmt: skip
#: From memory of older charts. docs/scaling.md says so.
NOT_LOOKED_UP = {
    "migrateDatabaseJob.useHelmHooks", "migrateDatabaseJob.applyCustomEnv", "migrateDatabaseJob.command",
    "migrateDatabaseJob.args", "apiServer.extraVolumes", "apiServer.extraVolumeMounts", "scheduler.replicas",
    "dagProcessor.enabled", "dagProcessor.replicas", "dagProcessor.resources", "triggerer.enabled", "triggerer.replicas",
    "triggerer.keda.enabled", "triggerer.resources",
}  # fmt: skip


def keys(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and name not in FREE:
            yield from keys(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_every_key_was_looked_up_or_is_said_not_to_be() -> None:
    assert set(keys(VALUES)) == LOOKED_UP | NOT_LOOKED_UP
    assert not LOOKED_UP & NOT_LOOKED_UP


def test_every_setting_is_one_that_airflow_has() -> None:
    for section, options in VALUES["config"].items():
        if section != "celery":
            known = conf.configuration_description[section]["options"]
            assert set(options) <= set(known), section


def test_it_is_the_airflow_of_the_image() -> None:
    assert f"FROM apache/airflow:slim-{VALUES['airflowVersion']}-" in (CHECKOUT / "Dockerfile").read_text()


def test_no_secret_stands_in_it() -> None:
    names = re.findall(r"^\s*(\w*(?:[Pp]assword|[Ss]ecret|[Kk]ey|[Tt]oken)\w*): *(\S*)", TEXT, re.MULTILINE)
    # A volume's, and the name of a file.
    assert {name for name, _ in names if not name.endswith("Name")} == {"secret", "simple_auth_manager_passwords_file"}
    assert all(value.startswith("aiprod") for name, value in names if name.endswith("Name"))


def test_what_the_chart_refuses_or_our_image_cannot_start_is_not_asked_for() -> None:
    # The chart's own templates refuse the one without the other.
    assert VALUES["redis"]["passwordSecretName"] and VALUES["data"]["brokerUrlSecretName"]
    # Its defaults want FAB, which the image does not install.
    assert "apache-airflow-providers-fab" not in (CHECKOUT / "deploy/requirements.lock").read_text()
    assert VALUES["config"]["core"]["auth_manager"].endswith(".SimpleAuthManager")
    assert VALUES["createUserJob"]["enabled"] is False
    logins = VALUES["config"]["core"]["simple_auth_manager_passwords_file"]
    assert f" {logins} && exec airflow api-server" in VALUES["apiServer"]["args"][-1]


def test_one_job_migrates_both_schemas_and_nothing_waits_for_a_hook_that_waits_for_it() -> None:
    job = VALUES["migrateDatabaseJob"]
    assert job["args"] == ["airflow db migrate && python -m aiprod.cli ledger upgrade"]
    assert job["useHelmHooks"] is False


def test_what_watches_paid_renders_is_there_twice_and_workers_are_let_finish() -> None:
    assert min(VALUES[name]["replicas"] for name in ("scheduler", "triggerer", "apiServer")) >= 2
    workers = VALUES["workers"]["celery"]
    assert workers["keda"]["enabled"] is True
    assert workers["terminationGracePeriodSeconds"] >= 600


def test_a_dead_worker_is_noticed_as_soon_as_with_compose() -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())["services"]["scheduler"]["environment"]
    ours = VALUES["config"]["scheduler"]["task_instance_heartbeat_timeout"]
    assert int(compose["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"]) == ours


def test_several_machines_never_share_a_file_as_ledger_or_a_folder_as_storage() -> None:
    assert VALUES["executor"] == "CeleryExecutor" and VALUES["postgresql"]["enabled"] is False
    (storage,) = [variable["value"] for variable in VALUES["env"] if variable["name"] == "AIPROD_STORAGE_URL"]
    assert storage.startswith("gs://")
