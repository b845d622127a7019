"""The life of a purchase: every step that exists, and from where it may be taken."""

from __future__ import annotations

from enum import StrEnum

from aiprod.models import State

__all__ = ["BOUGHT", "CHARGED", "STEPS", "State", "Step"]


class Step(StrEnum):
    """What can happen to a purchase."""

    CLAIM = "claim"  # T2: the intent is committed; the request may leave now
    ACCEPT = "accept"  # T3: the vendor has it
    LOSE = "lose"  # T4: the answer was lost, or its owner died
    SUCCEED = "succeed"  # T5: the rest closes the purchase, releases the hold and books the charge
    FAIL = "fail"
    CANCEL = "cancel"
    REJECT = "reject"
    PROVE_ABSENT = "prove_absent"
    EXPIRE = "expire"  # T7: only what was never sent
    VOID = "void"
    WRITE_OFF = "write_off"


#: step → (states it may be taken from, state it leads to). Everything else is refused.
STEPS: dict[Step, tuple[tuple[State, ...], State]] = {
    Step.CLAIM: (("held",), "submitting"),
    # A render found by looking, or answered late, is the same render.
    Step.ACCEPT: (("submitting", "unknown"), "submitted"),
    Step.LOSE: (("submitting",), "unknown"),
    Step.SUCCEED: (("submitted",), "succeeded"),
    Step.FAIL: (("submitted",), "failed"),
    Step.CANCEL: (("submitted",), "cancelled"),
    Step.REJECT: (("submitting",), "rejected"),
    Step.PROVE_ABSENT: (("unknown",), "absent"),
    # Never from `submitting` or later: the money would come back while the vendor still bills.
    Step.EXPIRE: (("held",), "expired"),
    Step.VOID: (("held",), "voided"),
    # Also what the vendor has and never ends: only a person writes off, and only what is parked.
    Step.WRITE_OFF: (("unknown", "submitted"), "written_off"),
}

#: Steps after which the vendor may charge; all others close at zero.
CHARGED = (Step.SUCCEED, Step.FAIL, Step.CANCEL, Step.WRITE_OFF)
#: Where a vendor may have charged; holds that were given back unsent are not purchases of anything.
BOUGHT = frozenset(STEPS[step][1] for step in CHARGED)
