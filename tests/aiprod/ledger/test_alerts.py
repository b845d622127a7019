"""An alert is one row from pending to over, and each of its two events is written once, by whoever comes first."""

from __future__ import annotations

from datetime import timedelta

from aiprod.ledger import Ledger, alerts
from aiprod.ledger.alerts import Alert, Happening
from tests.desk import NOW, race, rows

SEEN = Happening(alert="a", subject="s", severity="warning", message="m", what_to_do="w", value=2, threshold=1)


def note(ledger: Ledger, seen: Happening = SEEN) -> Alert:
    with ledger.write() as conn:
        return alerts.note(conn, seen, now=NOW)


def raised(ledger: Ledger, alert: Alert) -> bool:
    with ledger.write() as conn:
        return alerts.raise_(conn, alert, SEEN, now=NOW)


def resolved(ledger: Ledger, alert: Alert) -> bool:
    with ledger.write() as conn:
        return alerts.resolve(conn, alert, what_to_do="nothing", now=NOW)


def topics(ledger: Ledger) -> list[str]:
    return sorted(row["topic"] for row in rows(ledger, "outbox")["outbox"])


def test_a_condition_that_goes_on_is_one_alert_with_its_newest_value(ledger: Ledger) -> None:
    first = note(ledger)
    again = note(ledger, SEEN.model_copy(update={"value": 3}))
    assert (again.alert_id, again.since, again.value) == (first.alert_id, NOW, 3)
    other = note(ledger, SEEN.model_copy(update={"subject": "other"}))
    assert other.alert_id != first.alert_id


def test_of_many_who_raise_and_resolve_it_each_is_told_once(ledger: Ledger) -> None:
    alert = note(ledger)
    assert sorted(race(4, lambda _: raised(ledger, alert)), key=str) == [False, False, False, True]
    alert = note(ledger)
    assert sorted(race(4, lambda _: resolved(ledger, alert)), key=str) == [False, False, False, True]
    assert topics(ledger) == ["alert_raised", "alert_resolved"]
    assert not raised(ledger, alert), "it is over"


def test_what_was_only_pending_is_forgotten_without_a_word(ledger: Ledger) -> None:
    assert resolved(ledger, note(ledger))
    assert topics(ledger) == []
    with ledger.read() as conn:
        assert alerts.of_now(conn) == alerts.latest(conn) == []


def test_after_it_was_over_it_is_another_one(ledger: Ledger) -> None:
    first = note(ledger)
    raised(ledger, first)
    resolved(ledger, note(ledger))
    second = note(ledger)
    assert second.alert_id != first.alert_id
    with ledger.read() as conn:
        assert [a.alert_id for a in alerts.of_now(conn)] == [second.alert_id]
        assert [a.alert_id for a in alerts.latest(conn)] == [first.alert_id]
    assert second.since + timedelta(0) == NOW
