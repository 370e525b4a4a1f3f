"""One transaction of the desk: who acts, under which policy, since when; and what it may be shown of a case."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from anogan.review import audit
from anogan.review.cases import LARGEST, Case, Conflict, Decision, NotAllowed, Policy, Query, moment, no_case
from anogan.review.roles import LOCAL, Reader
from anogan.review.tables import CaseRow, DecisionRow, MemberRow, PolicyRow


@dataclass(frozen=True)
class Transaction:
    """A transaction on behalf of one user, whose role was looked up in it."""

    session: Session
    reader: Reader
    policy: Policy
    now: float

    @property
    def user(self) -> str:
        """The user who acts."""
        return self.reader.user

    def log(self, action: str, case: int | None = None, **details: Any) -> None:
        """Write down what was done; the last step."""
        self.session.flush()
        audit.append(self.session.connection(), self.now, self.user, action, case, details)

    def case(self, id: int, version: int | None = None) -> CaseRow:
        """Return a case, locked until the end; with a version, only if it is still that.

        Raises
        ------
        ValueError
            There is no such case.
        Conflict
            The case has another version.
        """
        found = select(CaseRow).where(CaseRow.id == id).with_for_update()
        row = self.session.scalar(found) if abs(id) <= LARGEST else None
        if row is None:
            raise no_case(id)
        if version is not None and row.version != version:
            raise Conflict(
                f"case {id}: has changed since it was opened (version {row.version}, not {version}); open it again"
            )
        return row

    def blinded(self, rows: Collection[CaseRow]) -> set[int]:
        """Return which cases this user may not see the judgment of yet."""
        if not self.policy.blind_first or not self.reader.may("read"):
            return set()
        waiting = {row.id for row in rows if row.state in ("open", "second reading")}
        own = select(DecisionRow.case_id).where(DecisionRow.reader == self.user, DecisionRow.case_id.in_(waiting))
        return waiting - set(self.session.scalars(own)) if waiting else set()

    def need_sight(self, query: Query) -> None:
        """Raise NotAllowed if the order or a filter would tell a blind reader what the detector says."""
        if not self.policy.blind_first or not self.reader.may("read"):
            return
        telling = query.order == "p-value" or (query.flagged, query.p_min, query.p_max) != (None, None, None)
        if telling:
            raise NotAllowed(
                "this desk is read blind first, so cases are not listed by p-value or flag; order by age or priority"
            )

    def shown(self, rows: Collection[CaseRow]) -> tuple[Case, ...]:
        """Return cases as this user may see them."""
        blind = self.blinded(rows)
        return tuple(self._shown(row, row.id in blind) for row in rows)

    def _shown(self, row: CaseRow, blind: bool) -> Case:
        withheld = blind and row.status == "scored"  # why a case is not scored gives nothing away
        leased = row.until > self.now
        return Case(
            id=row.id,
            key=row.key,
            kind=row.kind,  # type: ignore[arg-type]
            subject=row.subject,
            title=row.title,
            detector=row.detector,
            threshold=row.threshold,
            status=row.status,  # type: ignore[arg-type]
            reason="" if withheld else row.reason,
            score=None if withheld else row.score,
            p_value=None if withheld else row.p_value,
            flagged=None if withheld else row.flagged,
            folder="" if withheld else row.folder,
            priority=-row.by_priority,
            added=moment(row.added),
            state=row.state,  # type: ignore[arg-type]
            version=row.version,
            reader=row.reader if leased else "",
            until=moment(min(row.until, self.now + self.policy.lease)) if leased else None,
            verdict=row.verdict,  # type: ignore[arg-type]
            signed_by=row.signed_by,
            signed=None if row.signed is None else moment(row.signed),
            blind=blind,
        )


def begin(session: Session, user: str, now: float) -> Transaction:
    """Return a transaction with the user's role and the policy as they are now."""
    role = session.scalar(select(MemberRow.role).where(MemberRow.user == user))
    if role is None:
        alone = user == LOCAL and session.scalar(select(MemberRow.user).limit(1)) is None
        role = LOCAL if alone else ""
    row = session.get(PolicyRow, 1)
    policy = Policy() if row is None else Policy(row.readings, row.blind_first, row.lease)
    return Transaction(session, Reader(user, role), policy, now)


def out(row: DecisionRow) -> Decision:
    """Return a decision as it goes out."""
    return Decision(
        id=row.id,
        case=row.case_id,
        version=row.version,
        reader=row.reader,
        stage=row.stage,  # type: ignore[arg-type]
        blind=row.blind,
        verdict=row.verdict,  # type: ignore[arg-type]
        reason=row.reason,
        text=row.text,
        seconds=row.seconds,
        decided=moment(row.decided),
    )
