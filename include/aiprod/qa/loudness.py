"""Integrated loudness by ITU-R BS.1770 and EBU R128: filtered, measured in blocks, gated twice."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Loudness"]

#: Blocks of 0.4 s, a new one every 0.1 s.
_HOP_SECONDS, _HOPS = 0.1, 4
#: Sound is filtered in pieces of this length; the filters forget within the lead-in that is filtered with them.
_PIECE_SECONDS, _LEAD_SECONDS = 2.0, 0.2
_ABSOLUTE_GATE, _RELATIVE_GATE, _OFFSET = -70.0, -10.0, -0.691
#: The two filters as analogue prototypes: a shelf (head) and a high pass; frequency in Hz, quality, gain in dB.
_SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)
_HIGH_PASS = (38.13547087602444, 0.5003270373238773)
_SURROUND_WEIGHT = 1.41


class Loudness:
    """Adds up sound and says how loud all of it is. Surround channels count as the standard says, the LFE does not."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._piece = max(1, round(_PIECE_SECONDS * rate))
        self._lead = np.zeros((channels, round(_LEAD_SECONDS * rate)), np.float32)
        self._waiting: list[NDArray[np.float32]] = []
        self._have = 0
        self._rest = np.zeros((channels, 0))
        self._powers: list[float] = []
        weights = [1.0, 1.0, 1.0, 0.0, _SURROUND_WEIGHT, _SURROUND_WEIGHT] if channels == 6 else [1.0] * channels
        self._weights = np.array(weights)

    def hear(self, sound: NDArray[np.float32]) -> None:
        """Add channels x samples, full scale 1."""
        self._waiting.append(sound)
        self._have += sound.shape[1]
        if self._have >= self._piece:
            self._filter()

    def integrated(self) -> float | None:
        """Loudness in LUFS, or None for less than 0.4 s or nothing above the gate."""
        self._filter()
        hops = np.array(self._powers)
        if len(hops) < _HOPS:
            return None
        blocks = np.convolve(hops, np.ones(_HOPS) / _HOPS, "valid")
        loud = blocks[_lufs(blocks) > _ABSOLUTE_GATE]
        if not loud.size:
            return None
        gate = float(_lufs(loud.mean())) + _RELATIVE_GATE
        return float(_lufs(loud[_lufs(loud) > gate].mean()))

    def _filter(self) -> None:
        if not self._have:
            return
        sound = np.concatenate([self._lead, *self._waiting], axis=1)
        lead = self._lead.shape[1]
        self._waiting, self._have, self._lead = [], 0, sound[:, sound.shape[1] - lead :].copy()
        # A power of two with room for the tail, so that the end does not fold onto the beginning.
        size = 1 << (sound.shape[1] + lead).bit_length()
        heard = np.fft.irfft(np.fft.rfft(sound, size) * _response(self._rate, size), size)[:, lead : sound.shape[1]]
        heard = np.concatenate([self._rest, heard], axis=1)
        hop = max(1, round(_HOP_SECONDS * self._rate))
        whole = heard.shape[1] // hop
        power = np.square(heard[:, : whole * hop].reshape(len(heard), whole, hop)).mean(axis=2)
        self._powers.extend((self._weights @ power).tolist())
        self._rest = heard[:, whole * hop :]


def _lufs(power: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return _OFFSET + 10 * np.log10(np.maximum(power, 1e-12))


@cache
def _response(rate: int, size: int) -> NDArray[np.complex128]:
    """Both filters in the frequency domain, by the bilinear transform of their prototypes."""
    z = np.exp(-2j * math.pi * np.arange(size // 2 + 1) / size)
    frequency, quality, gain = _SHELF
    k, high = math.tan(math.pi * frequency / rate), 10 ** (gain / 20)
    middle = high**0.4996667741545416
    shelf = ((high + middle * k / quality + k * k), 2 * (k * k - high), (high - middle * k / quality + k * k))
    below = ((1 + k / quality + k * k), 2 * (k * k - 1), (1 - k / quality + k * k))
    response = (shelf[0] + shelf[1] * z + shelf[2] * z * z) / (below[0] + below[1] * z + below[2] * z * z)
    frequency, quality = _HIGH_PASS
    k = math.tan(math.pi * frequency / rate)
    scale = 1 + k / quality + k * k
    poles = 1 + 2 * (k * k - 1) / scale * z + (1 - k / quality + k * k) / scale * z * z
    return np.asarray(response * (1 - 2 * z + z * z) / poles, np.complex128)
