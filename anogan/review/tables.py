"""The tables of the desk, as the newest migration leaves them. Times are seconds since 1970."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Integer, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NUMBER = BigInteger().with_variant(Integer, "sqlite")
# Sorted by bytes in both databases, so that a prefix is a range of the index.
WORD = Text().with_variant(Text(collation="C"), "postgresql")

# An index for each order ends with what is filtered by, so that what does not match is passed over without its row.
_ORDERS = ("by_p", "by_priority", "added")
_FILTERS = ("kind", "status", "flagged", "detector")


class Table(DeclarativeBase):
    """All tables of the desk."""


class CaseRow(Table):
    """A case, who reads it, and what came of it."""

    __tablename__ = "review_case"
    id: Mapped[int] = mapped_column(NUMBER, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(WORD, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(WORD, index=True)
    title: Mapped[str] = mapped_column(Text)
    detector: Mapped[str] = mapped_column(Text)
    threshold: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    score: Mapped[float | None]
    p_value: Mapped[float | None]
    flagged: Mapped[bool | None]
    folder: Mapped[str] = mapped_column(Text)
    salt: Mapped[str] = mapped_column(Text)
    added: Mapped[float]
    by_p: Mapped[float]  # the p-value, -1 without one: what the order goes by
    by_priority: Mapped[int]  # the priority, negated
    state: Mapped[str] = mapped_column(Text, default="open")
    version: Mapped[int] = mapped_column(default=1)
    reader: Mapped[str] = mapped_column(Text, default="", index=True)
    leased: Mapped[float] = mapped_column(default=0.0)
    until: Mapped[float] = mapped_column(default=0.0)
    verdict: Mapped[str | None] = mapped_column(Text)
    signed_by: Mapped[str] = mapped_column(Text, default="")
    signed: Mapped[float | None]
    # Numbers of cases stand in the audit log, so none is ever used again.
    __table_args__ = (
        *(Index(f"review_case_{name}", name, "id", *_FILTERS) for name in _ORDERS),
        *(Index(f"review_case_state_{name}", "state", name, "id", *_FILTERS) for name in _ORDERS),
        {"sqlite_autoincrement": True},
    )


class DecisionRow(Table):
    """One reader's word on one version of a case."""

    __tablename__ = "review_decision"
    id: Mapped[int] = mapped_column(NUMBER, Identity(), primary_key=True)
    case_id: Mapped[int] = mapped_column(NUMBER, ForeignKey(CaseRow.id, ondelete="CASCADE"))
    version: Mapped[int]
    reader: Mapped[str] = mapped_column(Text)
    stage: Mapped[str] = mapped_column(Text)
    blind: Mapped[bool]
    verdict: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float]
    decided: Mapped[float]
    salt: Mapped[str] = mapped_column(Text)
    __table_args__ = (
        UniqueConstraint("case_id", "version"),  # a version is decided on once
        Index("review_decision_reader", "reader", "case_id"),
        {"sqlite_autoincrement": True},
    )


class MemberRow(Table):
    """Who may do what; nobody in it is the single-user mode."""

    __tablename__ = "review_member"
    user: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str] = mapped_column(Text)


class PolicyRow(Table):
    """How the desk works: one row."""

    __tablename__ = "review_policy"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    readings: Mapped[int]
    blind_first: Mapped[bool]
    lease: Mapped[int]
    __table_args__ = (CheckConstraint("id = 1", name="review_policy_one"),)


class AuditRow(Table):
    """One link of the log; the database refuses to change or remove it."""

    __tablename__ = "review_audit"
    number: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    case_id: Mapped[int | None] = mapped_column(NUMBER, index=True)
    details: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(Text)
