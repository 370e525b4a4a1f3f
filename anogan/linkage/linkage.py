"""The submissions seen so far, in one SQLite file, and which of them a new one resembles."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from anogan.linkage.prints import KINDS, METHOD, Code, Prints, distances, make_prints
from anogan.linkage.thresholds import Thresholds
from anogan.scan import Scan
from anogan.storage.sqlite import make_engine, scrub

What = Literal["photo", "face", "background"]


class _Table(DeclarativeBase):
    pass


class _Entry(_Table):
    """The codes of one submission, each as its bits and its mask; empty where there is none."""

    __tablename__ = "entry"
    __table_args__ = {"sqlite_autoincrement": True}  # an id that was erased never comes back
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    photo: Mapped[bytes]
    face: Mapped[bytes]
    background: Mapped[bytes]
    features: Mapped[bytes]
    mirrored_photo: Mapped[bytes]
    mirrored_face: Mapped[bytes]
    mirrored_background: Mapped[bytes]
    mirrored_features: Mapped[bytes]


@dataclass(frozen=True)
class Link:
    """Another submission that shares something with the one asked for.

    Attributes
    ----------
    other
        Its key.
    what
        "photo": the whole, perhaps cut or mirrored; "face": the same picture of a face in another photo; "background":
        the same place behind another face.
    distance
        Of the codes: 0 = alike, 0.5 = unrelated.
    words
        The finding as a phrase.
    """

    other: str
    what: What
    distance: float
    words: str


class Linkage:
    """Prints of submissions in one SQLite file; threads and processes may share it.

    >>> with Linkage.open("links.sqlite") as linkage:
    ...     linkage.add("screening 17", scan)
    ...     linkage.links("screening 17")
    """

    def __init__(self, url: str, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self._engine = make_engine(url, write=True)
        self._session = sessionmaker(self._engine)
        self._lock = threading.Lock()
        self._forget_index()
        with self._engine.begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version not in (0, METHOD):
                raise ValueError(f"holds prints of method {version}, not {METHOD}; make them again from the photos")
            _Table.metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {METHOD}")

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None, thresholds: Thresholds | None = None) -> Linkage:
        """Open a file, which is made if need be; None: in memory, for one folder of photos.

        Raises
        ------
        ValueError
            The file is no such database, or holds prints that do not compare with those made here.
        """
        thresholds = Thresholds() if thresholds is None else thresholds
        if path is None:
            return cls("sqlite://", thresholds)
        try:
            if not Path(path).exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # nobody else's business
            return cls(f"sqlite:///{os.fspath(path)}", thresholds)
        except (SQLAlchemyError, OSError, ValueError) as error:
            why = " ".join(str(getattr(error, "orig", error)).split())
            raise ValueError(f"{os.fspath(path)}: cannot be opened as a linkage database ({why})") from None

    def __enter__(self) -> Linkage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def __len__(self) -> int:
        with self._session.begin() as session:
            return session.scalar(select(func.count(_Entry.id))) or 0

    def __contains__(self, key: str) -> bool:
        with self._session.begin() as session:
            return session.scalar(select(_Entry.id).where(_Entry.key == key)) is not None

    def add(self, key: str, scan: Scan, features: np.ndarray | None = None) -> None:
        """Keep the prints of a submission; the same key again replaces them.

        Parameters
        ----------
        key
            What the submission is called here: a number or a pseudonym, never a name of a person.
        scan
            Its photo, as it was sent. No pixel of it is kept.
        features
            From `features_of`, or None.
        """
        self.add_prints({key: make_prints(scan, features)})

    def add_prints(self, prints: dict[str, Prints]) -> None:
        """Keep prints by key, all or none.

        Raises
        ------
        ValueError
            Their features are those of another detector than the features kept already.
        """
        rows = [
            {"key": key}
            | {kind: _blob(one.codes.get(kind)) for kind in KINDS}
            | {f"mirrored_{kind}": _blob(one.mirrored.get(kind)) for kind in KINDS}
            for key, one in prints.items()
        ]
        if not rows:
            return
        with self._session.begin() as session:
            for key in prints:
                session.execute(delete(_Entry).where(_Entry.key == key))
            kept = session.scalar(select(_Entry.features).where(_Entry.features != b"").limit(1))
            if len({len(blob) for blob in (kept, *(row["features"] for row in rows)) if blob}) > 1:
                raise ValueError("features of two detectors do not compare; keep a database for each")
            session.execute(insert(_Entry), rows)

    def erase(self, key: str) -> bool:
        """Erase what is kept of a submission, from the file's free pages too; return whether there was anything."""
        with self._session.begin() as session:
            gone = bool(session.execute(delete(_Entry).where(_Entry.key == key)).rowcount)  # type: ignore[attr-defined]
        with self._lock:
            self._forget_index()
        scrub(self._engine)
        return gone

    def links(self, key: str) -> list[Link]:
        """Return the other submissions that share something with this one, the nearest first.

        Every entry is compared. What a threshold promises, it promises per pair: among 100 000 entries, a rate of 1 in
        10 000 would be ten false links in each search.

        Raises
        ------
        ValueError
            There is no such key.
        """
        with self._lock, self._session.begin() as session:
            row = session.scalar(select(_Entry).where(_Entry.key == key))
            if row is None:
                raise ValueError(f"no submission {key} is kept here; add it first")
            self._sync(session)
            found = {kind: self._distances(row, kind) for kind in KINDS}
            near = {kind: found[kind] < getattr(self.thresholds, kind) for kind in KINDS}
            links = [
                self._link(index, found, near)
                for index in np.flatnonzero(np.any(list(near.values()), axis=0)).tolist()
                if self._keys[index] != key
            ]
        return sorted((link for link in links if link is not None), key=lambda link: (link.distance, link.other))

    def _link(self, index: int, found: dict[str, np.ndarray], near: dict[str, np.ndarray]) -> Link | None:
        """Say what a pair shares: the strongest that its codes agree on."""
        photo, face, background = (bool(near[kind][index]) for kind in ("photo", "face", "background"))
        nearest = min(found[kind][index] for kind in ("face", "features"))
        face = face or bool(near["features"][index])
        what: What
        if photo and (face or nearest == 0.5):  # 0.5: one of them shows no face
            what, words, distance = "photo", "the same photo", found["photo"][index]
        elif photo:
            what, words, distance = "background", "the same photo with another face", found["photo"][index]
        elif face and background:
            what, words, distance = "photo", "the same photo, cut or changed", nearest
        elif face:
            what, words, distance = "face", "the same picture of a face in another photo", nearest
        else:
            what, words, distance = "background", "the same background behind another face", found["background"][index]
        return Link(self._keys[index], what, round(float(distance), 4), words)

    def _distances(self, row: _Entry, kind: str) -> np.ndarray:
        bits, mask = self._index[kind]
        queries = [_code(blob) for blob in (getattr(row, kind), getattr(row, f"mirrored_{kind}")) if blob]
        if bits.shape[1] == 0 or not queries:
            return np.full(len(self._keys), 0.5, np.float32)
        nearest: np.ndarray = np.min([distances(code, bits, mask, kind) for code in queries], axis=0)
        return nearest

    # The codes of all entries in memory, in step with the file

    def _forget_index(self) -> None:
        self._keys: list[str] = []
        self._last = 0
        empty = np.empty((0, 0), np.uint64)
        self._index = dict.fromkeys(KINDS, (empty, empty))

    def _sync(self, session: Session) -> None:
        """Read what has been added since; all, if something was erased or replaced meanwhile."""
        columns = [getattr(_Entry, kind) for kind in KINDS]
        query = select(_Entry.id, _Entry.key, *columns).order_by(_Entry.id)
        new = session.execute(query.where(_Entry.id > self._last)).all()
        count = session.scalar(select(func.count(_Entry.id))) or 0
        if len(self._keys) + len(new) != count:
            self._forget_index()
            new = session.execute(query).all()
        if not new:
            return
        self._keys += [row.key for row in new]
        self._last = new[-1].id
        for kind in KINDS:
            bits, mask = self._index[kind]
            blobs = [getattr(row, kind) for row in new]
            self._index[kind] = (_grown(bits, blobs, 0), _grown(mask, blobs, 1))


def in_words(links: Sequence[Link]) -> list[str]:
    """Return a sentence for each thing seen elsewhere, such as "this background was seen in 4 other applications"."""
    said = []
    for what in ("photo", "face", "background"):
        if count := sum(link.what == what for link in links):
            said.append(f"this {what} was seen in {count} other application{'s' if count > 1 else ''}")
    return said


def _blob(code: Code | None) -> bytes:
    return b"" if code is None else code.bits.tobytes() + code.mask.tobytes()


def _code(blob: bytes) -> Code:
    return Code(*np.frombuffer(blob, np.uint64).reshape(2, -1))


def _grown(known: np.ndarray, blobs: Sequence[bytes], half: int) -> np.ndarray:
    """Append one half of each blob, bits or mask, to (N, W); an empty blob has no valid bit."""
    size = max(known.shape[1] * 16, max(map(len, blobs)))
    rows = np.frombuffer(b"".join(blob or bytes(size) for blob in blobs), np.uint64).reshape(len(blobs), 2, size // 16)
    before = known if known.shape[1] else np.zeros((len(known), size // 16), np.uint64)
    return np.concatenate([before, rows[:, half]])
