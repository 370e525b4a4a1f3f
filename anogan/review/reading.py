"""What readers do with a case: take it, decide, arbitrate, reopen, sign.

    open --first reading--> decided                        one reading a case
    open --first--> second reading --second--> decided     two readings that agree
                     either way, a disagreement or an "unsure" --> arbitration --> decided
    decided --> signed, or reopened

While the policy is blind-first, a reading is two decisions of one reader: a blind one, which changes no state, and then
one with the score in sight.
"""

from __future__ import annotations

import secrets

from sqlalchemy import Exists, exists, select, update

from anogan.review import audit
from anogan.review.cases import REASONS, Case, Conflict, NotAllowed, Query, Stage, State, Verdict, expect, moment
from anogan.review.listing import ordered
from anogan.review.roles import LOCAL
from anogan.review.tables import CaseRow, DecisionRow
from anogan.review.transaction import Transaction

_STAGE: dict[str, Stage] = {"open": "first", "second reading": "second", "arbitration": "arbitration"}


def take(tx: Transaction, query: Query) -> Case | None:
    """Lease the case that this reader has open, or else the first of a query that waits for such a reader."""
    tx.reader.need("read")
    tx.need_sight(query)
    states = [query.state] if query.state else list(reversed(_STAGE))
    found = ordered(query, tx.now).limit(1).with_for_update(skip_locked=True, of=CaseRow)
    mine = (CaseRow.reader == tx.user) & (CaseRow.until > tx.now) & CaseRow.state.in_(_STAGE)
    row = tx.session.scalar(found.where(mine))
    for state in states:
        if row is not None or state not in _STAGE or (state == "arbitration" and not tx.reader.may("arbitrate")):
            continue
        waiting = found.where(CaseRow.state == state, CaseRow.until <= tx.now)
        if state != "open" and tx.reader.role != LOCAL:
            waiting = waiting.where(~_read_by(tx.user))
        row = tx.session.scalar(waiting)
    return None if row is None else _lease(tx, row)


def lease(tx: Transaction, id: int) -> Case:
    """Lease one case, or renew the lease."""
    tx.reader.need("read")
    row = tx.case(id)
    _need_waiting(tx, row)
    if row.until > tx.now and row.reader != tx.user:
        raise Conflict(_taken(row))
    return _lease(tx, row)


def shorten(tx: Transaction) -> None:
    """Give no lease more than its length from now: it would last longer once the clock has been set back."""
    latest = tx.now + tx.policy.lease
    held = (CaseRow.reader > "", CaseRow.until > latest)  # the first has an index
    tx.session.execute(update(CaseRow).where(*held).values(until=latest))


def release(tx: Transaction, id: int) -> None:
    """Give a lease back, if this reader has it."""
    row = tx.case(id)
    if row.reader == tx.user:
        row.reader, row.until = "", 0.0


def decide(tx: Transaction, id: int, version: int, verdict: Verdict, reason: str, text: str) -> Case:
    """Record a decision and what follows from it."""
    tx.reader.need("read")
    expect("verdict", verdict, tuple(REASONS))
    expect(f"reason of {verdict}", reason, REASONS[verdict])
    if reason == "other" and not text.strip():
        raise ValueError("text: is empty; say in words what the other reason is")
    row = tx.case(id)
    if row.reader != tx.user:  # a lease that ran out, and that nobody has taken up since, still holds
        if row.until > tx.now:
            raise Conflict(_taken(row))
        tx.case(id, version)
        raise Conflict(f"case {id}: is not leased to you; open it again")
    tx.case(id, version)
    _need_waiting(tx, row)
    blind = bool(tx.blinded([row]))
    decision = DecisionRow(
        case_id=id,
        version=version,
        reader=tx.user,
        stage=_STAGE[row.state],
        blind=blind,
        verdict=verdict,
        reason=reason,
        text=text.strip(),
        seconds=max(round(tx.now - row.leased, 3), 0.0),  # the clock may have been set back
        decided=tx.now,
        salt=secrets.token_hex(16),
    )
    tx.session.add(decision)
    row.version += 1
    if blind:
        row.until = tx.now + tx.policy.lease
    else:
        row.state = _next(tx, row, verdict)
        row.verdict = verdict if row.state == "decided" else None
        row.reader, row.until = "", 0.0
    tx.session.flush()
    tx.log(
        "decided",
        id,
        decision=decision.id,
        fingerprint=audit.fingerprint(decision),
        stage=decision.stage,
        blind=blind,
        verdict=verdict,
        reason=reason,
        seconds=decision.seconds,
        state=row.state,
        detector=row.detector,
        threshold=row.threshold,
    )
    return tx.shown([row])[0]


def reopen(tx: Transaction, id: int, version: int) -> Case:
    """Put a case that is decided and not signed back: to its reader, or to arbitration."""
    tx.reader.need("read")
    row = tx.case(id, version)
    if row.state != "decided":
        raise ValueError(f"case {id}: is {row.state}; only a decided case that is not signed can be reopened")
    last = tx.session.scalar(
        select(DecisionRow).where(DecisionRow.case_id == id).order_by(DecisionRow.version.desc()).limit(1)
    )
    assert last is not None
    if last.reader != tx.user:
        tx.reader.need("arbitrate")
    row.state = "open" if last.stage == "first" else "arbitration"
    row.version, row.verdict = row.version + 1, None
    tx.log("reopened", id, state=row.state)
    return tx.shown([row])[0]


def sign(tx: Transaction, id: int, version: int) -> Case:
    """Sign what was decided; nothing about the case changes afterwards."""
    tx.reader.need("read")
    row = tx.case(id, version)
    if row.state != "decided":
        raise ValueError(f"case {id}: is {row.state}; only a decided case can be signed")
    if row.verdict == "unsure":
        raise ValueError(f"case {id}: was left unsure; reopen and decide it before signing")
    # A blind decision is half a reading, and perhaps another verdict than the one that would be signed.
    own = exists().where(DecisionRow.case_id == id, DecisionRow.reader == tx.user, DecisionRow.blind.is_(False))
    if not tx.session.scalar(select(own)):
        raise NotAllowed(f"case {id}: you have not read it; one of its readers signs")
    row.state, row.signed_by, row.signed, row.version = "signed", tx.user, tx.now, row.version + 1
    tx.log("signed", id, state="signed", verdict=row.verdict, detector=row.detector, threshold=row.threshold)
    return tx.shown([row])[0]


def _lease(tx: Transaction, row: CaseRow) -> Case:
    if row.reader != tx.user or row.until <= tx.now:
        row.reader, row.leased = tx.user, tx.now
    row.until = tx.now + tx.policy.lease
    case = tx.shown([row])[0]
    tx.log("saw", row.id, leased=True, blind=case.blind, detector=row.detector, threshold=row.threshold)
    return case


def _need_waiting(tx: Transaction, row: CaseRow) -> None:
    """Raise unless the case waits for a reader such as this one."""
    if row.state not in _STAGE:
        raise ValueError(f"case {row.id}: is {row.state} already")
    if row.state == "arbitration":
        tx.reader.need("arbitrate")
    own = select(CaseRow.id).where(CaseRow.id == row.id, _read_by(tx.user))
    if row.state != "open" and tx.reader.role != LOCAL and tx.session.scalar(own) is not None:
        raise NotAllowed(f"case {row.id}: you have read it already; {_STAGE[row.state]} takes another reader")


def _read_by(user: str) -> Exists:
    """Return the condition that a user was the first or second reader of a case, not only a blind one."""
    return exists().where(
        DecisionRow.case_id == CaseRow.id,
        DecisionRow.reader == user,
        DecisionRow.stage != "arbitration",
        DecisionRow.blind.is_(False),
    )


def _next(tx: Transaction, row: CaseRow, verdict: Verdict) -> State:
    """Return the state after a reading."""
    if row.state == "arbitration":
        return "decided"
    if row.state == "open":
        if tx.policy.readings == 2:
            return "second reading"
        return "arbitration" if verdict == "unsure" else "decided"
    first = tx.session.scalar(
        select(DecisionRow.verdict)
        .where(DecisionRow.case_id == row.id, DecisionRow.stage == "first", DecisionRow.blind.is_(False))
        .order_by(DecisionRow.version.desc())
        .limit(1)
    )
    return "decided" if first == verdict != "unsure" else "arbitration"


def _taken(row: CaseRow) -> str:
    return f"case {row.id}: is being read by {row.reader} until {moment(row.until):%H:%M} UTC; wait, or take another"
