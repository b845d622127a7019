"""What Airflow's own notifiers are given: the words as they are, never as templates, and nobody's secret."""

from __future__ import annotations

import smtplib
from datetime import UTC, datetime
from email import message_from_string
from typing import Any

import pytest

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.providers.slack.hooks.slack import SlackHook
from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException

from aiprod.channels import Email, Slack, Webhook
from aiprod.errors import ConfigError, NoticeRefused
from aiprod.notifying import Message, Told
from aiprod.pipeline import Pipeline
from aiprod_airflow import steps, telling
from tests.receiver import SECRET

EVIL = "job-1: {{ 7*7 }} <!channel> <b>&\r\nBcc: all@example.com"
MESSAGE = Message(id="msg_1", at=datetime(2026, 11, 23, tzinfo=UTC), body={"type": "x"}, subject=EVIL, lines=(EVIL,))
MAIL = Email(kind="email", conn="post", to=("a@example.com", "b@example.com"), sender="aiprod@example.com")


class Server:
    """A mail server that keeps what it is given, or refuses."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.connections: list[dict[str, Any]] = []
        self.problem: Exception | None = None

    def SMTP(self, **arguments: Any) -> Server:
        self.connections.append(arguments)
        if self.problem is not None:
            raise self.problem
        return self

    def sendmail(self, *, from_addr: str, to_addrs: list[str], msg: str) -> None:
        self.mails.append((from_addr, to_addrs, message_from_string(msg)))

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    known = Connection(
        conn_id="post", conn_type="smtp", host="127.0.0.1", port=2525, extra='{"disable_ssl": true, "disable_tls": true}'
    )
    monkeypatch.setattr(SmtpHook, "get_connection", lambda self, conn_id: known)
    monkeypatch.setattr(smtplib, "SMTP", made.SMTP)
    monkeypatch.setattr(smtplib, "SMTP_SSL", made.SMTP)
    return made


class TestMail:
    def test_it_goes_to_everybody_with_the_id_and_the_words_as_they_are(self, server: Server) -> None:
        telling.senders()["email"](MAIL, MESSAGE)
        ((sender, to, mail),) = server.mails
        assert (sender, to) == ("aiprod@example.com", ["a@example.com", "b@example.com"])
        assert mail["X-AIPROD-Message"] == "msg_1" and mail["Bcc"] is None
        assert "{{ 7*7 }}" in mail["Subject"]
        (html,) = [part.get_payload(decode=True).decode() for part in mail.walk() if part.get_content_type() == "text/html"]
        assert "&lt;b&gt;&amp;" in html and "<b>" not in html and "{{ 7*7 }}" in html

    def test_a_server_that_is_not_there_is_asked_once_and_for_ten_seconds(self, server: Server) -> None:
        server.problem = smtplib.SMTPServerDisconnected("SECRET-CANARY")
        with pytest.raises(NoticeRefused) as refused:
            telling.senders()["email"](MAIL, MESSAGE)
        assert "CANARY" not in str(refused.value)
        assert [said["timeout"] for said in server.connections] == [10]


class TestSlack:
    def test_it_is_posted_once_without_calling_anybody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        called: list[tuple[str, dict[str, Any]]] = []
        monkeypatch.setattr(SlackHook, "call", lambda self, method, json: called.append((method, json)))
        telling.senders()["slack"](Slack(kind="slack", conn="chat", channel="#videos"), MESSAGE)
        ((method, said),) = called
        assert (method, said["channel"]) == ("chat.postMessage", "#videos")
        assert "<" not in said["text"] and "&lt;!channel&gt;" in said["text"] and "{{ 7*7 }}" in said["text"]

    def test_a_refusal_keeps_its_words_to_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise RuntimeError("xoxb-SECRET-CANARY")

        monkeypatch.setattr(SlackHook, "call", refuse)
        with pytest.raises(NoticeRefused, match=r"^RuntimeError$"):
            telling.senders()["slack"](Slack(kind="slack", conn="chat", channel="#videos"), MESSAGE)


class TestSecretOfAWebhook:
    HOOK = Webhook(kind="webhook", url="https://shop.example/hook", secret_conn="shop")

    def test_it_is_a_connections_password_and_kept_out_of_the_logs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hidden: list[str] = []
        monkeypatch.setattr(telling, "mask_secret", hidden.append)
        monkeypatch.setattr(telling, "find", lambda conn_id: Connection(conn_id=conn_id, conn_type="generic", password=SECRET))
        assert telling._secret(self.HOOK) == SECRET == hidden[0]

    def test_or_the_environments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIPROD_HOOK_SECRET", SECRET)
        assert telling._secret(Webhook(kind="webhook", url=self.HOOK.url, secret_env="AIPROD_HOOK_SECRET")) == SECRET

    @pytest.mark.parametrize("found", [None, Connection(conn_id="shop", conn_type="generic")])
    def test_a_connection_without_one_is_named(self, monkeypatch: pytest.MonkeyPatch, found: Connection | None) -> None:
        monkeypatch.setattr(telling, "find", lambda conn_id: found)
        with pytest.raises(ConfigError, match="connection shop does not exist, or has no password"):
            telling._secret(self.HOOK)


class TestStep:
    def test_it_is_red_when_something_was_given_up_and_not_while_it_is_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = Told(events=1, troubles=("shop: msg_1: no",))
        monkeypatch.setattr(Pipeline, "relay", lambda self, senders: told)
        steps.notify()
        told = Told(given_up=("shop: msg_1: no", "office: msg_2: no"))
        with pytest.raises(AirflowFailException, match="shop: msg_1: no\noffice: msg_2: no"):
            steps.notify()
