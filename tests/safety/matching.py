"""Whose render is it? What the vendors' own protocols carry no key for is matched by what was ordered: prompt and seed.

Shares no code with the adapters: the bodies are read as the vendors got them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["owned"]

Row = Mapping[str, Any]
#: Backend, prompt, seed.
Order = tuple[str, str, int]
#: The part of a seed that every vendor can hold.
_SEED = 2**31 - 1


def owned(accepts: Iterable[Row], purchases: Sequence[Row]) -> list[Row]:
    """Return the accepts with the purchase that each was made for as `key`, and the ledger's name for it as `id`.

    Accepts that carry a key already come back as they are; what nobody ordered gets a key that no purchase has. Raises
    `ValueError` when two purchases ordered the same, so that nobody could say whose it is.
    """
    ordered: dict[Order, Row] = {}
    for purchase in purchases:
        request = json.loads(purchase["request"])
        order = (purchase["backend"], request["prompt"], request["seed"] & _SEED)
        if order in ordered:
            raise ValueError(f"{purchase['purchase_id']} and {ordered[order]['purchase_id']} ordered the same: {order}")
        ordered[order] = purchase
    return [_owned(accept, ordered) for accept in accepts]


def _owned(accept: Row, ordered: Mapping[Order, Row]) -> Row:
    if not accept["body"]:
        return accept
    purchase = ordered.get(_order(accept))
    if purchase is None:
        return {**accept, "key": f"nobody ordered {accept['id']}"}
    known = purchase["vendor_id"]
    return {**accept, "key": purchase["purchase_id"], "id": known if _names(known, accept) else accept["id"]}


def _order(accept: Row) -> Order:
    """What was ordered, read from the body that the vendor got."""
    body = accept["body"]
    match accept["backend"]:
        case "runway":
            prompt, seed = body["promptText"], body["seed"]
        case "veo3":
            prompt, seed = body["instances"][0]["prompt"], body["parameters"]["seed"]
        case _:
            prompt, seed = body["input"]["prompt"], body["input"]["seed"]
    return accept["backend"], prompt, seed & _SEED


def _names(known: str | None, accept: Row) -> bool:
    """Whether what the ledger calls a render is this one: its id, its operation's name, or its object in the bucket."""
    if known is None or known == accept["id"]:
        return known is not None
    if known.startswith("gs://"):
        folder = str(uuid.UUID(accept["id"]).int % 10**19)
        inside: str = accept["body"]["parameters"].get("storageUri", "")
        return known.startswith(f"{inside.rstrip('/')}/{folder}/")
    return known.rpartition("/operations/")[2] == accept["id"]
