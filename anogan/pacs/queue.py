"""The queue of the listener: what state each study is in. It holds UIDs and pseudonyms, no patient data.

receiving -> complete -> judging -> judged -> sending -> sent, or failed ("not scored", or refused by the PACS)
quarantined: its objects contradict each other in whose they are; nothing is done with it until a person has solved that

A new object sets its study back to receiving, whatever was being done with it. What a killed process was doing is done
again (`recover`). Every change is one transaction, on disk before the function returns.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from anogan.io.dicom.persons import Person, contradiction
from anogan.pacs.header import Header
from anogan.pacs.tables import Instance, Owner, Quarantined, ResultObject, Study, Table
from anogan.storage.sqlite import make_engine

STATES = ("receiving", "complete", "judging", "judged", "sending", "sent", "failed", "quarantined")
DEATHS = 3  # a study that the process died of so many times is not tried again


@dataclass(frozen=True)
class Entry:
    """A study as `anogan queue` shows it."""

    uid: str
    subject: str
    state: str
    objects: int
    results: int
    attempts: int
    reason: str


@dataclass(frozen=True)
class Job:
    """A study to be judged, as it was when it was taken up."""

    study: str
    generation: int


@dataclass(frozen=True)
class Outgoing:
    """A result to be sent; `doubtful` when an earlier attempt may have reached the PACS."""

    uid: str
    series: str
    doubtful: bool


class Queue:
    """The queue in one SQLite file; any number of threads and processes may use it.

    Raises
    ------
    ValueError
        The file cannot be opened as a queue.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        engine = make_engine(f"sqlite:///{path}", write=True)
        self._engine, self._session = engine, sessionmaker(engine)
        try:
            Table.metadata.create_all(engine)
        except SQLAlchemyError as error:
            why = " ".join(str(getattr(error, "orig", error)).split())
            raise ValueError(f"{path}: cannot be opened as a queue ({why}); restore it or use a new folder") from None

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _change(self) -> Iterator[Session]:
        with self._session.begin() as session:
            yield session

    # objects come in

    def known(self, header: Header) -> bool:
        """Tell whether this very object is here already, be it in quarantine."""
        with self._change() as session:
            found = session.get(Instance, header.uid)
            here = found is not None and (found.digest, found.study) == (header.digest, header.study)
            return here or session.get(Quarantined, header.digest) is not None

    def conflict(self, header: Header) -> str:
        """Return in which words an object contradicts what came before, or ""; they name nobody but by pseudonyms."""
        with self._change() as session:
            found = session.get(Instance, header.uid)
            if found is not None and found.study != header.study:
                return "an object came again as part of another study"
            if found is not None and (owner := session.get(Owner, header.uid)) is not None:
                before = Person(owner.subject, owner.numbered, owner.name, owner.born, owner.sex)
                if before.subject != header.subject or contradiction([before, header.person]):
                    return "an object came again as another patient's"
            study = session.get(Study, header.study)
            if study is not None and study.subject != header.subject:
                return "its objects are of several patients"
            said = select(Owner.subject, Owner.numbered, Owner.name, Owner.born, Owner.sex).distinct()
            others = said.join(Instance).where(Instance.study == header.study, Instance.uid != header.uid)
            if what := contradiction([*(Person(*row) for row in session.execute(others)), header.person]):
                return f"its objects have {what}, so they may be of several"
            return ""

    def quarantine(self, header: Header, why: str) -> None:
        """Record an object that contradicts what came before; nothing is done with its study until that is solved."""
        with self._change() as session:
            study = self._study(session, header)
            study.generation += 1
            study.state, study.changed, study.reason = "quarantined", self.clock(), why
            row = {"digest": header.digest, "uid": header.uid, "study": header.study, "size": header.size}
            session.merge(Quarantined(**row, subject=header.subject))

    def keep_first(self, study: str) -> list[str]:
        """Let a quarantined study go on with what came first; return the digests of the others, which are forgotten.

        Raises
        ------
        ValueError
            It is not quarantined, or nothing of it came first.
        """
        with self._change() as session:
            row = session.get(Study, study)
            if row is None or row.state != "quarantined":
                raise ValueError(f"study {study}: is not quarantined; see `anogan queue STORE`")
            if session.scalar(select(Instance.uid).where(Instance.study == study).limit(1)) is None:
                raise ValueError(f"study {study}: all of it contradicts other studies; erase it by its subject")
            others = list(session.scalars(select(Quarantined.digest).where(Quarantined.study == study)))
            session.execute(delete(Quarantined).where(Quarantined.study == study))
            row.state, row.changed, row.attempts, row.reason = "complete", self.clock(), 0, ""
            return others

    def ours(self, header: Header) -> bool:
        """Tell whether the object is, or stands in a series of, a result that was made here."""
        same = (ResultObject.uid == header.uid) | (ResultObject.series == header.series)
        with self._change() as session:
            return session.scalar(select(ResultObject.uid).where(same).limit(1)) is not None

    def add(self, header: Header) -> None:
        """Record a new or changed object that is in no `conflict`; its study waits for more."""
        with self._change() as session:
            study = self._study(session, header)
            study.generation += 1
            if study.state != "quarantined":
                study.state, study.changed = "receiving", self.clock()
                study.due, study.attempts, study.reason = 0.0, 0, ""
            session.merge(Instance(uid=header.uid, study=header.study, digest=header.digest, size=header.size))
            session.flush()
            session.merge(Owner(uid=header.uid, **header.person._asdict()))

    def _study(self, session: Session, header: Header) -> Study:
        study = session.get(Study, header.study)
        if study is None:
            values = {"state": "receiving", "generation": 0, "changed": self.clock()}
            study = Study(uid=header.study, subject=header.subject, **values)
            session.add(study)
            session.flush()
        return study

    def close_quiet(self, quiet: float) -> int:
        """Call studies complete that got no new object for `quiet` seconds; return how many."""
        now = self.clock()
        late = (Study.state == "receiving") & (Study.changed <= now - quiet)
        ahead = (Study.state == "receiving") & (Study.changed > now)  # the clock was set back: the wait begins anew
        with self._change() as session:
            session.execute(update(Study).where(ahead).values(changed=now))
            return _count(session.execute(update(Study).where(late).values(state="complete")))

    # studies are judged

    def take(self) -> Job | None:
        """Take up the complete study that waits longest, or None."""
        with self._change() as session:
            study = session.scalar(
                select(Study).where(Study.state == "complete").order_by(Study.attempts, Study.changed).limit(1)
            )
            if study is None:
                return None
            study.state, study.attempts = "judging", study.attempts + 1
            return Job(study.uid, study.generation)

    def judged(self, job: Job, results: Collection[Header]) -> bool:
        """Record the results of a job, unless its study has changed meanwhile; tell whether it was recorded.

        Results of before that were not sent are dropped; one that was sent and comes again stays sent, for what a UID
        names does not change (DICOM PS3.5, 9); one that was refused and comes again is offered once more.
        """
        with self._change() as session:
            study = self._of(session, job)
            if study is None:
                return False
            before = {row.uid: row for row in session.scalars(select(ResultObject).filter_by(study=job.study))}
            after = {header.uid: header for header in results}
            for uid, row in before.items():
                if row.state != "sent" and uid not in after:
                    session.delete(row)
                elif row.state == "refused":
                    row.state = "waiting"
            for uid, header in after.items():
                if uid not in before:
                    session.add(ResultObject(uid=uid, study=job.study, series=header.series, size=header.size))
            study.state, study.changed, study.attempts, study.reason = "judged", self.clock(), 0, ""
            return True

    def not_scored(self, job: Job, reason: str) -> bool:
        """Record why a job failed, unless its study has changed meanwhile; tell whether it was recorded."""
        with self._change() as session:
            study = self._of(session, job)
            if study is None:
                return False
            study.state, study.changed, study.reason = "failed", self.clock(), f"not scored: {reason}"
            return True

    def _of(self, session: Session, job: Job) -> Study | None:
        study = session.get(Study, job.study)
        valid = study is not None and study.state == "judging" and study.generation == job.generation
        return study if valid else None

    # results go out

    def next_to_send(self) -> tuple[str, list[Outgoing]] | None:
        """Take up the judged study that is due, with its results that are not known to be sent, or None.

        They are recorded as being sent, because from now on they may reach the PACS.
        """
        now = self.clock()
        due = (Study.due <= now) | (Study.changed > now)  # postponed before the clock was set back
        with self._change() as session:
            study = session.scalar(
                select(Study).where(Study.state == "judged", due).order_by(Study.attempts, Study.changed).limit(1)
            )
            if study is None:
                return None
            rows = session.scalars(
                select(ResultObject)
                .where(ResultObject.study == study.uid, ResultObject.state.in_(("waiting", "sending")))
                .order_by(ResultObject.uid)
            ).all()
            outgoing = [Outgoing(row.uid, row.series, row.state == "sending") for row in rows]
            study.state = "sending"
            for row in rows:
                row.state = "sending"
            return study.uid, outgoing

    def delivered(self, uid: str, refused: bool = False) -> None:
        """Record that the PACS has stored a result, or refused it for good."""
        with self._change() as session:
            session.execute(
                update(ResultObject).where(ResultObject.uid == uid).values(state="refused" if refused else "sent")
            )

    def sent(self, study: str, reason: str = "") -> None:
        """Record that a study is done with: sent, or for `reason` not."""
        self._leave(study, state="failed" if reason else "sent", attempts=0, reason=reason)

    def postpone(self, study: str, delay: float, reason: str) -> None:
        """Try a study again in `delay` seconds."""
        values = {"state": "judged", "due": self.clock() + delay, "reason": reason}
        self._leave(study, attempts=Study.attempts + 1, **values)

    def _leave(self, study: str, **values: Any) -> None:
        # Not if a new object came meanwhile, which set it back.
        here = (Study.uid == study) & (Study.state == "sending")
        with self._change() as session:
            session.execute(update(Study).where(here).values(changed=self.clock(), **values))

    # looking after it

    def recover(self) -> None:
        """Put back what a killed process had taken up; what it died of `DEATHS` times is not tried again."""
        with self._change() as session:
            # Nobody could send meanwhile, so that was no quiet time.
            session.execute(update(Study).where(Study.state == "receiving").values(changed=self.clock()))
            session.execute(update(Study).where(Study.state == "sending").values(state="judged"))
            judging = update(Study).where(Study.state == "judging")
            reason = f"not scored: the program died {DEATHS} times while judging it"
            session.execute(judging.where(Study.attempts >= DEATHS).values(state="failed", reason=reason))
            session.execute(judging.where(Study.attempts < DEATHS).values(state="complete"))

    def retry(self, studies: Sequence[str] = ()) -> int:
        """Try failed studies again, all or those named; return how many. What the PACS refused is sent once more.

        Raises
        ------
        ValueError
            A study is unknown or has not failed.
        """
        with self._change() as session:
            failed = set(session.scalars(select(Study.uid).where(Study.state == "failed")))
            for uid in studies:
                if uid not in failed:
                    raise ValueError(f"study {uid}: is not among the failed ones; see `anogan queue STORE`")
            chosen = set(studies) or failed
            for uid in chosen:
                refused = (ResultObject.study == uid) & (ResultObject.state == "refused")
                again = _count(session.execute(update(ResultObject).where(refused).values(state="waiting")))
                state = "judged" if again else "complete"
                session.execute(
                    update(Study).where(Study.uid == uid).values(state=state, due=0.0, attempts=0, reason="")
                )
            return len(chosen)

    def entries(self) -> list[Entry]:
        """List all studies, the latest last."""
        objects, results = (
            select(func.count()).select_from(table).where(table.study == Study.uid).scalar_subquery()
            for table in (Instance, ResultObject)
        )
        with self._change() as session:
            rows = session.execute(select(Study, objects, results).order_by(Study.changed)).all()
            return [
                Entry(row.uid, row.subject, row.state, n_objects, n_results, row.attempts, row.reason)
                for row, n_objects, n_results in rows
            ]

    def counts(self) -> dict[str, int]:
        """Return how many studies are in each state, in the order of `STATES`; states without one are left out."""
        with self._change() as session:
            found = dict(session.execute(select(Study.state, func.count()).group_by(Study.state)).all())
        return {state: found[state] for state in STATES if state in found}

    def changed(self) -> float | None:
        """Return when an object came last or a study went on, in seconds since 1970; None while there is no study."""
        with self._change() as session:
            return session.scalar(select(func.max(Study.changed)))

    def size(self) -> int:
        """Return the bytes of all objects and results."""
        with self._change() as session:
            tables = (Instance, ResultObject, Quarantined)
            return sum(session.scalar(select(func.sum(table.size))) or 0 for table in tables)

    def objects(self) -> dict[str, set[str]]:
        """Return the UIDs of the objects of each study."""
        with self._change() as session:
            found: dict[str, set[str]] = {study: set() for study in session.scalars(select(Study.uid))}
            for study, uid in session.execute(select(Instance.study, Instance.uid)):
                found.setdefault(study, set()).add(uid)
        return found

    def done_before(self, then: float) -> list[str]:
        """Return the studies that are sent or failed since before `then`."""
        done, now = Study.state.in_(("sent", "failed")), self.clock()
        old = done & (Study.changed < then)
        with self._change() as session:
            # Done with before the clock was set back: kept no longer from now than any other.
            session.execute(update(Study).where(done, Study.changed > now).values(changed=now))
            return list(session.scalars(select(Study.uid).where(old)))

    def of_subject(self, subject: str) -> list[str]:
        """Return the studies with anything of one person."""
        owned = select(Instance.study).join(Owner, Owner.uid == Instance.uid).where(Owner.subject == subject)
        quarantined = select(Quarantined.study).where(Quarantined.subject == subject)
        theirs = (Study.subject == subject) | Study.uid.in_(owned) | Study.uid.in_(quarantined)
        with self._change() as session:
            return list(session.scalars(select(Study.uid).where(theirs)))

    def knows(self, study: str) -> bool:
        """Tell whether anything is recorded of a study."""
        with self._change() as session:
            return session.get(Study, study) is not None

    def forget(self, studies: Collection[str]) -> None:
        """Delete all that is recorded of studies, from the file and its log."""
        with self._change() as session:
            session.execute(delete(Study).where(Study.uid.in_(studies)))
        with contextlib.closing(self._engine.raw_connection()) as connection:  # outside a transaction
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _count(result: Any) -> int:
    return int(result.rowcount)
