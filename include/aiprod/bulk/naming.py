"""What the delivered videos of a campaign are called: a template with the row's own words, made safe. Pure."""

from __future__ import annotations

import re
import unicodedata

from aiprod.errors import SpecError
from aiprod.models import JobSpec

__all__ = ["DEFAULT", "Naming"]

DEFAULT = "{campaign}/{row}.mp4"
_FIELD = re.compile(r"\{([^{}]*)\}")
_KNOWN = ("campaign", "row", "revision", "project", "preset", "aspect_ratio", "seconds", "prompt")
_LONGEST = 60


class Naming:
    """A template such as `{campaign}/{aspect_ratio}/{row}.mp4`: names below `campaigns/` in the storage, folders and all."""

    def __init__(self, template: str) -> None:
        """Raises `SpecError` for a field that is not known, or a path that could lead elsewhere."""
        problems = [
            f"naming: {{{name[:60]}}} is not known; known: {', '.join(_KNOWN)}"
            for name in _fields(template)
            if name not in _KNOWN
        ]
        plain = _FIELD.sub("x", template)
        if not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\.mp4", plain) or any(
            p.startswith(".") for p in plain.split("/")
        ):
            problems.append("naming: must be a relative path that ends in .mp4: letters, digits, -, _ and . beside {fields}")
        if problems:
            raise SpecError(problems)
        self.template = template

    def name(self, campaign: str, row: str, revision: int, order: JobSpec) -> str:
        """Return the name of a row's video. A later revision has a name of its own, whatever the template says."""
        words = {
            "campaign": campaign,
            "row": row,
            "revision": str(revision),
            "project": order.project,
            "preset": order.preset,
            "aspect_ratio": order.aspect_ratio.replace(":", "x"),
            "seconds": f"{order.total_seconds:g}",
            "prompt": order.words,
        }
        made = _FIELD.sub(lambda field: _safe(words[field[1]]), self.template)
        if revision > 1 and "revision" not in _fields(self.template):
            made = f"{made.removesuffix('.mp4')}-r{revision}.mp4"
        return f"campaigns/{made}"


def _fields(template: str) -> list[str]:
    return _FIELD.findall(template)


def _safe(text: str) -> str:
    """A word that is one part of a path on every system: no separators, no leading dots, never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", plain)[:_LONGEST].strip("-_.") or "x"
