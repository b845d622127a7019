"""The environment, read in one place. `.env.example` lists the same names and no other."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from aiprod.errors import ConfigError

__all__ = [
    "FALSE",
    "config_dir",
    "database_url",
    "dry_run",
    "first_event_seconds",
    "provenance_files",
    "require_distributed_safe",
    "storage_url",
    "tariff",
    "var_dir",
]

FALSE = ("", "0", "false", "no", "off")

#: A trigger event that comes sooner than this loses the race against the executor's report that
#: the first leg finished, and the scheduler then fails the task (facts/engine.md section 3).
FIRST_EVENT_SECONDS = 20.0


def _home() -> Path:
    """The checkout, or wherever `include/` was put."""
    return Path(__file__).resolve().parents[2]


def config_dir() -> Path:
    """Where the catalogue's YAML files are (`AIPROD_CONFIG_DIR`)."""
    return Path(os.environ.get("AIPROD_CONFIG_DIR") or _home() / "include" / "config")


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


def require_distributed_safe(executor: str) -> None:
    """Refuse SQLite when tasks may run on several machines: WAL does not work over a network."""
    local = all(name.strip().rsplit(".", 1)[-1] in ("LocalExecutor", "SequentialExecutor", "") for name in executor.split(","))
    if not local and database_url().startswith("sqlite"):
        raise ConfigError(
            f"The ledger is on SQLite, but {executor} may run tasks on several machines. "
            "Set AIPROD_DATABASE_URL to a PostgreSQL database on every one of them."
        )


def storage_url() -> str:
    """Where takes and deliveries are kept (`AIPROD_STORAGE_URL`): a folder or any fsspec address, e.g. gs://bucket/prefix."""
    return os.environ.get("AIPROD_STORAGE_URL") or (var_dir() / "storage").as_uri()


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
    raw = os.environ.get("AIPROD_FIRST_EVENT_SECONDS")
    if not raw:
        return FIRST_EVENT_SECONDS
    try:
        return float(raw)
    except ValueError:
        raise ConfigError(f"AIPROD_FIRST_EVENT_SECONDS must be a number of seconds, not {raw!r}") from None
