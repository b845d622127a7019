"""Every event reaches every channel it is meant for: once where nothing breaks, and never not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import text

from aiprod import notifying
from aiprod.catalog import Catalog
from aiprod.channels import Channel, Log, Notifications, Route, Webhook
from aiprod.errors import JobFailed, NoticeRefused
from aiprod.ledger import Ledger, jobs, notices, outbox, purchases
from aiprod.ledger.notices import LEASE, MANY
from aiprod.models import JobSpec
from aiprod.notifying import Message, Sender, Told, log_sender, relay, webhook_sender
from tests.desk import NOW, race, race_of_processes
from tests.market import RUN, Market, killed, lethal
from tests.receiver import SECRET, Receiver, receiving

MINUTE = timedelta(minutes=1)
LOG = Log(kind="log")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("AIPROD_HOOK_SECRET", SECRET)
    with receiving() as opened:
        yield opened


@dataclass
class Office:
    """A ledger at a time of ours, channels, and whoever relays."""

    ledger: Ledger
    catalog: Catalog
    senders: dict[str, Sender]
    now: datetime = NOW

    def tell(self, *keys: str, topic: str = "job_cancelled", **payload: Any) -> None:
        with self.ledger.write() as conn:
            for key in keys:
                outbox.emit(conn, key, topic, now=self.now, **payload)

    def relay(self) -> Told:
        return relay(self.ledger, self.catalog, self.senders)

    def after(self, passed: timedelta) -> Told:
        self.now += passed
        return self.relay()


def routed(catalog: Catalog, *topics: str, **channels: Channel) -> Catalog:
    """A catalogue that tells these channels of some topics, or of all."""
    routes = (Route(topics=topics or ("*",), channels=tuple(channels)),)
    told = Notifications.model_construct(channels=channels, routes=routes)
    return catalog.model_copy(update={"notifications": told})


def hook(receiver: Receiver) -> Webhook:
    # No configuration could name this address: it is neither https nor public.
    return Webhook.model_construct(
        kind="webhook", url=f"{receiver.origin}/hook", secret_env="AIPROD_HOOK_SECRET", secret_conn=None
    )


@pytest.fixture
def office(ledger_url: str, config: Catalog, receiver: Receiver) -> Office:
    """On each database; everything is told to one program."""
    senders = {"webhook": webhook_sender(own=(receiver.origin,)), "log": log_sender}
    made = Office(Ledger(ledger_url), routed(config, shop=hook(receiver)), senders)
    made.ledger = Ledger(ledger_url, clock=lambda: made.now)
    return made


def broken(channel: Channel, message: Message) -> None:
    raise NoticeRefused("it said no")


class TestRelay:
    def test_an_event_arrives_once_signed_and_with_everything_a_program_needs(
        self, office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIPROD_PUBLIC_URL", "https://airflow.example/")
        with office.ledger.write() as conn:
            jobs.enter(conn, "job-1", JobSpec(prompt="a lighthouse in a storm, filmed from far away", project="acme"), now=NOW)
        office.tell("job-1.cancelled", job_id="job-1", by="ann")
        assert office.relay() == Told(events=1, sent=1)
        assert office.after(LEASE) == office.after(30 * LEASE) == Told()
        (body,) = receiver.bodies
        assert body == {
            "type": "job_cancelled",
            "id": receiver.ids[0],
            "at": NOW.isoformat(),
            "job_id": "job-1",
            "project": "acme",
            "url": "https://airflow.example/aiprod/job/job-1",
            "data": {"job_id": "job-1", "by": "ann", "title": "a lighthouse in a storm, filmed from fa…"},
        }

    def test_with_nothing_to_tell_it_reads_a_little_and_writes_nothing(self, office: Office) -> None:
        asked: list[str] = []
        sql_event.listen(office.ledger.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
        assert office.relay() == Told()
        assert len([line for line in asked if line.split()[0] == "SELECT"]) == 2
        assert not [line for line in asked if line.split()[0] in ("INSERT", "UPDATE", "DELETE")]

    def test_an_event_that_no_route_takes_is_done_with(self, office: Office, receiver: Receiver) -> None:
        office.catalog = routed(office.catalog, "job_failed", shop=hook(receiver))
        office.tell("a")
        assert office.relay() == Told(events=1)
        assert office.relay() == Told() and receiver.ids == []

    def test_many_of_one_kind_in_one_minute_are_one_message(self, office: Office, receiver: Receiver) -> None:
        office.tell(*(f"e{n}" for n in range(MANY + 2)), job_id="nobody")
        office.tell("other", topic="job_failed")
        assert office.relay().sent == 2
        digest = next(body for body in receiver.bodies if body["type"] == "digest")
        assert (digest["data"]["type"], digest["data"]["count"]) == ("job_cancelled", MANY + 2)
        assert [part["job_id"] for part in digest["data"]["events"]] == ["nobody"] * (MANY + 2)

    def test_a_refusal_is_tried_again_under_the_same_id_until_it_is_taken(self, office: Office, receiver: Receiver) -> None:
        receiver.answers = [500, 302, 204]
        office.tell("a")
        assert "HTTP 500" in office.relay().troubles[0] and office.relay() == Told()
        assert "HTTP 302" in office.after(MINUTE).troubles[0]
        assert office.after(2 * MINUTE) == Told(sent=1)
        assert len(receiver.ids) == 3 and len(set(receiver.ids)) == 1
        assert office.after(100 * LEASE) == Told()

    def test_what_is_given_up_after_a_day_is_said_and_stays_visible(self, office: Office) -> None:
        office.senders["webhook"] = broken
        office.tell("a")
        office.relay()
        with office.ledger.write() as conn:
            conn.execute(text("UPDATE notices SET tries = :n"), {"n": notices.TRIES - 2})
        told = [office.after(timedelta(hours=1)) for _ in range(3)]
        assert [bool(done.given_up) for done in told] == [False, True, False]
        with office.ledger.read() as conn:
            assert [(left.event_key, left.trouble) for left in notices.given_up(conn)] == [("a", "it said no")]

    def test_a_receiver_that_is_down_is_left_alone_after_a_few_messages(self, office: Office) -> None:
        office.senders["webhook"] = broken
        for n in range(6):
            office.tell(f"e{n}", topic=("job_failed", "job_cancelled", "budget_set")[n % 3])
        assert [len(office.relay().troubles) for _ in range(3)] == [3, 3, 0]

    def test_a_slow_channel_holds_up_no_other(self, office: Office, receiver: Receiver) -> None:
        def slow(channel: Channel, message: Message) -> None:
            assert receiver.heard.wait(10), "the other channel waited for this one"

        office.senders["log"] = slow
        office.catalog = routed(office.catalog, a_slow=LOG, shop=hook(receiver))
        office.tell("a")
        assert office.relay() == Told(events=1, sent=2)

    def test_whatever_a_sender_raises_the_next_message_gets_its_turn_and_no_secret_is_kept(self, office: Office) -> None:
        def wild(channel: Channel, message: Message) -> None:
            raise RuntimeError("SECRET-CANARY")

        office.senders["webhook"] = wild
        office.tell("a")
        office.tell("b", topic="job_failed")
        told = office.relay()
        assert [line.rpartition(": ")[2] for line in told.troubles] == ["RuntimeError", "RuntimeError"]

    def test_a_secret_that_is_missing_is_named_and_the_event_waits(
        self, office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office.tell("a")
        with monkeypatch.context() as patch:
            patch.delenv("AIPROD_HOOK_SECRET")
            assert office.relay().troubles[0].endswith("AIPROD_HOOK_SECRET is not set")
        assert office.after(MINUTE) == Told(sent=1)

    def test_what_nothing_here_can_send_waits_for_who_can(self, office: Office, receiver: Receiver) -> None:
        able = office.senders
        office.senders = {}
        office.tell("a")
        assert "nothing here sends webhook" in office.relay().troubles[0]
        office.senders = able
        assert office.relay().sent == 1

    def test_a_channel_that_was_taken_out_of_the_file_is_given_up(self, office: Office, config: Catalog) -> None:
        office.senders["webhook"] = broken
        office.tell("a")
        office.relay()
        office.catalog = config
        assert office.after(MINUTE).given_up == ("shop: not configured any more, 1 events",)
        assert office.after(MINUTE) == Told()


class TestBreakingOff:
    def test_who_dies_before_it_sends_loses_nothing(self, office: Office, receiver: Receiver) -> None:
        office.tell("a")

        def dying() -> None:
            lethal(notifying, "_tried")
            office.relay()

        killed(dying)
        assert office.relay() == Told() and receiver.ids == []
        assert office.after(LEASE) == Told(sent=1)
        assert receiver.told == ["job_cancelled"]

    def test_who_dies_before_the_event_left_the_outbox_loses_nothing(self, office: Office, receiver: Receiver) -> None:
        office.tell("a")

        def dying() -> None:
            lethal(outbox, "delivered")
            office.relay()

        killed(dying)
        assert office.relay() == Told(events=1, sent=1)

    def test_an_answer_that_is_lost_is_told_again_under_the_same_id(self, office: Office, receiver: Receiver) -> None:
        office.tell(*(f"e{n}" for n in range(MANY)))

        def dying() -> None:
            lethal(notifying, "_note_sent")
            office.relay()

        killed(dying)
        office.tell(*(f"late{n}" for n in range(MANY)))
        assert office.after(LEASE).sent == 2
        again, first = len(receiver.ids), receiver.ids[0]
        assert again == 3 and receiver.ids.count(first) == 2
        same = [body for body in receiver.bodies if body["id"] == first]
        assert same[0] == same[1]

    def test_two_relays_at_once_tell_everything_once(self, office: Office, receiver: Receiver) -> None:
        topics = ("job_failed", "job_cancelled", "budget_set", "purchase_late")
        for n in range(12):
            office.tell(f"e{n}", topic=topics[n % 4])
        done = race_of_processes(3, lambda _: office.relay().troubles)
        assert done == [(), (), ()]
        assert len(receiver.ids) == len(set(receiver.ids)) == 12
        assert race(2, lambda _: office.relay()) == [Told(), Told()]


class TestForPeople:
    def message(self, office: Office, *keys: str, **told: Any) -> Message:
        said: list[Message] = []
        office.senders["log"] = lambda channel, message: said.append(message)
        office.catalog = routed(office.catalog, people=LOG)
        office.tell(*keys, **told)
        office.relay()
        (message,) = said
        return message

    def test_amounts_are_dollars_and_empty_facts_are_left_out(self, office: Office) -> None:
        message = self.message(
            office, "a", topic="approval_wanted", job_id="job-1", version=2, amount_micros=1_500_000, kinds=["a", "b"], why=""
        )
        assert message.subject == "A person is asked whether to spend – job-1"
        assert message.lines == ("amount: $1.50", "kinds: a, b", "version: 2")

    def test_a_digest_names_twenty_and_counts_the_rest(self, office: Office) -> None:
        with office.ledger.write() as conn:
            jobs.enter(conn, "job-1", JobSpec(prompt="a lighthouse"), now=NOW)
        message = self.message(office, *(f"e{n}" for n in range(25)), job_id="job-1")
        assert message.subject == "25 × A job was cancelled"
        assert (len(message.lines), message.lines[0], message.lines[-1]) == (21, "job-1: a lighthouse", "… and 5 more")

    def test_a_digest_of_what_is_no_jobs_says_each(self, office: Office) -> None:
        message = self.message(office, *(f"e{n}" for n in range(MANY)), topic="budget_set", scope="day", cap_micros=5_000_000)
        assert message.lines == ("cap: $5.00; scope: day",) * MANY


class TestWhatIsTold:
    """The steps of a job, and what the outbox has of them."""

    def topics(self, market: Market) -> list[str]:
        with market.ledger.read() as conn:
            return [row.topic for row in conn.exec_driver_sql("SELECT topic FROM outbox ORDER BY id")]

    def test_a_question_about_money_is_told_once_with_what_it_is_about_now(self, local_market: Market) -> None:
        local_market.order(preset="brand_campaign")
        for _ in range(2):
            question = local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        (told,) = local_market.events("approval_wanted")
        assert (told["job_id"], told["version"], told["amount_micros"]) == ("job-1", 1, question.amount)
        assert datetime.fromisoformat(told["answer_by"]) - datetime.fromisoformat(told["as_of"]) == question.answer_within
        local_market.edit()
        local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        assert [told["version"] for told in local_market.events("approval_wanted")] == [1, 2]

    @pytest.mark.parametrize("word", ["rejected", "expired"])
    def test_a_no_and_no_answer_are_told_once(self, local_market: Market, word: Any) -> None:
        local_market.order(preset="brand_campaign")
        local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
        for _ in range(2):
            local_market.pipeline.answer_spend("job-1", word, by="ann", run_id=RUN, task_id="approve")
        local_market.pipeline.settle(RUN)
        assert self.topics(local_market) == ["approval_wanted", f"job_{word}"]

    def test_a_failed_run_is_told_without_anybodys_words(self, local_market: Market) -> None:
        bad = " ".join(f"[[{name}=fail]]" for name in ("runway", "veo3", "replicate"))
        local_market.approved(f"a CANARY {bad}")
        local_market.run("job-1")
        with pytest.raises(JobFailed):
            local_market.pipeline.assemble(["job-1"])
        for _ in range(2):
            local_market.pipeline.settle(RUN)
        (told,) = local_market.events("job_failed")
        assert told == {"job_id": "job-1", "version": 1, "stage": "assemble", "kinds": ["vendor_internal"]}

    def test_a_cancelled_job_is_told_as_cancelled_and_not_as_failed(self, local_market: Market) -> None:
        local_market.routed()
        local_market.cancel()
        local_market.pipeline.settle(RUN)
        assert self.topics(local_market) == ["job_cancelled"]

    def test_a_video_to_look_at_and_the_no_about_it_are_told(self, local_market: Market) -> None:
        local_market.with_preset(second_review=True)
        local_market.approved()
        local_market.run("job-1")
        local_market.pipeline.assemble(["job-1"])
        for _ in range(2):
            local_market.pipeline.review_question("job-1", run_id=RUN, task_id="review")
        local_market.pipeline.answer_review("job-1", "rejected", by="ann", run_id=RUN, task_id="review")
        local_market.pipeline.settle(RUN)
        assert self.topics(local_market) == ["review_wanted", "job_rejected"]

    def test_a_parked_purchase_is_told_with_its_job(self, mute_market: Market, receiver: Receiver) -> None:
        mute_market.bought("[[runway=lose]]")
        only = mute_market.only()
        with mute_market.ledger.write() as conn:
            purchases.park(conn, only.purchase_id, now=NOW)
        told = routed(mute_market.catalog, "purchase_parked", shop=hook(receiver))
        relay(mute_market.ledger, told, {"webhook": webhook_sender(own=(receiver.origin,))})
        assert [(body["type"], body["job_id"]) for body in receiver.bodies] == [("purchase_parked", "job-1")]


def test_the_pipeline_tells_the_log(local_market: Market, caplog: pytest.LogCaptureFixture) -> None:
    local_market.order(preset="brand_campaign")
    local_market.pipeline.spend_question("job-1", run_id=RUN, task_id="approve")
    with caplog.at_level("INFO", logger="aiprod.notifying"):
        assert local_market.pipeline.relay().sent == 1
    assert "A person is asked whether to spend – job-1: a lighthouse" in caplog.text
