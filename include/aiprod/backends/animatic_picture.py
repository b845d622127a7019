"""The world an animatic shows, drawn as layers with parallax."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.backends.animatic_scenery import scene_of

__all__ = ["Picture", "World", "to_yuv"]

Picture: TypeAlias = NDArray[np.uint8]
Field: TypeAlias = NDArray[np.float32]

#: Plates are this much higher than the picture (room to tilt), and repeat sideways after this many widths.
_ROOM, _PERIOD = 1.24, 1.5

#: BT.709, limited range, for RGB in 0..255.
_YUV = np.array([[0.18259, 0.61423, 0.06201], [-0.10064, -0.33857, 0.43922], [0.43922, -0.39894, -0.04027]], np.float32)
_YUV_ZERO = np.array([16, 128, 128], np.float32)


def to_yuv(rgb: Field) -> Field:
    """Return RGB 0..255 (last axis) as Y, U, V in the codes of BT.709 limited range."""
    return np.asarray(rgb @ _YUV.T + _YUV_ZERO, np.float32)


class Layer:
    """One depth of the world: a plate that repeats sideways, with what it lets through of the layers behind it."""

    def __init__(self, colour: Field, cover: Field | None, *, depth: float, rng: np.random.Generator) -> None:
        """`colour` is half-size RGB; `cover` is full-size 0..1, or None for the sky that covers everything."""
        self.depth = depth
        yuv = to_yuv(colour)
        full = (colour.shape[1] * 2, colour.shape[0] * 2)
        luma = cv2.resize(yuv[..., 0], full, interpolation=cv2.INTER_LINEAR)
        # Half a code of noise hides the steps that eight bits make in a smooth sky.
        luma = luma + rng.uniform(-0.7, 0.7, (full[1], full[0])).astype(np.float32)
        planes = [luma, yuv[..., 1], yuv[..., 2]]
        self.top = 0
        self.keep: tuple[Picture, ...] = ()
        if cover is not None:
            self.top = int(np.argmax(cover.max(axis=1) > 0))
            half = cv2.resize(cover, (full[0] // 2, full[1] // 2), interpolation=cv2.INTER_AREA)
            planes = [luma * cover, planes[1] * half, planes[2] * half]
            # Luma and chroma each with their own: weights that do not add up to one are a coloured seam.
            self.keep = tuple(np.rint(255 * (1 - part)).astype(np.uint8) for part in (cover, half))
        self.planes = tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes)

    def repeated(self, width: int) -> Layer:
        """Append the first columns again, so that a window of `width` may start anywhere in the period."""
        widths = (width, width // 2, width // 2)
        self.planes = tuple(_longer(plane, extra) for plane, extra in zip(self.planes, widths, strict=True))
        self.keep = tuple(_longer(plane, extra) for plane, extra in zip(self.keep, widths, strict=False))
        return self


def _longer(plane: Picture, extra: int) -> Picture:
    return np.concatenate([plane, plane[:, : extra + 2]], axis=1)


class World:
    """Draws frames of one shot. The same prompt, seed and size give the same pixels."""

    def __init__(self, prompt: str, *, seed: int, width: int, height: int, seconds: float) -> None:
        self.scene = scene_of(prompt)
        self.width, self.height, self.seconds = width, height, seconds
        self._rng = np.random.default_rng([seed, self.scene.digest])
        self._wide, self._high = int(width * _PERIOD) // 4 * 4, int(height * _ROOM) // 4 * 4
        self._layers = [layer.repeated(width) for layer in self._build()]

    # --- building ---------------------------------------------------------------------------------------

    def _build(self) -> list[Layer]:
        """Sky and distance as one plate, then two nearer layers: three speeds are enough to read as depth."""
        sky = self._sky()
        for nearness in (0.12, 0.3):
            cover = self._cover(nearness)
            half = cv2.resize(cover, (sky.shape[1], sky.shape[0]), interpolation=cv2.INTER_AREA)[..., None]
            sky = (sky * (1 - half) + self._ground(nearness, cover) * half).astype(np.float32)
        layers = [Layer(sky, None, depth=0.3, rng=self._rng)]
        for nearness, depth in ((0.6, 0.6), (0.95, 1.0)):
            cover = self._cover(nearness)
            layers.append(Layer(self._ground(nearness, cover), cover, depth=depth, rng=self._rng))
        return layers

    def _noise(self, wide: int, high: int, *, across: int, down: int, octaves: int) -> Field:
        """Fractal noise, 0..1, that repeats sideways."""
        total = np.zeros((high, wide), np.float32)
        for octave in range(octaves):
            nx, ny = across * 2**octave, down * 2**octave
            grid = self._rng.random((ny + 1, nx), dtype=np.float32)
            around = np.concatenate([grid[:, -2:], grid, grid[:, :2]], axis=1)
            step = wide / nx
            matrix = np.array([[1 / step, 0, 2], [0, ny / high, 0]], np.float32)
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            total += cv2.warpAffine(around, matrix, (wide, high), flags=flags, borderMode=cv2.BORDER_REPLICATE) / 2**octave
        low, high_ = float(total.min()), float(total.max())
        return np.asarray((total - low) / max(high_ - low, 1e-6), np.float32)

    def _sky(self) -> Field:
        """The sky as half-size RGB: gradient, sun and clouds, or stars, or soft lamps."""
        wide, high = self._wide // 2, self._high // 2
        top, horizon = np.array(self.scene.light.top, np.float32), np.array(self.scene.light.horizon, np.float32)
        down = np.clip(np.linspace(0, 1.55, high, dtype=np.float32), 0, 1)[:, None, None] ** 1.3
        sky = np.broadcast_to(top * (1 - down) + horizon * down, (high, wide, 3)).astype(np.float32)
        clouds = self._noise(wide, high, across=3, down=5, octaves=5)
        veil = np.clip((clouds - 0.45) / 0.4, 0, 1)[..., None]
        sky += (horizon - sky) * veil * (0.55 if self.scene.place != "space" else 0.8)
        sky *= (0.9 + 0.16 * clouds)[..., None]
        if self.scene.stars:
            self._dots(sky, count=260, radius=(0.3, 1.1), bright=150)
        self._sun(sky, horizon)
        if self.scene.place == "bokeh":
            self._dots(sky, count=34, radius=(0.025 * high, 0.09 * high), bright=34)
        return np.asarray(sky, np.float32)

    def _sun(self, sky: Field, horizon: Field) -> None:
        """Add the sun (or moon) and its glow, in place."""
        high, wide = sky.shape[:2]
        cx, cy = self._rng.uniform(0.2, 0.5) * wide, self._rng.uniform(0.3, 0.42) * high
        dx = np.abs(np.arange(wide, dtype=np.float32) - cx)
        dx = np.minimum(dx, wide - dx)
        far = np.hypot(dx[None, :], np.arange(high, dtype=np.float32)[:, None] - cy)
        unit = min(self.width, self.height) / 2
        white = 0.5 * horizon + 127
        glow = 0.45 * np.exp(-far / (0.32 * unit)) + np.clip((0.062 * unit - far) / 1.5 + 0.5, 0, 1) * 0.85
        sky += (white - sky) * np.clip(glow, 0, 1)[..., None]

    def _dots(self, sky: Field, *, count: int, radius: tuple[float, float], bright: float) -> None:
        """Add stars, or lamps out of focus, in place."""
        high, wide = sky.shape[:2]
        for _ in range(count):
            size, level = self._rng.uniform(*radius), bright * self._rng.uniform(0.3, 1)
            x, y = int(self._rng.uniform(radius[1], wide - radius[1])), int(self._rng.uniform(0, high * 0.75))
            reach = int(size) + 2
            box = sky[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
            disc = np.zeros(box.shape[:2], np.float32)
            centre = (int((x - max(0, x - reach)) * 16), int((y - max(0, y - reach)) * 16))
            cv2.circle(disc, centre, int(size * 16), level, -1, cv2.LINE_AA, 4)
            box += disc[..., None]

    def _ground(self, nearness: float, cover: Field) -> Field:
        """The colours of one ridge as half-size RGB: the farther, the more air; towards its foot, haze."""
        wide, high = self._wide // 2, self._high // 2
        near, horizon = np.array(self.scene.light.near, np.float32), np.array(self.scene.light.horizon, np.float32)
        base = near + (horizon - near) * (1 - nearness) ** 1.4 * 0.82
        tops = np.argmax(cover[::2, ::2] > 0.5, axis=0).astype(np.float32)
        below = np.clip((np.arange(high, dtype=np.float32)[:, None] - tops[None, :]) / (0.5 * high), 0, 1)
        haze = 0.42 * (1 - nearness * 0.75)
        colour = base + (horizon - base) * (haze * below)[..., None]
        grain = self._noise(wide, high, across=10, down=10, octaves=4)
        colour *= (0.84 + 0.3 * grain)[..., None]
        if self.scene.place == "city":
            self._windows(colour, tops, nearness)
        if self.scene.place == "sea":
            glitter = np.clip(self._noise(wide, high, across=14, down=110, octaves=2) - 0.62, 0, 1) * 2.2
            colour += (horizon - colour) * (glitter * (0.25 + 0.5 * (1 - nearness)))[..., None]
        return np.asarray(np.clip(colour, 0, 255), np.float32)

    def _windows(self, colour: Field, tops: Field, nearness: float) -> None:
        """Light some windows, in place."""
        high, wide = colour.shape[:2]
        step = max(4, int(min(self.width, self.height) * (0.008 + 0.014 * nearness)) // 2 * 2)
        lit = self._rng.random((high // step + 1, wide // step + 1)) < 0.26
        pane = np.zeros((step, step), bool)
        pane[step // 4 : -(step // 4), step // 4 : -(step // 4)] = True
        where = np.kron(lit, pane)[:high, :wide] & (np.arange(high)[:, None] > tops[None, :] + step)
        lamp = np.array((255, 214, 140), np.float32)
        colour[where] += (lamp - colour[where]) * (0.3 + 0.4 * nearness)

    def _cover(self, nearness: float) -> Field:
        """Where a ridge is: 0..1, full size, with a smooth edge."""
        rows = np.arange(self._high, dtype=np.float32)[:, None]
        return np.asarray(np.clip(rows - self._outline(nearness)[None, :] + 0.5, 0, 1), np.float32)

    def _outline(self, nearness: float) -> Field:
        """The row of the ridge's top at every column; repeats sideways."""
        wide, unit = self._wide, float(self._high)
        rough = {"sea": 0.16, "space": 0.1, "bokeh": 0.08, "city": 0.1}.get(self.scene.place, 0.55)
        waves = self._noise(wide, 8, across=4, down=1, octaves=6)[0]
        level = (0.5 + 0.36 * nearness) * unit
        if self.scene.place in ("sea", "space", "bokeh"):
            level += 0.04 * unit
        outline = level - (waves - 0.5) * unit * rough * (0.55 - 0.2 * nearness)
        if self.scene.place == "sea" and nearness < 0.2:
            outline = np.full(wide, level, np.float32)
        if self.scene.place == "city":
            block = max(8, int(min(self.width, self.height) * (0.05 + 0.09 * nearness)))
            towers = level - self._rng.gamma(2.2, 0.05, wide // block + 1) * unit * (1.3 - 0.3 * nearness)
            outline = np.repeat(towers, block)[:wide]
        if self.scene.place == "forest":
            outline = outline - self._trees(nearness)
        return np.asarray(np.clip(outline, 0.12 * unit, 0.93 * unit), np.float32)

    def _trees(self, nearness: float) -> Field:
        """How far conifers stand out above the ground line, in rows."""
        size = min(self.width, self.height) * (0.05 + 0.14 * nearness)
        columns = np.arange(self._wide, dtype=np.float32)
        out = np.zeros(self._wide, np.float32)
        for _ in range(int(self._wide / (size * 0.26))):
            tall = size * self._rng.uniform(0.5, 1.25)
            away = np.abs(columns - self._rng.uniform(0, self._wide))
            away = np.minimum(away, self._wide - away)
            # Branches: the width comes back a little at every tier.
            tiers = 0.06 * tall * np.abs(np.sin(away * 22 / tall))
            out = np.maximum(out, tall - away * 4.2 + tiers)
        return out

    # --- drawing ----------------------------------------------------------------------------------------

    def draw(self, at: float, luma: Picture, u: Picture, v: Picture) -> None:
        """Draw the moment `at` (seconds) into yuv420p planes of the world's size."""
        for layer in self._layers:
            scale, x, y = self._camera(at, layer.depth)
            first = 0
            if layer.keep:
                first = math.floor((layer.top - y) * scale + self.height / 2) - 2
                first = min(max(0, first) // 2 * 2, self.height - 2)
            self._lay(layer, (luma, u, v), scale, x, y, first)

    def _camera(self, at: float, depth: float) -> tuple[float, float, float]:
        """Where a layer is seen from: scale (1 or more), left edge at scale 1, middle row."""
        move, done = self.scene.move, at / self.seconds
        eased = done * done * (3 - 2 * done)
        zoom = 1 + abs(move.zoom) * (eased if move.zoom >= 0 else 1 - eased) * (0.4 + 0.6 * depth)
        turn = 2 * math.pi * at
        across = self.scene.heading * move.drift * at * max(self.width, self.height) + move.sway * self.width * math.sin(
            turn / 5.1
        )
        up = move.tilt * (done - 0.5) * self.height + move.sway * self.height * math.cos(turn / 3.7)
        room = 0.5 * (self._high - self.height)
        return zoom, (across * depth) % self._wide, self._high / 2 + max(-room, min(room, up * depth))

    def _lay(self, layer: Layer, onto: tuple[Picture, ...], scale: float, x: float, y: float, first: int) -> None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        step = 1 / scale
        left, up = x + self.width / 2 * (1 - step), y - self.height / 2 * step + first * step
        kept: list[Any] = []
        for index, (plate, target) in enumerate(zip(layer.planes, onto, strict=True)):
            part = target[first:] if index == 0 else target[first // 2 :]
            # A chroma sample sits between two luma samples: half the size, a quarter of a sample aside.
            moved = (left, up) if index == 0 else ((left + step / 2 - 0.5) / 2, (up + step / 2 - 0.5) / 2)
            matrix = np.array([[step, 0, moved[0]], [0, step, moved[1]]], np.float32)
            size = (part.shape[1], part.shape[0])
            if not layer.keep:
                cv2.warpAffine(plate, matrix, size, dst=part, flags=flags, borderMode=cv2.BORDER_REPLICATE)
                continue
            if index < 2:  # both chroma planes have one size, and one mask
                kept.append(cv2.warpAffine(layer.keep[index], matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))
            over = cv2.warpAffine(plate, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
            cv2.multiply(part, kept[-1], dst=part, scale=1 / 255)
            cv2.add(part, over, dst=part)
