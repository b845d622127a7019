"""The environment, read in one place. `.env.example` lists the same names and no other."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from aiprod.errors import ConfigError

__all__ = [
    "FALSE",
    "api_password",
    "api_token",
    "api_url",
    "api_user",
    "config_dir",
    "database_url",
    "dry_run",
    "first_event_seconds",
    "gcm_dashboards",
    "gcm_endpoint",
    "metrics_sinks",
    "otlp_endpoint",
    "provenance_files",
    "public_url",
    "require_distributed_safe",
    "secret",
    "shipped_config_dir",
    "storage_url",
    "stream_seconds",
    "tariff",
    "var_dir",
]

FALSE = ("", "0", "false", "no", "off")

#: A trigger event that comes sooner than this loses the race against the executor's report that
#: the first leg finished, and the scheduler then fails the task (facts/engine.md section 3).
FIRST_EVENT_SECONDS = 20.0

#: An open stream keeps an api-server that is told to stop from stopping; who watches comes back.
STREAM_SECONDS = 30.0


def _home() -> Path:
    """The checkout, or wherever `include/` was put."""
    return Path(__file__).resolve().parents[2]


def config_dir() -> Path:
    """Where the catalogue's YAML files are (`AIPROD_CONFIG_DIR`)."""
    return Path(os.environ.get("AIPROD_CONFIG_DIR") or shipped_config_dir())


def shipped_config_dir() -> Path:
    """Where the YAML files that came with this release are."""
    return _home() / "include" / "config"


def var_dir() -> Path:
    """Where files of this machine live when nothing else is configured (`AIPROD_VAR_DIR`)."""
    return Path(os.environ.get("AIPROD_VAR_DIR") or _home() / "var")


def database_url() -> str:
    """The ledger's database (`AIPROD_DATABASE_URL`), never Airflow's."""
    url = os.environ.get("AIPROD_DATABASE_URL") or f"sqlite:///{var_dir() / 'ledger.db'}"
    if url.startswith("postgres://") or url.startswith("postgresql://"):
        url = "postgresql+psycopg://" + url.split("://", 1)[1]
    airflow = os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "")
    if airflow and _place(url) == _place(airflow):
        raise ConfigError(
            "AIPROD_DATABASE_URL names Airflow's own database; give the ledger a database of its own, "
            "for example postgresql://…/aiprod"
        )
    return url


def _place(url: str) -> tuple[str, str, int | None, str]:
    """Which database an address names, whoever logs in and with whichever driver."""
    try:
        parts = urlsplit(url)
        kind = parts.scheme.split("+", 1)[0].replace("postgresql", "postgres")
        port = parts.port or (5432 if kind == "postgres" else None)
    except ValueError:
        # Its own words may hold the password.
        raise ConfigError("AIPROD_DATABASE_URL, or Airflow's, is no address: look at its host and port") from None
    return kind, parts.hostname or "", port, parts.path


def require_distributed_safe(executor: str, *, airflow_database: str = "") -> None:
    """Refuse SQLite when tasks may run on several machines: WAL does not work over a network.

    `executor` is Airflow's setting, with teams and aliases if it has them. `airflow_database` is the address of its own
    database, for who knows it: a task does not, for Airflow hides it there.
    """
    if all(_one_machine(name) for team in executor.split(";") for name in team.rpartition("=")[2].split(",")):
        return
    for whose, url, name in (
        ("The ledger", database_url(), "AIPROD_DATABASE_URL"),
        ("Airflow's own database", airflow_database, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"),
    ):
        if url.startswith("sqlite"):
            raise ConfigError(
                f"{whose} is on SQLite, but {executor} may run tasks on several machines. "
                f"Set {name} to a PostgreSQL database on every one of them."
            )


def _one_machine(executor: str) -> bool:
    """Whether an executor, by its class or `alias:class`, starts tasks where its scheduler runs."""
    return re.split(r"[.:]", executor.strip())[-1] in ("LocalExecutor", "SequentialExecutor", "")


def storage_url() -> str:
    """Where takes and deliveries are kept (`AIPROD_STORAGE_URL`): a folder or any fsspec address, e.g. gs://bucket/prefix."""
    return os.environ.get("AIPROD_STORAGE_URL") or (var_dir() / "storage").as_uri()


def public_url() -> str:
    """Where people reach Airflow (`AIPROD_PUBLIC_URL`), without a slash at its end; empty: notifications have no links."""
    return os.environ.get("AIPROD_PUBLIC_URL", "").rstrip("/")


def secret(name: str) -> str:
    """The value of a variable that the configuration names as a secret. Raises `ConfigError` when it is not set."""
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"{name} is not set")
    return value


def api_url() -> str:
    """Where a running AIPROD is (`AIPROD_API_URL`): its api-server's address; empty when commands have none to ask."""
    return os.environ.get("AIPROD_API_URL", "").strip()


def api_token() -> str:
    """What says who asks the API (`AIPROD_API_TOKEN`): a token of Airflow's. A secret."""
    return os.environ.get("AIPROD_API_TOKEN", "").strip()


def api_user() -> str:
    """Who logs in for a token where none is given (`AIPROD_API_USER`)."""
    return os.environ.get("AIPROD_API_USER", "").strip()


def api_password() -> str:
    """The password that goes with the user (`AIPROD_API_PASSWORD`). A secret."""
    return os.environ.get("AIPROD_API_PASSWORD", "")


def provenance_files() -> tuple[Path, Path] | None:
    """The certificate chain and the key (PEM) that finished videos are signed with (`AIPROD_C2PA_CERTIFICATE`,
    `AIPROD_C2PA_KEY`); None while neither is set. Raises `ConfigError` when one is missing.
    """
    chain, key = os.environ.get("AIPROD_C2PA_CERTIFICATE"), os.environ.get("AIPROD_C2PA_KEY")
    if not chain and not key:
        return None
    if not chain or not key:
        raise ConfigError("AIPROD_C2PA_CERTIFICATE and AIPROD_C2PA_KEY go together; one of them is not set")
    return Path(chain), Path(key)


def tariff() -> str:
    """Which price book is in force (`AIPROD_TARIFF`): `list` unless said otherwise."""
    return os.environ.get("AIPROD_TARIFF") or "list"


def dry_run() -> bool:
    """Whether the paying door is shut (`AIPROD_DRY_RUN`): everything up to the request happens, the request does not."""
    # A word that nobody foresaw keeps the door shut.
    return os.environ.get("AIPROD_DRY_RUN", "").strip().lower() not in FALSE


def first_event_seconds() -> float:
    """The least time between parking a task and waking it (`AIPROD_FIRST_EVENT_SECONDS`), in seconds."""
    return _seconds("AIPROD_FIRST_EVENT_SECONDS", FIRST_EVENT_SECONDS)


def stream_seconds() -> float:
    """How long one stream of a job's events lasts (`AIPROD_STREAM_SECONDS`), in seconds; whoever watches comes back."""
    return _seconds("AIPROD_STREAM_SECONDS", STREAM_SECONDS)


def _seconds(name: str, default: float) -> float:
    raw = os.environ.get(name)
    if not raw:
        return default
    try:
        return float(raw)
    except ValueError:
        raise ConfigError(f"{name} must be a number of seconds, not {raw!r}") from None


def metrics_sinks() -> tuple[str, ...]:
    """Where metrics are sent besides the ledger (`AIPROD_METRICS_SINKS`): names with commas between, none by default."""
    return tuple(dict.fromkeys(name.strip() for name in os.environ.get("AIPROD_METRICS_SINKS", "").split(",") if name.strip()))


def otlp_endpoint() -> str:
    """The OpenTelemetry collector that metrics are sent to (`AIPROD_OTLP_ENDPOINT`), by default one on this machine."""
    return (os.environ.get("AIPROD_OTLP_ENDPOINT") or "http://127.0.0.1:4318").rstrip("/")


def gcm_endpoint() -> str | None:
    """Another Cloud Monitoring than Google's (`AIPROD_GCM_ENDPOINT`), as `host:port`; None for Google's.

    Spoken without encryption and without credentials, so it must be on this machine: `grpc://127.0.0.1:8085`.
    """
    said = os.environ.get("AIPROD_GCM_ENDPOINT")
    return _on_this_machine("AIPROD_GCM_ENDPOINT", "grpc", said) if said else None


def gcm_dashboards() -> str | None:
    """Where that one's dashboards are (`AIPROD_GCM_DASHBOARDS`): the service speaks of them over HTTP only. None for Google's.

    Raises `ConfigError` when only one of the two is another than Google's: the rest would go to the real project.
    """
    said = os.environ.get("AIPROD_GCM_DASHBOARDS")
    if bool(said) != bool(gcm_endpoint()):
        raise ConfigError("AIPROD_GCM_ENDPOINT and AIPROD_GCM_DASHBOARDS belong together: set both, or neither")
    return f"http://{_on_this_machine('AIPROD_GCM_DASHBOARDS', 'http', said)}" if said else None


def _on_this_machine(name: str, scheme: str, said: str) -> str:
    try:
        parts = urlsplit(said)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme != scheme or host not in ("127.0.0.1", "localhost", "::1") or port is None or parts.path not in ("", "/"):
        raise ConfigError(f"{name} must be {scheme}://127.0.0.1:PORT: nothing is encrypted on the way there")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
