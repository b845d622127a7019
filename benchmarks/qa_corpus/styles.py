"""What makers do on purpose and a naive check calls a defect: each kind is drawn here, and nothing in it is wrong.

A set of its own, beside the two halves of `scenes`: it asks what the check finds where there is nothing to find.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.qa_corpus.scenes import Kind, Scene, camera, drawn_by, grain, leaves

__all__ = ["STYLES", "styles"]

STYLES = "styles"
Picture = NDArray[np.uint8]
Rng = np.random.Generator
#: Small, upright, slow and fast ones: those that vendors sell.
_SHAPES = ((320, 180, 24), (360, 640, 24), (640, 360, 30), (480, 480, 16), (854, 480, 24))


def _jitter(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """A hand that trembles and walks: steps, tremor and roll, with the blur of each."""
    canvas = leaves(rng, size[0] * 2, size[1] * 2)
    tremor = cv2.GaussianBlur(rng.normal(0, 1, (n, 3)), (1, 0), 1, sigmaY=0.9)
    last = max(1, n - 1)

    def path(t: float) -> tuple[float, float, float, float]:
        x, y, roll = tremor[int(t * last)]
        step = 0.012 * np.sin(2 * np.pi * 1.9 * t * n / 24)
        return 0.45 + 0.06 * t + 0.009 * x, 0.5 + step + 0.009 * y, 1.15, 0.8 * roll

    frames = list(camera(canvas, n, size, path))
    return grain(rng, [frames[0], *(cv2.addWeighted(a, 0.4, b, 0.6, 0) for a, b in pairwise(frames))], 2.5)


def _push(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """A slow push: nothing moves but the camera, by a tenth of a pixel at a time."""
    canvas, pace = leaves(rng, size[0] * 2, size[1] * 2), rng.uniform(0.012, 0.03)
    return grain(rng, list(camera(canvas, n, size, lambda t: (0.5, 0.5, 1 + pace * t, 0.0))), 0.8)


def _low_light(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """A dim room with one lamp and the noise of a sensor that sees little; somebody walks through."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    lamp = np.exp(-(((x / size[0] - 0.7) * 2.2) ** 2 + ((y / size[1] - 0.35) * 2.2) ** 2))
    room = leaves(rng, *size).astype(np.float32) * (0.10 + 0.55 * lamp)[..., None]
    frames = []
    for number in range(n):
        frame, at = room.copy(), size[0] * (0.1 + 0.7 * number / n)
        shade = np.exp(-(((x - at) / (size[0] * 0.07)) ** 2 + ((y - size[1] * 0.65) / (size[1] * 0.3)) ** 2) * 2)
        frame *= (1 - 0.8 * shade)[..., None]
        noise = rng.normal(0, 1, (*size[::-1], 1)) * np.sqrt(2 + 0.05 * frame)
        frames.append(np.clip(frame + noise, 0, 255).astype(np.uint8))
    return frames


def _film(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """Old stock: coarse grain, a gate that weaves, dust that is there for one frame."""
    canvas = cv2.GaussianBlur(leaves(rng, size[0] * 2, size[1] * 2), (0, 0), 1.0)
    weave = cv2.GaussianBlur(rng.normal(0, 1, (n, 2)), (1, 0), 1, sigmaY=1.2) * 0.0015
    last = max(1, n - 1)
    look = camera(canvas, n, size, lambda t: (0.45 + 0.1 * t + weave[int(t * last)][0], 0.5 + weave[int(t * last)][1], 1.0, 0.0))
    frames = []
    for frame in look:
        for _ in range(int(rng.integers(0, 3))):
            at = (int(rng.uniform(0, size[0])), int(rng.uniform(0, size[1])))
            cv2.circle(frame, at, int(rng.integers(1, 3)), (225, 222, 210), -1, cv2.LINE_AA)
        coarse = cv2.GaussianBlur(rng.normal(0, 1, frame.shape[:2]), (0, 0), 0.9)
        frames.append(np.clip(frame + (9 * coarse)[..., None], 0, 255).astype(np.uint8))
    return frames


def _fades(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """Up from black over the first third, and down again over the last."""
    canvas, third = leaves(rng, size[0] * 2, size[1] * 2), n / 3
    look = camera(canvas, n, size, lambda t: (0.45 + 0.12 * t, 0.5, 1.05, 0.0))
    lifts = [min(1.0, (number + 0.5) / third, (n - number - 0.5) / third) for number in range(n)]
    return grain(rng, [(frame * lift).astype(np.uint8) for frame, lift in zip(look, lifts, strict=True)], 1.0)


def _title(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """A card: a title that fades in over a dark gradient that drifts."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    frames = []
    for number in range(n):
        drift = 18 * np.sin(x / size[0] * 3 + number / 20) + 14 * np.cos(y / size[1] * 2 - number / 26)
        frame = np.clip(np.stack([38 + drift, 44 + drift, 70 + drift], -1), 0, 255)
        text, shown = np.zeros(size[::-1], np.uint8), min(1.0, number / (n * 0.3))
        scale = size[0] / 420
        cv2.putText(
            text, "THE LIGHTHOUSE", (round(size[0] * 0.1), size[1] // 2), 0, scale, 255, max(1, round(2 * scale)), cv2.LINE_AA
        )
        frames.append((frame + (235 - frame) * (text / 255 * shown)[..., None]).astype(np.uint8))
    return grain(rng, frames, 1.2)


def _twos(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """Drawn on twos: the figure has a new pose every second frame, the camera moves on every one."""
    back = leaves(rng, size[0] * 2, size[1] * 2, least=14, flat=True)
    frames = list(camera(back, n, size, lambda t: (0.45 + 0.06 * t, 0.5, 1.0, 0.0)))
    for number, frame in enumerate(frames):
        pose = number // 2
        at = (round(size[0] * (0.3 + 0.012 * pose)), round(size[1] * (0.55 + 0.1 * np.sin(pose / 2))))
        cv2.ellipse(frame, at, (size[1] // 8, size[1] // 5), 12 * np.sin(pose / 1.5), 0, 360, (240, 196, 90), -1, cv2.LINE_AA)
        cv2.ellipse(frame, at, (size[1] // 8, size[1] // 5), 12 * np.sin(pose / 1.5), 0, 360, (24, 22, 20), 3, cv2.LINE_AA)
    return frames


def _talking(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """A head before a wall that does not move: mouth, eyes and shoulders do, with pauses for breath."""
    room = cv2.GaussianBlur(leaves(rng, *size), (0, 0), 3)
    skin, frames = leaves(rng, *size, least=2), []
    tint = (skin * 0.25 + np.array([150, 110, 90])).astype(np.uint8)
    for number in range(n):
        frame, t = room.copy(), number / 24
        sway, speaks = 0.012 * np.sin(2.1 * t), max(0.0, np.sin(2.6 * t)) * abs(np.sin(14 * t))
        centre = (round(size[0] * (0.5 + sway)), round(size[1] * (0.48 + 0.006 * np.sin(3 * t))))
        mask = np.zeros(size[::-1], np.uint8)
        cv2.ellipse(mask, centre, (round(min(size) * 0.2), round(min(size) * 0.27)), 0, 0, 360, 255, -1, cv2.LINE_AA)
        cv2.ellipse(mask, (centre[0], size[1]), (round(min(size) * 0.42), round(size[1] * 0.24)), 0, 0, 360, 255, -1, cv2.LINE_AA)
        part = cv2.GaussianBlur(mask, (0, 0), 0.8)[..., None] / 255
        frame = (frame * (1 - part) + tint * part).astype(np.uint8)
        mouth = (centre[0], centre[1] + round(min(size) * 0.13))
        opened = (round(min(size) * 0.06), max(1, round(min(size) * 0.035 * speaks)))
        cv2.ellipse(frame, mouth, opened, 0, 0, 360, (60, 20, 24), -1, cv2.LINE_AA)
        frames.append(frame)
    return grain(rng, frames, 1.2)


def _credits(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """Names that roll up over a dark wall."""
    wall = np.full((size[1] * 3, size[0], 3), 22, np.uint8)
    wall = np.clip(wall + rng.normal(0, 2, wall.shape[:2])[..., None], 0, 255).astype(np.uint8)
    scale, line = size[0] / 520, max(14, round(size[0] / 14))
    for number in range(size[1] * 3 // line):
        cv2.putText(
            wall,
            f"NAME {number * 7919 % 977} AS SOMEBODY",
            (size[0] // 8, number * line),
            0,
            scale,
            (210, 208, 200),
            1,
            cv2.LINE_AA,
        )
    step = size[1] * 0.7 / max(1, n - 1)
    rolled = (cv2.warpAffine(wall, np.array([[1, 0, 0], [0, 1, -step * number]], np.float32), size) for number in range(n))
    return grain(rng, list(rolled), 0.8)


def _whip(rng: Rng, n: int, size: tuple[int, int]) -> list[Picture]:
    """A calm look, a whip pan in a quarter of a second with its blur, and calm again."""
    canvas, middle = leaves(rng, size[0] * 3, size[1] * 2), 0.5
    width = 0.25 * 24 / max(1, n)

    def at(t: float) -> float:
        return 0.3 + 0.02 * t + 0.33 / (1 + np.exp(-(t - middle) / (width / 6)))

    frames = []
    for number in range(n):
        parts = [(number + part / 8) / n for part in range(8)]
        looks = [next(camera(canvas, 1, size, lambda _, t=t: (at(t), 0.5, 1.0, 0.0))) for t in parts]
        frames.append(np.mean(looks, axis=0).astype(np.uint8))
    return grain(rng, frames, 1.5)


_KINDS: dict[str, Kind] = {
    "jitter": _jitter,
    "push": _push,
    "low-light": _low_light,
    "film": _film,
    "fades": _fades,
    "title": _title,
    "twos": _twos,
    "talking": _talking,
    "credits": _credits,
    "whip": _whip,
}


def styles(per_kind: int = 2, seconds: float = 3.0) -> list[Scene]:
    """Return every kind, so many times, in shapes that go round."""
    found = []
    for place, (kind, draw) in enumerate(_KINDS.items()):
        for number in range(per_kind):
            seed = int.from_bytes(hashlib.sha256(f"{STYLES}/{kind}/{number}".encode()).digest()[:4], "big")
            width, height, fps = _SHAPES[(place + 2 * number) % len(_SHAPES)]
            found.append(Scene(f"{kind}{number}", STYLES, drawn_by(draw, seed, (width, height), fps, seconds)))
    return found
