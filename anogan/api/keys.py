"""API keys: who may do what with whose screenings, and how often.

Keys of one name are of one client. What a client has sent belongs to it: its keys reach that and nothing else, except
those with the scope "admin", which reach what all clients have sent.

A key is 256 random bits, so a plain SHA-256 keeps it as well as a slow hash would: there is no list of likely keys to
try. It is shown once, when it is made.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from anogan.api.tables import KeyRow
from anogan.review.database import faults

OWN = ("screen", "read", "erase", "metrics")
SCOPES = (*OWN, "admin")
RATE = "600/minute"


@dataclass(frozen=True)
class Key:
    """An API key as it is listed: without what opens the door."""

    id: str
    name: str
    scopes: frozenset[str]
    rate: str
    created: datetime.datetime
    revoked: bool

    @property
    def client(self) -> str | None:
        """Whose screenings it reaches; None: those of all."""
        return None if "admin" in self.scopes else self.name


class Keys:
    """The API keys in a database.

    Rates are counted by this process: one server has one process, because it has one detector.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._write = engine.execution_options(write=True)
        self._limiter, self._latest = MovingWindowRateLimiter(MemoryStorage()), 0.0
        with (
            faults(engine),
            Session(self._write) as session,
        ):  # names of earlier versions, which kept blanks at their ends
            for row in session.scalars(select(KeyRow)):
                if row.name != row.name.strip():
                    row.name = row.name.strip()
            session.commit()

    def create(self, name: str, scopes: Sequence[str] = OWN, rate: str = RATE) -> str:
        """Make a key and return it; it cannot be shown again.

        Parameters
        ----------
        name
            The client whose it is; keys of one name reach the same screenings.
        scopes
            What it may do: "screen", "read", "erase"; with "admin" it does so with every client's. "metrics", which are
            those of all clients, needs "admin".
        rate
            How often, such as "600/minute".

        Raises
        ------
        ValueError
            The name is blank, a scope is unknown, or the rate cannot be read.
        """
        if not (name := name.strip()):
            raise ValueError("name: is blank; name the client whose key it is")
        if unknown := sorted(set(scopes) - set(SCOPES)):
            raise ValueError(f"scope {unknown[0]}: is unknown; choose among {', '.join(SCOPES)}")
        if not scopes:
            raise ValueError(f"scope: name at least one of {', '.join(SCOPES)}")
        try:
            parse(rate)
        except ValueError:
            raise ValueError(f"rate {rate!r}: cannot be read; expected for example 10/second or 600/minute") from None
        number = secrets.token_hex(4)
        key = f"anogan_{number}_{secrets.token_urlsafe(32)}"
        row = KeyRow(
            id=number,
            name=name,
            digest=_digest(key),
            scopes=" ".join(scope for scope in SCOPES if scope in scopes),
            rate=rate,
            created=time.time(),
        )
        with faults(self._engine), Session(self._write) as session:
            session.add(row)
            session.commit()
        return key

    def all(self) -> list[Key]:
        """List all keys, the oldest first."""
        with faults(self._engine), Session(self._engine) as session:
            return [_listed(row) for row in session.scalars(select(KeyRow).order_by(KeyRow.created))]

    def revoke(self, number: str) -> None:
        """Have a key open nothing any more, from the next request on.

        Raises
        ------
        ValueError
            There is no such key.
        """
        with faults(self._engine), Session(self._write) as session:
            row = session.get(KeyRow, number)
            if row is None:
                raise ValueError(f"key {number}: there is none; see `anogan key list`")
            row.revoked = row.revoked or time.time()
            session.commit()

    def verify(self, presented: str) -> Key | None:
        """Return the key that was presented, or None where it opens nothing."""
        number = presented.removeprefix("anogan_").partition("_")[0]
        with Session(self._engine) as session:
            row = session.get(KeyRow, number) if number.isascii() and number.isalnum() else None
            # Also for a number that is unknown, so that the time taken does not tell which ones there are.
            right = hmac.compare_digest(_digest(presented), "" if row is None else row.digest)
            return _listed(row) if row is not None and right and row.revoked is None else None

    def spend(self, key: Key) -> int:
        """Count one request of the key's client, and return in how many seconds it may ask again: 0, now."""
        rate, now = parse(key.rate), time.time()
        if now < self._latest - 1:  # the clock was set back, and nobody waits longer for that than the rate says
            self._limiter, self._latest = MovingWindowRateLimiter(MemoryStorage()), 0.0
        self._latest = max(now, self._latest)
        if self._limiter.hit(rate, key.name):
            return 0
        return max(1, round(self._limiter.get_window_stats(rate, key.name).reset_time - time.time()))


def require(key: Key, scope: str) -> str:
    """Return why a key may not do this, or ""."""
    if scope not in key.scopes:
        return f"this key may {_either(key.scopes)}; the request needs the scope {scope}"
    if scope == "metrics" and key.client is not None:
        return "the figures are those of all clients; the request needs the scope admin, too"
    return ""


def _either(scopes: Collection[str]) -> str:
    return " and ".join(scope for scope in SCOPES if scope in scopes)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _listed(row: KeyRow) -> Key:
    created = datetime.datetime.fromtimestamp(row.created, datetime.UTC)
    return Key(row.id, row.name, frozenset(row.scopes.split()), row.rate, created, row.revoked is not None)
