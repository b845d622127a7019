"""What people type into the studio's forms, as the nouns that the API takes. An empty field is one that was left out."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request

__all__ = ["Form", "Typed", "edit_of", "order_of", "shots_of", "whole_number"]

#: More than the longest shot list has.
_MAX_FIELDS = 500

#: The fields of an order that are given as they were typed.
_WORDS = (
    "preset", "seconds", "aspect_ratio", "audio_style", "backend", "budget_usd", "quality_floor", "prefer", "priority",
    "at_cap", "project", "reference_image_url", "seed",
)  # fmt: skip


#: The columns of a shot list; in the form each is called `shot_` and its name.
_SHOT = ("prompt", "seconds", "camera", "reference_image_url", "seed")


class Typed(dict[str, list[str]]):
    """The fields of a form, each with everything typed under its name."""

    def one(self, name: str) -> str:
        """Return what was typed, without the spaces around it; empty when nothing was."""
        return (self.get(name) or [""])[0].strip()

    def all(self, name: str) -> list[str]:
        return [each.strip() for each in self.get(name, [])]


async def _typed(request: Request) -> Typed:
    try:
        text = (await request.body()).decode()
        return Typed(parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise HTTPException(422, "this is no form of the studio") from None


Form = Annotated[Typed, Depends(_typed)]


def order_of(form: Typed) -> dict[str, Any]:
    """Return an order as `JobSpec.parse` takes it."""
    order: dict[str, Any] = {name: form.one(name) for name in _WORDS if form.one(name)}
    order["audio"] = form.one("audio") == "on"
    if form.one("by") == "shots":
        order["shots"] = shots_of(form)
        order.pop("seconds", None)
    elif form.one("prompt"):
        order["prompt"] = form.one("prompt")
    return order


def edit_of(form: Typed) -> dict[str, Any]:
    """Return an edited shot list as `ManifestEdit.parse` takes it."""
    return {"shots": shots_of(form), "audio_style": form.one("audio_style") or None}


def shots_of(form: Typed) -> list[dict[str, Any]]:
    """Return the shot list of a form, each shot with what was typed; a row left wholly empty is none."""
    columns = {name: form.all(f"shot_{name}") for name in _SHOT}
    rows = [
        {name: typed[n] for name, typed in columns.items() if n < len(typed) and typed[n]}
        for n in range(max(map(len, columns.values()), default=0))
    ]
    return [row for row in rows if row.get("prompt") or row.get("camera")]


def whole_number(form: Typed, name: str) -> int:
    """Return a whole number that the page itself wrote into the form. Raises 422."""
    said = form.one(name)
    if not (said.isascii() and said.isdigit() and len(said) <= 16):
        raise HTTPException(422, f"{name}: must be a whole number")
    return int(said)
