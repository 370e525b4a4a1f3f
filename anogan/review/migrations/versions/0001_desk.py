"""Cases, decisions, members, policy, and a log that the database refuses to change."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
REFUSAL = "the audit log is append-only"


def upgrade() -> None:
    """Make the tables, their indexes and the triggers of the log."""
    op.create_table(
        "review_case",
        sa.Column("id", NUMBER, sa.Identity(), primary_key=True),
        sa.Column("key", WORD, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", WORD, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("detector", sa.Text, nullable=False),
        sa.Column("threshold", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("p_value", sa.Float),
        sa.Column("flagged", sa.Boolean),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("added", sa.Float, nullable=False),
        sa.Column("by_p", sa.Float, nullable=False),
        sa.Column("by_priority", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reader", sa.Text, nullable=False),
        sa.Column("leased", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("verdict", sa.Text),
        sa.Column("signed_by", sa.Text, nullable=False),
        sa.Column("signed", sa.Float),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_review_case_subject", "review_case", ["subject"])
    op.create_index("ix_review_case_reader", "review_case", ["reader"])
    for name in ("by_p", "by_priority", "added"):
        op.create_index(f"review_case_{name}", "review_case", [name, "id"])
        op.create_index(f"review_case_state_{name}", "review_case", ["state", name, "id"])
    op.create_table(
        "review_decision",
        sa.Column("id", NUMBER, sa.Identity(), primary_key=True),
        sa.Column("case_id", NUMBER, sa.ForeignKey("review_case.id", ondelete="CASCADE"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reader", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("decided", sa.Float, nullable=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.UniqueConstraint("case_id", "version"),
        sqlite_autoincrement=True,
    )
    op.create_index("review_decision_reader", "review_decision", ["reader", "case_id"])
    op.create_table(
        "review_member",
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
    )
    op.create_table(
        "review_policy",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("readings", sa.Integer, nullable=False),
        sa.Column("blind_first", sa.Boolean, nullable=False),
        sa.Column("lease", sa.Integer, nullable=False),
        sa.CheckConstraint("id = 1", name="review_policy_one"),
    )
    op.create_table(
        "review_audit",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("case_id", NUMBER),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_index("ix_review_audit_case_id", "review_audit", ["case_id"])
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER review_audit_no_{event.lower()} BEFORE {event} ON review_audit "
                f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )
        # INSERT OR REPLACE would not call the trigger of DELETE.
        op.execute(
            "CREATE TRIGGER review_audit_no_replace BEFORE INSERT ON review_audit "
            "WHEN EXISTS (SELECT 1 FROM review_audit WHERE number >= NEW.number) "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    else:
        op.execute(
            "CREATE FUNCTION review_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER review_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON review_audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION review_audit_refuse()"
        )
        op.execute("REVOKE ALL ON review_audit FROM PUBLIC")
