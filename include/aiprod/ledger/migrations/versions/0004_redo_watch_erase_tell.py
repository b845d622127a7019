"""Who ordered, takes used again by a later version, when a render was last seen, what was erased, and who was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("created_by", sa.Text(), nullable=True))
    op.create_index("jobs_by_project", "jobs", ["project", "created_at"])
    op.create_table(
        "reuses",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("shot", sa.Integer(), nullable=False),
        sa.Column("take_id", sa.Text(), nullable=False),
        sa.Column("saved", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("saved >= 0", name="saved_not_negative"),
        sa.ForeignKeyConstraint(["job_id", "version"], ["manifests.job_id", "manifests.version"]),
        sa.ForeignKeyConstraint(["take_id"], ["takes.take_id"]),
        sa.PrimaryKeyConstraint("job_id", "version", "shot"),
    )
    op.create_table(
        "sightings",
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("vendor_id", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("backend", "vendor_id"),
    )
    op.create_table(
        "erasures",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"]),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_table(
        "notices",
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("event_key", "channel"),
    )
    op.create_index("notices_by_due", "notices", ["next_at"])
