"""Whom to tell what: the channels and routes of `notifications.yaml`, and the closed list of what there is to tell."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from aiprod.addresses import public_https
from aiprod.models import Noun

__all__ = ["TOPICS", "Channel", "Email", "Log", "Notifications", "Route", "Slack", "Webhook"]

#: Every topic the ledger emits, with what it means to whoever is told.
TOPICS: dict[str, str] = {
    "approval_wanted": "A person is asked whether to spend",
    "review_wanted": "A person is asked to look at a finished video",
    "job_delivered": "A video is delivered",
    "job_rejected": "A person said no",
    "job_expired": "Nobody answered in time",
    "job_cancelled": "A job was cancelled",
    "job_failed": "A run ended without a video",
    "campaign_digest": "How a campaign stands",
    "campaign_paused": "A campaign was paused",
    "campaign_resumed": "A campaign goes on",
    "campaign_cancelled": "A campaign was cancelled",
    "purchase_parked": "A purchase waits for a person",
    "purchase_unknown": "The answer of a vendor was lost",
    "purchase_late": "A render takes longer than it should",
    "purchase_resolved": "A person answered for a parked purchase",
    "cancel_asked": "A vendor was asked to stop a render",
    "charge_adjusted": "A charge was corrected",
    "vendor_overbilled": "A vendor billed more than was held",
    "duplicate_vendor_job": "A vendor made the same render twice",
    "written_off_turned_up": "A render that was written off turned up",
    "bill_unknown_charge": "A bill has a charge that nobody knows",
    "budget_warning": "A budget is nearly used up",
    "budget_set": "A budget was set",
    "budget_cleared": "A budget follows the configuration again",
    "cap_lowered": "A budget is lower than what is spent",
    "purchasing_stopped": "Purchasing was stopped",
    "purchasing_opened": "Purchasing was opened again",
    "ledger_restored": "The ledger was restored from a backup",
    "invariant_broken": "The books contradict themselves",
    "alert_raised": "An alert was raised",
    "alert_resolved": "An alert was resolved",
}

_Env = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
_Conn = Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,200}$")]
_Named = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class Webhook(Noun):
    """A program that is told by a signed POST. Its secret is in an environment variable, or an Airflow connection's password."""

    kind: Literal["webhook"]
    url: str
    secret_env: _Env | None = None
    secret_conn: _Conn | None = None

    _public = field_validator("url")(lambda url: public_https(url))

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.secret_env is None) == (self.secret_conn is None):
            raise ValueError("a webhook is signed: give either secret_env or secret_conn")
        return self


class Email(Noun):
    """People who are told by e-mail, through an Airflow connection of type SMTP."""

    kind: Literal["email"]
    conn: _Conn
    #: A server that answers slowly is asked about each of them; together they must not outlast a relay's claim.
    to: Annotated[tuple[_Named, ...], Field(min_length=1, max_length=20)]
    sender: _Named | None = None


class Slack(Noun):
    """A Slack channel, through an Airflow connection of type Slack API."""

    kind: Literal["slack"]
    conn: _Conn
    channel: _Named


class Log(Noun):
    """The log of whoever relays."""

    kind: Literal["log"]


Channel = Annotated[Webhook | Email | Slack | Log, Field(discriminator="kind")]


class Route(Noun):
    """Which topics go to which channels; of some projects only where it names any. `*` is every topic."""

    topics: Annotated[tuple[str, ...], Field(min_length=1)]
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    projects: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @field_validator("topics")
    @classmethod
    def _known(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [topic for topic in topics if topic not in TOPICS and topic != "*"]
        if unknown:
            raise ValueError(f"no such topic: {', '.join(unknown)}; known: {', '.join(TOPICS)}, *")
        return topics

    def takes(self, topic: str, project: str | None) -> bool:
        """Whether an event goes this way. What is no project's goes no project's way."""
        return (topic in self.topics or "*" in self.topics) and (self.projects is None or project in self.projects)


class Notifications(Noun):
    """Every channel by its name, and the routes to them."""

    channels: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")], Channel]
    routes: tuple[Route, ...]

    @model_validator(mode="after")
    def _lead_somewhere(self) -> Self:
        unknown = {name for route in self.routes for name in route.channels if name not in self.channels}
        if unknown:
            raise ValueError(f"routes name unknown channels: {', '.join(sorted(unknown))}")
        return self

    def channels_for(self, topic: str, project: str | None) -> tuple[str, ...]:
        """The channels that an event goes to, each once, in the order of the file."""
        wanted = {name for route in self.routes if route.takes(topic, project) for name in route.channels}
        return tuple(name for name in self.channels if name in wanted)
