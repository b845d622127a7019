"""How Airflow's connections tell people and programs: e-mail and Slack through Airflow's own notifiers, webhooks through ours."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from airflow.sdk.log import mask_secret

from aiprod import settings
from aiprod.channels import Email, Slack, Webhook
from aiprod.errors import ConfigError, NoticeRefused
from aiprod.notifying import Message, Sender, log_sender, webhook_sender
from aiprod_airflow.hooks.connections import find

__all__ = ["senders"]

#: Seconds for one step of a mail server, or for Slack's answer.
_PATIENCE = 10


def senders() -> Mapping[str, Sender]:
    """Return a sender for every kind of channel."""
    return {"log": log_sender, "webhook": webhook_sender(_secret), "email": _mail, "slack": _slack}


def _secret(channel: Webhook) -> str:
    """The secret of a webhook, kept out of this process's logs."""
    if channel.secret_conn is None:
        found = settings.secret(channel.secret_env or "")
    else:
        connection = find(channel.secret_conn)
        found = (connection.password if connection else "") or ""
        if not found:
            raise ConfigError(f"connection {channel.secret_conn} does not exist, or has no password")
    mask_secret(found)
    return found


def _mail(channel: Email, message: Message) -> None:
    # Only here: they bring their servers' libraries, and most rounds tell nobody.
    from airflow.providers.smtp.hooks.smtp import SmtpHook
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    class Brief(SmtpHook):
        """Asks a mail server once: whoever is not reached is told again later."""

        smtp_retry_limit = 0  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType] - read, never called
        timeout = _PATIENCE  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    class Notifier(SmtpNotifier):
        @cached_property
        def hook(self) -> SmtpHook:
            return Brief(smtp_conn_id=self.smtp_conn_id, auth_type=self.auth_type)

    lines = "".join(f"<li>{html.escape(line)}</li>" for line in message.lines)
    notifier = Notifier(
        to=list(channel.to),
        from_email=channel.sender,
        # A header ends with its line, and a customer's words may not begin another.
        subject=" ".join(f"AIPROD: {message.subject}".split()),
        html_content=f"<p>{html.escape(message.subject)}</p><ul>{lines}</ul>",
        custom_headers={"X-AIPROD-Message": message.id},
        smtp_conn_id=channel.conn,
    )
    _told(notifier)


def _slack(channel: Slack, message: Message) -> None:
    from airflow.providers.slack.notifications.slack import SlackNotifier

    text = "\n".join([f"*{_plain(message.subject)}*", *(f"• {_plain(line)}" for line in message.lines)])
    notifier = SlackNotifier(
        slack_conn_id=channel.conn,
        channel=channel.channel,
        text=text,
        username="AIPROD",
        timeout=_PATIENCE,
        retry_handlers=[],
        unfurl_links=False,
        unfurl_media=False,
    )
    _told(notifier)


def _told(notifier: Any) -> None:
    """Let a notifier send. Not by calling it: that renders its texts as templates, and some of them are a customer's."""
    try:
        notifier.notify({})
    except Exception as error:  # noqa: BLE001 - whatever a mail or chat library raises; its words may hold what it was given
        raise NoticeRefused(type(error).__name__) from None


def _plain(text: str) -> str:
    """A text in Slack's markup that calls nobody and links nowhere."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
