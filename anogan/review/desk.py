"""The review desk: cases in, decisions out, every step in the audit log."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from anogan.review import administration, audit, database, listing, reading
from anogan.review.cases import Case, Decision, Erased, NewCase, Order, Page, Policy, Query, Verdict
from anogan.review.roles import LOCAL, Reader, Role
from anogan.review.statistics import Arrivals, Statistics, arrivals, statistics
from anogan.review.tables import CaseRow, MemberRow
from anogan.review.transaction import Transaction, begin
from anogan.storage.sqlite import scrub

if TYPE_CHECKING:
    import numpy as np

    from anogan.io.stack import Stack

_BATCH = 500


def open_desk(url: str | os.PathLike[str], user: str = LOCAL, clock: Callable[[], float] = time.time) -> Desk:
    """Open a review desk, and make or update its tables.

    Parameters
    ----------
    url
        The path of an SQLite file, which is made if need be, `sqlite:///PATH`, or `postgresql://USER@HOST/NAME`.
    user
        Who acts, as the caller has found out; the desk's members may do what their roles say, `"local"` alone all.
    clock
        Seconds since 1970.

    Raises
    ------
    ValueError
        The database cannot be opened, or belongs to a newer anogan.
    """
    engine = database.connect(url)
    database.migrate(engine)
    return Desk(engine, user, clock)


class Desk:
    """The desk as one user sees it; any number of threads and processes may use it at once.

    Every method looks up the user's role and raises `NotAllowed` where that does not do; `Conflict` where somebody else
    was faster; another ValueError for what is wrong by itself. Each change is one transaction, on disk and in the audit
    log before the method returns.
    """

    def __init__(self, engine: Engine, user: str, clock: Callable[[], float]) -> None:
        self.user = user
        self._engine, self._clock = engine, clock

    def sign_in(self, user: str) -> Desk:
        """Return the same desk on behalf of another user."""
        return Desk(self._engine, user, self._clock)

    def close(self) -> None:
        """Close all connections, also those of `sign_in`."""
        self._engine.dispose()

    @property
    def reader(self) -> Reader:
        """The user with the role as it is now."""
        with self._transaction() as tx:
            return tx.reader

    @property
    def policy(self) -> Policy:
        """How the desk works now."""
        with self._transaction() as tx:
            return tx.policy

    # cases come in

    def add(self, case: NewCase) -> int:
        """Add a case and return its number; one whose key is known stays as it is."""
        return self.add_many([case])[0]

    def add_many(self, cases: Sequence[NewCase]) -> list[int]:
        """Add cases and return their numbers, in order."""
        numbers: list[int] = []
        for start in range(0, len(cases), _BATCH):
            with self._change() as tx:
                numbers += administration.add(tx, cases[start : start + _BATCH])
        return numbers

    # looking

    def page(self, query: Query | None = None, after: str | None = None, size: int = 50) -> Page:
        """Return `size` cases (1 to 1000) of a query, from its beginning or after the place that a page names.

        Without a query: all, by p-value, or by age on a desk that is read blind first. Lists are not logged; `case` is.
        """
        with self._transaction() as tx:
            tx.reader.need("see")
            return listing.page(tx, query or Query(order=_order(tx)), after, size)

    def counts(self, query: Query | None = None) -> dict[str, int]:
        """Return how many cases of a query are in each state; states without one are left out."""
        with self._transaction() as tx:
            tx.reader.need("see")
            return listing.counts(tx, query or Query(order=_order(tx)))

    def case(self, id: int) -> Case:
        """Return a case, and write down who saw it."""
        with self._change() as tx:
            tx.reader.need("see")
            row = tx.case(id)
            case = tx.shown([row])[0]
            tx.log("saw", id, blind=case.blind, detector=row.detector, threshold=row.threshold)
            return case

    def history(self, subject: str) -> tuple[Case, ...]:
        """Return all cases of a subject, the oldest first; none for ""."""
        with self._transaction() as tx:
            tx.reader.need("see")
            return listing.history(tx, subject)

    def decisions(self, id: int) -> tuple[Decision, ...]:
        """Return the decisions on a case, in order; while readers are to be independent, a reader's own alone."""
        with self._transaction() as tx:
            tx.reader.need("see")
            return listing.decisions(tx, [id]).get(id, ())

    def statistics(self, query: Query | None = None) -> Statistics:
        """Return what was done with the cases of a query, in numbers; without a query: with all.

        A reader sees no other reader's times, admins and auditors see all. What waits for a blind or an independent
        reading is in no figure that tells its judgment or a verdict.
        """
        with self._transaction() as tx:
            tx.reader.need("see")
            return statistics(tx, query or Query(order=_order(tx)))

    def arrivals(self) -> dict[str, Arrivals]:
        """Return how many cases of each kind there are, and when the last one came."""
        with self._transaction() as tx:
            tx.reader.need("see")
            return arrivals(tx)

    def image(self, id: int) -> np.ndarray:
        """Return what was looked at, uint8 (H, W[, 3]), without a map: also while the case is blind.

        Of a series it is the most unusual slice, but the middle one while the case is blind: which slice that is would
        tell where the detector looks.

        Raises
        ------
        ValueError
            The case has no pictures, or they are not on this machine.
        """
        from anogan.io.stack import open_stack
        from anogan.results.reading import read_case

        with self._change() as tx:
            tx.reader.need("see")
            row = tx.case(id)
            folder, withheld = Path(row.folder), row.kind == "series" and bool(tx.blinded([row]))
            tx.log("saw", id, picture=True)
        if not row.folder:
            raise ValueError(f"case {id}: has no pictures")
        if withheld:
            if (stack := open_stack(folder, None)) is None:
                raise ValueError(f"case {id}: its slices were not kept, so there is no picture before the decision")
            return stack.read((stack.count + 1) // 2)["image"]
        return read_case(folder.parent.parent, folder.name)["image"]

    def slices(self, id: int) -> Stack | None:
        """Return the slices of a series, without maps: also while the case is blind; None where none were kept.

        Raises
        ------
        ValueError
            The file is damaged.
        """
        from anogan.io.stack import open_stack

        with self._change() as tx:
            tx.reader.need("see")
            folder = tx.case(id).folder
            stack = open_stack(folder, None) if folder else None
            if stack is not None:
                tx.log("saw", id, picture=True)
        return stack

    # reading

    def take(self, query: Query | None = None) -> Case | None:
        """Lease the case that this reader has open, or else the first of a query that waits for this reader, or None.

        Arbitrations come first, then second readings, then new cases. Cases that others read are passed over.
        """
        self._shorten_leases()
        with self._change() as tx:
            return reading.take(tx, query or Query(order=_order(tx)))

    def lease(self, id: int) -> Case:
        """Lease a case so that nobody else decides it, for as long as the policy says, or renew the lease.

        Raises
        ------
        Conflict
            Somebody else has it; the sentence says who, and until when.
        NotAllowed
            It waits for another reader.
        ValueError
            There is no such case, or it is decided.
        """
        self._shorten_leases()
        with self._change() as tx:
            return reading.lease(tx, id)

    def release(self, id: int) -> None:
        """Give a lease back; nothing happens without one."""
        with self._change() as tx:
            reading.release(tx, id)

    def decide(self, id: int, version: int, verdict: Verdict, reason: str, text: str = "") -> Case:
        """Decide on a case that is leased to this reader, and return it as it is then.

        On a desk that is read blind first, the first decision on a case that is `blind` changes no state: the case
        comes back with score, p-value and folder, still leased, and the next decision is the reading.

        Parameters
        ----------
        id, version
            The case, and the version that the reader has seen.
        verdict, reason
            One of `REASONS`, and one of its reason codes.
        text
            Free words; needed where the reason is "other".

        Raises
        ------
        Conflict
            Somebody else has it, or it has changed since.
        """
        with self._change() as tx:
            return reading.decide(tx, id, version, verdict, reason, text)

    def reopen(self, id: int, version: int) -> Case:
        """Take back a decision that is not signed: one's own, or as a second reader any."""
        with self._change() as tx:
            return reading.reopen(tx, id, version)

    def sign(self, id: int, version: int) -> Case:
        """Sign a decided case, as one of its readers; from then on it does not change."""
        with self._change() as tx:
            return reading.sign(tx, id, version)

    def records(self, query: Query | None = None) -> Iterator[tuple[Case, tuple[Decision, ...]]]:
        """Yield the cases of a query with their decisions, as this user may see them; it is logged as an export."""
        with self._change() as tx:
            tx.reader.need("export")
            query = query or Query(order=_order(tx))
            tx.need_sight(query)
            tx.log("exported", query.number, cases=sum(listing.counts(tx, query).values()))
        after: str | None = None
        while True:
            with self._transaction() as tx:
                page = listing.page(tx, query, after, listing.MOST)
                decisions = listing.decisions(tx, [case.id for case in page.cases])
            yield from ((case, decisions.get(case.id, ())) for case in page.cases)
            if (after := page.after) is None:
                return

    def signed(self, key: str) -> tuple[Case, Decision] | None:
        """Return a signed case by its key, with a decision that gave its verdict; it is logged as an export.

        That of who signed it, unless he or she had said something else before the arbitration; then the last.

        None: there is no such case, or nobody has signed it.
        """
        with self._change() as tx:
            tx.reader.need("export")
            row = tx.session.scalar(select(CaseRow).where(CaseRow.key == key, CaseRow.state == "signed"))
            if row is None:
                return None
            made = listing.decisions(tx, [row.id])[row.id]
            agreeing = [decision for decision in made if decision.verdict == row.verdict and not decision.blind]
            own = [decision for decision in agreeing if decision.reader == row.signed_by]
            tx.log("exported", row.id, signed_by=row.signed_by, detector=row.detector, threshold=row.threshold)
            return tx.shown([row])[0], (own or agreeing)[-1]

    # administration

    def members(self) -> dict[str, str]:
        """Return the role of each member."""
        with self._transaction() as tx:
            if not tx.reader.may("audit"):
                tx.reader.need("administer")
            return {row.user: row.role for row in tx.session.scalars(select(MemberRow).order_by(MemberRow.user))}

    def set_role(self, user: str, role: Role | None) -> None:
        """Make a user a member, change the role, or with None end the membership.

        The first member must be an admin; from then on, nobody does anything but add cases without signing in.
        """
        with self._change() as tx:
            administration.set_role(tx, user, role)

    def set_policy(self, policy: Policy) -> None:
        """Change how the desk works."""
        with self._change() as tx:
            administration.set_policy(tx, policy)

    def promote(self, detector: str, threshold: str, replaced: str) -> None:
        """Write down that an admin put one detector version (name and hash, threshold) in the place of another."""
        with self._change() as tx:
            administration.promote(tx, detector, threshold, replaced)

    def erase(self, subject: str) -> Erased:
        """Erase a person: pictures in the case folders, cases, decisions. The audit log still verifies, see `audit`."""
        with self._change() as tx:
            erased = administration.erase(tx, subject)
        if erased.cases:
            scrub(self._engine)
        return erased

    def withdraw(self, key: str, settled: bool = False) -> bool:
        """Take back a screening that the API has sent; its pictures are the sender's to erase.

        Parameters
        ----------
        key
            The case's.
        settled
            Leave what is still to be decided.

        Returns
        -------
        bool
            Whether the desk has no such case (any more).
        """
        with self._change() as tx:
            gone = administration.withdraw(tx, key, settled)
        if gone:
            scrub(self._engine)
        return gone

    # audit

    def log(self, after: int = 0, size: int = 100) -> tuple[audit.Entry, ...]:
        """Return `size` rows of the audit log after a number."""
        with self._transaction() as tx:
            tx.reader.need("audit")
            return tuple(audit.entries(tx.session.connection(), after, size))

    def log_head(self) -> audit.Head:
        """Return the end of the audit log: how many rows, and the hash of the last."""
        with self._transaction() as tx:
            tx.reader.need("audit")
            return audit.end(tx.session.connection())

    def export_log(self) -> Iterator[audit.Entry]:
        """Yield the whole audit log; that is logged, too, as its last row."""
        with self._change() as tx:
            tx.reader.need("audit")
            tx.log("exported", log=True)
            count = audit.end(tx.session.connection()).count
        for after in range(0, count, _BATCH):
            yield from self.log(after, min(_BATCH, count - after))

    def verify(self, anchor: audit.Head | None = None) -> audit.Verified:
        """Verify the audit log, see `anogan.review.audit.verify`."""
        with self._transaction() as tx:
            tx.reader.need("audit")
        with database.faults(self._engine), database.snapshot(self._engine) as connection:
            return audit.verify(connection, anchor)

    def _shorten_leases(self) -> None:
        with self._change() as tx:  # by itself: also where what comes next is refused
            reading.shorten(tx)

    @contextlib.contextmanager
    def _change(self) -> Iterator[Transaction]:
        engine = self._engine.execution_options(write=True)
        with database.faults(engine), Session(engine, expire_on_commit=False) as session, session.begin():
            yield begin(session, self.user, self._clock())

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with database.faults(self._engine), Session(self._engine) as session, session.begin():
            yield begin(session, self.user, self._clock())


def _order(tx: Transaction) -> Order:
    return "age" if tx.policy.blind_first and tx.reader.may("read") else "p-value"
