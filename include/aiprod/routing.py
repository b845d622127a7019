"""Which backend makes a shot: facts in, one `Decision` out. Pure, and every candidate leaves with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from aiprod.models import USD, AtCap, Candidate, Decision, Micros, Noun, Prefer, RenderRequest, dollars

__all__ = ["Facts", "fits_but_for_money", "route"]


#: What is left of a backend's chance after an attempt that was no good. A choice, not a measurement.
_LEFT_BY_AN_ATTEMPT = 0.25


class Facts(Noun):
    """What is known about one backend for one shot, now. Money in micro-dollars, times in seconds."""

    backend: str
    #: The legal request and its quote, or None with the reason in `unfit`.
    request: RenderRequest | None
    quote: Micros | None
    unfit: str = ""
    healthy: bool = True
    #: Expected quality 0..1; None where a backend has no prior and is exempt from the floor.
    quality: float | None
    expected_seconds: float
    #: What is left under the tightest cap that applies, and that cap's name.
    headroom: Micros
    tightest: str = "budget"
    #: Attempts already made for this shot at this backend.
    tried: int = 0
    #: The order chose the seed and it was tried: to ask again is to ask for the very same clip.
    same_clip: bool = False
    #: Why this backend must not be asked for this shot again, e.g. it moderated the prompt.
    barred: str = ""

    def gain(self, best: float) -> float:
        """Expected gain in quality per dollar of one more attempt, over the best take that there is.

        The chance that its take is accepted is its expected quality, a quarter of it for each attempt that it had for this
        shot: most of what made one take bad is there for the next. What is gained then is its expected quality less that
        of the best take.
        """
        if self.quality is None or self.quote is None or self.same_clip:
            return 0.0
        chance = self.quality * _LEFT_BY_AN_ATTEMPT**self.tried
        return chance * max(0.0, self.quality - best) * USD / max(1, self.quote)


def route(
    shot: int,
    facts: Sequence[Facts],
    *,
    floor: float,
    prefer: Prefer,
    may_degrade: bool,
    at_cap: AtCap = "fail",
    best: float | None = None,
) -> Decision:
    """Choose a backend for a shot. `facts` come in fallback order, which breaks ties.

    Backends not tried for this shot go before tried ones; among those the job's preference ranks. Where the preset
    allows it the choice is made below the floor, and marked: when nobody meets the floor, or when those who do are
    too dear and the job would rather degrade than fail or wait.

    `best` is the quality of the best take once one was rejected (0 where nobody could score it). From then on the better
    expected gain per dollar goes first: another backend, or the same one with a new seed.
    """
    lost = {f.backend: _why_not(f, floor) for f in facts}
    fit = [f for f in facts if not lost[f.backend]]
    too_dear = not fit and any(fits_but_for_money(f, floor) for f in facts)
    degraded = False
    if not fit and may_degrade and (at_cap == "degrade" or not too_dear):
        fit = [f for f in facts if not _why_not(f, 0.0)]
        degraded = bool(fit)
        lost = {f.backend: _why_not(f, 0.0) for f in facts} if degraded else lost
    order = {f.backend: n for n, f in enumerate(facts)}
    ranked = sorted(fit, key=lambda f: (-_gain(f, best), f.tried, _rank(f, prefer), order[f.backend]))
    place = {f.backend: n for n, f in enumerate(ranked, start=1)}
    winner = ranked[0] if ranked else None
    for other in ranked[1:]:
        lost[other.backend] = _behind(other, ranked[0], prefer, best)
    return Decision(
        shot=shot,
        chosen=winner.backend if winner else None,
        model=winner.request.model if winner and winner.request else None,
        quote=winner.quote if winner else None,
        prefer=prefer,
        floor=floor,
        degraded=degraded,
        short_of_money=winner is None and too_dear,
        candidates=tuple(
            Candidate(
                backend=f.backend,
                model=f.request.model if f.request else "",
                quote=f.quote,
                quality=f.quality,
                expected_seconds=f.expected_seconds,
                rank=place.get(f.backend),
                lost=lost[f.backend],
                gain=None if best is None else f.gain(best),
                tried=f.tried,
            )
            for f in facts
        ),
    )


def fits_but_for_money(facts: Facts, floor: float) -> bool:
    """Whether a backend would take the shot if every cap had room."""
    return not _why_not(facts.model_copy(update={"headroom": facts.quote or 0}), floor)


def _why_not(facts: Facts, floor: float) -> str:
    """The first reason that drops a candidate: configured and capable, healthy, good enough, affordable."""
    if facts.request is None or facts.quote is None:
        return facts.unfit or "cannot make it"
    if facts.barred:
        return facts.barred
    if not facts.healthy:
        return "unhealthy"
    if facts.quality is not None and facts.quality < floor:
        return f"expected quality {facts.quality:g} is below the floor of {floor:g}"
    if facts.quote > facts.headroom:
        return f"costs {dollars(facts.quote)}, {facts.tightest} has {dollars(max(0, facts.headroom))} left"
    return ""


def _rank(facts: Facts, prefer: Prefer) -> float:
    if prefer == "speed":
        return facts.expected_seconds
    if prefer == "cost":
        return facts.quote or 0
    return -(facts.quality or 0.0)


def _gain(facts: Facts, best: float | None) -> float:
    """What ranks first: nothing, until a take was rejected."""
    return 0.0 if best is None else facts.gain(best)


def _behind(other: Facts, winner: Facts, prefer: Prefer, best: float | None) -> str:
    if best is not None and other.gain(best) < winner.gain(best):
        return f"expected gain {other.gain(best):.3g} per dollar"
    if other.tried > winner.tried:
        return "tried before for this shot"
    if _rank(other, prefer) == _rank(winner, prefer):
        return "later in the fallback order"
    return {"quality": "lower expected quality", "speed": "slower", "cost": "dearer"}[prefer]
