"""The log of who saw, changed, signed, exported and promoted: append-only, each row hashed with the one before.

    hash = SHA-256(previous hash + canonical JSON of number, at, actor, action, case, details)

Canonical JSON has sorted keys, no spaces, ASCII only. What verification finds and what it cannot:

- a row altered, removed, inserted or reordered before the last one: found, by the chain alone;
- rows cut off at the end, or a chain made anew by somebody who can write to the database past its triggers: found with
  an anchor (count and hash of an earlier head, sealed with the site's secret key, kept elsewhere) for the rows up to
  it; not found for rows younger than the last anchor;
- a decision; what a case says (key, subject, title, folder, detector, threshold, score, flag, dates and the rest); its
  state, version, verdict or signature; a member, or the policy, changed, added or removed without the log: found, by
  comparing the tables with the log;
- who reads a case at the moment, and until when: not compared;
- something done by a program with the application's rights that wrote no row: not found.

The log names cases by number, readers by their user name, detectors by hash and operating points by version. It holds
no subject, title, file or free text: a case and a decision stand in it as hashes, each salted with 16 random bytes that
lie beside it. An erasure removes cases, decisions and salts; the chain stays as it was, and its hashes lead to nobody.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from anogan.review.database import AUDIT_LOCK, lock
from anogan.review.tables import AuditRow, CaseRow, DecisionRow, MemberRow, PolicyRow
from anogan.storage.atomic import write_bytes
from anogan.storage.documents import json_text, json_value
from anogan.storage.pseudonym import keyed_hash

START = "0" * 64  # stands before the first row
CASE = (
    "id", "key", "kind", "subject", "title", "detector", "threshold", "status", "reason", "score", "p_value", "flagged",
    "folder", "added", "by_p", "by_priority",
)  # fmt: skip
"""Columns of a case that do not change after it was added."""
_MOST = 20  # faults that are told; one altered row should not print a million lines


@dataclass(frozen=True)
class Entry:
    """One row of the log."""

    number: int
    at: str
    actor: str
    action: str
    case: int | None
    details: Mapping[str, Any]
    hash: str


@dataclass(frozen=True)
class Head:
    """The end of the chain: how many rows, and the hash of the last."""

    count: int
    hash: str


@dataclass(frozen=True)
class Verified:
    """What was found: the head, and one sentence for each fault; none if all holds."""

    head: Head
    faults: tuple[str, ...]


def canonical(value: Any) -> str:
    """Return the one JSON text of a value."""
    return json_text(value, sort_keys=True, separators=(",", ":"))


def link(previous: str, row: Mapping[str, Any]) -> str:
    """Return the hash of a row after one with the hash `previous`."""
    content = {name: row[name] for name in ("number", "at", "actor", "action", "case_id", "details")}
    return hashlib.sha256((previous + canonical(content)).encode()).hexdigest()


def fingerprint(decision: DecisionRow) -> str:
    """Return the salted hash that stands for a decision in the log."""
    names = ("case_id", "version", "reader", "stage", "blind", "verdict", "reason", "text", "seconds", "decided")
    content = canonical([decision.id, *(getattr(decision, name) for name in names)])
    return hashlib.sha256((decision.salt + content).encode()).hexdigest()


def case_fingerprint(case: Mapping[str, Any]) -> str:
    """Return the salted hash that stands in the log for what a case says, by the columns of its table."""
    content = canonical([case[name] for name in CASE])
    return hashlib.sha256((case["salt"] + content).encode()).hexdigest()


def append(
    connection: Connection, now: float, actor: str, action: str, case: int | None, details: Mapping[str, Any]
) -> None:
    """Add a row; the last thing that a transaction does, because others wait for the end of the log."""
    lock(connection, AUDIT_LOCK)
    last = end(connection)
    row = {
        "number": last.count + 1,
        "at": _at(now),
        "actor": actor,
        "action": action,
        "case_id": case,
        "details": canonical(details),
    }
    connection.execute(insert(AuditRow).values(row | {"previous": last.hash, "hash": link(last.hash, row)}))


def end(connection: Connection) -> Head:
    """Return the end of the log as it stands."""
    last = connection.execute(
        select(AuditRow.number, AuditRow.hash).order_by(AuditRow.number.desc()).limit(1)
    ).one_or_none()
    return Head(last.number, last.hash) if last else Head(0, START)


def entries(connection: Connection, after: int = 0, size: int | None = None) -> Iterator[Entry]:
    """Yield the rows after a number, in order."""
    query = select(AuditRow.__table__).where(AuditRow.number > after).order_by(AuditRow.number).limit(size)
    for row in connection.execute(query):
        details = json.loads(row.details)
        yield Entry(row.number, row.at, row.actor, row.action, row.case_id, details, row.hash)


def verify(connection: Connection, anchor: Head | None = None) -> Verified:
    """Check every row of the log against the one before, the decisions and cases against the log, and the anchor."""
    faults: list[str] = []
    head, ledger = Head(0, START), _Ledger()
    query = select(AuditRow.__table__).order_by(AuditRow.number).execution_options(yield_per=1000)
    for row in map(dict, connection.execute(query).mappings()):
        if row["number"] != head.count + 1:
            faults.append(f"row {head.count + 1}: is missing; row {row['number']} comes next")
        elif row["previous"] != head.hash:
            faults.append(f"row {row['number']}: does not follow row {head.count}; one of them was altered or replaced")
        if _made(link, row["previous"], row) != row["hash"]:
            faults.append(f"row {row['number']}: was altered after it was written")
        elif not ledger.enter(row):
            faults.append(f"row {row['number']}: says nothing that a desk writes")
        head = Head(row["number"], row["hash"])
        if anchor is not None and anchor.count == head.count and anchor.hash != head.hash:
            faults.append(f"row {head.count}: is not the one that the anchor names; the log was made anew")
    if anchor is not None and anchor.count > head.count:
        faults.append(f"row {head.count + 1}: is missing, up to row {anchor.count}; the log was cut off at its end")
    if not faults:  # a broken log proves nothing about the tables
        faults += ledger.compare(connection)
    if len(faults) > _MOST:
        faults[_MOST:] = [f"and {len(faults) - _MOST} more"]
    return Verified(head, tuple(faults))


def read_anchor(path: Path) -> Head:
    """Read the head that `write_anchor` kept.

    Raises
    ------
    ValueError
        It is damaged, or was sealed under another key than this machine's.
    """
    try:
        kept = json_value(path.read_text(encoding="utf-8"))
        head = Head(int(kept["count"]), str(kept["hash"]))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{path}: is no anchor of an audit log, or is damaged") from None
    if kept.get("seal") != _seal(head):
        raise ValueError(
            f"{path}: its seal does not hold; it was changed, or made under another key ($ANOGAN_PSEUDONYM_KEY)"
        )
    return head


def write_anchor(path: Path, head: Head) -> None:
    """Keep a head in a file, to lie where whoever can write to the database cannot.

    Raises
    ------
    ValueError
        The file cannot be written.
    """
    kept = {"count": head.count, "hash": head.hash, "seal": _seal(head)}
    write_bytes(path, f"{json_text(kept, indent=1)}\n".encode())


def _made(hash_of: Callable[..., str], *content: Any) -> str | None:
    """Return a hash; None where SQLite holds what no hash was ever made of: a blob for a text, an infinite number."""
    try:
        return hash_of(*content)
    except (TypeError, ValueError):
        return None


def _signed(seconds: Any) -> str:
    """Return when a case was signed, or whatever stands there."""
    try:
        return "" if seconds is None else _at(seconds)
    except (TypeError, ValueError, OverflowError, OSError):
        return str(seconds)


def _at(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="microseconds")


def _seal(head: Head) -> str:
    return keyed_hash("head of the audit log", str(head.count), head.hash)


_UNKNOWN = ("", None, "", "", 0)


class _Ledger:
    """What the log says that the tables must hold."""

    def __init__(self) -> None:
        self.decisions: dict[int, tuple[int, str]] = {}
        self.cases: dict[int, tuple[str, str | None, str, str, int]] = {}  # state, verdict, who signed when, version
        self.contents: dict[int, str] = {}  # the fingerprint of what a case says
        self.members: dict[str, str] = {}
        self.policy: dict[str, Any] = {}

    def enter(self, row: Mapping[str, Any]) -> bool:
        """Take a row in; tell whether it says what a desk writes."""
        try:
            self._enter(row)
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        return True

    def _enter(self, row: Mapping[str, Any]) -> None:
        action, details = row["action"], json_value(row["details"])
        if not isinstance(details, dict):
            raise TypeError
        if action == "added":
            self.cases |= dict.fromkeys(details["cases"], ("open", None, "", "", 1))
        elif action == "erased":
            for case in details["cases"]:
                self.cases.pop(case, None)
                self.contents.pop(case, None)
            gone = set(details["cases"])
            self.decisions = {id: entry for id, entry in self.decisions.items() if entry[0] not in gone}
        elif action == "changed role":
            self.members |= {details["user"]: details["after"]}
        elif action == "changed policy":
            self.policy = details
        if "fingerprints" in details:  # of cases: as they were added, or by the update that began to keep them
            self.contents |= dict(zip(details["cases"], details["fingerprints"], strict=True))
        if "state" in details:
            state, version = details["state"], self.cases.get(row["case_id"], _UNKNOWN)[-1] + 1
            verdict = details["verdict"] if state in ("decided", "signed") else None
            signed = (row["actor"], row["at"]) if state == "signed" else ("", "")
            self.cases[row["case_id"]] = (state, verdict, *signed, version)
        if "decision" in details:
            self.decisions[details["decision"]] = (row["case_id"], details["fingerprint"])

    def compare(self, connection: Connection) -> list[str]:
        """Return one sentence for each difference between the tables and the log."""
        return [*self._decisions(connection), *self._cases(connection), *self._settings(connection)]

    def _decisions(self, connection: Connection) -> list[str]:
        faults = []
        for row in connection.execute(select(DecisionRow.__table__).execution_options(yield_per=1000)):
            logged = self.decisions.pop(row.id, None)
            if logged is None:
                faults.append(f"decision {row.id}: was never logged")
            elif logged != (row.case_id, _made(fingerprint, DecisionRow(**row._mapping))):
                faults.append(f"decision {row.id}: was altered after it was logged")
        return faults + [f"decision {id}: was removed, not by an erasure" for id in self.decisions]

    def _cases(self, connection: Connection) -> list[str]:
        faults = []
        for row in connection.execute(select(CaseRow.__table__).execution_options(yield_per=1000)).mappings():
            id = row["id"]
            entry = (row["state"], row["verdict"], row["signed_by"], _signed(row["signed"]), row["version"])
            logged, content = self.cases.pop(id, None), self.contents.get(id)
            if logged != entry:
                faults.append(f"case {id}: is {_words(entry)}, the log says {_words(logged)}")
            elif content is None or content != _made(case_fingerprint, dict(row)):
                faults.append(f"case {id}: what it says was altered after it was logged")
        return faults + [f"case {id}: was removed, not by an erasure" for id in self.cases]

    def _settings(self, connection: Connection) -> list[str]:
        faults = []
        members = {row.user: row.role for row in connection.execute(select(MemberRow.__table__))}
        for user in sorted(members | self.members):
            found, logged = members.get(user, ""), self.members.get(user, "")
            if found != logged:
                faults.append(f"member {user}: is {found or 'none'}, the log says {logged or 'none'}")
        policies = [dict(row) for row in connection.execute(select(PolicyRow.__table__)).mappings()]
        if policies != ([{"id": 1, **self.policy}] if self.policy else []):
            faults.append("policy: is another than the log says")
        return faults


def _words(entry: Sequence[object] | None) -> str:
    if entry is None:
        return "nothing of it"
    *words, version = entry
    return " ".join(str(word) for word in (*words, f"(version {version})") if word)
