"""What is ordered from the real scheduler: one job per scenario, and what people answer."""

from __future__ import annotations

from typing import Any

_SHORT = {"preset": "quick_social", "seconds": 2, "audio": False}
#: Runway takes a thousand characters, the others more.
_TOO_LONG_FOR_RUNWAY = "a slow walk along the harbour, " * 40


def signed(job_id: str, order: dict[str, Any]) -> dict[str, Any]:
    """Return an order whose prompts name its job: by that, and by nothing of ours, the vendors' books say whose it was."""
    own = {**order, "prompt": _sign(job_id, order["prompt"])} if "prompt" in order else {**order}
    if "shots" in order:
        own["shots"] = [{**shot, "prompt": _sign(job_id, shot["prompt"])} for shot in order["shots"]]
    return own


def signature(job_id: str) -> str:
    """What stands in every prompt of a job."""
    return f"(job {job_id})"


def _sign(job_id: str, prompt: str) -> str:
    return f"{prompt} {signature(job_id)}"


_ORDERS: dict[str, dict[str, Any]] = {
    "first-fine": {**_SHORT, "prompt": "a harbour, {{ conn.runway.password }} {% for x in y %} $(id)"},
    "first-fails": {**_SHORT, "prompt": "[[runway=fail]] [[veo3=slow:3]]"},
    "all-fail": {**_SHORT, "prompt": "[[runway=fail]] [[veo3=fail-charged]] [[replicate=fail-charged]]"},
    "two-backends": {
        **_SHORT,
        "seconds": None,
        "shots": [{"prompt": "[[runway=fail]]", "seconds": 2}, {"prompt": _TOO_LONG_FOR_RUNWAY, "seconds": 4}],
    },
    "half-fails": {
        **_SHORT,
        "seconds": None,
        "shots": [{"prompt": f"shot {n}{order}", "seconds": 2} for n, order in enumerate(("", " [[runway=fail]]") * 2, start=1)],
    },
    "half-lost": {
        **_SHORT,
        "seconds": None,
        "shots": [
            {"prompt": "one that works", "seconds": 2},
            {"prompt": "[[runway=fail-charged]] [[veo3=refuse:429]] [[replicate=broke]]", "seconds": 2},
        ],
    },
    "rejected": {**_SHORT, "prompt": "a lake", "preset": "brand_campaign"},
    "expired": {**_SHORT, "prompt": "a lake", "preset": "impatient"},
    "bad-input": {"prompt": "a lake", "preset": "quick_social", "promt": "typo", "quality": 1},
    "too-long": {"prompt": "a lake", "preset": "quick_social", "seconds": 99},
    "no-budget-1": {**_SHORT, "prompt": "a lake", "project": "broke"},
    "no-budget-2": {**_SHORT, "prompt": "[[runway=fail-charged]]", "project": "tight"},
    "still": {**_SHORT, "prompt": "[[runway=still]]"},
    "damaged": {**_SHORT, "prompt": "[[runway=corrupt]]"},
    "slow": {**_SHORT, "prompt": "[[runway=slow:10]]"},
    "killed-after": {**_SHORT, "prompt": "[[worker=die-after]]", "backend": "veo3"},
    "killed-before": {**_SHORT, "prompt": "[[worker=die-before]]", "backend": "veo3"},
    "lost-and-mute": {**_SHORT, "prompt": "[[runway=lose]]"},
    "preview": {**_SHORT, "prompt": "a lake", "backend": "animatic"},
    "premium": {**_SHORT, "prompt": "a spot", "preset": "premium_spot", "quality_floor": 0.5},
    "premium-no": {**_SHORT, "prompt": "a spot", "preset": "premium_spot", "quality_floor": 0.5},
}

#: job id (and run id) → order. The words in brackets are orders to the emulated vendors (`aiprod.emulators.orders`) and
#: to whoever asks Veo 3 (`dying.py`).
ORDERS = {job_id: signed(job_id, order) for job_id, order in _ORDERS.items()}

#: job id → (task, answer) in the order in which they are asked.
ANSWERS: dict[str, list[tuple[str, str]]] = {
    "rejected": [("approve", "Reject")],
    "premium": [("approve", "Approve"), ("review", "Approve")],
    "premium-no": [("approve", "Approve"), ("review", "Reject")],
}

#: run id → order of a job that exists already.
SECOND_ORDERS: dict[str, dict[str, Any]] = {
    "same-again": {**ORDERS["first-fine"], "job_id": "first-fine"},
    "other-order": {**_SHORT, "prompt": "something else", "job_id": "first-fine"},
}

#: Jobs whose render does not end by itself: a person ends them, or clears them (`test_ending.py`).
ENDLESS: dict[str, dict[str, Any]] = {
    job_id: signed(job_id, {**_SHORT, "prompt": "[[runway=slow:30000]]", "backend": "runway"})
    for job_id in ("task-failed", "run-failed", "task-cleared")
}
