"""Erase screenings: the case on the desk, pictures, prints, links, and what the database says.

With its last screening a reference leaves the drift monitor, too.

    STORE/erasing/<screening>/    its pictures, until the rest is erased

A folder there says that an erasure has begun, so that after a crash it is finished.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from anogan.api.tables import KeyRow, ScreeningRow, open_tables
from anogan.linkage import Linkage
from anogan.privacy.erasure import erase_counted
from anogan.review import open_desk
from anogan.review.database import connect
from anogan.storage.atomic import sync
from anogan.storage.pseudonym import keyed_hash
from anogan.storage.sqlite import scrub

_DAY = 86_400.0


class Elsewhere(ValueError):
    """The screening is in the store of another server."""


class Desk(Protocol):
    """The part of `anogan.review.Desk` that is needed here."""

    def withdraw(self, key: str, settled: bool = False, /) -> bool: ...


def case_key(number: str) -> str:
    """Return how the desk calls a screening."""
    return f"screening {number}"


def person_of(reference: str, client: str = "") -> str:
    """Return what tells one client's person from another's, for hashes alone; "" for no reference.

    Without a client it is what stood for a person before clients were told apart.
    """
    return f"{client}\0{reference}" if client and reference else reference


def subject_of(reference: str, client: str = "") -> str:
    """Return the pseudonym under which the desk lists a client's reference; "" for none. See `person_of`."""
    return keyed_hash("reference", person_of(reference, client))[:12] if reference else ""


class Eraser:
    """Erases screenings of one store; a server and the command line may do so at once.

    Parameters
    ----------
    engine
        The database, as `anogan.api.tables.open_tables` returns it.
    store
        The folder of pictures.
    linkage
        Its prints.
    desk
        The review desk.
    forget
        Has the drift monitor forget a person, see `person_of`.
    """

    def __init__(
        self, engine: Engine, store: Path, linkage: Linkage, desk: Desk, forget: Callable[[str], object]
    ) -> None:
        self._read, self._write = engine, engine.execution_options(write=True)
        self._cases, self._erasing = store.resolve() / "cases", store.resolve() / "erasing"
        self._linkage, self._desk, self._forget = linkage, desk, forget
        self._erasing.mkdir(parents=True, exist_ok=True, mode=0o700)

    def erase(self, number: str, settled: bool = False) -> bool:
        """Erase a screening, or with `settled` leave it while it is to be decided on the desk; tell whether it is gone.

        Raises
        ------
        Elsewhere
            Another server has its pictures.
        ValueError
            The desk cannot be reached, and nothing was erased; or the drift monitor is damaged, and the rest is erased
            when it is asked for again.
        """
        case, place = self._cases / number, self._erasing / number
        if not (case.is_dir() or place.is_dir() or number in self._linkage):
            raise Elsewhere(f"screening {number}: is in the store of another server; erase it there")
        if not self._desk.withdraw(case_key(number), settled):
            return False
        if case.is_dir() and not place.is_dir():
            case.rename(place)
        place.mkdir(exist_ok=True)  # also where the desk has erased the pictures before
        sync(self._cases)
        sync(self._erasing)
        self._finish(place)
        return True

    def erase_subject(self, subject: str = "", reference: str = "", client: str = "") -> tuple[int, list[str]]:
        """Erase a person's screenings; return how many, and which are elsewhere.

        Parameters
        ----------
        subject, reference
            The person's pseudonym, as the desk lists it, or the client's reference.
        client
            Whose, where it is of several: also a pseudonym of before clients were told apart may be.

        Raises
        ------
        ValueError
            It is of several clients, whose people are others.
        """
        with Session(self._read) as session:
            found = session.execute(select(ScreeningRow.id, ScreeningRow.reference, KeyRow.name).join(KeyRow)).all()
        if subject:
            named = [row for row in found if subject_of(row.reference, row.name) == subject]
            rows = named or [row for row in found if subject_of(row.reference) == subject]
        else:
            rows = [row for row in found if reference and row.reference == reference]
        rows = [row for row in rows if client in ("", row.name)]
        if len(clients := sorted({row.name for row in rows})) > 1:
            raise ValueError(
                f"{subject or reference}: is of several clients: {', '.join(clients)}; name one with --client"
            )
        elsewhere, own = [], [row.id for row in rows]
        for number in own:
            try:
                self.erase(number)
            except Elsewhere:
                elsewhere.append(number)
        return len(own) - len(elsewhere), elsewhere

    def retire(self, days: float) -> int:
        """Erase what is older and need not be decided any more; return how many screenings that were."""
        old = select(ScreeningRow.id).where(ScreeningRow.created < time.time() - days * _DAY, ~ScreeningRow.to_desk)
        with Session(self._read) as session:
            numbers = session.scalars(old.order_by(ScreeningRow.created)).all()
        erased = 0
        for number in numbers:
            try:
                erased += self.erase(number, settled=True)
            except Elsewhere:
                continue
        return erased

    def recover(self) -> None:
        """Finish what was begun."""
        for place in self._erasing.iterdir():
            self._finish(place)

    def _finish(self, place: Path) -> None:
        self._linkage.erase(place.name)
        # Before the database forgets whose it was: killed in between, it is done again.
        for person in self._last_of(place.name):
            self._forget(person)
        with Session(self._write) as session:
            session.execute(delete(ScreeningRow).where(ScreeningRow.id == place.name))  # links go with it
            session.commit()
        scrub(self._write)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            shutil.rmtree(place)
        sync(self._erasing)

    def _last_of(self, number: str) -> list[str]:
        """Return the person whose only screening this is; also as the monitor knew who has none left at any client."""
        with Session(self._read) as session:
            row = session.get(ScreeningRow, number)
            if row is None or not row.reference:
                return []
            others = session.scalars(
                select(KeyRow.name)
                .join(ScreeningRow)
                .where(ScreeningRow.reference == row.reference, ScreeningRow.id != number)
            ).all()
            client, reference = row.made_by.name, row.reference
        if client in others:
            return []
        return [person_of(reference, client), *([] if others else [person_of(reference)])]


def erase_screenings(
    run: Path, database: str, store: Path, subject: str = "", reference: str = "", client: str = ""
) -> tuple[int, list[str]]:
    """Erase a person's screenings, also while a server works with them; see `Eraser.erase_subject`.

    Parameters
    ----------
    run, database, store
        Those of the server; the run's drift monitor forgets the person.
    subject, reference, client
        As in `Eraser.erase_subject`.

    Raises
    ------
    ValueError
        The person is of several clients; or there is no such database or folder, or it cannot be opened.
    """
    if not (store / "cases").is_dir():
        raise ValueError(f"{store}: is no folder of `anogan serve`; give it with --screenings")
    connect(database, make=False).dispose()
    desk = open_desk(database)
    try:
        with Linkage.open(store / "links.sqlite") as linkage:
            forget = functools.partial(erase_counted, run)
            return Eraser(open_tables(database), store, linkage, desk, forget).erase_subject(subject, reference, client)
    finally:
        desk.close()
