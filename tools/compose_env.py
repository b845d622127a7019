"""New secrets for `docker compose`, one line each: `python -m tools.compose_env >> .env`."""

from __future__ import annotations

import secrets
import sys

from tools import airflow_env

__all__ = ["NAMES", "main"]

#: What docker-compose.yaml requires, by the names in .env.
NAMES = (
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_DB_PASSWORD",
    "AIPROD_DB_PASSWORD",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "GRAFANA_PASSWORD",
)


def main() -> int:
    """Print a value for every name, made for this installation alone."""
    made = airflow_env.new_secrets()
    known = {
        "AIRFLOW_FERNET_KEY": made["AIRFLOW__CORE__FERNET_KEY"],
        "AIRFLOW_SECRET_KEY": made["AIRFLOW__API__SECRET_KEY"],
        "AIRFLOW_JWT_SECRET": made["AIRFLOW__API_AUTH__JWT_SECRET"],
    }
    for name in NAMES:
        # Passwords stand in addresses: nothing in them may need quoting there.
        print(f"{name}={known.get(name) or secrets.token_urlsafe(24)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
