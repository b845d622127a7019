"""Two people where the preset wants two: who wrote an order or its newest version does not approve it."""

from __future__ import annotations

from sqlalchemy import Connection

from aiprod.catalog import Preset
from aiprod.errors import SamePerson
from aiprod.ledger import jobs

__all__ = ["creator", "require_another"]

#: What the Airflow side calls an answerer whom Airflow does not name.
_UNNAMED = ("", "somebody")


def creator(conn: Connection, preset: Preset, job_id: str) -> str | None:
    """Return who may not approve a job because they ordered it; None where anybody may, or nobody knows."""
    return jobs.entry(conn, job_id).created_by if preset.approver_differs else None


def require_another(conn: Connection, preset: Preset, job_id: str, version: int, *, by: str) -> None:
    """Raise `SamePerson` when the preset wants another person's word on a job version than `by`'s.

    A word without a name cannot be shown to be another's.
    """
    if not preset.approver_differs:
        return
    wrote = {"ordered": jobs.entry(conn, job_id).created_by, "changed": jobs.priced(conn, job_id, version).created_by}
    if _plain(by) in _UNNAMED:
        raise SamePerson(f"job {job_id} has to be approved by somebody with a name")
    for did, who in wrote.items():
        if who is not None and _plain(who) == _plain(by):
            raise SamePerson(f"{by} {did} job {job_id}; its preset wants the word of another person")


def _plain(name: str) -> str:
    return name.strip().casefold()
