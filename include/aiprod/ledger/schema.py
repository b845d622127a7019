"""The ledger's tables. Money is BIGINT micro-dollars, time BIGINT epoch microseconds, both exact on SQLite and Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import Float

#: INTEGER PRIMARY KEY is SQLite's row id; Postgres gets a BIGSERIAL.
_Serial = BigInteger().with_variant(Integer, "sqlite")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_microseconds(moment: datetime) -> int:
    """How a time is stored."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class Utc(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole epoch microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else epoch_microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=int(value))


LIVE = ("held", "submitting", "submitted")
OPEN = (*LIVE, "unknown")
STATES = (*OPEN, "succeeded", "failed", "cancelled", "rejected", "absent", "expired", "voided", "written_off")

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("changed_by", Text, nullable=False, server_default="aiprod"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("spec_sha", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("campaign", Text),
    Column("created_at", Utc, nullable=False),
    Column("cancelled_at", Utc),
    Column("cancelled_by", Text),
    #: Who ordered it; without a name, nobody who was logged in.
    Column("created_by", Text),
    Index("jobs_by_time", "created_at"),
    Index("jobs_by_project", "project", "created_at"),
    Index("jobs_by_campaign", "campaign", "created_at"),
)

#: A bulk order that is kept up with its source. Its money is a cap of the kind `campaign`.
campaigns = Table(
    "campaigns",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("source", Text, nullable=False),
    #: The template by which its videos are named.
    Column("naming", Text, nullable=False),
    #: How many of its jobs go through runs at the same time; without a number, as many as there is room for.
    Column("in_flight", Integer),
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("paused_at", Utc),
    Column("paused_by", Text),
    Column("cancelled_at", Utc),
    Column("cancelled_by", Text),
    CheckConstraint("in_flight > 0", name="in_flight_positive"),
)

#: Which job a row of a campaign's source stands for; a row that changed has another revision, the highest one counts.
campaign_rows = Table(
    "campaign_rows",
    metadata,
    Column("campaign", Text, ForeignKey("campaigns.campaign"), nullable=False),
    Column("row_key", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("job_id", Text, ForeignKey("jobs.job_id"), nullable=False),
    #: Where the row stood when it was entered.
    Column("line", Integer, nullable=False),
    Column("content_sha", Text, nullable=False),
    Column("entered_at", Utc, nullable=False),
    #: The name its video has been given, once it has one.
    Column("published", Text),
    PrimaryKeyConstraint("campaign", "row_key", "revision"),
    Index("campaign_rows_by_job", "job_id"),
)

#: A manifest version; its estimate and the backends it was priced for are frozen with it.
manifests = Table(
    "manifests",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.job_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("estimate", Text, nullable=False),
    Column("backends", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "version"),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, nullable=False),
    Column("job_id", Text, ForeignKey("jobs.job_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("settled_at", Utc),
    PrimaryKeyConstraint("run_id", "job_id"),
    Index("runs_by_job", "job_id", "version"),
)

#: Answers to "may this money be spent?"; an approved one is the envelope.
approvals = Table(
    "approvals",
    metadata,
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("answer", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("backends", Text, nullable=False),
    Column("attempts_per_shot", Integer, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("answered_by", Text, nullable=False),
    Column("answered_at", Utc, nullable=False),
    PrimaryKeyConstraint("job_id", "version", "sequence"),
    ForeignKeyConstraint(["job_id", "version"], ["manifests.job_id", "manifests.version"]),
    CheckConstraint("answer IN ('approved','rejected','expired')", name="approval_answer"),
    CheckConstraint("amount >= 0", name="approval_amount"),
)

#: What a person was shown first for a parked question; an answer counts only for this version.
shown = Table(
    "shown",
    metadata,
    Column("run_id", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    #: The SHA-256 of the cut that a review shows; empty for a question about money.
    Column("content", Text, nullable=False),
    Column("shown_at", Utc, nullable=False),
    PrimaryKeyConstraint("run_id", "task_id", "job_id"),
)

caps = Table(
    "caps",
    metadata,
    Column("cap_id", _Serial, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("stripe", Integer, nullable=False, server_default="0"),
    Column("lock_rank", Integer, nullable=False),
    Column("starts_at", Utc),
    Column("ends_at", Utc),
    Column("cap", BigInteger, nullable=False),
    #: Who set this amount by hand; without a name it follows the configuration.
    Column("set_by", Text),
    Column("warn", BigInteger),
    Column("warned_at", Utc),
    Column("reserved", BigInteger, nullable=False, server_default="0"),
    Column("settled", BigInteger, nullable=False, server_default="0"),
    Column("overrun", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("kind", "key", "stripe"),
    CheckConstraint("reserved >= 0 AND overrun >= 0 AND cap >= 0", name="cap_not_negative"),
    # The last line of defence: code that admits too much aborts here.
    CheckConstraint("reserved + settled <= cap + overrun", name="never_over_cap"),
)

purchases = Table(
    "purchases",
    metadata,
    #: Idempotency key and marker sent to the vendor.
    Column("purchase_id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    #: The shot number of a render, the take id of a judgement.
    Column("subject", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    #: Which unrolled attempt of the run routed it.
    Column("round", Integer, nullable=False),
    Column("backend", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("request_sha", Text, nullable=False),
    Column("envelope", Integer, nullable=False),
    Column("hold", BigInteger, nullable=False),
    Column("charged", BigInteger),
    Column("cost_source", Text),
    Column("state", Text, nullable=False),
    Column("vendor_id", Text),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("lease_until", Utc),
    Column("slot_until", Utc),
    Column("expires_at", Utc),
    Column("parked_at", Utc),
    #: From when on the same may be asked again of a vendor that took no more requests.
    Column("retry_at", Utc),
    #: A mark of the account and place it was sent to: elsewhere nothing can be proved about it.
    Column("account", Text),
    Column("failure", Text),
    Column("message", Text),
    Column("created_at", Utc, nullable=False),
    Column("submitted_at", Utc),
    Column("closed_at", Utc),
    Column("updated_at", Utc, nullable=False),
    ForeignKeyConstraint(["job_id", "version"], ["manifests.job_id", "manifests.version"]),
    UniqueConstraint("job_id", "version", "kind", "subject", "sequence"),
    UniqueConstraint("backend", "vendor_id"),
    CheckConstraint("hold >= 0", name="hold_not_negative"),
    CheckConstraint("kind IN ('render','judge')", name="purchase_kind"),
    CheckConstraint(f"state IN ({', '.join(repr(s) for s in STATES)})", name="purchase_state"),
    CheckConstraint("state NOT IN ('submitted','succeeded') OR vendor_id IS NOT NULL", name="vendor_id_when_submitted"),
    Index("purchases_by_job", "job_id", "version", "kind", "subject"),
    Index("purchases_open", "state", "lease_until"),
)
#: One live purchase per shot and kind; a parked one does not block the shot from falling back elsewhere.
_ONE_LIVE = text("state IN ('held','submitting','submitted','unknown') AND parked_at IS NULL")
Index(
    "one_live_purchase",
    purchases.c.job_id,
    purchases.c.version,
    purchases.c.kind,
    purchases.c.subject,
    unique=True,
    sqlite_where=_ONE_LIVE,
    postgresql_where=_ONE_LIVE,
)

legs = Table(
    "legs",
    metadata,
    Column("purchase_id", Text, ForeignKey("purchases.purchase_id"), nullable=False),
    Column("cap_id", _Serial, ForeignKey("caps.cap_id"), nullable=False),
    PrimaryKeyConstraint("purchase_id", "cap_id"),
    Index("legs_by_cap", "cap_id"),
)

#: Append-only journal; every balance equals its sums.
postings = Table(
    "postings",
    metadata,
    Column("posting_id", _Serial, primary_key=True, autoincrement=True),
    Column("purchase_id", Text, ForeignKey("purchases.purchase_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("d_reserved", BigInteger, nullable=False),
    Column("d_settled", BigInteger, nullable=False),
    Column("dedup", Text, nullable=False, unique=True),
    Column("at", Utc, nullable=False),
    CheckConstraint("kind IN ('hold','close','adjust')", name="posting_kind"),
    Index("postings_by_purchase", "purchase_id"),
    Index("postings_by_time", "at"),
)

backend_health = Table(
    "backend_health",
    metadata,
    Column("backend", Text, primary_key=True),
    Column("strikes", Integer, nullable=False, server_default="0"),
    Column("unhealthy_since", Utc),
    Column("probe_until", Utc),
)

#: One observation per attempt, so that a retry is one strike and not two.
health_observations = Table(
    "health_observations",
    metadata,
    Column("purchase_id", Text, primary_key=True),
    Column("backend", Text, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("at", Utc, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", _Serial, primary_key=True, autoincrement=True),
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("shot", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("purchase_id", Text),
    Column("decision", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Index("decisions_by_job", "job_id", "version"),
    # Several processes may decide the same: the purchase has one reason.
    Index("one_decision_per_purchase", "purchase_id", unique=True),
)

takes = Table(
    "takes",
    metadata,
    Column("take_id", Text, ForeignKey("purchases.purchase_id"), primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("shot", Integer, nullable=False),
    Column("backend", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("kept_at", Utc, nullable=False),
    Index("takes_by_job", "job_id", "version", "shot"),
)

#: A take that stands for a shot nobody bought: of another version or shot of its job. `saved` is what the shot would have cost.
reuses = Table(
    "reuses",
    metadata,
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("shot", Integer, nullable=False),
    Column("take_id", Text, ForeignKey("takes.take_id"), nullable=False),
    Column("saved", BigInteger, nullable=False),
    PrimaryKeyConstraint("job_id", "version", "shot"),
    ForeignKeyConstraint(["job_id", "version"], ["manifests.job_id", "manifests.version"]),
    CheckConstraint("saved >= 0", name="saved_not_negative"),
)

#: When a render was last asked for, and how far it was. No decision about money reads this.
sightings = Table(
    "sightings",
    metadata,
    Column("backend", Text, nullable=False),
    Column("vendor_id", Text, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("progress", Float),
    PrimaryKeyConstraint("backend", "vendor_id"),
)

qa_reports = Table(
    "qa_reports",
    metadata,
    Column("take_id", Text, ForeignKey("takes.take_id"), primary_key=True),
    Column("report", Text, nullable=False),
    Column("technical", Float, nullable=False),
    Column("quality", Float),
    Column("verdict", Text, nullable=False),
    Column("judged_at", Utc, nullable=False),
    CheckConstraint("verdict IN ('accepted','rejected','needs_person')", name="qa_verdict"),
)

#: The assembled video, not yet delivered, and what a person said about it.
cuts = Table(
    "cuts",
    metadata,
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("takes", Text, nullable=False),
    Column("files", Text, nullable=False),
    Column("made_at", Utc, nullable=False),
    PrimaryKeyConstraint("job_id", "version"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("cut_sha", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("answered_by", Text, nullable=False),
    Column("answered_at", Utc, nullable=False),
    PrimaryKeyConstraint("job_id", "version", "cut_sha"),
    CheckConstraint("answer IN ('accepted','rejected')", name="review_answer"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("delivery", Text, nullable=False),
    Column("delivered_at", Utc, nullable=False),
    PrimaryKeyConstraint("job_id", "version"),
)

#: Jobs that wait to be carried by a run: entered with a campaign, not admitted by `route`, or out of money.
queue = Table(
    "queue",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.job_id"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    #: Not before; a job that waits for the day's money is due when the next day begins.
    Column("due_at", Utc, nullable=False),
    Column("since", Utc, nullable=False),
    CheckConstraint("reason IN ('campaign','slots','money')", name="queue_reason"),
    Index("queue_by_due", "due_at"),
)

#: A wait in the queue that is over; a job's duration does not count what it waited for money.
waits = Table(
    "waits",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.job_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Utc, nullable=False),
    Column("until", Utc, nullable=False),
    PrimaryKeyConstraint("job_id", "version", "since"),
)

#: What a person said about a parked purchase, and why. Append-only by use: a second word is a second row.
resolutions = Table(
    "resolutions",
    metadata,
    Column("resolution_id", _Serial, primary_key=True, autoincrement=True),
    Column("purchase_id", Text, ForeignKey("purchases.purchase_id"), nullable=False),
    Column("answer", Text, nullable=False),
    Column("vendor_id", Text),
    Column("resolved_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Utc, nullable=False),
    CheckConstraint("answer IN ('ran','did_not_run','write_off','file_gone')", name="resolution_answer"),
    Index("resolutions_by_purchase", "purchase_id"),
)

#: A vendor's bill, imported once per content; its lines explain every difference.
bills = Table(
    "bills",
    metadata,
    Column("bill_sha", Text, primary_key=True),
    Column("backend", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("imported_at", Utc, nullable=False),
    Column("imported_by", Text, nullable=False),
)

bill_lines = Table(
    "bill_lines",
    metadata,
    Column("bill_sha", Text, ForeignKey("bills.bill_sha"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("vendor_id", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("billed_at", Utc),
    PrimaryKeyConstraint("bill_sha", "line"),
    Index("bill_lines_by_vendor_id", "vendor_id"),
)

#: Why a job of a run could not go on; cleared by nobody, superseded by a delivery.
failures = Table(
    "failures",
    metadata,
    Column("failure_id", _Serial, primary_key=True, autoincrement=True),
    Column("job_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("stage", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Index("failures_by_job", "job_id", "version"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("event_key", Text, nullable=False, unique=True),
    Column("topic", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("claimed_until", Utc),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("delivered_at", Utc),
)
Index(
    "outbox_todo",
    outbox.c.id,
    sqlite_where=outbox.c.delivered_at.is_(None),
    postgresql_where=outbox.c.delivered_at.is_(None),
)

#: Whom an event was sent to, or when it is tried again; one row per channel.
notices = Table(
    "notices",
    metadata,
    Column("event_key", Text, nullable=False),
    Column("channel", Text, nullable=False),
    #: The message it goes out with, alone or with others; every try sends the same one.
    Column("message", Text),
    Column("tries", Integer, nullable=False),
    #: When it is due; none once it was sent, or given up.
    Column("next_at", Utc),
    Column("sent_at", Utc),
    Column("trouble", Text),
    PrimaryKeyConstraint("event_key", "channel"),
    Index("notices_by_due", "next_at"),
)

#: Jobs whose files and words were deleted; the money rows stay.
erasures = Table(
    "erasures",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.job_id"), primary_key=True),
    Column("erased_at", Utc, nullable=False),
    Column("erased_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    #: The files that were there when it was recorded, and their bytes.
    Column("files", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    #: When the last file was gone; without it, files may be left.
    Column("finished_at", Utc),
)

metric_outbox = Table(
    "metric_outbox",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("name", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("value", Float, nullable=False),
)

#: Folded cumulative series: sending one again never counts twice.
metric_series = Table(
    "metric_series",
    metadata,
    Column("name", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("total", Float, nullable=False),
    Column("mean", Float, nullable=False),
    Column("m2", Float, nullable=False),
    Column("buckets", Text),
    Column("last", Float, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("revision", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", "labels"),
)

metric_sent = Table(
    "metric_sent",
    metadata,
    Column("sink", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("ended_at", Utc, nullable=False),
    Column("revision", BigInteger, nullable=False),
    PrimaryKeyConstraint("sink", "name", "labels"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("expires_at", Utc, nullable=False),
)

#: A sink's refusals of one series for what it is; cleared when it takes the series again.
metric_refusals = Table(
    "metric_refusals",
    metadata,
    Column("sink", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("refused_at", Utc, nullable=False),
    Column("why", Text, nullable=False),
    PrimaryKeyConstraint("sink", "name", "labels"),
)

#: What a series said at a moment: what an alert over the last hour is computed from.
metric_history = Table(
    "metric_history",
    metadata,
    Column("name", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("total", Float, nullable=False),
    Column("buckets", Text),
    Column("last", Float, nullable=False),
    PrimaryKeyConstraint("name", "labels", "at"),
    Index("metric_history_by_time", "at"),
)

#: One row per time that an alert's condition held: pending until `raised_at`, over with `resolved_at`.
alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", _Serial, primary_key=True, autoincrement=True),
    Column("alert", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("value", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("since", Utc, nullable=False),
    Column("raised_at", Utc),
    Column("resolved_at", Utc),
    CheckConstraint("severity IN ('warning','critical')", name="alert_severity"),
)
Index(
    "one_open_alert",
    alerts.c.alert,
    alerts.c.subject,
    unique=True,
    sqlite_where=alerts.c.resolved_at.is_(None),
    postgresql_where=alerts.c.resolved_at.is_(None),
)
