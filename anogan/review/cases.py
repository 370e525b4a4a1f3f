"""What goes into the review desk and what comes out of it: frozen, typed, without a trace of the database."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from anogan.scan import Outcome

Kind = Literal["image", "series", "screening"]
Status = Literal["scored", "not scored"]
State = Literal["open", "second reading", "arbitration", "decided", "signed"]
Stage = Literal["first", "second", "arbitration"]
Verdict = Literal["confirm", "dismiss", "unsure"]
Order = Literal["p-value", "age", "priority"]

KINDS: tuple[Kind, ...] = get_args(Kind)
STATUSES: tuple[Status, ...] = get_args(Status)
STATES: tuple[State, ...] = get_args(State)
ORDERS: tuple[Order, ...] = get_args(Order)

REASONS: Mapping[Verdict, tuple[str, ...]] = MappingProxyType(
    {
        "confirm": ("abnormal finding", "manipulation", "other"),
        "dismiss": ("normal variant", "artifact", "known finding", "poor quality", "other"),
        "unsure": ("poor quality", "another view needed", "an expert needed", "other"),
    }
)
"""Reason codes of each verdict; "other" needs words."""
LARGEST = 2**63 - 1  # a database cannot even be asked for a case beyond


class NotAllowed(ValueError):
    """The reader's role, or what he or she has done before, does not allow it."""


class Conflict(ValueError):
    """Somebody else was faster: the case is leased to another reader, or has changed since it was read."""


def no_case(id: int) -> ValueError:
    """Return what is raised where there is no case of that number."""
    return ValueError(f"case {id}: there is none; it may have been erased")


def expect(name: str, value: object, allowed: tuple[Any, ...]) -> None:
    """Raise ValueError unless a value is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")


@dataclass(frozen=True)
class NewCase:
    """What one detector, at one operating point, says of one image, series or screening.

    Attributes
    ----------
    key
        The same for the same judgment: adding it again changes nothing. It names no person.
    kind
        What was looked at.
    subject
        A pseudonym, or "".
    title
        What lists show.
    detector
        Name and hash of the detector.
    status, reason, score, p_value, flagged
        As in `anogan.scan.Result`; score None where it is not scored.
    folder
        Where its pictures lie, as `anogan.results.reading` writes them; "" for none.
    priority
        Higher comes first.
    threshold
        Version of the operating point, or "".

    Raises
    ------
    ValueError
        A value is out of range, or the key is empty.
    """

    key: str
    kind: Kind
    subject: str
    title: str
    detector: str
    status: Status
    reason: str
    score: float | None
    p_value: float | None
    flagged: bool | None
    folder: str
    priority: int = 0
    threshold: str = ""

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("key: is empty; give each case a key of its own")
        expect("kind", self.kind, KINDS)
        expect("status", self.status, STATUSES)
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"score: expected a finite number or None, got {self.score}")
        if self.p_value is not None and not 0 <= self.p_value <= 1:
            raise ValueError(f"p_value: expected a number in [0, 1] or None, got {self.p_value}")
        if self.status == "not scored" and (self.score, self.p_value, self.flagged) != (None, None, None):
            raise ValueError("status: what is not scored has no score, no p-value and no flag")


@dataclass(frozen=True)
class Case:
    """A case as one reader may see it now.

    While `blind`, what the detector says is withheld: reason, score, p_value, flagged are empty and folder is "", until
    this reader's own first decision is recorded; `Desk.image` gives the image alone.

    Attributes
    ----------
    id
        Its number; never used again, also after an erasure.
    key, kind, subject, title, detector, threshold, status, reason, score, p_value, flagged, folder, priority
        As in `NewCase`.
    added
        When it came.
    state
        open -> (second reading) -> (arbitration) -> decided -> signed.
    version
        Counts its changes; a decision names the version it was made on.
    reader, until
        Who is reading it, and until when ("" and None: nobody).
    verdict
        What was decided, once it was.
    signed_by, signed
        Who signed it, and when.
    blind
        Whether something is withheld.
    """

    id: int
    key: str
    kind: Kind
    subject: str
    title: str
    detector: str
    threshold: str
    status: Status
    reason: str
    score: float | None
    p_value: float | None
    flagged: bool | None
    folder: str
    priority: int
    added: datetime.datetime
    state: State
    version: int
    reader: str
    until: datetime.datetime | None
    verdict: Verdict | None
    signed_by: str
    signed: datetime.datetime | None
    blind: bool

    @property
    def outcome(self) -> Outcome:
        """What the detector made of it; not to be asked of a case whose judgment is withheld."""
        return Outcome.of(self.status, self.flagged, self.p_value)


@dataclass(frozen=True)
class Decision:
    """One reader's word on one case; never changed afterwards.

    `blind` tells that it was made before score, p-value and map were shown. `seconds` count from the beginning of the
    reader's lease.
    """

    id: int
    case: int
    version: int
    reader: str
    stage: Stage
    blind: bool
    verdict: Verdict
    reason: str
    text: str
    seconds: float
    decided: datetime.datetime


@dataclass(frozen=True)
class Query:
    """Which cases, and in which order; None and "" leave a filter out.

    Attributes
    ----------
    number, state, kind, detector, status, flagged
        Exactly these; `number` is that of a case.
    p_min, p_max
        Range of p-values, both ends included.
    reader
        Who reads it now, or has decided on it.
    since, until
        When it came: since included, until not. With a time zone.
    search
        How its key or its subject's pseudonym begins.
    order
        "p-value": smallest first, and before them what has none, because nobody knows anything about it;
        "age": oldest first; "priority": highest first, then oldest.
    """

    state: State | None = None
    kind: Kind | None = None
    detector: str | None = None
    status: Status | None = None
    flagged: bool | None = None
    p_min: float | None = None
    p_max: float | None = None
    reader: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    search: str = ""
    order: Order = "p-value"
    number: int | None = None

    def __post_init__(self) -> None:
        expect("order", self.order, ORDERS)
        for name, allowed in (("state", STATES), ("kind", KINDS), ("status", STATUSES)):
            if (value := getattr(self, name)) is not None:
                expect(name, value, allowed)
        if self.number is not None and abs(self.number) > LARGEST:
            raise no_case(self.number)
        for name in ("since", "until"):
            if (moment := getattr(self, name)) is not None and moment.tzinfo is None:
                raise ValueError(f"{name}: {moment} has no time zone; add one")


@dataclass(frozen=True)
class Page:
    """Some cases in order; `after` is what the next page starts after, None on the last."""

    cases: tuple[Case, ...]
    after: str | None


@dataclass(frozen=True)
class Policy:
    """How the desk works.

    Attributes
    ----------
    readings
        1, or 2: two readers look independently, and a third arbitrates where they disagree.
    blind_first
        Whether each reader's first decision comes before score, p-value and map.
    lease
        Seconds for which a case belongs to who opened it.
    """

    readings: int = 1
    blind_first: bool = False
    lease: int = 900

    def __post_init__(self) -> None:
        if self.readings not in (1, 2):
            raise ValueError(f"readings: expected 1 or 2, got {self.readings}")
        if self.lease < 1:
            raise ValueError(f"lease: expected seconds, at least 1, got {self.lease}")


@dataclass(frozen=True)
class Erased:
    """How many cases of a person were erased, and the folders of theirs that are not on this machine."""

    cases: int
    elsewhere: tuple[str, ...]


def moment(seconds: float) -> datetime.datetime:
    """Return seconds since 1970 as a time in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
