"""The tables of the listener's queue: UIDs and pseudonyms, no patient data. Times are seconds since 1970."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    """All tables of the queue."""


class Study(Table):
    """One study and where it stands."""

    __tablename__ = "study"
    uid: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(index=True)
    generation: Mapped[int]  # counts the changes of its objects
    changed: Mapped[float]  # of its objects, then of its state; seconds since 1970
    due: Mapped[float] = mapped_column(default=0.0)  # not to be sent before
    attempts: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(default="")


class Instance(Table):
    """One object that came in."""

    __tablename__ = "instance"
    uid: Mapped[str] = mapped_column(primary_key=True)
    study: Mapped[str] = mapped_column(ForeignKey(Study.uid, ondelete="CASCADE"), index=True)
    digest: Mapped[str]
    size: Mapped[int]


class Owner(Table):
    """Whose an object says it is, in keyed hashes; of objects that came before this was noted there is none."""

    __tablename__ = "owner"
    uid: Mapped[str] = mapped_column(ForeignKey(Instance.uid, ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str] = mapped_column(index=True)
    numbered: Mapped[bool]
    name: Mapped[str]
    born: Mapped[str]
    sex: Mapped[str]


class Quarantined(Table):
    """An object that contradicts what came before it; it lies beside the others and replaces none."""

    __tablename__ = "quarantined"
    digest: Mapped[str] = mapped_column(primary_key=True)
    uid: Mapped[str]
    study: Mapped[str] = mapped_column(ForeignKey(Study.uid, ondelete="CASCADE"), index=True)
    subject: Mapped[str] = mapped_column(index=True)
    size: Mapped[int]


class ResultObject(Table):
    """One object that goes out: waiting, sending (which may have reached the PACS), sent, or refused."""

    __tablename__ = "result"
    uid: Mapped[str] = mapped_column(primary_key=True)
    study: Mapped[str] = mapped_column(ForeignKey(Study.uid, ondelete="CASCADE"), index=True)
    series: Mapped[str] = mapped_column(index=True)
    size: Mapped[int]
    state: Mapped[str] = mapped_column(default="waiting")
