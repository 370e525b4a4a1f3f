"""The desk's own work in numbers: cases by day, agreement, time per case, and what p-values were worth.

The database counts; no case leaves it. Verdicts and judgments are counted of cases that are decided or signed, and of
two readers also of those that await arbitration: what still waits for an independent or blind reading is in no figure
but the number of cases in each state.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Label, Select, Subquery, case, cast, func, select

from anogan.metrics import Estimate, cohen_kappa, wilson
from anogan.review.cases import REASONS, Query, moment
from anogan.review.listing import conditions, counts
from anogan.review.tables import CaseRow, DecisionRow
from anogan.review.transaction import Transaction

VERDICTS: tuple[str, ...] = tuple(REASONS)
BANDS = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0)
"""Upper ends of the bands of p-values; each band begins above the one before."""

_DONE = ("decided", "signed")
_SEEN = ("arbitration", *_DONE)
_DAY = 86400


class Day(NamedTuple):
    """One day in UTC: how many cases came, by the state they are in now; readings made; cases signed."""

    date: datetime.date
    came: Mapping[str, int]
    readings: int
    signed: int


@dataclass(frozen=True)
class Agreement:
    """How often two agree on the same cases.

    Attributes
    ----------
    words
        What each can say.
    table
        Counts: rows are what the first said, columns what the second said, in the order of `words`.
    """

    words: tuple[str, ...]
    table: tuple[tuple[int, ...], ...]

    @property
    def cases(self) -> int:
        """How many cases both judged."""
        return sum(map(sum, self.table))

    @property
    def share(self) -> Estimate | None:
        """Share of cases on which they agree, with Wilson's interval; None without a case."""
        agreed = sum(row[index] for index, row in enumerate(self.table))
        return wilson(agreed, self.cases) if self.cases else None

    @property
    def kappa(self) -> Estimate | None:
        """Cohen's kappa with its interval; None without a case, or where both always said the same one thing."""
        found = cohen_kappa(self.table) if self.cases else None
        return None if found is None or math.isnan(found.value) else found


class Times(NamedTuple):
    """Seconds of a reader's readings ("": of all): how many, and quartiles, each one of the times (nearest rank)."""

    reader: str
    readings: int
    lower: float
    median: float
    upper: float


class Band(NamedTuple):
    """Decided cases with a p-value above `low` and up to `high`; both None: without one, so not scored."""

    low: float | None
    high: float | None
    confirmed: int
    dismissed: int
    unsure: int

    @property
    def rate(self) -> Estimate | None:
        """Share confirmed of those confirmed or dismissed, with Wilson's interval; None without one."""
        sure = self.confirmed + self.dismissed
        return wilson(self.confirmed, sure) if sure else None


class Arrivals(NamedTuple):
    """How many cases of a kind there are, and when the last one came."""

    cases: int
    last: datetime.datetime


@dataclass(frozen=True)
class Statistics:
    """What `Desk.statistics` returns.

    Attributes
    ----------
    states
        How many cases are in each state; states without one are left out.
    days
        Days on which something came or was done, the oldest first.
    readers
        First and second reading of a case.
    blind
        A reader's blind decision, and the same reader's with the score in sight.
    detector
        "confirm" or "dismiss" as the detector's flag has it, and as the case was decided; without unsure ones.
    times
        Own times of a reader; for admins and auditors those of all readers together, then of each.
    bands
        By p-value, the smallest first; then what has none.
    untimed
        Readings that are in no time, of those whose times are shown: theirs is below zero, as earlier versions kept it
        where the clock had been set back.
    """

    states: Mapping[str, int]
    days: tuple[Day, ...]
    readers: Agreement
    blind: Agreement
    detector: Agreement
    times: tuple[Times, ...]
    bands: tuple[Band, ...]
    untimed: int


def statistics(tx: Transaction, query: Query) -> Statistics:
    """Count the cases of a query and the work on them."""
    chosen = conditions(query, tx.now)
    return Statistics(
        states=counts(tx, query),
        days=_days(tx, chosen),
        readers=_readers(tx, chosen),
        blind=_blind(tx, chosen),
        detector=_detector(tx, chosen),
        times=_times(tx, chosen),
        bands=_bands(tx, chosen),
        untimed=_untimed(tx, chosen),
    )


def arrivals(tx: Transaction) -> dict[str, Arrivals]:
    """Return how many cases of each kind there are, and when the last one came."""
    found = select(CaseRow.kind, func.count(), func.max(CaseRow.added)).group_by(CaseRow.kind).order_by(CaseRow.kind)
    return {kind: Arrivals(count, moment(last)) for kind, count, last in tx.session.execute(found)}


def _days(tx: Transaction, chosen: Sequence[ColumnElement[bool]]) -> tuple[Day, ...]:
    came: dict[int, dict[str, int]] = {}
    day = _day(tx, CaseRow.added)
    for number, state, count in tx.session.execute(
        select(day, CaseRow.state, func.count()).where(*chosen).group_by("day", CaseRow.state)
    ):
        came.setdefault(int(number), {})[state] = count
    day = _day(tx, DecisionRow.decided)
    read = select(day, func.count()).join(CaseRow).where(DecisionRow.blind.is_(False), *chosen).group_by("day")
    readings = {int(number): count for number, count in tx.session.execute(read)}
    day = _day(tx, CaseRow.signed)
    sign = select(day, func.count()).where(CaseRow.signed.is_not(None), *chosen).group_by("day")
    signed = {int(number): count for number, count in tx.session.execute(sign)}
    return tuple(
        Day(moment(number * _DAY).date(), came.get(number, {}), readings.get(number, 0), signed.get(number, 0))
        for number in sorted(came.keys() | readings.keys() | signed.keys())
    )


def _day(tx: Transaction, column: Any) -> Label[int]:
    """Return the number of a moment's day since 1970; a cast rounds in PostgreSQL, and cuts off in SQLite."""
    days = column / _DAY
    return cast(days if tx.session.get_bind().dialect.name == "sqlite" else func.floor(days), Integer).label("day")


def _readers(tx: Transaction, chosen: Sequence[ColumnElement[bool]]) -> Agreement:
    sides = DecisionRow.stage == "first", DecisionRow.stage == "second"
    pairs = _pairs(sides, [DecisionRow.blind.is_(False)], [DecisionRow.case_id])
    return _counted(tx, pairs, [CaseRow.state.in_(_SEEN), *chosen])


def _blind(tx: Transaction, chosen: Sequence[ColumnElement[bool]]) -> Agreement:
    sides = DecisionRow.blind.is_(True), DecisionRow.blind.is_(False)
    pairs = _pairs(sides, [], [DecisionRow.case_id, DecisionRow.stage, DecisionRow.reader])
    return _counted(tx, pairs, [CaseRow.state.in_(_DONE), *chosen])


def _pairs(
    sides: tuple[ColumnElement[bool], ColumnElement[bool]], among: Sequence[ColumnElement[bool]], by: Sequence[Any]
) -> Subquery:
    """Return the last verdict of each of two sides, beside each other: a case that was reopened has several.

    One pass and no join of the decisions with themselves, for which PostgreSQL may choose a loop in a loop.
    """
    side = case((sides[0], 0), (sides[1], 1), else_=2).label("side")
    version = DecisionRow.version.desc()
    recent = func.row_number().over(partition_by=(*by, side.element), order_by=version).label("recent")
    ranked = select(*by, DecisionRow.verdict, side, recent).where(*among).subquery()
    both = [func.max(case((ranked.c.side == place, ranked.c.verdict))) for place in (0, 1)]
    return (
        select(ranked.c.case_id, both[0].label("first"), both[1].label("second"))
        .where(ranked.c.recent == 1)
        .group_by(*(ranked.c[column.key] for column in by))
        .subquery()
    )


def _counted(tx: Transaction, pairs: Subquery, conditions: Sequence[ColumnElement[bool]]) -> Agreement:
    found = (
        select(pairs.c.first, pairs.c.second, func.count())
        .join(CaseRow, CaseRow.id == pairs.c.case_id)
        .where(pairs.c.first.is_not(None), pairs.c.second.is_not(None), *conditions)
        .group_by(pairs.c.first, pairs.c.second)
    )
    return _agreement(tx, found, VERDICTS)


def _detector(tx: Transaction, chosen: Sequence[ColumnElement[bool]]) -> Agreement:
    says = case((CaseRow.flagged.is_(True), "confirm"), else_="dismiss")
    words = ("confirm", "dismiss")
    found = (
        select(says, CaseRow.verdict, func.count())
        .where(CaseRow.state.in_(_DONE), CaseRow.flagged.is_not(None), CaseRow.verdict.in_(words), *chosen)
        .group_by(CaseRow.flagged, CaseRow.verdict)
    )
    return _agreement(tx, found, words)


def _agreement(tx: Transaction, found: Select[Any], words: tuple[str, ...]) -> Agreement:
    pairs = {(first, second): count for first, second, count in tx.session.execute(found)}
    return Agreement(words, tuple(tuple(pairs.get((row, column), 0) for column in words) for row in words))


def _times(tx: Transaction, chosen: Sequence[ColumnElement[bool]]) -> tuple[Times, ...]:
    """Return quartiles; a reading's time is that of its last decision, which counts from the beginning of the lease."""
    read = _readings(tx, chosen).where(DecisionRow.seconds >= 0).subquery()
    return (*(_quartiles(tx, read, together=True) if _sees_all(tx) else ()), *_quartiles(tx, read))


def _untimed(tx: Transaction, chosen: Sequence[ColumnElement[bool]]) -> int:
    below = _readings(tx, chosen).where(DecisionRow.seconds < 0).subquery()
    return tx.session.scalar(select(func.count()).select_from(below)) or 0


def _readings(tx: Transaction, chosen: Sequence[ColumnElement[bool]]) -> Select[str, float]:
    """Return reader and seconds of the readings whose times this user may see."""
    read = select(DecisionRow.reader, DecisionRow.seconds).join(CaseRow).where(DecisionRow.blind.is_(False), *chosen)
    return read if _sees_all(tx) else read.where(DecisionRow.reader == tx.user)


def _sees_all(tx: Transaction) -> bool:
    return tx.reader.may("administer") or tx.reader.may("audit")


def _quartiles(tx: Transaction, times: Subquery, together: bool = False) -> tuple[Times, ...]:
    group: list[Any] = [] if together else [times.c.reader]
    rank = func.row_number().over(partition_by=group or None, order_by=times.c.seconds).label("rank")
    count = func.count().over(partition_by=group or None).label("count")
    ranked = select(times, rank, count).subquery()
    n = ranked.c.count
    quartiles = [
        func.max(case((ranked.c.rank == place, ranked.c.seconds)))
        for place in ((n + 3) // 4, (n + 1) // 2, (3 * n + 3) // 4)
    ]
    found = select(func.max(ranked.c.reader), func.max(n), *quartiles)
    if not together:
        found = found.group_by(ranked.c.reader).order_by(ranked.c.reader)
    return tuple(
        Times("" if together else reader, readings, *values)
        for reader, readings, *values in tx.session.execute(found)
        if readings
    )


def _bands(tx: Transaction, chosen: Sequence[ColumnElement[bool]]) -> tuple[Band, ...]:
    band = case((CaseRow.p_value.is_(None), len(BANDS)), *((CaseRow.p_value <= end, i) for i, end in enumerate(BANDS)))
    by_verdict = [func.count(case((CaseRow.verdict == verdict, 1))) for verdict in VERDICTS]
    found = select(band.label("band"), *by_verdict).where(CaseRow.state.in_(_DONE), *chosen).group_by("band")
    rows = {number: tuple(values) for number, *values in tx.session.execute(found)}
    ends = [*zip((0.0, *BANDS), BANDS, strict=False), (None, None)]
    return tuple(Band(low, high, *rows.get(index, (0, 0, 0))) for index, (low, high) in enumerate(ends))
