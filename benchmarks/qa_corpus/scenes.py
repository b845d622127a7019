"""Scenes to spoil: pictures with the statistics of the world (occluding leaves, grain, lights, snow), drawn frame by frame.

Every scene is a kind and a seed. Kinds and seeds of the development half never appear in the held-out half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DEV", "HELD_OUT", "KINDS", "Clip", "Kind", "Scene",
    "camera", "drawn_by", "from_folder", "grain", "leaves", "music", "scenes",
]  # fmt: skip

DEV, HELD_OUT = "dev", "held-out"
RATE = 48_000


@dataclass
class Clip:
    """Pictures (RGB, height x width x 3) and sound (samples x 2), with the spec they satisfy."""

    frames: list[NDArray[np.uint8]]
    sound: NDArray[np.float32]
    fps: float
    allows: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.frames) / self.fps

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.frames[0].shape[:2]
        return width, height


@dataclass(frozen=True)
class Scene:
    """A clip that can be made again: `make` draws it. `split` says which half it belongs to."""

    name: str
    split: str
    make: Callable[[], Clip] = field(compare=False)


# --- what scenes are made of ---------------------------------------------------------------------------


def leaves(rng: np.random.Generator, width: int, height: int, *, least: float = 3.0, flat: bool = False) -> NDArray[np.uint8]:
    """Leaves that fell on each other: sizes by a power law, which is what gives photographs their statistics."""
    canvas = np.full((height, width, 3), rng.integers(40, 200, 3), np.uint8)
    biggest = min(width, height) / 3
    for _ in range(900):
        radius = least / np.sqrt(rng.uniform((least / biggest) ** 2, 1))
        at = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        colour = tuple(int(c) for c in np.clip(rng.normal(120, 55, 3), 5, 250))
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.4, 1))))
        cv2.ellipse(canvas, at, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    if flat:
        return canvas
    shade = cv2.resize(rng.normal(0, 1, (height // 40 + 2, width // 40 + 2)), (width, height), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 0.8)
    return np.clip(canvas + (14 * shade + 9 * fine)[..., None], 0, 255).astype(np.uint8)


def camera(
    canvas: NDArray[np.uint8], frames: int, size: tuple[int, int], path: Callable[[float], tuple[float, float, float, float]]
) -> Iterator[NDArray[np.uint8]]:
    """Look at a canvas along a path: part of the way 0..1 to centre x, centre y (parts of the canvas), zoom and roll."""
    height, width = canvas.shape[:2]
    for number in range(frames):
        x, y, zoom, roll = path(number / max(1, frames - 1))
        matrix = cv2.getRotationMatrix2D((x * width, y * height), roll, zoom)
        matrix[:, 2] += (size[0] / 2 - x * width, size[1] / 2 - y * height)
        yield cv2.warpAffine(canvas, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def grain(rng: np.random.Generator, frames: list[NDArray[np.uint8]], sigma: float) -> list[NDArray[np.uint8]]:
    return [np.clip(f + rng.normal(0, sigma, f.shape[:2])[..., None], 0, 255).astype(np.uint8) for f in frames]


def music(rng: np.random.Generator, seconds: float) -> NDArray[np.float32]:
    """Chords over a bed of noise, louder and softer, never silent and never clipped."""
    samples = round(seconds * RATE)
    at = np.arange(samples) / RATE
    bed = np.cumsum(rng.normal(0, 1, (samples, 2)), axis=0)
    bed -= cv2.blur(bed.astype(np.float32), (1, 2001))
    sound = 0.06 * bed / (np.abs(bed).std() + 1e-9)
    for _ in range(4):
        tone, swing = rng.uniform(110, 900), rng.uniform(0.3, 2)
        pan = rng.uniform(0.3, 0.7)
        wave = 0.08 * np.sin(2 * np.pi * tone * at) * (0.6 + 0.4 * np.sin(2 * np.pi * swing * at))
        sound += wave[:, None] * np.array([pan, 1 - pan])
    return np.clip(sound, -0.9, 0.9).astype(np.float32)


# --- the kinds -----------------------------------------------------------------------------------------

Kind = Callable[[np.random.Generator, int, tuple[int, int]], list[NDArray[np.uint8]]]


def _pan(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    canvas = leaves(rng, size[0] * 2, size[1] * 2)
    dx, dy, zoom = rng.uniform(0.06, 0.2), rng.uniform(-0.08, 0.08), rng.uniform(0, 0.15)
    return list(camera(canvas, n, size, lambda t: (0.4 + dx * t, 0.5 + dy * t, 1 + zoom * t, 3 * t)))


def _handheld(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    canvas = leaves(rng, size[0] * 2, size[1] * 2)
    shake = [cv2.GaussianBlur(rng.normal(0, 1, (n, 1)), (1, 0), 1, sigmaY=2.5).ravel() for _ in range(3)]
    step = max(1, n - 1)
    look = camera(
        canvas,
        n,
        size,
        lambda t: (
            0.45 + 0.03 * t + 0.012 * shake[0][int(t * step)],
            0.5 + 0.012 * shake[1][int(t * step)],
            1.1,
            shake[2][int(t * step)],
        ),
    )
    return grain(rng, list(look), 2.0)


def _portrait_of_someone(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """A tripod, an unmoving room, and one thing that moves a little in front of it."""
    room = next(camera(leaves(rng, size[0] * 2, size[1] * 2), 1, size, lambda _: (0.5, 0.5, 1.0, 0.0)))
    room = cv2.GaussianBlur(room, (0, 0), 1.5)
    figure = leaves(rng, size[0] // 2, size[1])
    pace, frames = rng.uniform(0.5, 1.2), []
    for number in range(n):
        frame, t = room.copy(), number / 24
        centre = (size[0] / 2 + size[0] * 0.03 * np.sin(pace * 5 * t), size[1] * 0.62 + size[1] * 0.015 * np.sin(pace * 7 * t))
        mask = np.zeros(size[::-1], np.uint8)
        axes = (round(size[0] * 0.14), round(size[1] * (0.36 + 0.01 * np.sin(9 * t))))
        cv2.ellipse(mask, (round(centre[0]), round(centre[1])), axes, 8 * np.sin(pace * 3 * t), 0, 360, 255, -1, cv2.LINE_AA)
        moved = np.array([[1, 0, centre[0] - size[0] / 4], [0, 1, centre[1] - size[1] / 2]], np.float32)
        skin = cv2.warpAffine(figure, moved, size, borderMode=cv2.BORDER_REFLECT)
        part = mask[..., None] / 255
        frames.append((frame * (1 - part) + skin * part).astype(np.uint8))
    return grain(rng, frames, 1.5)


def _night(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    canvas = (leaves(rng, size[0] * 2, size[1] * 2) * 0.16 + 6).astype(np.uint8)
    for _ in range(60):
        at = (int(rng.uniform(0, size[0] * 2)), int(rng.uniform(0, size[1] * 2)))
        cv2.circle(canvas, at, int(rng.integers(1, 5)), tuple(int(c) for c in rng.integers(150, 255, 3)), -1, cv2.LINE_AA)
    look = camera(canvas, n, size, lambda t: (0.5 + 0.03 * t, 0.5, 1 + 0.02 * t, 0.0))
    return grain(rng, list(look), 2.5)


def _snow(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    back = list(camera(leaves(rng, size[0] * 2, size[1] * 2), n, size, lambda t: (0.5, 0.5 + 0.01 * t, 1.0, 0.0)))
    flakes = rng.uniform(0, 1, (220, 2)) * size
    speed, radius = rng.uniform(1, 5, 220) * size[1] / 288, rng.integers(1, 4, 220)
    for number, frame in enumerate(back):
        for (x, y), v, r in zip(flakes, speed, radius, strict=True):
            at = (int(x + 8 * np.sin(number / 9 + y)) % size[0], int(y + v * number) % size[1])
            cv2.circle(frame, at, int(r), (240, 244, 250), -1, cv2.LINE_AA)
    return back


def _concert(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Coloured beams that swing and swell over a dark crowd."""
    crowd = list(
        camera(
            (leaves(rng, size[0] * 2, size[1] * 2) * 0.3).astype(np.uint8), n, size, lambda t: (0.48 + 0.03 * t, 0.5, 1.05, 0.0)
        )
    )
    colours, phase, pace = rng.integers(60, 255, (5, 3)), rng.uniform(0, 6, 5), rng.uniform(0.6, 2.2, 5)
    frames = []
    for number, frame in enumerate(crowd):
        t, beams = number / 24, np.zeros((size[1], size[0], 3), np.float32)
        for colour, p, w in zip(colours, phase, pace, strict=True):
            top = (round(size[0] * (0.5 + 0.3 * np.sin(p))), 0)
            foot = round(size[0] * (0.5 + 0.5 * np.sin(w * t + p)))
            shape = np.array([top, (foot - size[0] // 14, size[1]), (foot + size[0] // 14, size[1])], np.int32)
            beam = np.zeros_like(beams)
            cv2.fillPoly(beam, [shape], tuple(float(c) for c in colour), cv2.LINE_AA)
            beams += beam * (0.35 + 0.25 * np.sin(2.3 * w * t + 2 * p))
        frames.append(np.clip(frame + cv2.GaussianBlur(beams, (0, 0), 4), 0, 255).astype(np.uint8))
    return grain(rng, frames, 2.0)


def _water(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    waves = [(rng.uniform(0.02, 0.5), rng.uniform(0, 6.3), rng.uniform(2, 9)) for _ in range(24)]
    frames = []
    for number in range(n):
        height = sum(np.sin(k * (x * np.cos(a) + y * np.sin(a) * 2) + w * number / 24) / (1 + 4 * k) for k, a, w in waves)
        glint = np.clip(height - np.quantile(height, 0.95), 0, None) * 120
        shade = 95 + 16 * height
        frames.append(
            np.clip(np.stack([shade * 0.5 + glint, shade * 0.8 + glint, shade * 1.1 + glint], -1), 0, 255).astype(np.uint8)
        )
    return grain(rng, frames, 1.0)


def _drawn(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Flat colours and hard outlines, every frame drawn anew."""
    back = leaves(rng, size[0] * 2, size[1] * 2, least=14, flat=True)
    frames = list(camera(back, n, size, lambda t: (0.45 + 0.08 * t, 0.5, 1.0, 0.0)))
    for number, frame in enumerate(frames):
        at = (round(size[0] * (0.2 + 0.6 * number / n)), round(size[1] * (0.5 + 0.2 * np.sin(number / 6))))
        cv2.circle(frame, at, size[1] // 7, (236, 90, 60), -1, cv2.LINE_AA)
        cv2.circle(frame, at, size[1] // 7, (20, 20, 24), 3, cv2.LINE_AA)
    return frames


def _fireworks(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    bursts = [
        (int(rng.uniform(0, n)), rng.uniform(0.2, 0.8, 2) * size, rng.integers(90, 255, 3), rng.uniform(0, 6.3, 70))
        for _ in range(5)
    ]
    ground = next(camera((leaves(rng, size[0], size[1]) * 0.22).astype(np.uint8), 1, size, lambda _: (0.5, 0.5, 1.0, 0.0)))
    frames = []
    for number in range(n):
        frame = ground.copy()
        for start, at, colour, angles in bursts:
            age = (number - start) / 24
            if 0 <= age < 1.4:
                reach, glow = size[1] * 0.4 * (1 - np.exp(-2 * age)), max(0.0, 1 - age / 1.4)
                for angle in angles:
                    tip = (round(at[0] + reach * np.cos(angle)), round(at[1] + reach * np.sin(angle) + 30 * age * age))
                    cv2.circle(frame, tip, 2, tuple(int(c * glow) for c in colour), -1, cv2.LINE_AA)
        frames.append(frame)
    return grain(rng, frames, 2.0)


def _fog(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    canvas = np.clip(leaves(rng, size[0] * 2, size[1] * 2) * 0.35 + 115, 0, 255).astype(np.uint8)
    return grain(rng, list(camera(canvas, n, size, lambda t: (0.5 + 0.05 * t, 0.5, 1 + 0.05 * t, 0.0))), 1.5)


def _street(rng: np.random.Generator, n: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """A fixed view that things drive through, at speeds of their own."""
    room = next(camera(leaves(rng, size[0] * 2, size[1] * 2), 1, size, lambda _: (0.5, 0.5, 1.0, 0.0)))
    cars = [
        (rng.uniform(-1, 1), rng.uniform(0.3, 0.9), rng.uniform(0.1, 0.5) * rng.choice((-1, 1)), rng.integers(30, 230, 3))
        for _ in range(9)
    ]
    frames = []
    for number in range(n):
        frame = room.copy()
        for x, y, v, colour in cars:
            left = round(((x + v * number / 24) % 1.3 - 0.15) * size[0])
            box = (left, round(y * size[1])), (left + size[0] // 8, round(y * size[1]) + size[1] // 12)
            cv2.rectangle(frame, *box, tuple(int(c) for c in colour), -1)
            cv2.rectangle(frame, *box, (15, 15, 15), 2)
        frames.append(frame)
    return grain(rng, frames, 1.5)


#: kind -> which half it is drawn for; kinds of both halves are drawn with different seeds.
KINDS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "pan": (_pan, (DEV, HELD_OUT)),
    "handheld": (_handheld, (DEV, HELD_OUT)),
    "someone": (_portrait_of_someone, (DEV, HELD_OUT)),
    "night": (_night, (DEV,)),
    "snow": (_snow, (HELD_OUT,)),
    "concert": (_concert, (DEV, HELD_OUT)),
    "water": (_water, (DEV,)),
    "drawn": (_drawn, (DEV, HELD_OUT)),
    "fireworks": (_fireworks, (HELD_OUT,)),
    "fog": (_fog, (DEV,)),
    "street": (_street, (HELD_OUT,)),
}
#: Shapes and rates go round the kinds, so that each half has all of them.
SHAPES = (
    (512, 288, 24),
    (640, 360, 25),
    (288, 512, 24),
    (480, 272, 16),
    (512, 288, 30),
    (384, 384, 8),
    (854, 480, 24),
    (640, 360, 50),
)


def scenes(split: str, per_kind: int = 2, seconds: float = 3.0) -> list[Scene]:
    """Return the scenes of one half."""
    found = []
    for kind, (draw, halves) in KINDS.items():
        if split not in halves:
            continue
        for number in range(per_kind):
            seed = int.from_bytes(hashlib.sha256(f"{split}/{kind}/{number}".encode()).digest()[:4], "big")
            width, height, fps = SHAPES[(seed + number) % len(SHAPES)]
            found.append(Scene(f"{kind}{number}", split, drawn_by(draw, seed, (width, height), fps, seconds)))
    return found


def drawn_by(draw: Kind, seed: int, size: tuple[int, int], fps: int, seconds: float) -> Callable[[], Clip]:
    """Return what draws a kind once, with a seed, size in pixels, rate and length."""

    def make() -> Clip:
        rng = np.random.default_rng(seed)
        # Kinds think in 24 frames a second: other rates see the same motion at their own times.
        wanted = round(seconds * fps)
        drawn = draw(rng, wanted if fps <= 30 else round(seconds * 30), size)
        frames = drawn if len(drawn) == wanted else _denser(drawn, wanted)
        return Clip(frames, music(rng, seconds), fps)

    return make


def _denser(frames: list[NDArray[np.uint8]], wanted: int) -> list[NDArray[np.uint8]]:
    places = np.linspace(0, len(frames) - 1, wanted)
    return [
        cv2.addWeighted(frames[int(p)], 1 - p % 1, frames[min(int(p) + 1, len(frames) - 1)], p % 1, 0)
        if p % 1
        else frames[int(p)]
        for p in places
    ]


def from_folder(folder: Path, split: str, seconds: float = 3.0) -> list[Scene]:
    """Return real clips from a folder with `dev` and `held-out` below it; a name may end in `@START` seconds."""
    return [
        Scene(path.stem, split, lambda path=path: _read(path, seconds))  # type: ignore[misc]
        for path in sorted((folder / split).iterdir())
    ]


def _read(path: Path, seconds: float) -> Clip:
    start = float(path.stem.partition("@")[2] or 0)
    with av.open(str(path)) as film:
        video = film.streams.video[0]
        fps = float(video.average_rate or 24)
        scale = min(1.0, 640 / max(video.codec_context.width, video.codec_context.height))
        width, height = (int(side * scale) // 2 * 2 for side in (video.codec_context.width, video.codec_context.height))
        frames = []
        for frame in film.decode(video):
            if (frame.time or 0) < start:
                continue
            frames.append(frame.to_ndarray(format="rgb24", width=width, height=height))
            if len(frames) >= round(seconds * fps):
                break
    rng = np.random.default_rng(len(frames))
    return Clip(frames, music(rng, len(frames) / fps), round(fps, 3))
