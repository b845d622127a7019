"""When a vendor that took no more requests said to come again, and with which account a request was sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("purchases", sa.Column("retry_at", sa.BigInteger(), nullable=True))
    op.add_column("purchases", sa.Column("account", sa.Text(), nullable=True))
