"""What `docker compose` would start is ours, exists, keeps its secrets and is reached from this machine only."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.configuration import conf

from tools import compose_env
from tools.airflow_env import CHECKOUT

FILE = CHECKOUT / "docker-compose.yaml"
TEXT = FILE.read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
#: Packages that the image has in another version than requirements.lock, because Airflow's Google provider wants it so.
OLDER = {"deprecated", "numpy", "google-genai", "importlib-metadata", "python-dateutil"}
#: What .env.example offers and not every component is given, and why.
_NOT_FOR_ALL = {
    "AIPROD_API_URL": "read by whoever asks from outside",
    "AIPROD_API_TOKEN": "read by whoever asks from outside",
    "AIPROD_API_USER": "read by whoever asks from outside",
    "AIPROD_API_PASSWORD": "read by whoever asks from outside",
    "AIPROD_DATABASE_URL": "the database that compose itself starts",
    "AIPROD_VAR_DIR": "the image's",
    "AIPROD_CONFIG_DIR": "the image's, and a folder that is mounted there",
    "AIRFLOW_ADMIN_PASSWORD": "the api-server's",
    "AIRFLOW_PORT": "the api-server's",
    "AIRFLOW_WORKER_CONCURRENCY": "the workers'",
    "POSTGRES_PASSWORD": "the database's",
    "GRAFANA_PASSWORD": "Grafana's",
}
#: What Airflow's image itself reads.
_IMAGE = {"_AIRFLOW_DB_MIGRATE", "DUMB_INIT_SETSID", "ADMIN_PASSWORD"}


def each(names: list[str]) -> Any:
    return pytest.mark.parametrize("name", names)


def offered() -> set[str]:
    """Every name in .env.example."""
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (CHECKOUT / ".env.example").read_text(), re.MULTILINE))


def given(text: str) -> set[str]:
    """Every name whose value compose puts into a text."""
    return set(re.findall(r"(?<!\$)\$\{([A-Z][A-Z0-9_]+)", text))


def words(name: str) -> list[str]:
    return [str(word) for word in SERVICES[name].get("command", [])]


def test_the_components_are_airflows_and_the_rest_comes_by_profile() -> None:
    always = {name for name, service in SERVICES.items() if not service.get("profiles")}
    assert always == {"postgres", "migrate", "api-server", "scheduler", "dag-processor", "triggerer"}
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    assert profiles == {"celery", "observability", "emulator"}


@each([name for name in OURS if not words(name)[0].startswith(("python", "bash"))])
def test_every_command_is_one_that_airflow_has(name: str) -> None:
    """Of the CLI's own parser; `celery` is the provider's, which only the image has."""
    from airflow.cli.cli_parser import airflow_commands

    known = {command.name for command in airflow_commands} | {"celery"}
    assert words(name)[0] in known


@each([name for name in OURS if words(name)[0] == "python"])
def test_every_program_is_a_module_of_ours(name: str) -> None:
    assert words(name)[1] == "-m"
    assert importlib.util.find_spec(words(name)[2]) is not None


def test_the_api_server_starts_airflow_and_leaves_no_password_behind() -> None:
    assert words("api-server")[:2] == ["bash", "-c"]
    script = words("api-server")[2]
    assert script.startswith("umask 077") and script.endswith("unset ADMIN_PASSWORD && exec airflow api-server")


@each(OURS)
def test_every_variable_is_airflows_a_vendors_or_ours(name: str) -> None:
    celery = {"AIRFLOW__CELERY__BROKER_URL", "AIRFLOW__CELERY__RESULT_BACKEND", "AIRFLOW__CELERY__WORKER_CONCURRENCY"}
    for variable in SERVICES[name]["environment"]:
        airflow = re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", variable)
        if airflow and variable not in celery:
            assert airflow[2].lower() in conf.configuration_description[airflow[1].lower()]["options"], variable
        elif not airflow:
            assert variable in offered() | _IMAGE or variable.startswith("OTEL_EXPORTER_OTLP_"), variable


@each([name for name in OURS if name != "emulator"])
def test_what_may_be_set_reaches_every_component_under_its_own_name(name: str) -> None:
    service = SERVICES[name]
    assert offered() - given(json.dumps(service)) <= set(_NOT_FOR_ALL)
    for variable, value in service["environment"].items():
        assert variable not in offered() or f"${{{variable}:" in value or variable in _NOT_FOR_ALL, variable


def test_what_is_not_for_all_is_for_somebody_or_for_nobody_here() -> None:
    everywhere = [offered() & given(json.dumps(SERVICES[name])) for name in OURS if name != "emulator"]
    assert set(_NOT_FOR_ALL) == offered() - set.intersection(*everywhere)
    assert {name for name in _NOT_FOR_ALL if name not in given(TEXT)} == {
        name for name in _NOT_FOR_ALL if name.startswith("AIPROD_")
    }


def test_every_file_that_is_mounted_exists_and_every_volume_is_mounted() -> None:
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    files = {mount for mount in mounted if mount.startswith(".")}
    assert files and [mount for mount in files if not (CHECKOUT / mount).exists()] == []
    assert set(COMPOSE["volumes"]) == mounted - files


def test_every_secret_is_required_and_none_has_a_default() -> None:
    for name in compose_env.NAMES:
        assert f"${{{name}:?" in TEXT, f"{name} is not required"
        assert not re.search(rf"\$\{{{name}:?-", TEXT), f"{name} has a default"
    secret = re.compile(r"\$\{([A-Z_]*(?:PASSWORD|SECRET|FERNET_KEY|TOKEN)[A-Z_]*)[}:]")
    vendors = {"RUNWAYML_API_SECRET", "REPLICATE_API_TOKEN"}
    assert set(secret.findall(TEXT)) - vendors - {"ADMIN_PASSWORD"} == set(compose_env.NAMES)


def test_every_name_is_in_the_example_of_the_environment() -> None:
    assert given(TEXT) - offered() == set()


def test_every_port_is_loopbacks() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports and all(str(port).startswith("127.0.0.1:") for port in ports)


@each([name for name in SERVICES if name not in ("migrate", "otel-collector")])
def test_everything_that_stays_says_how_it_is(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL") and len(check["test"]) > 1
    # A check that hangs, or that is asked once, says nothing.
    assert int(check["timeout"].rstrip("s")) <= int(check["interval"].rstrip("s")) and check["retries"] > 1


@each([name for name in SERVICES if "airflow jobs check" in str(SERVICES[name].get("healthcheck"))])
def test_a_check_by_airflow_is_one_that_airflow_has(name: str) -> None:
    from airflow.cli.cli_parser import get_parser

    asked = SERVICES[name]["healthcheck"]["test"][1].replace('"$${HOSTNAME}"', "here").split()
    parsed = get_parser().parse_args(asked[1:])
    assert parsed.job_type == {"dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}[name]


def test_the_scheduler_is_asked_where_it_answers() -> None:
    assert conf.getint("scheduler", "scheduler_health_check_server_port") == 8974
    assert ":8974/health" in SERVICES["scheduler"]["healthcheck"]["test"][-1]
    assert SERVICES["scheduler"]["environment"]["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "True"


@each(OURS)
def test_what_is_ours_runs_without_privileges_from_one_image(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] == "${AIPROD_IMAGE:-aiprod:latest}"
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service and "privileged" not in service


def test_the_money_has_a_database_and_a_login_of_its_own() -> None:
    environment = SERVICES["scheduler"]["environment"]
    assert re.search(r"//aiprod:.*@postgres/aiprod$", environment["AIPROD_DATABASE_URL"])
    assert re.search(r"//airflow:.*@postgres/airflow$", environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    script = (CHECKOUT / "deploy/postgres/two-databases.sh").read_text()
    for line in ("CREATE DATABASE aiprod OWNER aiprod", "CREATE DATABASE airflow OWNER airflow"):
        assert line in script
    assert script.count("REVOKE CONNECT ON DATABASE") == 2


def test_nobody_starts_before_both_schemas_are_there() -> None:
    for name in set(OURS) - {"migrate", "emulator"}:
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert words("migrate")[1:] == ["-m", "aiprod.cli", "ledger", "upgrade"]
    assert SERVICES["migrate"]["environment"]["_AIRFLOW_DB_MIGRATE"] == "true"


class TestImage:
    text = (CHECKOUT / "Dockerfile").read_text()

    def test_it_is_the_airflow_that_is_pinned(self) -> None:
        pinned = re.search(r"^apache-airflow==([\d.]+)", (CHECKOUT / "requirements.txt").read_text(), re.MULTILINE)
        assert pinned is not None
        assert f"FROM apache/airflow:slim-{pinned[1]}-python3.11\n" in self.text

    def test_it_installs_what_the_lock_says_and_ends_as_nobody_special(self) -> None:
        assert "--require-hashes -r /opt/airflow/deploy/requirements.lock && pip check" in self.text
        assert [line.split()[1] for line in self.text.splitlines() if line.startswith("USER")] == ["airflow"]

    def test_everything_it_copies_exists_and_is_let_through(self) -> None:
        copied = [source for line in re.findall(r"^COPY .*", self.text, re.MULTILINE) for source in line.split()[2:-1]]
        let_through = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        assert set(copied) == let_through
        assert [source for source in copied if not (CHECKOUT / source).exists()] == []

    def test_its_lock_has_our_airflow_and_everything_we_import(self) -> None:
        def pins(path: Path) -> dict[str, str]:
            return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", path.read_text(), re.MULTILINE))

        ours, image = pins(CHECKOUT / "requirements.lock"), pins(CHECKOUT / "deploy" / "requirements.lock")
        product = (CHECKOUT / "requirements.txt").read_text().split("# --- making it ---")[0]
        wanted = [Requirement(line.split("#")[0]) for line in product.splitlines() if re.match("[a-z]", line)]
        assert [str(one) for one in wanted if image.get(one.name, "0") not in one.specifier] == []
        assert ours["apache-airflow-core"] == image["apache-airflow-core"]
        # What the Google provider wants older; everything else is what the tests ran with.
        assert {name for name in ours.keys() & image.keys() if ours[name] != image[name]} <= OLDER
        assert image["celery"].startswith("5.6.")


def test_what_the_collector_prometheus_and_grafana_read_fits_together() -> None:
    collector = yaml.safe_load((CHECKOUT / "deploy/otel/collector.yaml").read_text())
    prometheus = yaml.safe_load((CHECKOUT / "deploy/prometheus/prometheus.yaml").read_text())
    grafana = yaml.safe_load((CHECKOUT / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text())
    targets = [target for job in prometheus["scrape_configs"] for group in job["static_configs"] for target in group["targets"]]
    assert targets == ["api-server:8080", "otel-collector:8889"]
    assert all(target.split(":")[0] in SERVICES for target in targets)
    assert collector["exporters"]["prometheus"]["endpoint"].endswith(":8889")
    assert SERVICES["scheduler"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector:4318"
    assert grafana["datasources"][0]["url"] == "http://prometheus:9090"


def test_docker_itself_accepts_it() -> None:
    """Where its client knows compose; elsewhere the tests above are all there is."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no `docker compose` here")
    secrets = dict.fromkeys(compose_env.NAMES, "x")
    profiles = ["--profile", "celery", "--profile", "observability", "--profile", "emulator"]
    done = subprocess.run(
        [docker, "compose", "--env-file", "/dev/null", *profiles, "-f", str(FILE), "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={**secrets, "PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": "/tmp"},  # noqa: S108 - docker wants one
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["services"]) == set(SERVICES)
