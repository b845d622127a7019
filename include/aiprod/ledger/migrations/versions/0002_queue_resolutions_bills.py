"""Jobs that wait for a run, answers about parked purchases, vendors' bills, caps set by hand, one decision per purchase."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("caps", sa.Column("set_by", sa.Text(), nullable=True))
    op.create_index("one_decision_per_purchase", "decisions", ["purchase_id"], unique=True)
    op.create_table(
        "queue",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("reason IN ('campaign','slots','money')", name="queue_reason"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"]),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index("queue_by_due", "queue", ["due_at"])
    op.create_table(
        "resolutions",
        sa.Column("resolution_id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("purchase_id", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("vendor_id", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("answer IN ('ran','did_not_run','write_off','file_gone')", name="resolution_answer"),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchases.purchase_id"]),
        sa.PrimaryKeyConstraint("resolution_id"),
    )
    op.create_index("resolutions_by_purchase", "resolutions", ["purchase_id"])
    op.create_table(
        "bills",
        sa.Column("bill_sha", sa.Text(), nullable=False),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("bill_sha"),
    )
    op.create_table(
        "bill_lines",
        sa.Column("bill_sha", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("vendor_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("billed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["bill_sha"], ["bills.bill_sha"]),
        sa.PrimaryKeyConstraint("bill_sha", "line"),
    )
    op.create_index("bill_lines_by_vendor_id", "bill_lines", ["vendor_id"])


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: money records are not migrated backwards.")
