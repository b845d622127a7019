"""Tells people and programs what the ledger tells: from the outbox to every channel that a route leads to.

Each channel is served by itself, so that a slow one holds up no other. A message is marked as sent after its receiver took
it, so that none is lost; who is killed in between sends it again, under the same id.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from aiprod import settings, webhooks
from aiprod.catalog import Catalog
from aiprod.channels import TOPICS, Channel, Webhook
from aiprod.errors import AiprodError, ConfigError
from aiprod.ledger import Connection, Ledger, notices, outbox
from aiprod.ledger.engine import now as database_now
from aiprod.ledger.notices import About, Claimed
from aiprod.ledger.outbox import Event
from aiprod.models import Noun, dollars

__all__ = ["PLAIN", "Message", "Sender", "Told", "log_sender", "relay", "webhook_sender"]

log = logging.getLogger(__name__)

#: How long one channel is served in one round, in seconds, and how many of its failures end it earlier.
_PATIENCE, _FAILURES = 45.0, 3
#: Events named in one message to people; a program gets them all.
_NAMED = 20


class Message(Noun):
    """One message as it goes out. Programs get `body`, a JSON object; people get `subject` and `lines`."""

    id: str
    at: datetime
    body: dict[str, Any]
    subject: str
    lines: tuple[str, ...]


class Told(Noun):
    """What one round came to: events that left the outbox, messages sent, what went wrong, and what was given up."""

    events: int = 0
    sent: int = 0
    troubles: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()


#: Sends one message to a channel of its kind, or raises; `NoticeRefused` where the receiver said no. Bounded in time.
Sender = Callable[[Any, Message], None]


def relay(ledger: Ledger, catalog: Catalog, senders: Mapping[str, Sender], *, patience: float = _PATIENCE) -> Told:
    """Tell every channel what is due for it, once; with nothing to tell it reads, and writes nothing.

    `senders` by the kind of channel. Any number of relays may run at once.
    """
    with ledger.read() as conn:
        now = database_now(conn)
        waiting, due = outbox.waiting(conn, now=now), notices.due(conn, now=now)
    if not waiting and not due:
        return Told()
    events = _spread(ledger, catalog) if waiting else 0
    with ledger.read() as conn:
        due = notices.due(conn, now=database_now(conn))
    rounds = []
    with ThreadPoolExecutor(max(1, len(due))) as pool:
        begun = [pool.submit(_served, ledger, catalog, name, senders, patience) for name in due]
        rounds = [future.result() for future in begun]
    return Told(
        events=events,
        sent=sum(done.sent for done in rounds),
        troubles=tuple(line for done in rounds for line in done.troubles),
        given_up=tuple(line for done in rounds for line in done.given_up),
    )


def _spread(ledger: Ledger, catalog: Catalog) -> int:
    """Put every waiting event before its channels; return how many events."""
    count = 0
    while True:
        with ledger.write() as conn:
            batch = notices.spread(conn, catalog.notifications.channels_for, now=database_now(conn))
        count += batch
        if not batch:
            return count


def _served(ledger: Ledger, catalog: Catalog, name: str, senders: Mapping[str, Sender], patience: float) -> Told:
    """Send one channel what is due for it, until nothing is, it fails too often, or its time is over."""
    channel = catalog.notifications.channels.get(name)
    if channel is None:
        with ledger.write() as conn:
            left = notices.drop(conn, name, "the channel is not configured any more")
        return Told(given_up=(f"{name}: not configured any more, {left} events",))
    if channel.kind not in senders:
        return Told(troubles=(f"{name}: nothing here sends {channel.kind}; the DAG `notify` does",))
    sent, troubles, given_up, ends = 0, list[str](), list[str](), time.monotonic() + patience
    while len(troubles) < _FAILURES and time.monotonic() < ends:
        claimed = ledger.transact(lambda conn: notices.claim(conn, name, now=database_now(conn)))
        if claimed is None:
            break
        why = _tried(ledger, channel, senders[channel.kind], claimed)
        if why is None:
            _note_sent(ledger, name, claimed.message)
            sent += 1
            continue
        line = f"{name}: {claimed.message} ({claimed.events[0].topic}): {why}"
        troubles.append(line)
        given_up += [line] if _note_failed(ledger, name, claimed.message, why) else []
    return Told(sent=sent, troubles=tuple(troubles), given_up=tuple(given_up))


def _note_sent(ledger: Ledger, name: str, message: str) -> None:
    ledger.transact(lambda conn: notices.sent(conn, name, message, now=database_now(conn)))


def _note_failed(ledger: Ledger, name: str, message: str, why: str) -> bool:
    return ledger.transact(lambda conn: notices.failed(conn, name, message, why, now=database_now(conn)))


def _tried(ledger: Ledger, channel: Channel, send: Sender, claimed: Claimed) -> str | None:
    """Send one message; return why it was not taken, or None. Whatever a sender raises, the next message gets its turn."""
    try:
        with ledger.read() as conn:
            message = _message(conn, claimed)
        send(channel, message)
    except AiprodError as error:
        return str(error)[:300]
    except Exception as error:  # noqa: BLE001 - whatever a mail or chat library raises; its words may hold what it was given
        return type(error).__name__
    return None


def _message(conn: Connection, claimed: Claimed) -> Message:
    told = [(event, notices.about(conn, event)) for event in claimed.events]
    parts = [_part(event, about) for event, about in told]
    first, about = told[0]
    means = TOPICS.get(first.topic, first.topic)
    if len(told) == 1:
        name = f"{about.job_id}: {about.title}" if about.title else about.job_id or str(first.payload.get("message", ""))
        body = {"type": first.topic, "id": claimed.message, **parts[0]}
        subject, lines = f"{means} – {name}" if name else means, _lines(body)
    else:
        data = {"type": first.topic, "count": len(told), "events": parts}
        body = {"type": "digest", "id": claimed.message, "at": first.created_at.isoformat(), "data": data}
        subject = f"{len(told)} × {means}"
        named = zip(told[:_NAMED], parts, strict=False)
        lines = [f"{about.job_id}: {about.title}" if about.title else "; ".join(_lines(part)) for (_, about), part in named]
        lines += [f"… and {len(told) - _NAMED} more"] if len(told) > _NAMED else []
    return Message(id=claimed.message, at=first.created_at, body=body, subject=subject, lines=tuple(lines))


def _part(event: Event, about: About) -> dict[str, Any]:
    """One event for a program."""
    part: dict[str, Any] = {"at": event.created_at.isoformat(), "data": dict(event.payload)}
    if about.job_id:
        part |= {"job_id": about.job_id, "project": about.project}
        part["data"] |= {"title": about.title}
        if base := settings.public_url():
            part["url"] = f"{base}/aiprod/job/{about.job_id}"
    return part


def _lines(body: Mapping[str, Any]) -> list[str]:
    """One event for people: a line per fact, amounts in dollars."""
    lines = [f"project: {body['project']}"] if body.get("project") else []
    for name, value in body["data"].items():
        if name.endswith("_micros") and isinstance(value, int):
            lines.append(f"{name.removesuffix('_micros')}: {dollars(value)}")
        elif name not in ("job_id", "title") and value not in (None, "", []):
            lines.append(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return [*lines, body["url"]] if "url" in body else lines


def log_sender(channel: Channel, message: Message) -> None:
    """Write a message to the log."""
    log.info("%s (%s)", message.subject, "; ".join(message.lines))


def webhook_sender(secret_of: Callable[[Webhook], str] | None = None, **reached: Any) -> Sender:
    """Return a sender of signed POSTs. `secret_of` looks a channel's secret up; without it, in the environment.

    `reached` goes on to `webhooks.deliver`.
    """

    def send(channel: Webhook, message: Message) -> None:
        secret = secret_of(channel) if secret_of else _from_environment(channel)
        body = json.dumps(message.body, separators=(",", ":"), ensure_ascii=False).encode()
        at = datetime.now(message.at.tzinfo)
        webhooks.deliver(channel.url, message.id, body, secret=secret, at=at, **reached)

    return send


def _from_environment(channel: Webhook) -> str:
    if channel.secret_env is None:
        raise ConfigError(f"connection {channel.secret_conn} is Airflow's, and this is not one of its tasks")
    return settings.secret(channel.secret_env)


#: What needs nobody's connection.
PLAIN: Mapping[str, Sender] = {"log": log_sender, "webhook": webhook_sender()}
