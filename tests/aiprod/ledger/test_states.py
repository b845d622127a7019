"""Which steps exist, written down a second time by hand."""

from __future__ import annotations

import pytest

from aiprod.ledger.schema import LIVE, OPEN, STATES
from aiprod.ledger.states import CHARGED, STEPS, Step

#: step: "from from → to", transcribed from HOUSE section 5 and facts/ledger.md 2.2.
TABLE = {
    "claim": "held → submitting",
    "accept": "submitting unknown → submitted",
    "lose": "submitting → unknown",
    "succeed": "submitted → succeeded",
    "fail": "submitted → failed",
    "cancel": "submitted → cancelled",
    "reject": "submitting → rejected",
    "prove_absent": "unknown → absent",
    "expire": "held → expired",
    "void": "held → voided",
    "write_off": "unknown submitted → written_off",
}


def test_every_step_is_in_the_table_and_no_other():
    assert {step.value for step in Step} == set(TABLE) == {step.value for step in STEPS}


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("state", STATES)
def test_a_step_leads_where_the_table_says_or_nowhere(step, state):
    sources, _, leads_to = TABLE[step.value].partition(" → ")
    allowed, becomes = STEPS[step]
    assert (state in allowed) == (state in sources.split()) and becomes == leads_to


def test_nothing_leaves_a_final_state():
    final = set(STATES) - set(OPEN)
    assert not [step for step, (sources, _) in STEPS.items() if final & set(sources)]


def test_only_what_was_never_sent_expires_or_is_voided():
    assert STEPS[Step.EXPIRE][0] == STEPS[Step.VOID][0] == ("held",)


def test_a_step_that_charges_starts_where_the_vendor_may_have_the_request():
    for step in CHARGED:
        assert set(STEPS[step][0]) <= {"submitted", "unknown"}


def test_live_states_are_open_and_unknown_is_open_but_not_always_live():
    assert set(OPEN) - set(LIVE) == {"unknown"}
