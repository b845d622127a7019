"""JobSpec → Manifest: which shots an order becomes. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aiprod.catalog import Catalog, Preset
from aiprod.errors import SpecError
from aiprod.models import JobSpec, Manifest, Shot, VideoBackend

__all__ = ["changes", "eligible", "floor_of", "plan", "preset_of"]


def preset_of(spec: JobSpec, catalog: Catalog) -> Preset:
    """Return the order's preset. Raises `SpecError` for an unknown one."""
    if spec.preset not in catalog.presets:
        raise SpecError([f"preset: {spec.preset!r} is unknown; known: {', '.join(catalog.presets)}"])
    return catalog.presets[spec.preset]


def floor_of(spec: JobSpec, catalog: Catalog) -> float:
    """Return the quality below which no backend is used and no take accepted: the order's word, else its preset's."""
    return preset_of(spec, catalog).quality_floor if spec.quality_floor is None else spec.quality_floor


def eligible(spec: JobSpec, catalog: Catalog, configured: Sequence[str]) -> tuple[str, ...]:
    """Return the backends that may serve the order, best first by fallback order.

    `auto` means the configured vendors; the embedded preview serves only when it is asked for or when no
    vendor is configured at all. Raises `SpecError` for an unknown backend.
    """
    if spec.backend != VideoBackend.AUTO:
        if spec.backend not in catalog.backends:
            known = ", ".join([VideoBackend.AUTO, *catalog.backend_order])
            raise SpecError([f"backend: {spec.backend!r} is unknown; known: {known}"])
        return (spec.backend,)
    vendors = tuple(name for name in catalog.vendors if name in configured)
    return vendors or tuple(name for name in catalog.backend_order if catalog.backends[name].embedded)


def plan(job_id: str, spec: JobSpec, catalog: Catalog, backends: Sequence[str], *, version: int = 1) -> Manifest:
    """Return the manifest an order becomes at the given backends.

    An order longer than the shortest of their longest clips is cut into equal shots, so that every backend
    can stand in for every other. Raises `SpecError` when the preset does not allow the length.
    """
    preset = preset_of(spec, catalog)
    if spec.total_seconds > preset.max_seconds:
        raise SpecError(
            [f"seconds: {spec.total_seconds:g} s asked, but preset {spec.preset} allows {preset.max_seconds:g} s at most"]
        )
    if spec.shots is not None:
        shots = tuple(
            Shot(
                index=n,
                prompt=s.prompt,
                seconds=s.seconds,
                camera=s.camera,
                reference_image_url=s.reference_image_url or spec.reference_image_url,
                seed=s.seed if s.seed is not None else spec.seed,
            )
            for n, s in enumerate(spec.shots, start=1)
        )
    else:
        longest = min(catalog.backends[name].longest_clip for name in backends)
        count = max(1, math.ceil(spec.total_seconds / longest - 1e-9))
        shots = tuple(
            Shot(
                index=n,
                prompt=spec.prompt or "",
                seconds=spec.total_seconds / count,
                reference_image_url=spec.reference_image_url,
                seed=spec.seed,
            )
            for n in range(1, count + 1)
        )
    return Manifest(
        job_id=job_id,
        version=version,
        aspect_ratio=spec.aspect_ratio,
        resolution=preset.resolution,
        audio=spec.audio,
        audio_style=spec.audio_style,
        shots=shots,
    )


def changes(old: Manifest, new: Manifest) -> tuple[str, ...]:
    """Return what is different in `new`, in plain sentences."""
    told: list[str] = []
    if old.aspect_ratio != new.aspect_ratio:
        told.append(f"The picture is {new.aspect_ratio} instead of {old.aspect_ratio}.")
    if old.audio != new.audio:
        told.append("Sound is ordered." if new.audio else "No sound is ordered any more.")
    if old.audio_style != new.audio_style:
        told.append(
            f"The sound is to be: {new.audio_style}." if new.audio_style else "Nothing is said any more of how it sounds."
        )
    before = {shot.index: shot for shot in old.shots}
    for shot in new.shots:
        was = before.pop(shot.index, None)
        told += [f"Shot {shot.index} is new."] if was is None else _changes_of_shot(was, shot)
    return (*told, *(f"Shot {index} is taken out." for index in before))


def _changes_of_shot(old: Shot, new: Shot) -> list[str]:
    where = f"Shot {new.index}"
    told = [f"{where} shows something else."] if old.prompt != new.prompt else []
    if old.seconds != new.seconds:
        told.append(f"{where} takes {new.seconds:g} s instead of {old.seconds:g} s.")
    if old.camera != new.camera:
        told.append(f"{where} has the camera: {new.camera}." if new.camera else f"{where} says nothing any more of the camera.")
    if old.reference_image_url != new.reference_image_url:
        told.append(f"{where} starts from {'another' if new.reference_image_url else 'no'} image.")
    if old.seed != new.seed:
        told.append(f"{where} has {'no seed of its own' if new.seed is None else f'the seed {new.seed}'}.")
    return told
