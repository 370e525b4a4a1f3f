"""From a photo to a screening that outlives a crash, and to the review queue where a person must see it.

    STORE/cases/<screening>/    heat map, thumbnail; if a person must see it maps and what they mean (results.json):
                                of the file nothing but pixels
    STORE/incoming/             the same, until the screening is in the database
    STORE/links.sqlite          prints of the photos, see `anogan.linkage`

First the pictures are on disk, then the prints, then the screening is in the database, then it is answered; what the
review desk does not have yet is noted there, too. So a killed server has forgotten nothing that it has answered, and
its next start delivers the rest, and takes back what nobody was told of. What a photo shares with others is told and
decides nothing: a decision goes by the calibrated score alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import hashlib
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
from filelock import FileLock, Timeout
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, joinedload

from anogan.api import erasing
from anogan.api.batching import Place
from anogan.api.erasing import Eraser, case_key, person_of, subject_of
from anogan.api.linking import MOST, in_other_applications
from anogan.api.problems import Problem
from anogan.api.room import Room
from anogan.api.tables import KeyRow, LinkRow, ScreeningRow
from anogan.api.verdict import SOURCE, decide
from anogan.api.watch import Watch
from anogan.assurance.drift import Case
from anogan.detector import Detector
from anogan.io.formats import HEADER, raster_format
from anogan.io.raster import raster_size, read_raster
from anogan.linkage import Link, Linkage, Prints, in_words, make_prints
from anogan.results.pictures import write_heat_map, write_maps, write_thumbnail
from anogan.results.writing import write_one
from anogan.review.cases import NewCase
from anogan.scan import Result, Scan
from anogan.service import Inspector
from anogan.storage.atomic import sync
from anogan.storage.documents import json_text

log = logging.getLogger("anogan.api")
_DECODERS = 4  # photos being decoded or written at once; the memory is bounded by `Room`
MOST_PIXELS = 16_000_000  # of all large photos inside: some 50 bytes each while they are judged, see `Room`
_Value = TypeVar("_Value")


class Desk(erasing.Desk, Protocol):
    """The part of `anogan.review.Desk` that is needed here."""

    def add(self, case: NewCase, /) -> int: ...


@dataclass(frozen=True)
class Sent:
    """What a client sent: by which key, the photo, its reference and group, an idempotency key ("": none); and who."""

    key: str
    photo: bytes
    reference: str = ""
    group: str = ""
    idempotency: str = ""
    client: str = ""

    @property
    def fingerprint(self) -> str:
        """Hash of photo, reference and group."""
        return _hash(json_text([_hash(self.photo), self.reference, self.group]).encode())


@dataclass(frozen=True)
class Screening:
    """A photo that was accepted, and what was found; see `anogan.api.verdict.decide`."""

    id: str
    created: datetime.datetime
    status: str
    decision: str
    reasons: list[str]
    score: float | None
    p_value: float | None
    reference: str
    group: str
    detector: str
    links: list[Link]


class Screener:
    """Judge photos and keep what was found.

    Parameters
    ----------
    run
        The run folder, whose drift monitor is heeded.
    detector
        Its detector.
    engine
        The database, as `anogan.api.tables.open_tables` returns it.
    store
        The folder of pictures; one server a store.
    desk
        The review desk.
    monitor
        Whether the scores enter the drift monitor.
    most_pixels
        Of a photo, and of those that are in memory at once.

    Raises
    ------
    ValueError
        The store is in use or cannot be made.
    """

    def __init__(
        self, run: Path, detector: Detector, engine: Engine, store: Path, desk: Desk, monitor: bool = False,
        most_pixels: int = MOST_PIXELS,
    ) -> None:  # fmt: skip
        self.detector, self.desk = detector, desk
        self._summary = detector.summary()
        self._name = f"{self._summary['name']} {self._summary['hash']}"
        self._map_range = detector.map_range
        self._inspector = Inspector(run, detector)
        self._watch = Watch(run, detector.calibration, monitor)
        self._read, self._write = engine, engine.execution_options(write=True)
        self._cases, self._incoming = store.resolve() / "cases", store.resolve() / "incoming"
        self.room = Room(most_pixels)
        self._limiter = anyio.CapacityLimiter(_DECODERS)
        self._busy: set[tuple[str, str]] = set()  # idempotency keys of what is being judged
        self._delivering = threading.Lock()
        self.undelivered: Callable[[], object] = lambda: None
        for folder in (self._cases, self._incoming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(store / ".lock", thread_local=False)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise ValueError(f"{store}: is in use by another `anogan serve`; choose another folder") from None
        self._linkage, self._linking = Linkage.open(store / "links.sqlite"), threading.Lock()
        self._eraser = Eraser(engine, store, self._linkage, desk, self._watch.forget)

    def close(self) -> None:
        """Give the store back, with all scores in the drift monitor."""
        self._watch.flush()
        self._linkage.close()
        self._lock.release()

    def judge(self, scans: Sequence[Scan]) -> list[Result]:
        """Judge a batch."""
        return list(self._inspector.inspect_many(scans, batch=len(scans)))

    def recover(self) -> None:
        """Finish what a killed server had begun: what it had not accepted goes, what it had is delivered."""
        for place in self._incoming.iterdir():
            if self.find(place.name) is None:
                self._linkage.erase(place.name)
                shutil.rmtree(place)
            else:
                place.rename(self._cases / place.name)
        self._eraser.recover()
        self.deliver()

    # Erasing

    def erase(self, number: str) -> None:
        """Erase a screening, see `anogan.api.erasing.Eraser.erase`."""
        with self._delivering:  # nothing is put on the desk that was just taken from it
            self._eraser.erase(number)

    def retire(self, days: float) -> None:
        """Erase what is older and need not be decided any more."""
        if erased := self._eraser.retire(days):
            log.info("%d screenings older than %g days were erased", erased, days)

    # Asking

    def find(self, number: str, client: str | None = None) -> Screening | None:
        """Return a screening that this client has sent (None: any), or None."""
        with Session(self._read) as session:
            row = session.get(ScreeningRow, number)
            return _screening(row) if row is not None and client in (None, row.made_by.name) else None

    def heat_map(self, number: str) -> Path:
        """Return where the heat map of a scored screening lies."""
        return self._cases / number / "heatmap.png"

    def ready(self) -> bool:
        """Tell whether the database answers."""
        with Session(self._read) as session:
            session.scalar(select(ScreeningRow.id).limit(1))
        return True

    # Screening

    async def screen(self, sent: Sent, place: Place) -> tuple[Screening, bool]:
        """Judge and keep one photo; return the screening, and whether it was there before.

        Raises
        ------
        Problem
            The photo cannot be read; its idempotency key came with something else, or is being worked on; the store
            cannot be written.
        """
        if not sent.idempotency:
            return await self._screen(sent, place), False
        name = (sent.client, sent.idempotency)
        if name in self._busy:
            raise Problem(
                409, "a request with this idempotency key is being worked on; ask again", {"Retry-After": "1"}
            )
        self._busy.add(name)
        try:
            before = await self._aside(self._earlier, sent)
            return (before, True) if before is not None else (await self._screen(sent, place), False)
        finally:
            self._busy.discard(name)

    async def _screen(self, sent: Sent, place: Place) -> Screening:
        if raster_format(sent.photo[:HEADER]) not in ("PNG", "JPEG", "TIFF"):
            raise Problem(415, "the photo is no PNG, JPEG or TIFF by its content; send one of these")
        height, width = await self._aside(raster_size, sent.photo)
        if height * width > self.room.most:
            most = f"more than the {self.room.most / 1e6:g} million that are judged here"
            raise Problem(413, f"the photo has {width} x {height} pixels, {most}; send a smaller one")
        async with self.room.hold(height * width):
            try:
                scan = await self._aside(read_raster, SOURCE, sent.photo)
            except ValueError as error:
                raise Problem(422, str(error)) from None
            scan = dataclasses.replace(scan, group=sent.group)
            result = await asyncio.wrap_future(place.judge(scan))
            return await self._aside(self._keep, sent, scan, result)

    async def _aside(self, function: Callable[..., _Value], *arguments: Any) -> _Value:
        return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=self._limiter)

    def _earlier(self, sent: Sent) -> Screening | None:
        same = (KeyRow.name == sent.client) & (ScreeningRow.idempotency == _hash(sent.idempotency.encode()))
        with Session(self._read) as session:
            # Two may stand there from when each key had idempotency keys of its own: the request's own comes first.
            other = ScreeningRow.fingerprint != sent.fingerprint
            row = session.scalar(select(ScreeningRow).join(KeyRow).where(same).order_by(other).limit(1))
            if row is not None and row.fingerprint != sent.fingerprint:
                raise Problem(409, "this idempotency key came with another photo, reference or group; use a new one")
            return None if row is None else _screening(row)

    def _keep(self, sent: Sent, scan: Scan, result: Result) -> Screening:
        decision, reasons = decide(result, self.detector.calibration, sent.group)
        scored = result.status == "scored"
        row = ScreeningRow(
            id=secrets.token_hex(8),
            key=sent.key,
            idempotency=_hash(sent.idempotency.encode()) if sent.idempotency else None,
            fingerprint=sent.fingerprint,
            reference=sent.reference,
            group=sent.group,
            created=time.time(),
            status=result.status,
            decision=decision,
            reasons=reasons,
            score=result.score if scored else None,
            p_value=result.p_value,
            flagged=result.flagged if decision in ("pass", "review") else None,
            detector=self._name,
            to_desk=decision != "pass",
        )
        place = self._incoming / row.id
        try:
            prints = make_prints(scan)
            write_thumbnail(place, scan)
            if scored:
                write_heat_map(place, scan, result, self._map_range)
            if scored and row.to_desk:  # what passes leaves no more than it must, and takes the least time
                write_maps(place, scan, result)
                told = dataclasses.replace(result, flagged=row.flagged, reason="; ".join(reasons))
                write_one(place, self._summary, row.id, scan, told)
            for path in (*place.iterdir(), place, self._incoming):
                sync(path)
            screening = self._accept(row, prints)
        except (ValueError, OSError, SQLAlchemyError) as error:
            kept = self._kept_all_the_same(place, sent)
            if kept is None:
                log.error(
                    "a screening cannot be kept: %s", error if isinstance(error, ValueError) else type(error).__name__
                )
                raise Problem(
                    503, "screenings cannot be kept at the moment; send it again later", {"Retry-After": "60"}
                ) from None
            if kept.id != place.name:
                return kept  # another server on this database was faster
            screening = kept
        place.rename(self._cases / screening.id)
        sync(self._cases)
        if scored and result.p_value is not None:
            case = Case(_hash(sent.photo)[:16], person_of(sent.reference, sent.client), result.score, result.components)
            self._watch.count(case, self._cases / screening.id)
        if decision != "pass":
            self.deliver()
        return screening

    def _kept_all_the_same(self, place: Path, sent: Sent) -> Screening | None:
        """After a failure: return what the database has of this request, or clear away what was begun; None: nothing.

        Where the database cannot be asked nobody knows, for a commit may be lost on its way back: then all stays for
        `recover`.
        """
        try:
            if (own := self.find(place.name)) is not None:
                return own
            self._linkage.erase(place.name)
            shutil.rmtree(place, ignore_errors=True)
            return self._earlier(sent)
        except SQLAlchemyError:
            return None

    def _accept(self, row: ScreeningRow, prints: Prints) -> Screening:
        """Put prints and screening into their databases, and with them what it shares with those accepted before."""
        with self._linking:  # of two that come at once, the second one finds the first
            self._linkage.add_prints({row.id: prints})
            links = self._linkage.links(row.id)
            with Session(self._write, expire_on_commit=False) as session:
                found = in_other_applications(session, links, row.key, row.reference)
                row.reasons = [*row.reasons, *in_words(found)]
                row.links = [
                    LinkRow(place=place, other=link.other, what=link.what, words=link.words, distance=link.distance)
                    for place, link in enumerate(found[:MOST])
                ]
                session.add(row)
                session.commit()
        return _screening(row)

    def deliver(self) -> None:
        """Put on the desk what a person must see and the desk does not have; what fails is tried with the next one."""
        with self._delivering:
            try:
                with Session(self._read) as session:
                    rows = session.scalars(
                        select(ScreeningRow).options(joinedload(ScreeningRow.made_by)).where(ScreeningRow.to_desk)
                    ).all()
                for row in rows:
                    self.desk.add(self._case(row))
                    with Session(self._write) as session:
                        sent = update(ScreeningRow).where(ScreeningRow.id == row.id).values(to_desk=False)
                        kept = session.execute(sent).rowcount  # type: ignore[attr-defined]
                        session.commit()
                    if not kept:  # the command line has erased it meanwhile
                        self.desk.withdraw(case_key(row.id))
            except Exception as error:  # the screenings themselves are kept
                log.error("not all screenings are on the desk yet (%s)", type(error).__name__)
                self.undelivered()

    def _case(self, row: ScreeningRow) -> NewCase:
        return NewCase(
            key=case_key(row.id),
            kind="screening",
            subject=subject_of(row.reference, row.made_by.name),
            title=case_key(row.id),
            detector=row.detector,
            status="scored" if row.status == "scored" else "not scored",
            reason="; ".join(row.reasons),
            score=row.score,
            p_value=row.p_value,
            flagged=row.flagged,
            folder=str(self._cases / row.id),
        )


def _screening(row: ScreeningRow) -> Screening:
    created = datetime.datetime.fromtimestamp(row.created, datetime.UTC)
    return Screening(
        row.id, created, row.status, row.decision, list(row.reasons), row.score, row.p_value, row.reference, row.group,
        row.detector, [Link(link.other, link.what, link.distance, link.words) for link in row.links],  # type: ignore[arg-type]
    )  # fmt: skip


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
