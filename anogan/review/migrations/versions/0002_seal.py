"""What a case says is sealed in the log by a salted hash; the cases that are there already are sealed now."""

import secrets
import time

import sqlalchemy as sa
from alembic import op

from anogan.review import audit

revision = "0002"
down_revision = "0001"

ACTOR = "update"
BATCH = 1000  # cases in a row of the log


def upgrade() -> None:
    """Give each case a salt, and write the fingerprints of all into the log."""
    connection = op.get_bind()
    op.add_column("review_case", sa.Column("salt", sa.Text, nullable=False, server_default=""))
    columns = (sa.column(name, sa.Boolean if name == "flagged" else None) for name in audit.CASE)
    case = sa.table("review_case", sa.column("salt"), *columns)
    last = 0
    while rows := connection.execute(sa.select(case).where(case.c.id > last).order_by(case.c.id).limit(BATCH)).all():
        prints = []
        for row in rows:
            values = row._asdict() | {"salt": secrets.token_hex(16)}
            prints.append(audit.case_fingerprint(values))
            connection.execute(sa.update(case).where(case.c.id == row.id).values(salt=values["salt"]))
        numbers = [row.id for row in rows]
        audit.append(connection, time.time(), ACTOR, "sealed", None, {"cases": numbers, "fingerprints": prints})
        last = numbers[-1]
