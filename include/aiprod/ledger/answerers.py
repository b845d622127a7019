"""Who has a word on a job: members of its project, and where the preset wants two people, another than who wrote it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from aiprod.catalog import Catalog
from aiprod.errors import SamePerson
from aiprod.ledger import jobs

__all__ = ["creator", "require_entitled", "require_other"]

#: What the Airflow side calls an answerer whom Airflow does not name.
_UNNAMED = ("", "somebody")


def creator(conn: Connection, catalog: Catalog, job_id: str) -> str | None:
    """Return who may not approve a job because they ordered it; None where anybody may, or nobody knows."""
    strict = catalog.presets[jobs.spec(conn, job_id).preset].approver_differs
    return jobs.entry(conn, job_id).created_by if strict else None


def require_entitled(conn: Connection, catalog: Catalog, job_id: str, version: int, *, by: str) -> None:
    """Raise `NotAMember`, or `SamePerson` when the preset wants another person's word on a job version than `by`'s.

    A word without a name cannot be shown to be another's.
    """
    spec = jobs.spec(conn, job_id)
    catalog.access.require_member(spec.project, by)
    if catalog.presets[spec.preset].approver_differs:
        wrote = {"ordered": jobs.entry(conn, job_id).created_by, "changed": jobs.priced(conn, job_id, version).created_by}
        require_other(f"job {job_id}", wrote, by=by)


def require_other(what: str, wrote: Mapping[str, str | None], *, by: str) -> None:
    """Raise `SamePerson` when `by` has no name, or is one of those who `wrote` it, told by what they did."""
    if _plain(by) in _UNNAMED:
        raise SamePerson(f"{what} has to be approved by somebody with a name")
    for did, who in wrote.items():
        if who is not None and _plain(who) == _plain(by):
            raise SamePerson(f"{by} {did} {what}; its preset wants the word of another person")


def _plain(name: str) -> str:
    return name.strip().casefold()
