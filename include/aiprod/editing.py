"""A job changed by people: its manifest before money is approved, its shots made again after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, ValidationError

from aiprod.catalog import Catalog
from aiprod.ledger import Ledger
from aiprod.models import MAX_SHOTS, AspectRatio, Estimate, Manifest, Noun, ShotSpec, Style, refused

__all__ = ["Edited", "ManifestEdit", "changes", "edit", "redo"]


class ManifestEdit(Noun):
    """A manifest as somebody wants it: the whole shot list; what else is None stays as it is."""

    shots: Annotated[tuple[ShotSpec, ...], Field(min_length=1, max_length=MAX_SHOTS)]
    audio_style: Style | None = None
    aspect_ratio: AspectRatio | None = None
    audio: bool | None = None

    @classmethod
    def parse(cls, raw: object) -> ManifestEdit:
        """Return the edit, or raise `SpecError` with one plain line per field."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise refused(raw, error) from None


class Edited(Noun):
    """The version that an edit or a redo made, what it costs, and what it changed, in sentences."""

    job_id: str
    version: int
    manifest: Manifest
    estimate: Estimate
    changes: tuple[str, ...]


def edit(ledger: Ledger, catalog: Catalog, job_id: str, change: ManifestEdit, *, base_version: int, by: str) -> Edited:
    """Write a new manifest version, priced at once. It has to be approved anew.

    Raises `SpecError` where nobody could make it, `JobUnknown`, and `JobMoved` when `base_version` is not the newest
    or the money is already approved, refused or spent.
    """
    raise NotImplementedError


def redo(
    ledger: Ledger,
    catalog: Catalog,
    job_id: str,
    *,
    shots: Sequence[int],
    change: Mapping[int, ShotSpec] | None = None,
    base_version: int,
    by: str,
) -> Edited:
    """Write a new version of a job that is over, in which only some shots are made again.

    Accepted takes of the other shots are used again and cost nothing; the named shots, and those without an accepted
    take, are priced, and bought once somebody approved. Raises `SpecError`, `JobUnknown`, and `JobMoved` when
    `base_version` is not the newest, or the job is not over, was cancelled or erased, or still has a render running.
    """
    raise NotImplementedError


def changes(old: Manifest, new: Manifest) -> tuple[str, ...]:
    """Return what is different in `new`, in plain sentences."""
    raise NotImplementedError
