"""Filters, order and keyset paging: a page starts after the last case of the page before, so each costs the same.

Offsets would count all rows before them, and skip or repeat cases while others come and go.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_, union

from anogan.review.cases import Case, Decision, Page, Query
from anogan.review.tables import CaseRow, DecisionRow
from anogan.review.transaction import Transaction, out

_COLUMN: dict[str, Any] = {"p-value": CaseRow.by_p, "age": CaseRow.added, "priority": CaseRow.by_priority}
MOST = 1000  # cases a page


def page(tx: Transaction, query: Query, after: str | None, size: int) -> Page:
    """Return one page of the cases of a query."""
    if not 1 <= size <= MOST:
        raise ValueError(f"size: expected 1 to {MOST} cases, got {size}")
    tx.need_sight(query)
    column = _COLUMN[query.order]
    found = ordered(query, tx.now)
    if after is not None:
        found = found.where(tuple_(column, CaseRow.id) > tuple_(*_place(query, after)))
    rows = tx.session.scalars(found.limit(size + 1)).all()
    more, rows = len(rows) > size, rows[:size]
    last = f"{getattr(rows[-1], column.key)!r} {rows[-1].id}" if more else None
    return Page(tx.shown(rows), last)


def ordered(query: Query, now: float) -> Select[Any]:
    """Return the statement that selects the cases of a query in its order."""
    return select(CaseRow).where(*conditions(query, now)).order_by(_COLUMN[query.order], CaseRow.id)


def counts(tx: Transaction, query: Query) -> dict[str, int]:
    """Return how many cases of a query are in each state."""
    tx.need_sight(query)
    found = select(CaseRow.state, func.count().label("cases")).where(*conditions(query, tx.now)).group_by(CaseRow.state)
    return {row.state: row.cases for row in tx.session.execute(found)}


def decisions(tx: Transaction, cases: Collection[int]) -> dict[int, tuple[Decision, ...]]:
    """Return the decisions on cases, in order; of those that wait for an independent reading, a reader's own alone."""
    found = select(DecisionRow).where(DecisionRow.case_id.in_(cases)).order_by(DecisionRow.case_id, DecisionRow.version)
    if tx.reader.may("read"):
        waiting = CaseRow.state.in_(("open", "second reading"))
        found = found.join(CaseRow).where(~waiting | (DecisionRow.reader == tx.user))
    by_case: dict[int, tuple[Decision, ...]] = {}
    for row in tx.session.scalars(found):
        by_case[row.case_id] = (*by_case.get(row.case_id, ()), out(row))
    return by_case


def history(tx: Transaction, subject: str) -> tuple[Case, ...]:
    """Return all cases of a subject, the oldest first."""
    if not subject:
        return ()
    found = select(CaseRow).where(CaseRow.subject == subject).order_by(CaseRow.added, CaseRow.id)
    return tx.shown(tx.session.scalars(found).all())


def conditions(query: Query, now: float) -> list[ColumnElement[bool]]:
    """Return the filters of a query."""
    found: list[ColumnElement[bool]] = []
    for name in ("state", "kind", "detector", "status", "flagged"):
        if (value := getattr(query, name)) is not None:
            found.append(getattr(CaseRow, name) == value)
    if query.number is not None:
        found.append(CaseRow.id == query.number)
    if query.p_min is not None or query.p_max is not None:
        found.append(CaseRow.by_p >= max(query.p_min or 0.0, 0.0))  # below 0 is what has no p-value
    if query.p_max is not None:
        found.append(CaseRow.by_p <= query.p_max)
    if query.since is not None:
        found.append(CaseRow.added >= query.since.timestamp())
    if query.until is not None:
        found.append(CaseRow.added < query.until.timestamp())
    if query.reader is not None:
        decided = select(DecisionRow.case_id).where(DecisionRow.reader == query.reader)
        reads = select(CaseRow.id).where(CaseRow.reader == query.reader, CaseRow.until > now)
        found.append(CaseRow.id.in_(union(decided, reads)))  # once, not for each case
    if query.search:
        found.append(or_(*(_begins(column, query.search) for column in (CaseRow.key, CaseRow.subject))))
    return found


def _begins(column: Any, start: str) -> ColumnElement[bool]:
    # A range of the index; LIKE is one only under some settings.
    return (column >= start) & (column < start + "\U0010ffff")


def _place(query: Query, after: str) -> tuple[float, int]:
    value, _, id = after.partition(" ")
    try:  # an integer stays one, or PostgreSQL would not use its index
        return (int if query.order == "priority" else float)(value), int(id)
    except ValueError:
        raise ValueError("after: is no place in a list; take that of the page before") from None
