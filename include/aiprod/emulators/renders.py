"""What a vendor remembers of a request it accepted, and how that stands at any moment. Pure but for what it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiprod.emulators.orders import Order

__all__ = ["Film", "Render", "Stage", "Standing", "Wanted", "charged", "standing"]

Stage = Literal["queued", "running", "succeeded", "failed", "aborted", "cancelled"]
#: The orders after which a render ends without a film that is any good, and how it stands then.
_ENDS: Mapping[str, Stage] = {
    "moderated": "failed",
    "fail": "failed",
    "fail-charged": "failed",
    "moderated-late": "failed",
    "aborted": "aborted",
}


@dataclass(frozen=True)
class Film:
    """What was ordered: seconds, pixels (even), frames per second, and whether it has sound; `still` stands still."""

    seconds: float
    width: int = 1280
    height: int = 720
    fps: int = 24
    audio: bool = False
    still: bool = False


@dataclass(frozen=True)
class Wanted:
    """One request as its wire understood it. `price` in micro-dollars for everything, quoted before anything is ordered."""

    prompt: str
    seconds: float
    price: int
    model: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    #: What the sender can be asked about later, where the protocol knows such a thing.
    marker: str = ""
    film: Film | None = None
    #: Bills come in multiples of this many micro-dollars.
    unit: int = 1
    #: The endings this vendor charges, besides success.
    charged: frozenset[str] = frozenset({"fail-charged"})
    #: After how many seconds the vendor stops it by itself.
    deadline: float | None = None


@dataclass
class Render:
    """One accepted request. What is counted here is counted under the house's lock."""

    id: str
    backend: str
    at: float
    order: Order
    wanted: Wanted
    billable: int
    #: How long it takes once it has begun.
    takes: float = 0.0
    looked: int = 0
    ended_seen: int = 0
    fetched: int = 0
    given: int = 0
    cancelled: float | None = None
    deleted: bool = False
    dealt: set[str] = field(default_factory=set)

    @property
    def begins(self) -> float:
        return self.at + float(self.order.get("queue", 0))

    @property
    def ends(self) -> float:
        return float("inf") if "hang" in self.order else self.begins + (0 if "moderated" in self.order else self.takes)

    @property
    def stopped(self) -> float:
        """When somebody, or its deadline, stops it; infinity: nobody does."""
        limit = float("inf") if self.wanted.deadline is None else self.at + self.wanted.deadline
        return min(limit, float("inf") if self.cancelled is None else self.cancelled)


@dataclass(frozen=True)
class Standing:
    """How a render stands. `why` is the order that ended it, `code` what the order said of it; times in epoch seconds."""

    stage: Stage
    progress: float = 0.0
    why: str = ""
    code: str = ""
    begun: float | None = None
    ended: float | None = None


def charged(render: Render) -> bool:
    """Whether the vendor charges for what will become of a render."""
    free = {word for word in _ENDS if word in render.order} - render.wanted.charged
    return not free and render.stopped >= render.begins


def standing(render: Render, now: float) -> Standing:
    """Return how a render stands at `now`, in epoch seconds of the vendor's clock."""
    order = render.order
    if render.stopped <= now and render.stopped < render.ends:
        early = render.stopped < render.begins
        begun = None if early else render.begins
        stage: Stage = "aborted" if early and render.cancelled is None else "cancelled"
        return Standing(stage, why="cancelled", begun=begun, ended=render.stopped)
    if now < render.begins:
        return Standing("queued")
    if now < render.ends:
        progress = 0.5 if render.ends == float("inf") else (now - render.begins) / (render.ends - render.begins)
        return Standing("running", progress, begun=render.begins)
    why = next((word for word in _ENDS if word in order), "")
    if not why and "flip" in order and render.ended_seen:
        return Standing("failed", 1.0, "flip", begun=render.begins, ended=render.ends)
    return Standing(_ENDS[why] if why else "succeeded", 1.0, why, order.get(why, ""), render.begins, render.ends)
