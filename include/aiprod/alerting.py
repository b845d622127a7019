"""Who is told of what: every rule of alerts.yaml over what the ledger knows, raised once and resolved when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Literal

from aiprod.catalog import Catalog
from aiprod.ledger import Ledger, alerts, digests, history, standings
from aiprod.ledger.alerts import Happening
from aiprod.ledger.digests import Digest
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.history import Growth
from aiprod.ledger.standings import Standing
from aiprod.measures import Condition, Objective
from aiprod.models import USD, Noun

__all__ = ["Change", "Counted", "Grown", "counted", "digest", "happenings", "line_of", "quantile", "watch"]

#: How the series of a metric grew over so many seconds; with 0, what they say now.
Grown = Callable[[str, int], Sequence[Growth]]


class Change(Noun):
    """One alert that was raised or resolved just now."""

    alert: str
    subject: str
    became: Literal["raised", "resolved"]
    message: str


def watch(ledger: Ledger, catalog: Catalog) -> list[Change]:
    """Evaluate every rule, write down what holds, and return what was raised or resolved by this call.

    Whoever evaluates at the same moment finds it done: each raise and each resolve is one event. With nothing to tell it
    writes nothing.
    """
    with ledger.read() as conn:
        now = database_now(conn)
        known: dict[tuple[str, int], list[Growth]] = {}

        def grown(metric: str, seconds: int) -> Sequence[Growth]:
            key = (metric, seconds)
            if key not in known:
                known[key] = history.growth(conn, metric, since=now - timedelta(seconds=seconds))
            return known[key]

        lines = _as_they_stand(standings.today(conn, catalog, now=now))
        holding = {(h.alert, h.subject): h for h in happenings(catalog, grown, lines)}
        standing = alerts.of_now(conn)
    if not holding and not standing:
        return []
    changes: list[Change] = []
    with ledger.write() as conn:
        now = database_now(conn)
        for seen in holding.values():
            alert = alerts.note(conn, seen, now=now)
            rule = catalog.alerts.get(seen.alert)
            due = now >= alert.since + timedelta(seconds=rule.hold if rule else 0)
            if due and alert.raised_at is None and alerts.raise_(conn, alert, seen, now=now):
                changes.append(Change(alert=seen.alert, subject=seen.subject, became="raised", message=seen.message))
        for alert in alerts.of_now(conn):
            if (alert.alert, alert.subject) in holding:
                continue
            told = alert.raised_at is not None
            if alerts.resolve(conn, alert, what_to_do="Nothing: it is over.", now=now) and told:
                changes.append(Change(alert=alert.alert, subject=alert.subject, became="resolved", message=alert.message))
    return changes


def digest(ledger: Ledger) -> list[Digest]:
    """Write one event for every campaign that moved on, at most one an hour unless it is over; return what was told.

    Who orders ten thousand videos wants to hear of them, but not ten thousand times.
    """
    with ledger.read() as conn:
        if not digests.standings(conn, now=database_now(conn)):
            return []
    with ledger.write() as conn:
        return digests.digest(conn, now=database_now(conn))


def _as_they_stand(today: Standing) -> dict[str, float]:
    """The day's lines in dollars, by their names in budgets.yaml: a cap that was set by hand moves both."""
    warn = today.cap if today.warn is None else today.warn
    return {"day_usd": today.cap / USD, "day_warn_usd": warn / USD}


def happenings(catalog: Catalog, grown: Grown, lines: Mapping[str, float] | None = None) -> Iterator[Happening]:
    """Yield every rule that holds, once per subject; the first of its conditions that does says by how much. Pure.

    `lines` are amounts of budgets.yaml that stand otherwise now, in dollars.
    """
    for name, rule in catalog.alerts.items():
        told: set[str] = set()
        for condition in rule.any:
            line = line_of(condition, catalog, lines)
            for subject, value in _values(condition, catalog, grown):
                if subject not in told and _holds(condition, value, line):
                    told.add(subject)
                    yield Happening(
                        alert=name,
                        subject=subject,
                        severity=rule.severity,
                        message=_said(rule.title, subject, condition, catalog, value, line),
                        what_to_do=rule.what_to_do,
                        value=value,
                        threshold=line,
                    )
    for name, objective in catalog.objectives.items():
        yield from _burning(name, objective, catalog, grown)


def line_of(condition: Condition, catalog: Catalog, lines: Mapping[str, float] | None = None) -> float:
    """Return the number a condition compares with: its own, or the budget's that it names, as `lines` say before the file."""
    if isinstance(condition.reaches, str):
        said = (lines or {}).get(condition.reaches)
        return said if said is not None else float(getattr(catalog.budgets, condition.reaches))
    return next(float(line) for line in (condition.above, condition.below, condition.reaches) if line is not None)


def _holds(condition: Condition, value: float, line: float) -> bool:
    if condition.above is not None:
        return value > line
    return value < line if condition.below is not None else value >= line


def _values(condition: Condition, catalog: Catalog, grown: Grown) -> Iterator[tuple[str, float]]:
    """Each subject's value; none where nothing was measured: a mean of nothing is no number."""
    bounds = catalog.metrics[condition.metric].bounds or ()
    groups: dict[str, list[Growth]] = {}
    for each in grown(condition.metric, condition.window or 0):
        if all(each.labels[key] == value for key, value in condition.labels.items()):
            groups.setdefault(", ".join(each.labels[key] for key in condition.by), []).append(each)
    for subject, several in sorted(groups.items()):
        count = sum(each.count for each in several)
        if condition.show == "last":
            yield subject, max(each.last for each in several)
        elif condition.show == "growth":
            yield subject, sum(each.total for each in several)
        elif count > 0:
            mean = sum(each.total for each in several) / count
            yield subject, mean if condition.show == "mean" else quantile(0.95, bounds, _summed(several))


def _summed(several: Sequence[Growth]) -> list[int]:
    return [sum(column) for column in zip(*(each.buckets or () for each in several), strict=True)]


def quantile(part: float, bounds: Sequence[float], buckets: Sequence[int]) -> float:
    """Return where a part of the values lies below, straight within a bucket, as Prometheus reckons it.

    Beyond the last bound nothing is known: then it is that bound.
    """
    wanted, seen = part * sum(buckets), 0
    for n, inside in enumerate(buckets[:-1]):
        if inside and seen + inside >= wanted:
            low = bounds[n - 1] if n else min(0.0, bounds[0])
            return low + (bounds[n] - low) * (wanted - seen) / inside
        seen += inside
    return bounds[-1]


class Counted(Noun):
    """The values of an objective's metric in a window: how many were good, how many bad, and how many in each bucket."""

    good: int
    bad: int
    buckets: tuple[int, ...]


def counted(objective: Objective, catalog: Catalog, several: Sequence[Growth]) -> Counted:
    """Return how an objective's values came out. Pure."""
    mine = [each for each in several if all(each.labels[key] == value for key, value in objective.labels.items())]
    buckets = tuple(_summed(mine)) if mine else ()
    below = sum(buckets[: (catalog.metrics[objective.metric].bounds or ()).index(objective.bound) + 1])
    good = below if objective.good_below is not None else sum(buckets) - below
    return Counted(good=good, bad=sum(buckets) - good, buckets=buckets)


def _burning(name: str, objective: Objective, catalog: Catalog, grown: Grown) -> Iterator[Happening]:
    """The burns of one objective that hold: too fast over the long window, and not over yet in the short one."""
    for burn in objective.burns:
        long, short = (_rate(objective, catalog, grown(objective.metric, window)) for window in (burn.long, burn.short))
        if long is not None and short is not None and min(long, short) > burn.rate:
            hours = f"{burn.long // 3600} h" if burn.long % 3600 == 0 else f"{burn.long // 60} min"
            yield Happening(
                alert=f"{name}_{burn.name}",
                subject="",
                severity=burn.severity,
                message=f"{objective.title}: over the last {hours} missed {long:.1f} times as often as allowed",
                what_to_do=objective.what_to_do,
                value=long,
                threshold=burn.rate,
            )


def _rate(objective: Objective, catalog: Catalog, several: Sequence[Growth]) -> float | None:
    """How many times faster than allowed bad values came; None where none came at all."""
    seen = counted(objective, catalog, several)
    values = seen.good + seen.bad
    return seen.bad / values / (1 - objective.goal) if values else None


def _said(title: str, subject: str, condition: Condition, catalog: Catalog, value: float, line: float) -> str:
    unit = catalog.metrics[condition.metric].unit
    shown, other = (f"${n:,.2f}" if unit == "USD" else f"{n:.4g}{' s' if unit == 's' else ''}" for n in (value, line))
    than = "below" if condition.below is not None else "above" if condition.above is not None else "and the line is"
    over = f" over {condition.window // 60} min" if condition.window else ""
    what = {"last": condition.metric, "growth": f"{condition.metric}{over}"}.get(
        condition.show, f"{condition.show} of {condition.metric}{over}"
    )
    return f"{title}{f' ({subject})' if subject else ''}: {what} is {shown}, {than} {other}"
