"""How each backend stands, from its key to its price, without spending anything."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from aiprod.backends import backend, why_not_configured
from aiprod.backends.judges import why_no_judge
from aiprod.catalog import Catalog
from aiprod.errors import AiprodError, BackendError, FailureKind
from aiprod.models import Checkup, Noun
from aiprod.pricing import old_prices

__all__ = ["Examined", "examine", "examine_judge"]


class Examined(Noun):
    """What was found of one backend. `missing` says why it is not configured; the rest is then not known."""

    backend: str
    title: str
    missing: str = ""
    reachable: Literal["yes", "no", "unknown"] = "unknown"
    authenticated: Literal["yes", "no", "unknown"] = "unknown"
    left: str = ""
    #: What keeps it from being bought from, and what a person should look at, in plain sentences.
    troubles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def examine(catalog: Catalog, name: str, *, today: date) -> Examined:
    """Ask one backend how our account stands. What it answers, or does not, is told; nothing is raised."""
    entry = catalog.backends[name]
    old = [p for p in old_prices(catalog.prices, today) if p.backend == name]
    notes = dict.fromkeys(f"{p.model}: its price is of {p.valid_from}, compare it with the vendor's page" for p in old)
    found = Examined(backend=name, title=entry.title, missing=why_not_configured(catalog, name), notes=tuple(notes))
    if found.missing:
        return found
    try:
        checkup = backend(catalog, name).checkup()
    except BackendError as error:
        answered = error.kind not in (FailureKind.TRANSIENT, FailureKind.TIMEOUT)
        refused = error.kind is FailureKind.AUTH
        return found.model_copy(
            update={
                "reachable": "yes" if answered else "no",
                "authenticated": "no" if refused else "unknown",
                "troubles": (str(error),),
            }
        )
    except AiprodError as error:
        return found.model_copy(update={"troubles": (str(error),)})
    return _told(found, checkup, embedded=entry.embedded)


def examine_judge(catalog: Catalog, *, today: date) -> Examined | None:
    """Say how the judge of takes stands, without asking it: every question to one is paid. None when none is in force."""
    name, entry = catalog.quality.semantic.judge, catalog.judge
    if name is None or entry is None:
        return None
    prices = [p for p in catalog.prices.judging if (p.judge, p.model) == (name, entry.model) and p.valid_from <= today]
    since = max((p.valid_from for p in prices), default=None)
    troubles = [] if since else [f"{entry.model} has no price in tariff {catalog.prices.name}: takes are not judged"]
    old = since is not None and since < today - timedelta(days=90)
    notes = [f"{entry.model}: its price is of {since}, compare it with the vendor's page"] if old else []
    notes += [] if catalog.quality.semantic.calibration else ["its scores are not calibrated against people's words"]
    return Examined(backend=name, title=entry.title, missing=why_no_judge(catalog), troubles=tuple(troubles), notes=tuple(notes))


def _told(found: Examined, checkup: Checkup, *, embedded: bool) -> Examined:
    troubles = [f"{model} is not offered any more: take it out of backends.yaml" for model in checkup.retired]
    if checkup.authenticated == "no":
        troubles.append("the key is refused")
    return found.model_copy(
        update={
            "reachable": "yes",
            "authenticated": "yes" if embedded else checkup.authenticated,
            "left": "no cost" if embedded else checkup.left,
            "troubles": tuple(troubles),
            "notes": (*found.notes, *checkup.notes),
        }
    )
