"""What was charged in a period is found by its time: the money page reads a day, not the whole journal."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("postings_by_time", "postings", ["at"])
