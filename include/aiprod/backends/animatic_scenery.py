"""What a prompt asks an animatic to show, read off its words: a place, a light and a camera move."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

__all__ = ["Light", "Move", "Scene", "scene_of"]

Colour: TypeAlias = tuple[int, int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class Light:
    """The colours of a scene, RGB 0..255: sky above, sky at the horizon, the nearest ground."""

    top: Colour
    horizon: Colour
    near: Colour


_LIGHTS: Mapping[str, Light] = {
    "sunset sunrise golden gold dusk evening amber warm": Light((70, 58, 112), (255, 176, 104), (44, 26, 46)),
    "neon cyberpunk club synthwave purple": Light((38, 18, 78), (232, 84, 170), (24, 16, 48)),
    "night midnight moon moonlit dark starry noir": Light((18, 28, 62), (92, 122, 178), (14, 20, 38)),
    "fire lava volcano flame explosion red": Light((64, 26, 30), (255, 134, 62), (38, 16, 20)),
    "dawn morning pastel pink spring": Light((112, 146, 190), (255, 212, 186), (52, 52, 74)),
    "snow winter ice arctic glacier snowy frozen": Light((138, 168, 204), (240, 244, 248), (66, 88, 114)),
    "storm rain fog mist misty cloudy overcast grey gray": Light((92, 104, 116), (200, 208, 212), (38, 46, 54)),
    "desert sand dune canyon mars savanna": Light((112, 156, 190), (248, 218, 166), (112, 60, 36)),
    "space galaxy star planet cosmos nebula orbit": Light((20, 18, 48), (104, 72, 158), (24, 22, 50)),
    "forest jungle tree pine wood garden green": Light((134, 172, 172), (228, 234, 204), (22, 48, 38)),
    "ocean sea beach wave lake river water coast island": Light((74, 138, 190), (218, 234, 238), (18, 52, 72)),
    "studio product bottle watch coffee food portrait white kitchen": Light((150, 136, 124), (244, 232, 214), (86, 66, 56)),
    "city street skyline downtown urban building tokyo york": Light((96, 132, 176), (226, 222, 214), (34, 42, 60)),
}
#: What a prompt gets that names no light: one of these, always the same for the same prompt.
_ANY_LIGHT = (
    Light((62, 120, 156), (236, 214, 186), (30, 48, 60)),
    Light((104, 92, 146), (244, 190, 170), (44, 34, 58)),
    Light((84, 140, 132), (240, 224, 178), (30, 52, 50)),
    Light((120, 92, 92), (248, 206, 150), (58, 36, 34)),
)

_STARRY = frozenset(("night", "midnight", "moon", "moonlit", "starry", "star", "space", "galaxy", "planet", "cosmos", "nebula"))

_PLACES: Mapping[str, str] = {
    "city street skyline downtown urban building tokyo york cyberpunk neon office": "city",
    "ocean sea beach wave lake river water coast island boat ship lighthouse": "sea",
    "forest jungle tree pine wood park garden": "forest",
    "space galaxy star planet cosmos nebula astronaut": "space",
    "studio product bottle watch coffee food portrait kitchen interior room shoe perfume phone": "bokeh",
}


@dataclass(frozen=True)
class Move:
    """A camera move. Speeds in picture widths per second, `tilt` in picture heights over the clip, `zoom` over the clip."""

    drift: float
    tilt: float = 0.0
    zoom: float = 0.0
    sway: float = 0.0


#: The drift is never small: the encoder drops motion of a fraction of a pixel.
_MOVES: Mapping[str, Move] = {
    "static locked tripod still": Move(0.05, sway=0.006),
    "tilt crane": Move(0.055, tilt=0.2),
    "pan tracking track truck slide sliding follow following": Move(0.1),
    "pull back out reveal": Move(0.055, zoom=-0.24),
    "zoom push dolly closeup macro": Move(0.055, zoom=0.26),
    "aerial drone fly flying flight bird": Move(0.07, tilt=0.06, zoom=-0.12, sway=0.008),
    "handheld pov running walking chase": Move(0.06, sway=0.014),
}
_ANY_MOVE = Move(0.06, zoom=0.1)


@dataclass(frozen=True)
class Scene:
    """What to draw. `digest` is the prompt as a number; `heading` is -1 for a camera that goes left, else 1."""

    digest: int
    light: Light
    place: str
    move: Move
    heading: int
    stars: bool


def _chosen(table: Mapping[str, T], words: frozenset[str], otherwise: T) -> T:
    return next((value for names, value in table.items() if words.intersection(names.split())), otherwise)


def scene_of(prompt: str) -> Scene:
    """Return the scene of a prompt: always the same, and never nothing."""
    spoken = re.findall(r"[a-z]+", prompt.lower())
    words = frozenset(spoken) | {word.removesuffix("s") for word in spoken}
    digest = int.from_bytes(hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[:8], "big")
    left = "left" in words or ("right" not in words and digest % 2 == 0)
    return Scene(
        digest=digest,
        light=_chosen(_LIGHTS, words, _ANY_LIGHT[digest % len(_ANY_LIGHT)]),
        place=_chosen(_PLACES, words, "hills"),
        move=_chosen(_MOVES, words, _ANY_MOVE),
        heading=-1 if left else 1,
        stars=bool(words & _STARRY),
    )
