"""What the API keeps in the database of the review desk. Times are seconds since 1970."""

from __future__ import annotations

from sqlalchemy import JSON, Engine, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from anogan.review.database import connect, faults


class Table(DeclarativeBase):
    """All tables of the API."""


class KeyRow(Table):
    """An API key, of which only the hash is known."""

    __tablename__ = "serving_key"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)  # the client
    digest: Mapped[str] = mapped_column(Text)  # SHA-256 of the whole key
    scopes: Mapped[str] = mapped_column(Text)  # with a blank between two
    rate: Mapped[str] = mapped_column(Text)  # such as 600/minute
    created: Mapped[float]
    revoked: Mapped[float | None]


class ScreeningRow(Table):
    """A photo that was accepted, and what was found."""

    __tablename__ = "serving_screening"
    id: Mapped[str] = mapped_column(Text, primary_key=True)  # also names its folder: at random
    key: Mapped[str] = mapped_column(ForeignKey(KeyRow.id))
    idempotency: Mapped[str | None] = mapped_column(Text)  # hash of the client's key
    fingerprint: Mapped[str] = mapped_column(Text)  # of what was sent: photo, reference and group
    reference: Mapped[str] = mapped_column(Text)  # the client's, or ""
    group: Mapped[str] = mapped_column(Text)  # the photo's site or scanner, or ""
    created: Mapped[float]
    status: Mapped[str] = mapped_column(Text)
    decision: Mapped[str] = mapped_column(Text)
    reasons: Mapped[list[str]] = mapped_column(JSON)
    score: Mapped[float | None]
    p_value: Mapped[float | None]
    flagged: Mapped[bool | None]
    detector: Mapped[str] = mapped_column(Text)
    to_desk: Mapped[bool] = mapped_column(index=True)  # a person must see it, and the desk does not have it yet
    made_by: Mapped[KeyRow] = relationship()
    links: Mapped[list[LinkRow]] = relationship(
        foreign_keys="LinkRow.screening", order_by="LinkRow.place", passive_deletes=True
    )
    __table_args__ = (UniqueConstraint("key", "idempotency"),)


class LinkRow(Table):
    """What a screening shares with one that was there before; it goes with either of them."""

    __tablename__ = "serving_link"
    screening: Mapped[str] = mapped_column(ForeignKey(ScreeningRow.id, ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)  # the nearest is first
    other: Mapped[str] = mapped_column(ForeignKey(ScreeningRow.id, ondelete="CASCADE"), index=True)
    what: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text)
    distance: Mapped[float]


def open_tables(url: str) -> Engine:
    """Return the engine of a database, SQLite by a path or PostgreSQL by a URL, with the API's tables in it.

    Transactions that write need the execution option `write`, as `anogan.review.database.connect` says.

    Raises
    ------
    ValueError
        The database cannot be opened.
    """
    engine = connect(url)
    with faults(engine):
        Table.metadata.create_all(engine.execution_options(write=True))
    return engine
