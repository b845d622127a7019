"""The studio's own scripts, styles and pictures: a closed list, read from this folder only."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response

from aiprod_airflow.studio.rendering import FOLDER, PATH

__all__ = ["router", "served"]

router = APIRouter()

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@cache
def served() -> frozenset[str]:
    """Return the names that are served."""
    return frozenset(p.relative_to(FOLDER / "static").as_posix() for p in (FOLDER / "static").rglob("*") if p.suffix in _TYPES)


@router.get(PATH + "/static/{name:path}", include_in_schema=False)
def static(name: str) -> Response:
    """One file; a browser asks again whether it is still the same."""
    if name not in served():
        raise HTTPException(404, "the studio has no such file")
    kept = FOLDER / "static" / name
    headers = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    return FileResponse(kept, headers=headers, media_type=_TYPES[kept.suffix])
