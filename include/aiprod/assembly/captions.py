"""WebVTT from a shot list: what each shot shows, at its time."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["captions"]

_MARKS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def captions(shots: Iterable[tuple[str, float]]) -> str:
    """Return the shots (words, seconds) as WebVTT, one cue each, one after the other. A text cannot end its cue."""
    cues, begin = ["WEBVTT"], 0.0
    for number, (words, seconds) in enumerate(shots, start=1):
        end = begin + seconds
        # One line: an empty one would end the cue. Without its marks no text is an arrow or a tag.
        text = " ".join(words.translate(_MARKS).split()) or "–"
        cues.append(f"{number}\n{_time(begin)} --> {_time(end)}\n{text}")
        begin = end
    return "\n\n".join(cues) + "\n"


def _time(seconds: float) -> str:
    thousandths = round(seconds * 1_000)
    whole, rest = divmod(thousandths, 1_000)
    return f"{whole // 3_600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{rest:03d}"
