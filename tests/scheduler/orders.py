"""What is ordered from the real scheduler: one job per scenario, and what people answer."""

from __future__ import annotations

from typing import Any

_SHORT = {"preset": "quick_social", "seconds": 2}

#: job id (and run id) → order. The words in brackets are orders to the scripted vendors (`tests/vendor.py`).
ORDERS: dict[str, dict[str, Any]] = {
    "first-fine": {**_SHORT, "prompt": "a harbour, {{ conn.runway.password }} {% for x in y %} $(id)"},
    "first-fails": {**_SHORT, "prompt": "[[runway=fail]]"},
    "all-fail": {**_SHORT, "prompt": "[[runway=fail]] [[veo3=fail-charged]] [[replicate=reject]]"},
    "two-backends": {
        "preset": "quick_social",
        "shots": [{"prompt": "[[runway=fail]]", "seconds": 2}, {"prompt": "a longer one", "seconds": 4}],
    },
    "rejected": {**_SHORT, "prompt": "a lake", "preset": "brand_campaign"},
    "expired": {**_SHORT, "prompt": "a lake", "preset": "impatient"},
    "bad-input": {"prompt": "a lake", "preset": "quick_social", "promt": "typo", "quality": 1},
    "too-long": {"prompt": "a lake", "preset": "quick_social", "seconds": 99},
    "no-budget-1": {**_SHORT, "prompt": "a lake", "project": "broke"},
    "no-budget-2": {**_SHORT, "prompt": "[[runway=fail-charged]]", "project": "tight"},
    "bad-take": {**_SHORT, "prompt": "[[runway=bad]]"},
    "not-a-video": {**_SHORT, "prompt": "[[runway=html]]"},
    "slow": {**_SHORT, "prompt": "[[runway=slow:10]]"},
    "killed-after": {**_SHORT, "prompt": "[[runway=die]]"},
    "killed-before": {**_SHORT, "prompt": "[[runway=die-before]]"},
    "lost-and-mute": {**_SHORT, "prompt": "[[replicate=lose]]", "backend": "replicate"},
    "preview": {**_SHORT, "prompt": "a lake", "backend": "animatic"},
    "premium": {**_SHORT, "prompt": "a spot", "preset": "premium_spot", "quality_floor": 0.5},
    "premium-no": {**_SHORT, "prompt": "a spot", "preset": "premium_spot", "quality_floor": 0.5},
}

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
    job_id: {**_SHORT, "prompt": "[[runway=slow:3000]]", "backend": "runway"}
    for job_id in ("task-failed", "run-failed", "task-cleared")
}
