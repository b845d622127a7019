"""A real Airflow in which everybody logs in, with its scheduler and triggerer, and emulated vendors that keep their own books."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from aiprod.emulators.running import Emulators
from aiprod.ledger import Ledger
from tests.catalogue import write_catalogue
from tools.local_airflow import LocalAirflow

__all__ = ["DAG", "PEOPLE", "House", "house"]

DAG = "render_video"
PEOPLE = {"alice": "user", "bob": "user", "root": "admin"}


class Guarded(LocalAirflow):
    """Not everybody is its administrator: a password opens it."""

    def password(self, name: str) -> str:
        return str(json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())[name])

    def token(self, name: str) -> str:
        who = {"username": name, "password": self.password(name)}
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as anonymous:
            return str(anonymous.post("/auth/token", json=who).raise_for_status().json()["access_token"])

    def client(self) -> httpx.Client:
        if self._client is None:
            bearer = {"Authorization": f"Bearer {self.token('root')}"}
            self._client = httpx.Client(base_url=f"{self.url}/api/v2/", headers=bearer, trust_env=False, timeout=60)
        return self._client


@dataclass(frozen=True)
class House:
    """The running Airflow, its ledger, and the vendors with their books."""

    airflow: Guarded
    ledger: Ledger
    vendors: Emulators

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as our API tells it."""
        return dict(self.airflow.client().get(f"{self.airflow.url}/aiprod/job/{job_id}").raise_for_status().json())

    def billed(self, words: str) -> int:
        """What the vendors booked for whatever has some words in it, in micro-dollars."""
        return sum(accept["billable_micros"] for accept in self.vendors.accepts() if words in json.dumps(accept["body"]))


@contextmanager
def house(root: Path) -> Iterator[House]:
    """Start it all under a folder, and end it."""
    with Emulators(root / "vendors", seconds_per_render=3.0) as vendors:
        env: dict[str, str | None] = {
            "AIPROD_DRY_RUN": None,
            "AIPROD_DATABASE_URL": None,
            "AIPROD_STORAGE_URL": None,
            "AIPROD_VAR_DIR": str(root / "var"),
            "AIPROD_CONFIG_DIR": str(_catalogue(root / "config")),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in PEOPLE.items()),
            **vendors.environment,
        }
        (root / "var").mkdir(mode=0o700)
        ledger = Ledger(f"sqlite:///{root / 'var' / 'ledger.db'}")
        ledger.upgrade()
        with Guarded(root / "airflow", env=env) as airflow:
            airflow.wait_ready(120, dags=[DAG])
            yield House(airflow, ledger, vendors)
        bugs = [event["traceback"] for event in vendors.events() if event["event"] == "bug"]
        assert bugs == []


def _catalogue(folder: Path) -> Path:
    """The catalogue as it ships, but for small pictures, short waits, and a preset that wants two people."""
    soon = {"poll_seconds": 1, "submit_timeout_seconds": 15}
    small = {"resolution": "720p"}
    return write_catalogue(
        folder,
        vendors=None,
        strikes=10_000,
        backends=dict.fromkeys(("runway", "veo3", "replicate"), soon),
        presets={"presets": {"brand_campaign": small, "premium_spot": {**small, "approver_differs": True}}},
    )
