"""Manifest + Catalog → Estimate: what a shot costs at a backend, before money moves. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from aiprod.catalog import BackendEntry, Catalog, JudgePrice, Model, Price, Tariff
from aiprod.models import (
    Answered,
    AspectRatio,
    Estimate,
    EstimateLine,
    JudgeRequest,
    Manifest,
    Micros,
    RenderRequest,
    Resolution,
    Shot,
    Usage,
    fingerprint,
    micros,
)

__all__ = [
    "NotCapable",
    "charged",
    "estimate",
    "frame_size",
    "in_force",
    "judgement_cost",
    "judgement_quote",
    "legal_request",
    "old_prices",
    "price_of",
    "quote",
]

_SHORT_SIDE: dict[Resolution, int] = {"480p": 480, "720p": 720, "1080p": 1080, "4k": 2160}


class NotCapable(Exception):
    """The backend has no model that can make this shot; the message says why."""


def frame_size(aspect_ratio: AspectRatio, resolution: Resolution) -> tuple[int, int]:
    """Return width and height in pixels, both even; the resolution names the short side."""
    wide, high = (int(part) for part in aspect_ratio.split(":"))
    short = _SHORT_SIDE[resolution]
    long = round(short * max(wide, high) / min(wide, high) / 2) * 2
    return (long, short) if wide >= high else (short, long)


def legal_request(name: str, entry: BackendEntry, manifest: Manifest, shot: Shot, *, sequence: int = 1) -> RenderRequest:
    """Return the shot as the backend's first capable model takes it: the length snapped up, a seed drawn.

    The seed follows from job, version, shot and sequence unless the order gives one, so a second attempt
    is another picture. Raises `NotCapable`.
    """
    reasons = []
    for model in entry.models:
        reason = _why_not(model, manifest, shot)
        if reason:
            reasons.append(f"{model.name} {reason}")
            continue
        width, height = frame_size(manifest.aspect_ratio, manifest.resolution)
        return RenderRequest(
            backend=name,
            model=model.name,
            prompt=_words(manifest, shot),
            seconds=model.snap(shot.seconds) or shot.seconds,
            asked_seconds=shot.seconds,
            aspect_ratio=manifest.aspect_ratio,
            resolution=manifest.resolution,
            width=width,
            height=height,
            fps=model.fps,
            audio=manifest.audio,
            seed=_drawn(manifest.job_id, manifest.version, shot.index, sequence) if shot.seed is None else shot.seed,
            reference_image_url=shot.reference_image_url,
            shot=shot.index,
            seed_ordered=shot.seed is not None,
        )
    raise NotCapable("; ".join(reasons))


def _words(manifest: Manifest, shot: Shot) -> str:
    """What a vendor is told to make: the prompt, then how camera and sound are meant to be where the order says so."""
    words = [shot.prompt]
    words += [f"Camera: {shot.camera}."] if shot.camera else []
    words += [f"Sound: {manifest.audio_style}."] if manifest.audio_style and manifest.audio else []
    return "\n".join(words)


@lru_cache(maxsize=1_024)
def _drawn(job_id: str, version: int, shot: int, sequence: int) -> int:
    """A seed that every backend is offered alike."""
    return int(fingerprint([job_id, version, shot, sequence])[:8], 16)


def _why_not(model: Model, manifest: Manifest, shot: Shot) -> str:
    if model.snap(shot.seconds) is None:
        return f"makes {model.longest:g} s at most, {shot.seconds:g} s asked"
    if manifest.aspect_ratio not in model.aspect_ratios:
        return f"has no {manifest.aspect_ratio}"
    if manifest.resolution not in model.resolutions:
        return f"has no {manifest.resolution}"
    if manifest.audio and not model.audio:
        return "has no sound"
    if shot.reference_image_url and not model.image:
        return "takes no reference image"
    if len(_words(manifest, shot).encode("utf-16-le")) // 2 > model.max_prompt:
        return f"takes prompts of {model.max_prompt} characters at most"
    return ""


def price_of(tariff: Tariff, request: RenderRequest, on: date) -> Price | None:
    """Return the newest price in force on a day for exactly this model, sound and resolution, or None."""
    fitting = [
        p
        for p in tariff.prices
        if p.backend == request.backend
        and p.model == request.model
        and p.valid_from <= on
        and p.audio in (None, request.audio)
        and (p.resolutions is None or request.resolution in p.resolutions)
    ]
    return max(fitting, key=lambda p: p.valid_from, default=None)


def in_force(tariff: Tariff, backend: str, on: date) -> tuple[Price, ...]:
    """Return the newest price on a day of everything that a backend sells."""
    newest: dict[object, Price] = {}
    for price in sorted(tariff.prices, key=lambda p: p.valid_from):
        if price.backend == backend and price.valid_from <= on:
            newest[price.model, price.audio, price.resolutions] = price
    return tuple(newest.values())


def old_prices(tariff: Tariff, on: date, *, days: int = 90) -> tuple[Price, ...]:
    """Return the prices in force on a day that began more than `days` before it, oldest first. What is free does not age."""
    sold = [price for backend in sorted({p.backend for p in tariff.prices}) for price in in_force(tariff, backend, on)]
    aged = [p for p in sold if p.usd_per_second and p.valid_from < on - timedelta(days=days)]
    return tuple(sorted(aged, key=lambda p: (p.valid_from, p.backend, p.model)))


def quote(tariff: Tariff, request: RenderRequest, on: date) -> Micros:
    """Return what a request costs, in micro-dollars: Decimal price × seconds, rounded up once. Where a machine's seconds
    are paid, what its longest run would cost.

    Raises `NotCapable` when the tariff has no price: what cannot be priced is not bought.
    """
    price = price_of(tariff, request, on)
    if price is None:
        raise NotCapable(f"{request.model} has no price in tariff {tariff.name} for {request.resolution}")
    if price.longest_run_seconds is not None:
        return micros(price.usd_per_second * price.longest_run_seconds)
    seconds = request.seconds if tariff.bills == "bought_seconds" else request.asked_seconds
    return micros(price.usd_per_second * Decimal(str(seconds)))


def charged(tariff: Tariff, request: RenderRequest, usage: Usage, *, on: date) -> Micros | None:
    """Return what a vendor's own meter says a request cost, in micro-dollars, at the prices of the day it was quoted.

    None where the meter is not the one that is paid by, so that the quote stands.
    """
    if usage.credits is not None:
        return micros(usage.credits * tariff.credit_usd)
    price = price_of(tariff, request, on)
    if price is None or (price.meter == "output_seconds" and tariff.bills != "bought_seconds"):
        return None
    seconds = usage.run_seconds if price.meter == "run_seconds" else usage.output_seconds
    return None if seconds is None else micros(price.usd_per_second * seconds)


def judgement_quote(tariff: Tariff, request: JudgeRequest, on: date) -> Micros:
    """Return the most that one judgement can cost, in micro-dollars. Raises `NotCapable` when the tariff has no price for it."""
    return _token_cost(_judge_price(tariff, request, on), request.input_tokens, request.output_tokens)


def judgement_cost(tariff: Tariff, request: JudgeRequest, answered: Answered, *, on: date) -> Micros | None:
    """Return what an answer cost by its tokens, at the prices of the day it was quoted; None where it says nothing of them."""
    if not answered.input_tokens:
        return None
    return _token_cost(_judge_price(tariff, request, on), answered.input_tokens, answered.output_tokens)


def _judge_price(tariff: Tariff, request: JudgeRequest, on: date) -> JudgePrice:
    fitting = [p for p in tariff.judging if (p.judge, p.model) == (request.backend, request.model) and p.valid_from <= on]
    if not fitting:
        raise NotCapable(f"{request.model} has no price in tariff {tariff.name}")
    return max(fitting, key=lambda p: p.valid_from)


def _token_cost(price: JudgePrice, tokens_in: int, tokens_out: int) -> Micros:
    return micros((price.usd_per_million_input * tokens_in + price.usd_per_million_output * tokens_out) / 1_000_000)


def estimate(
    manifest: Manifest,
    catalog: Catalog,
    backends: Sequence[str],
    attempts: int,
    chosen: Mapping[int, str],
    on: date,
    *,
    judging: Mapping[int, Micros] | None = None,
) -> Estimate:
    """Return the itemised price of a manifest at the given backends, in their order.

    `expected` is each shot at the backend `chosen` for it; `worst_case` charges every allowed attempt at the dearest distinct
    ones, and then the dearest again; what would come to more than an approval of it is not bought. `judging` is what judging one
    take of each shot costs at most, which both include; previews are not judged.
    """
    looking = judging or {}
    lines: list[EstimateLine] = []
    refusals: list[str] = []
    worst = 0
    for shot in manifest.shots:
        quotes: list[Micros] = []
        for name in backends:
            try:
                request = legal_request(name, catalog.backends[name], manifest, shot)
                price = quote(catalog.prices, request, on)
            except NotCapable as why:
                refusals.append(f"shot {shot.index}: {name}: {why}")
                continue
            lines.append(_line(shot, request, price))
            quotes.append(price)
        dearest = sorted(quotes, reverse=True)
        if dearest:
            worst += sum(dearest[n] if n < len(dearest) else dearest[0] for n in range(attempts))
    vendors = {name for name in backends if not catalog.backends[name].embedded}
    judged = {line.shot for line in lines if line.backend in vendors}
    once = {shot: looking.get(shot, 0) for shot in judged}
    return Estimate(
        tariff=catalog.prices.name,
        lines=tuple(lines),
        expected=sum(line.quote for line in lines if chosen.get(line.shot) == line.backend)
        + sum(cost for shot, cost in once.items() if chosen.get(shot) in vendors),
        worst_case=worst + attempts * sum(once.values()),
        judging=attempts * sum(once.values()),
        refusals=tuple(refusals),
    )


def _line(shot: Shot, request: RenderRequest, price: Micros) -> EstimateLine:
    longer = request.seconds > shot.seconds
    return EstimateLine(
        shot=shot.index,
        backend=request.backend,
        model=request.model,
        bought_seconds=request.seconds,
        quote=price,
        note=f"bought as {request.seconds:g} s, cut to {shot.seconds:g} s in delivery" if longer else "",
    )
