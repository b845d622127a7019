"""Whose render is whose, where the vendor's protocol carries no key of ours."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.safety.matching import owned

ID = str(uuid.UUID(int=10**20 + 7))
PLACE = "projects/p/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
BODIES: dict[str, dict[str, Any]] = {
    "runway": {"promptText": "a lake", "seed": 7},
    "veo3": {"instances": [{"prompt": "a lake"}], "parameters": {"seed": 7, "storageUri": "gs://bucket/veo3/k1/"}},
    "replicate": {"input": {"prompt": "a lake", "seed": 7}},
}


def purchase(key: str = "k1", backend: str = "runway", *, prompt: str = "a lake", seed: int = 7, **row: Any) -> dict[str, Any]:
    request = json.dumps({"prompt": prompt, "seed": seed})
    return {"purchase_id": key, "backend": backend, "request": request, "vendor_id": None, **row}


def accept(backend: str = "runway", **line: Any) -> dict[str, Any]:
    return {"id": ID, "backend": backend, "key": "", "body": BODIES[backend], **line}


@pytest.mark.parametrize("backend", BODIES)
def test_a_render_is_of_who_ordered_its_prompt_and_seed_there(backend: str) -> None:
    others = [purchase("k2", backend, seed=8), purchase("k3", backend, prompt="a sea")]
    others += [purchase(f"elsewhere {name}", name) for name in BODIES if name != backend]
    (found,) = owned([accept(backend)], [*others, purchase("k1", backend)])
    assert found["key"] == "k1"


def test_a_seed_is_known_though_a_vendor_holds_only_a_part_of_it() -> None:
    (found,) = owned([accept("replicate")], [purchase("k1", "replicate", seed=2**31 + 7)])
    assert found["key"] == "k1"


def test_what_nobody_ordered_belongs_to_no_purchase() -> None:
    (found,) = owned([accept()], [purchase("k1", seed=8)])
    assert found["key"] == f"nobody ordered {ID}"


def test_what_carries_a_key_is_left_as_it_is() -> None:
    line = accept(key="k9", body={})
    assert owned([line], [purchase()]) == [line]


def test_two_purchases_that_ordered_the_same_are_told_and_not_guessed() -> None:
    with pytest.raises(ValueError, match="ordered the same"):
        owned([accept()], [purchase("k1"), purchase("k2")])


@pytest.mark.parametrize(
    ("known", "same"),
    [
        (ID, True),
        (f"{PLACE}/operations/{ID}", True),
        (f"{PLACE}/operations/{uuid.UUID(int=8)}", False),
        (f"gs://bucket/veo3/k1/{(10**20 + 7) % 10**19}/sample_0.mp4", True),
        ("gs://bucket/veo3/k1/8/sample_0.mp4", False),
        (f"gs://bucket/veo3/k2/{(10**20 + 7) % 10**19}/sample_0.mp4", False),
        (None, False),
    ],
)
def test_one_render_has_several_names(known: str | None, same: bool) -> None:
    (found,) = owned([accept("veo3")], [purchase("k1", "veo3", vendor_id=known)])
    assert found["id"] == (known if same else ID)
