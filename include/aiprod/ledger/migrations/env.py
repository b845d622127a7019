"""Alembic's entry: runs inside the connection that `Ledger.upgrade` opened."""

from alembic import context

from aiprod.ledger.engine import VERSION_TABLE
from aiprod.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
