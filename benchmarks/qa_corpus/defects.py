"""Ways to spoil a clip, each with the findings that name it. Place, length and strength are drawn anew for every clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.qa_corpus.files import CODECS
from benchmarks.qa_corpus.scenes import RATE, Clip

__all__ = ["DEFECTS", "Defect"]

Rng = np.random.Generator
Frames = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Defect:
    """`codes` are the findings that name it (any one does), `also` what may come with it. `weak` ones are published only."""

    name: str
    codes: tuple[str, ...]
    kind: Literal["veto", "strong", "weak"]
    spoil: Callable[[Clip, Rng], Clip] | None = None
    damage: Callable[[bytes, Rng], bytes] | None = None
    also: tuple[str, ...] = ()
    encode: tuple[tuple[str, Any], ...] = ()
    #: Needs a picture of more than this many frames a second to be what it is called.
    least_fps: float = 0.0


def _place(clip: Clip, rng: Rng, seconds: float) -> tuple[int, int]:
    """First and one-past-last frame of a stretch somewhere inside."""
    n, length = len(clip.frames), max(2, round(seconds * clip.fps))
    first = int(rng.integers(max(2, n // 8), max(3, n - length - n // 8)))
    return first, min(n, first + length)


def _frames(change: Callable[[Frames, Clip, Rng], Frames]) -> Callable[[Clip, Rng], Clip]:
    return lambda clip, rng: replace(clip, frames=change(list(clip.frames), clip, rng))


def _each(change: Callable[[NDArray[np.uint8], Rng], NDArray[Any]]) -> Callable[[Clip, Rng], Clip]:
    return _frames(lambda frames, _, rng: [np.clip(change(frame, rng), 0, 255).astype(np.uint8) for frame in frames])


def _sound(change: Callable[[NDArray[np.float32], Rng], NDArray[np.float32] | None]) -> Callable[[Clip, Rng], Clip]:
    def spoil(clip: Clip, rng: Rng) -> Clip:
        changed = change(clip.sound.copy(), rng)
        return replace(clip, sound=np.zeros((0, 2), np.float32) if changed is None else changed.astype(np.float32))

    return spoil


# --- standing still ------------------------------------------------------------------------------------


def _freeze(low: float, high: float, *, where: str = "inside", grain: float = 0.0) -> Callable[[Clip, Rng], Clip]:
    def change(frames: Frames, clip: Clip, rng: Rng) -> Frames:
        first, last = _place(clip, rng, rng.uniform(low, high))
        if where == "head":
            first, last = 0, last - first
        if where == "tail":
            first, last = len(frames) - (last - first), len(frames)
        held = frames[first].copy()
        for at in range(first, last):
            frames[at] = (
                held if not grain else np.clip(held + rng.normal(0, grain, held.shape[:2])[..., None], 0, 255).astype(np.uint8)
            )
        return frames

    return _frames(change)


def _static(frames: Frames, _: Clip, rng: Rng) -> Frames:
    return [frames[len(frames) // 2]] * len(frames)


def _static_grain(frames: Frames, _: Clip, rng: Rng) -> Frames:
    held, sigma = frames[len(frames) // 2], rng.uniform(3, 8)
    return [np.clip(held + rng.normal(0, sigma, held.shape[:2])[..., None], 0, 255).astype(np.uint8) for _ in frames]


def _halved(frames: Frames, _: Clip, rng: Rng) -> Frames:
    return [frames[at // 2 * 2] for at in range(len(frames))]


def _stutter(frames: Frames, _: Clip, rng: Rng) -> Frames:
    """Two of eight frames repeat, then motion jumps."""
    return [frames[at - at % 8 + min(at % 8, 5)] for at in range(len(frames))]


def _sparse(frames: Frames, _: Clip, rng: Rng) -> Frames:
    every = int(rng.integers(7, 12))
    return [frames[at - 1 if at % every == every - 1 else at] for at in range(len(frames))]


def _stuck(frames: Frames, clip: Clip, rng: Rng) -> Frames:
    first, last = _place(clip, rng, rng.uniform(0.8, 1.4))
    height, width = frames[0].shape[:2]
    box = (slice(None), slice(0, width // 2)) if rng.random() < 0.5 else (slice(height // 2, None), slice(None))
    held = frames[first][box].copy()
    for at in range(first, last):
        frames[at] = frames[at].copy()
        frames[at][box] = held
    return frames


# --- light ---------------------------------------------------------------------------------------------


def _lit(curve: Callable[[int, Clip, Rng], float], part: tuple[float, float] | None = None) -> Callable[[Clip, Rng], Clip]:
    """Add a brightness (parts of full scale) to each frame, all along or over a stretch of `part` seconds."""

    def change(frames: Frames, clip: Clip, rng: Rng) -> Frames:
        first, last = _place(clip, rng, rng.uniform(*part)) if part else (0, len(frames))
        lifts = [curve(at, clip, rng) if first <= at < last else 0.0 for at in range(len(frames))]
        return [np.clip(f + 255 * lift, 0, 255).astype(np.uint8) for f, lift in zip(frames, lifts, strict=True)]

    return _frames(change)


def _strobe(colour: tuple[float, float, float]) -> Callable[[Clip, Rng], Clip]:
    def change(frames: Frames, clip: Clip, rng: Rng) -> Frames:
        first, last = _place(clip, rng, rng.uniform(1.2, 1.8))
        half = max(1, round(clip.fps / rng.uniform(9, 14)))
        for at in range(first, last):
            on = (at - first) // half % 2
            target = np.array(colour) * 255 if on else np.zeros(3)
            frames[at] = (0.25 * frames[at] + 0.75 * target).astype(np.uint8)
        return frames

    return _frames(change)


def _tone(low: float, high: float, tone: Callable[[Rng], float]) -> Callable[[Clip, Rng], Clip]:
    def change(frames: Frames, clip: Clip, rng: Rng) -> Frames:
        first, last = _place(clip, rng, rng.uniform(low, high))
        plain = np.full_like(frames[0], round(tone(rng)))
        return frames[:first] + [plain] * (last - first) + frames[last:]

    return _frames(change)


# --- other pictures ------------------------------------------------------------------------------------


def _elsewhere(frame: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Another picture with the same statistics."""
    other = cv2.resize(frame[::-1, ::-1][frame.shape[0] // 4 :, frame.shape[1] // 3 :], frame.shape[1::-1])
    shift = rng.integers(-50, 50, 3)
    return np.clip(other.astype(np.int16) + shift, 0, 255).astype(np.uint8)


def _cutaway(frames: Frames, clip: Clip, rng: Rng) -> Frames:
    first, _ = _place(clip, rng, 1.0)
    shift = np.random.default_rng(int(rng.integers(1 << 30)))
    state = shift.bit_generator.state
    for at in range(first, len(frames)):
        shift.bit_generator.state = state
        frames[at] = _elsewhere(frames[at], shift)
    return frames


def _glitch(frames: Frames, clip: Clip, rng: Rng) -> Frames:
    first, _ = _place(clip, rng, 0.5)
    for at in range(first, first + int(rng.integers(1, 3 if clip.fps > 12 else 2))):
        frames[at] = _elsewhere(frames[at], rng)
    return frames


def _jump(frames: Frames, clip: Clip, rng: Rng) -> Frames:
    first, last = _place(clip, rng, 1.0)
    kept = frames[:first] + frames[last:]
    return kept


# --- colour and form -----------------------------------------------------------------------------------


def _tinted(frames: Frames, clip: Clip, rng: Rng) -> Frames:
    first, _ = _place(clip, rng, 0.5)
    turn = int(rng.integers(25, 60))
    for at in range(first, len(frames)):
        hsv = cv2.cvtColor(frames[at], cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + turn) % 180
        frames[at] = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return frames


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)


def _grey_part(frames: Frames, clip: Clip, rng: Rng) -> Frames:
    first, last = _place(clip, rng, rng.uniform(0.5, 1.2))
    return [_grey(f) if first <= at < last else f for at, f in enumerate(frames)]


def _boxed(axis: int) -> Callable[[Clip, Rng], Clip]:
    def change(frames: Frames, _: Clip, rng: Rng) -> Frames:
        height, width = frames[0].shape[:2]
        thick = round((height, width)[axis] * rng.uniform(0.06, 0.16))
        out = []
        for frame in frames:
            boxed = np.zeros_like(frame)
            if axis == 0:
                boxed[thick : height - thick] = frame[thick : height - thick]
            else:
                boxed[:, thick : width - thick] = frame[:, thick : width - thick]
            out.append(boxed)
        return out

    return _frames(change)


def _blurred(low: float, high: float) -> Callable[[Clip, Rng], Clip]:
    def change(frames: Frames, _: Clip, rng: Rng) -> Frames:
        sigma = frames[0].shape[0] / 240 * rng.uniform(low, high)
        return [cv2.GaussianBlur(frame, (0, 0), max(0.6, sigma)).astype(np.uint8) for frame in frames]

    return _frames(change)


def _noisy(low: float, high: float) -> Callable[[Clip, Rng], Clip]:
    def change(frames: Frames, _: Clip, rng: Rng) -> Frames:
        sigma = rng.uniform(low, high)
        return [np.clip(f + rng.normal(0, sigma, f.shape), 0, 255).astype(np.uint8) for f in frames]

    return _frames(change)


def _resized(change: Callable[[int, int], tuple[int, int]]) -> Callable[[Clip, Rng], Clip]:
    def resize(frames: Frames, clip: Clip, _: Rng) -> Frames:
        size = change(*clip.size)
        return [cv2.resize(f, size, interpolation=cv2.INTER_AREA).astype(np.uint8) for f in frames]

    return _frames(resize)


# --- sound ---------------------------------------------------------------------------------------------


def _muted(low: float, high: float) -> Callable[[Clip, Rng], Clip]:
    def change(sound: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
        length = round(rng.uniform(low, high) * RATE)
        first = int(rng.integers(len(sound) // 5, max(len(sound) // 5 + 1, len(sound) * 4 // 5 - length)))
        sound[first : first + length] = 0
        return sound

    return _sound(change)


def _one_sided(sound: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    sound[:, int(rng.integers(2))] = 0
    return sound


# --- damage to the file --------------------------------------------------------------------------------


def _payload(data: bytes) -> int:
    return data.index(b"mdat") + 4


def _cut_off(low: float, high: float) -> Callable[[bytes, Rng], bytes]:
    return lambda data, rng: data[: round(len(data) * rng.uniform(low, high))]


def _holes(count: int, length: int) -> Callable[[bytes, Rng], bytes]:
    def change(data: bytes, rng: Rng) -> bytes:
        spoiled, start = bytearray(data), _payload(data)
        for _ in range(count):
            at = int(rng.integers(start + (len(data) - start) // 10, max(start + 1, len(data) - length - 1)))
            spoiled[at : at + length] = rng.bytes(length)
        return bytes(spoiled)

    return change


_STILL = ("static", "frozen")
_LIGHT = ("stutter", "duplicates", "flicker", "flashing", "glitch", "cut", "jump", "colour_step", "bright", "flat", "dark")
_MOVES = ("jump", "cut", "glitch", "stutter", "duplicates", "frozen")

_DAMAGE = ("bitstream_errors", "missing_frames")
_BROKEN = (
    *_LIGHT,
    *_MOVES,
    "torn",
    "stuck",
    "blocky",
    "duration",
    "fps",
    "audio_dropout",
    "audio_clipped",
    "audio_loud",
    "static",
)
_H264, _HEVC, _VP9 = ((("codec", c), ("pixels", p), ("options", o)) for c, p, o in (CODECS[0], CODECS[2], CODECS[4]))

DEFECTS: tuple[Defect, ...] = (
    # The file.
    Defect("page instead of a file", ("unreadable",), "veto", damage=lambda _, rng: b"<html>502 Bad Gateway</html>" * 9),
    Defect("empty file", ("unreadable",), "veto", damage=lambda _, rng: b""),
    Defect(
        "cut off, index first",
        ("truncated",),
        "veto",
        damage=_cut_off(0.4, 0.97),
        also=(
            "unreadable",
            "bitstream_errors",
            "missing_frames",
            "duration",
            "audio_short",
            "audio_silent",
            "audio_missing",
            "frozen",
            "no_frames",
            "fps",
        ),
    ),
    Defect(
        "cut off, index last",
        ("truncated", "unreadable"),
        "veto",
        damage=_cut_off(0.3, 0.9),
        encode=(("faststart", False),),
        also=("unreadable",),
    ),
    Defect(
        "many holes (H.264)",
        _DAMAGE,
        "veto",
        damage=_holes(10, 40),
        encode=_H264,
        also=(*_BROKEN, "banding", "blurry", "colour_lost"),
    ),
    Defect("one hole (H.264)", _DAMAGE, "weak", damage=_holes(1, 200), encode=_H264, also=_BROKEN),
    # Decoders of these notice next to nothing.
    Defect("many holes (HEVC)", (*_DAMAGE, "torn"), "weak", damage=_holes(10, 40), encode=_HEVC, also=_BROKEN),
    Defect("many holes (VP9)", (*_DAMAGE, "torn"), "weak", damage=_holes(10, 40), encode=_VP9, also=_BROKEN),
    # Not what was bought.
    Defect(
        "too short",
        ("duration",),
        "strong",
        lambda c, r: replace(c, frames=c.frames[: round(len(c.frames) * r.uniform(0.5, 0.85))]),
        also=(),
    ),
    Defect(
        "another rate",
        ("fps",),
        "strong",
        lambda c, r: replace(c, fps=c.fps * float(r.choice((0.5, 0.8, 1.25))), frames=c.frames),
        also=("duration", "audio_short"),
    ),
    Defect("smaller", ("resolution",), "strong", _resized(lambda w, h: (w // 4 * 2, h // 4 * 2))),
    Defect("squashed", ("aspect",), "strong", _resized(lambda w, h: (w * 3 // 8 * 2, h)), also=("resolution",)),
    Defect("flagged with oblong pixels", ("aspect", "pixel_aspect"), "strong", encode=(("pixel_aspect", (4, 3)),)),
    # Nothing to see, nothing that moves.
    Defect("one picture", ("static",), "veto", _frames(_static)),
    Defect("one picture under grain", ("static",), "veto", _frames(_static_grain), also=("noisy", "frozen", "blurry")),
    Defect(
        "black all along",
        ("mostly_black",),
        "veto",
        _each(lambda f, rng: np.clip(rng.normal(0, 2, f.shape[:2])[..., None] * np.ones(3), 0, 6)),
        also=("black", "no_colour", "dark", "flat", "static", "banding", "blurry", "blocky", "frozen"),
    ),
    Defect("black gap", ("black",), "strong", _tone(0.3, 0.8, lambda _: 0), also=("cut", "colour_lost")),
    Defect(
        "plain gap",
        ("blank", "glitch"),
        "strong",
        _tone(0.3, 0.8, lambda r: r.uniform(60, 250)),
        also=("cut", "colour_lost", "frozen", "flicker", "jump"),
    ),
    Defect("freeze inside", _STILL, "strong", _freeze(0.6, 1.3), also=("jump", "cut")),
    Defect("freeze at the start", _STILL, "strong", _freeze(0.6, 1.3, where="head"), also=("jump", "cut", "colour_step")),
    Defect("freeze at the end", _STILL, "strong", _freeze(0.7, 1.5, where="tail"), also=("jump",)),
    Defect("freeze under grain", _STILL, "strong", _freeze(0.8, 1.4, grain=3.0), also=("jump", "cut", "noisy", "stuck")),
    Defect("every frame twice", ("duplicates",), "strong", _frames(_halved), also=("frozen",), least_fps=20),
    Defect("two of eight repeat", ("duplicates", "stutter"), "strong", _frames(_stutter), also=("jump", "frozen"), least_fps=12),
    Defect("every tenth repeats", ("stutter", "duplicates"), "strong", _frames(_sparse), also=("jump",), least_fps=12),
    Defect("half of it stuck", ("stuck",), "strong", _frames(_stuck), also=("jump", "cut", "glitch")),
    # Light.
    Defect(
        "strobe",
        ("flashing",),
        "veto",
        _strobe((1, 1, 1)),
        also=(*_LIGHT, "black", "blank", "colour_lost", "frozen"),
        least_fps=20,
    ),
    Defect("red strobe", ("flashing",), "veto", _strobe((1, 0, 0)), also=(*_LIGHT, "black", "blank", "frozen"), least_fps=20),
    Defect("flicker", ("flicker", "flashing"), "strong", _lit(lambda at, c, r: 0.018 * (at % 2 * 2 - 1)), also=_LIGHT),
    Defect(
        "slow flicker", ("flicker", "flashing"), "strong", _lit(lambda at, c, r: 0.04 * np.sin(2 * np.pi * at / 5)), also=_LIGHT
    ),
    Defect("irregular flicker", ("flicker", "flashing"), "strong", _lit(lambda at, c, r: float(r.normal(0, 0.02))), also=_LIGHT),
    Defect(
        "a second of flicker",
        ("flicker", "flashing"),
        "strong",
        _lit(lambda at, c, r: 0.03 * (at % 2 * 2 - 1), (0.9, 1.2)),
        also=_LIGHT,
    ),
    Defect("faint flicker", ("flicker",), "weak", _lit(lambda at, c, r: 0.005 * (at % 2 * 2 - 1)), also=_LIGHT),
    # Other pictures.
    Defect("another scene", ("cut",), "strong", _frames(_cutaway), also=("colour_step", "jump")),
    Defect("one wrong frame", ("glitch",), "strong", _frames(_glitch), also=("cut", "jump", "flicker")),
    Defect("a second left out", ("jump", "cut"), "weak", _frames(_jump), also=("duration", "audio_short")),
    # Form and colour.
    Defect("letterbox", ("letterbox",), "strong", _boxed(0), also=("dark", "blurry")),
    Defect("pillarbox", ("pillarbox",), "strong", _boxed(1), also=("dark", "blurry")),
    Defect("no colour", ("no_colour",), "strong", _each(lambda f, _: _grey(f))),
    Defect(
        "colour lost for a while", ("colour_lost",), "strong", _frames(_grey_part), also=("colour_step", "glitch", "cut", "jump")
    ),
    Defect("colours change", ("colour_step", "jump", "cut"), "strong", _frames(_tinted)),
    # Detail.
    Defect("blurred", ("blurry",), "strong", _blurred(1.6, 2.4)),
    Defect("soft", ("blurry",), "weak", _blurred(0.7, 1.1)),
    Defect("noise", ("noisy",), "strong", _noisy(12, 20), also=("blocky",)),
    Defect("some noise", ("noisy",), "weak", _noisy(6, 9)),
    Defect(
        "blocks (mpeg4)",
        ("blocky",),
        "strong",
        encode=(("codec", "mpeg4"), ("options", {"qscale": "28", "flags": "+qscale"})),
        also=("blurry", "banding", "stuck", "frozen", "duplicates", "stutter"),
    ),
    Defect(
        "blocks (x264)",
        ("blocky",),
        "weak",
        encode=(("codec", "libx264"), ("options", {"preset": "superfast", "crf": "44"})),
        also=("blurry", "banding", "stuck", "frozen", "duplicates", "stutter", "flicker"),
    ),
    Defect("bands", ("banding",), "weak", _each(lambda f, _: f // 20 * 20 + 10), also=("blocky", "no_colour")),
    # Sound.
    Defect("no sound stream", ("audio_missing",), "strong", _sound(lambda s, _: None)),
    Defect("silence", ("audio_silent",), "strong", _sound(lambda s, _: s * 0)),
    Defect("sound gone for a while", ("audio_gap",), "strong", _muted(1.1, 1.6)),
    Defect("sound breaks off", ("audio_dropout", "audio_gap"), "strong", _muted(0.04, 0.4)),
    Defect("one side dead", ("dead_channel",), "strong", _sound(_one_sided)),
    Defect("overdriven", ("audio_clipped",), "strong", _sound(lambda s, _: np.clip(s * 14, -1, 1)), also=("audio_loud",)),
    Defect("sound too short", ("audio_short",), "strong", _sound(lambda s, r: s[: round(len(s) * r.uniform(0.4, 0.8))])),
)
