"""What tests order from Runway, and a Runway in memory that answers as it is told."""

from __future__ import annotations

import json
from typing import Any

from aiprod.models import RenderRequest
from tests.web import World, answer

__all__ = ["Runway", "said", "task", "wanted"]


def wanted(**changes: Any) -> RenderRequest:
    asked = RenderRequest(
        backend="runway", model="gen4.5", prompt="a lake", seconds=5, asked_seconds=5, aspect_ratio="16:9", resolution="720p",
        width=1280, height=720, fps=24, audio=False, seed=7,
    )  # fmt: skip
    return asked.model_copy(update=changes)


class Runway(World):
    """Runway's API and its file server, giving these answers in turn."""

    def __init__(self, *api: Any, files: Any = ()) -> None:
        names = {"api.dev.runwayml.com": [["9.9.9.9"]], "cdn.example": [["8.8.4.4"]]}
        super().__init__({("9.9.9.9", 443): list(api), ("8.8.4.4", 443): list(files)}, names)

    @property
    def lines(self) -> list[str]:
        """What it was asked, first lines only."""
        return [wire.sent.decode().splitlines()[0].removesuffix(" HTTP/1.1") for wire in self.wires]


def said(http: int, **row: Any) -> list[bytes]:
    return answer(http, json.dumps(row).encode(), content_type="application/json")


def task(status: str, **more: Any) -> list[bytes]:
    return said(200, id="t1", createdAt="2026-11-23T12:00:00Z", status=status, **more)
