"""Every defect the technical check knows, each a few lines from numbers to a sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from aiprod.catalog import Quality
from aiprod.models import Allowance, Noun
from aiprod.qa.measure import Measurements
from aiprod.qa.spans import Span, longest, together

__all__ = ["ALLOWED", "PICTURE", "Check", "Expected", "Wrong", "at", "broken"]

#: Black for longer than this part of the clip leaves nothing to show.
_MOSTLY_BLACK = 0.8
#: Two things this close, in seconds, are one.
_SAME_MOMENT = 0.15
#: A picture this much smaller than ordered, on its short side, is another resolution and not a rounded one.
_SHORT_SIDE = 0.98

#: What each thing that an order may ask for looks like to the check.
ALLOWED: dict[Allowance, tuple[str, ...]] = {
    "cuts": ("cut", "jump"),
    "black": ("black", "mostly_black", "blank", "dark"),
    "black_and_white": ("no_colour", "colour_lost"),
    "bars": ("letterbox", "pillarbox"),
    "stillness": ("static", "frozen", "duplicates", "stutter"),
}


class Expected(Noun):
    """What was bought: `seconds` as bought (not as asked), picture in pixels, and whether sound was ordered.

    `allows` names what the order wants on purpose.
    """

    seconds: float
    fps: float
    width: int
    height: int
    audio: bool
    allows: tuple[Allowance, ...] = ()


@dataclass(frozen=True)
class Wrong:
    """One defect: its code, a sentence for the producer, where it is, and the number that crossed its threshold."""

    code: str
    sentence: str
    when: tuple[Span, ...] = ()
    measured: float | None = None
    threshold: float | None = None
    unit: str = ""


Check: TypeAlias = Callable[[Measurements, Expected, Quality], Iterator[Wrong]]


def at(when: Iterable[Span]) -> str:
    """Say where something is: the first places, by their start."""
    starts = [span.start for span in when]
    told = ", ".join(f"{start:.2f} s" for start in starts[:3])
    return f"at {told}" + (f" and {len(starts) - 3} more places" if len(starts) > 3 else "")


def _moments(times: tuple[float, ...]) -> tuple[Span, ...]:
    return tuple(Span(start=time, seconds=0.0) for time in times)


def broken(m: Measurements) -> Iterator[Wrong]:
    """What keeps a file from being shown whole."""
    if m.truncation:
        yield Wrong("truncated", f"The file was cut off: {m.truncation}.")
    if not m.readable:
        yield Wrong("unreadable", f"This is no video that can be opened: {m.problem}.")
    elif not m.frames:
        yield Wrong("no_frames", f"There is nothing to see: {m.problem}.")
    if m.stream_errors:
        said = f"The stream is damaged: {m.stream_errors} errors while decoding; first: {m.first_stream_error}"
        yield Wrong("bitstream_errors", said, measured=m.stream_errors, threshold=0, unit="errors")
    if m.lost > 1:
        said = f"{m.lost} frames are in the file and cannot be shown."
        yield Wrong("missing_frames", said, measured=m.lost, threshold=1, unit="frames")
    if m.frames and not m.complete and not m.stream_errors:
        yield Wrong("incomplete", f"It is longer than the check looks at; {m.frames} frames were seen.")


def _duration(m: Measurements, expected: Expected, t: Quality) -> Iterator[Wrong]:
    allowed = max(t.duration_tolerance * expected.seconds, t.duration_tolerance_seconds)
    if abs(m.seconds - expected.seconds) > allowed:
        said = f"It runs {m.seconds:.2f} s; {expected.seconds:g} s were bought."
        yield Wrong("duration", said, measured=m.seconds - expected.seconds, threshold=allowed, unit="s")


def _fps(m: Measurements, expected: Expected, t: Quality) -> Iterator[Wrong]:
    # One frame has no rate; its length says what is wrong with it. Frames of uneven length have two, and either will do.
    rates = [rate / expected.fps - 1 for rate in (m.fps, m.mean_fps) if rate]
    off = min(rates, key=abs, default=-1.0)
    if m.frames > 1 and abs(off) > t.fps_tolerance:
        said = f"It shows {m.fps or 0:.2f} frames per second; {expected.fps:g} were bought."
        yield Wrong("fps", said, measured=m.fps or 0.0, threshold=expected.fps, unit="frames/s")


def _picture_size(m: Measurements, expected: Expected, t: Quality) -> Iterator[Wrong]:
    shape, short = expected.width / expected.height, min(expected.width, expected.height)
    if min(m.width, m.height) < _SHORT_SIDE * short:
        said = f"The picture is {m.width}x{m.height}; {expected.width}x{expected.height} was bought."
        yield Wrong("resolution", said, measured=min(m.width, m.height), threshold=short, unit="pixels")
    if abs(m.aspect / shape - 1) > t.aspect_tolerance:
        said = f"The picture is shown {m.aspect:.3f} to 1; {shape:.3f} to 1 was bought."
        yield Wrong("aspect", said, measured=m.aspect, threshold=shape, unit="width/height")
    elif abs(m.pixel_aspect - 1) > t.aspect_tolerance:
        said = f"Pixels are {m.pixel_aspect:.2f} times as wide as high; some players stretch the picture."
        yield Wrong("pixel_aspect", said, measured=m.pixel_aspect, threshold=1, unit="width/height")


def _black(m: Measurements, _: Expected, t: Quality) -> Iterator[Wrong]:
    dark, blank = together(m.black), together(m.blank)
    if dark >= t.black_seconds:
        code = "mostly_black" if dark > _MOSTLY_BLACK * m.seconds else "black"
        said = f"The picture is black for {dark:.2f} s of {m.seconds:.2f} s, {at(m.black)}."
        yield Wrong(code, said, m.black, dark, t.black_seconds, "s")
    if blank >= t.black_seconds:
        said = f"The picture is one plain tone for {blank:.2f} s of {m.seconds:.2f} s, {at(m.blank)}."
        yield Wrong("blank", said, m.blank, blank, t.black_seconds, "s")


def _standing(m: Measurements, _: Expected, t: Quality) -> Iterator[Wrong]:
    """A still, or else a stretch that is frozen: never both."""
    if m.still is None or m.departure is None or m.drift is None:
        return
    never_leaves = m.departure[0] < t.still_departure[0] and m.departure[1] <= t.still_departure[1]
    held = together(m.frozen)
    if m.still >= t.static_ratio or held >= t.static_ratio * m.seconds:
        said = f"Nothing moves: {max(m.still, held / m.seconds):.0%} of the clip shows one picture."
        yield Wrong("static", said, (), max(m.still, held / m.seconds), t.static_ratio, "part of the clip")
    elif (never_leaves or m.drift < t.still_drift) and together(m.black) < t.black_seconds:
        yield Wrong("static", "Nothing moves: no frame differs from the first.", (), m.drift, t.still_drift, "codes")
    else:
        yield from _hesitating(m, t)


def _hesitating(m: Measurements, t: Quality) -> Iterator[Wrong]:
    # A run of n equal frames is n - 1 steps long, and starts anywhere within a frame.
    least = t.freeze_seconds - 1.5 / (m.fps or 24)
    worst = longest(m.frozen)
    if worst >= least:
        where = tuple(span for span in m.frozen if span.seconds >= least)
        yield Wrong("frozen", f"The picture freezes for {worst:.2f} s, {at(where)}.", where, worst, t.freeze_seconds, "s")
    if m.repeats >= t.repeats_ratio:
        said = f"{m.repeats:.0%} of the frames only repeat the one before."
        yield Wrong("duplicates", said, m.repeated, m.repeats, t.repeats_ratio, "part of the frames")
    elif m.lone_repeats >= t.stutter_repeats and m.lone_repeats >= t.stutter_ratio * m.frames:
        said = f"Motion hesitates {m.lone_repeats} times, {at(m.repeated)}."
        yield Wrong("stutter", said, m.repeated, m.lone_repeats, t.stutter_repeats, "frames")
    if m.stuck_at:
        said = f"{m.stuck:.0%} of the picture stands still while the rest moves on, {at(m.stuck_at)}."
        yield Wrong("stuck", said, m.stuck_at, m.stuck, None, "part of the picture")


def _breaks(m: Measurements, _: Expected, t: Quality) -> Iterator[Wrong]:
    if m.glitches:
        yield Wrong("glitch", f"A wrong picture flashes up {at(m.glitches)}.", m.glitches, len(m.glitches), 0, "times")
    for code, times, what in (("cut", m.cuts, "cuts to another picture"), ("jump", m.jumps, "jumps")):
        # Where a freeze ends, the picture catches up.
        where = tuple(moment for moment in _moments(times) if not _near(moment, m.frozen))
        if where:
            yield Wrong(code, f"The clip {what} {at(where)}.", where, len(where), 0, "times")
    if m.colour_steps:
        where = _moments(m.colour_steps)
        yield Wrong("colour_step", f"The colours change at once {at(where)}.", where, len(where), 0, "times")
    if m.greyed:
        said = f"The picture loses its colour for {together(m.greyed):.2f} s, {at(m.greyed)}."
        yield Wrong("colour_lost", said, m.greyed, together(m.greyed), 0, "s")
    if m.torn >= t.torn_part and not _explained(m, m.torn_at):
        said = f"A part of the picture breaks at once and stays broken, {at(m.torn_at)}: damage, or something pasted in."
        yield Wrong("torn", said, m.torn_at, m.torn, t.torn_part, "part of the picture")
    if m.flashes > t.flashes_per_second:
        said = f"It flashes {m.flashes:g} times within a second, {at(m.flashes_at)}; more than three can hurt people."
        yield Wrong("flashing", said, m.flashes_at, m.flashes, t.flashes_per_second, "flashes/s")
    elif m.flicker >= t.flicker_codes:
        said = f"The brightness of the whole picture flickers, most {at(m.flicker_at)}."
        yield Wrong("flicker", said, m.flicker_at, m.flicker, t.flicker_codes, "codes")


def _explained(m: Measurements, where: tuple[Span, ...]) -> bool:
    """Whether another finding says why the picture breaks there: motion that goes on after it stood still, or new colours."""
    known = (*m.frozen, *m.stuck_at, *m.repeated, *_moments((*m.jumps, *m.cuts, *m.colour_steps)))
    return any(_near(span, known) for span in where)


def _near(moment: Span, ends: Iterable[Span]) -> bool:
    return any(abs(moment.start - end.start - end.seconds) < _SAME_MOMENT for end in ends)


def _bars(m: Measurements, _: Expected, t: Quality) -> Iterator[Wrong]:
    top, bottom, left, right = m.bars
    for code, thick, where in (("letterbox", top + bottom, "above and below"), ("pillarbox", left + right, "left and right")):
        if thick >= 2 * t.bar_part:
            said = f"Black bars {where} take {thick:.0%} of the picture."
            yield Wrong(code, said, (), thick, 2 * t.bar_part, "part of the picture")


def _look(m: Measurements, _: Expected, t: Quality) -> Iterator[Wrong]:
    """What a picture looks like all along. A number that could not be measured is no finding; a still has findings enough."""
    if m.still is not None and m.still >= t.static_ratio:
        return
    below = (
        ("blurry", m.sharpness, t.sharpness, "Nothing in the picture is sharp.", ""),
        ("no_colour", m.colour, t.colour_codes, "The picture has no colour.", "codes"),
        ("dark", m.highlights, t.dark_codes, "The picture is so dark that little can be made out.", "codes"),
        ("flat", m.contrast, t.contrast_codes, "The picture has next to no contrast.", "codes"),
    )
    above = (
        ("blocky", m.blocks, t.blocks, "The picture falls into blocks: it was compressed too hard.", ""),
        ("noisy", m.noise, t.noise_codes, "The picture is noisy.", "codes"),
        ("banding", m.comb, t.comb, "Smooth tones break into bands.", ""),
        ("bright", m.brightness, t.bright_codes, "The picture is washed out: half of it is close to white.", "codes"),
    )
    for code, value, threshold, said, unit in below:
        if value is not None and value < threshold:
            yield Wrong(code, said, (), value, threshold, unit)
    for code, value, threshold, said, unit in above:
        if value is not None and value > threshold:
            yield Wrong(code, said, (), value, threshold, unit)


#: Everything a picture is checked for. A new check is a function here and a line in `quality.yaml`.
PICTURE: tuple[Check, ...] = (_duration, _fps, _picture_size, _black, _standing, _breaks, _bars, _look)
