"""Judges of takes behind one interface, found by the name the catalogue gives them."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, cast

from aiprod.backends.keys import Keys, keys_of
from aiprod.catalog import Catalog, JudgeEntry
from aiprod.errors import ConfigError
from aiprod.models import Answered, JudgeRequest

__all__ = ["Judge", "judge", "why_no_judge"]


class Judge(ABC):
    """Somebody who looks at a take and answers in an agreed shape. It translates; it never waits, retries, prices or records.

    No vendor exception leaves the file: everything is `SubmitRejected` or `SubmitAmbiguous`, without key, prompt or clip.
    """

    #: Every name of the environment (or of what a connection stands for) that this adapter reads.
    reads: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, entry: JudgeEntry) -> None:
        self.name = name
        self.entry = entry

    @property
    def keys(self) -> Keys:
        """What is configured of `reads`: the environment's, else the connection's."""
        return keys_of(self.name, self.reads, needs=self.entry.needs)

    @abstractmethod
    def ask(self, request: JudgeRequest, clip: Path, *, key: str) -> Answered:
        """Send exactly one request that can cost money, and return what came back, whatever it says.

        Takes less than the entry's `submit_timeout_seconds` in all. Raises `SubmitRejected` when nothing is billed,
        `SubmitAmbiguous` when that cannot be known.
        """


def why_no_judge(catalog: Catalog) -> str:
    """Return an empty string when takes can be judged, else why not."""
    name = catalog.quality.semantic.judge
    if name is None:
        return "no judge is in force"
    needs = catalog.judges[name].needs
    if any(keys_of(name, needs, needs=needs)):
        return ""
    return f"no judge is configured: none of {', '.join(needs)} is set"


def judge(catalog: Catalog, name: str) -> Judge:
    """Return the adapter of a judge, imported on first use. Raises `ConfigError` for a name the catalogue does not know."""
    if name not in catalog.judges:
        raise ConfigError(f"unknown judge {name!r}; known: {', '.join(sorted(catalog.judges))}")
    entry = catalog.judges[name]
    module, _, attribute = entry.adapter.partition(":")
    adapter = cast("type[Judge]", getattr(importlib.import_module(module), attribute))
    return adapter(name, entry)
