"""What is written on an animatic: that it is one, which shot, the moment, and the prompt."""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.backends.animatic_picture import Picture, to_yuv

__all__ = ["SLATE", "Slate", "wrap"]

SLATE = "ANIMATIC PREVIEW - not an AI render"
_AMBER, _WHITE, _DIM = (255, 200, 84), (245, 245, 245), (196, 200, 206)
_CAPTION_LINES = 3
_UNPARTED = r"\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef"


class _Panel:
    """A strip of the picture that is darkened and written on. It weighs the picture below and adds its own colour."""

    def __init__(self, top: int, width: int, height: int, shade: NDArray[np.float32]) -> None:
        """`shade` is how much of the picture each row hides, 0..1. `top` and `height` are even."""
        self.top, self.height = top, height
        self._keep = np.repeat(1 - shade.astype(np.float32)[:, None], width, axis=1)
        black = to_yuv(np.array((8, 10, 14), np.float32))
        self._colour = (1 - self._keep)[..., None] * black

    def paint(self, mask: Picture, colour: tuple[int, int, int]) -> None:
        """Lay a colour over everything where `mask` (0..255) says so."""
        part = (mask.astype(np.float32) / 255)[..., None]
        self._keep *= 1 - part[..., 0]
        self._colour = self._colour * (1 - part) + to_yuv(np.array(colour, np.float32)) * part

    def write(self, text: str, at: tuple[int, int], size: int, colour: tuple[int, int, int], weight: int) -> None:
        """Write one line with its base line at `at`, in pixels of the panel."""
        mask = np.zeros(self._keep.shape, np.uint8)
        _print(mask, text, at, size, weight)
        self.paint(mask, colour)

    def dry(self) -> None:
        """Round everything to eight bits once; after that it can only be put on pictures."""
        height, width = self._keep.shape
        half = (width // 2, height // 2)
        small, colour = (cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (self._keep, self._colour))
        self._planes = [
            (np.rint(keep * 255).astype(np.uint8), np.rint(added).astype(np.uint8))
            for keep, added in ((self._keep, self._colour[..., 0]), (small, colour[..., 1]), (small, colour[..., 2]))
        ]

    def put_on(self, planes: tuple[Picture, Picture, Picture]) -> None:
        for index, (plane, (keep, added)) in enumerate(zip(planes, self._planes, strict=True)):
            top = self.top if index == 0 else self.top // 2
            part = plane[top : top + keep.shape[0]]
            cv2.multiply(part, keep, dst=part, scale=1 / 255)
            cv2.add(part, added, dst=part)


class Slate:
    """Everything written on the frames of one shot, laid out once."""

    def __init__(self, *, prompt: str, shot: int, width: int, height: int, fps: int, frames: int) -> None:
        self._fps, self._frames = fps, frames
        self.width, self.height = width, height
        unit = max(8, round(min(width, height) / 30))
        self._unit = unit
        self._digits = {character: _glyph(character, unit) for character in "0123456789:"}
        facts = f"SHOT {shot:02d}    {width}x{height}    {fps} fps    {frames / fps:g} s"
        self._panels = [self._header(facts), self._caption(prompt)]
        for panel in self._panels:
            panel.dry()

    def _header(self, facts: str) -> _Panel:
        unit, high = self._unit, round(self._unit * 4.6) // 2 * 2
        panel = _Panel(0, self.width, high, 0.7 * np.linspace(1, 0, high, dtype=np.float32) ** 1.3)
        margin, bold, pad = unit, 700, round(unit * 0.45)
        # The label gives way to the time code in a narrow picture, never the other way round.
        room = self.width - 2 * margin - 8 * self._cell - unit - 2 * pad
        size = _fitting(SLATE, round(unit * 0.92), room, bold)
        wide, base = _width(SLATE, size, bold), round(unit * 1.62)
        pill = np.zeros((high, self.width), np.uint8)
        _pill(pill, (margin, base - size - pad // 2), (margin + wide + 2 * pad, base + round(size * 0.28) + pad // 2))
        panel.paint(pill, _AMBER)
        panel.write(SLATE, (margin + pad, base), size, (28, 22, 10), bold)
        panel.write(facts, (margin + pad, round(unit * 3.1)), round(unit * 0.78), _DIM, 400)
        return panel

    def _caption(self, prompt: str) -> _Panel:
        unit = self._unit
        size, leading = round(unit * 1.25), round(unit * 1.7)
        lines = wrap(prompt, size, self.width - 2 * unit, _CAPTION_LINES)
        high = min(round(leading * len(lines) + unit * 3.4) // 2 * 2, self.height // 2 * 2)
        panel = _Panel(self.height - high, self.width, high, 0.8 * np.linspace(0, 1, high, dtype=np.float32) ** 1.3)
        base = high - round(unit * 1.5) - leading * (len(lines) - 1)
        for number, line in enumerate(lines):
            panel.write(line, (unit, base + number * leading), size, _WHITE, 400)
        return panel

    @property
    def _cell(self) -> int:
        return int(self._digits["0"].shape[1])

    def put_on(self, frame: int, planes: tuple[Picture, Picture, Picture]) -> None:
        """Write everything on frame number `frame` (from 0), in place."""
        for panel in self._panels:
            panel.put_on(planes)
        second, rest = divmod(frame, self._fps)
        left, top = self.width - self._unit - 8 * self._cell, round(self._unit * 0.6)
        for number, character in enumerate(f"{second // 60:02d}:{second % 60:02d}:{rest:02d}"):
            glyph = self._digits[character]
            box = planes[0][top : top + glyph.shape[0], left + number * self._cell :][:, : self._cell]
            np.maximum(box, glyph, out=box)
        self._progress((frame + 1) / self._frames, planes)

    def _progress(self, part: float, planes: tuple[Picture, Picture, Picture]) -> None:
        wide, high = round(self.width * part / 2) * 2, max(2, self._unit // 6 // 2 * 2)
        for index, (plane, value) in enumerate(zip(planes, to_yuv(np.array(_AMBER, np.float32)), strict=True)):
            rows, columns = (high, wide) if index == 0 else (high // 2, wide // 2)
            plane[plane.shape[0] - rows :, :columns] = round(float(value))


def wrap(text: str, size: int, room: int, most: int) -> list[str]:
    """Break `text` into at most `most` lines that fit `room` pixels; what does not fit ends in an ellipsis."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    # Words, and single characters of scripts that do not part words.
    tokens = re.findall(rf"[{_UNPARTED}]|[^\s{_UNPARTED}]+|\s+", clean.strip())
    lines, line = [], ""
    for piece in (part for token in tokens for part in _pieces(token, size, room)):
        if _width((line + piece).rstrip(), size) <= room:
            line += piece
            continue
        lines.append(line.rstrip())
        line = piece.lstrip()
        if len(lines) == most:
            return [*lines[:-1], _cut(lines[-1], size, room)]
    return [*lines, line.rstrip()]


def _pieces(token: str, size: int, room: int) -> list[str]:
    """Break one word that is wider than a line."""
    if len(token) < 12 or _width(token, size) <= room:
        return [token]
    step = max(1, int(len(token) * room / _width(token, size) * 0.9))
    return [token[i : i + step] for i in range(0, len(token), step)]


def _cut(line: str, size: int, room: int) -> str:
    while line and _width(line + "…", size) > room:
        line = line[:-1].rstrip()
    return line + "…"


def _print(onto: Picture, text: str, at: tuple[int, int], size: int, weight: int) -> None:
    # OpenCV's own TrueType face: Latin, Cyrillic, Greek, Arabic and Chinese without a font file on the machine.
    cv2.putText(onto, text.encode("utf-8", "replace").decode(), at, (255, 255, 255), cv2.FontFace("sans"), size, weight)


def _width(text: str, size: int, weight: int = 400) -> int:
    clean = text.encode("utf-8", "replace").decode()
    return int(cv2.getTextSize((100_000, 1_000), clean, (0, 0), cv2.FontFace("sans"), size, weight)[2]) if clean else 0


def _fitting(text: str, size: int, room: int, weight: int) -> int:
    while size > 6 and _width(text, size, weight) > room:
        size -= 1
    return size


def _glyph(character: str, unit: int) -> Picture:
    """One character of the time code in a cell of fixed width, so that running digits do not dance. Luma codes."""
    size = round(unit * 1.05)
    wide = _width("0", size, 700) + max(1, unit // 10)
    cell = np.zeros((round(size * 1.3), wide), np.uint8)
    _print(cell, character, ((wide - _width(character, size, 700)) // 2, size), size, 700)
    return np.asarray(np.rint(cell * (225 / 255)), np.uint8)


def _pill(mask: Picture, first: tuple[int, int], last: tuple[int, int]) -> None:
    radius = (last[1] - first[1]) // 4
    for x, y in ((first[0], first[1]), (last[0], first[1]), (first[0], last[1]), (last[0], last[1])):
        centre = (x + radius if x == first[0] else x - radius, y + radius if y == first[1] else y - radius)
        cv2.circle(mask, centre, radius, 255, -1, cv2.LINE_AA)
    cv2.rectangle(mask, (first[0] + radius, first[1]), (last[0] - radius, last[1]), 255, -1)
    cv2.rectangle(mask, (first[0], first[1] + radius), (last[0], last[1] - radius), 255, -1)
