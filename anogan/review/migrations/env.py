"""What alembic runs: the steps, on the connection and in the transaction of `anogan.review.database`."""

from alembic import context

from anogan.review.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table="review_version",
)
context.run_migrations()
