"""Cases and decisions as CSV for people and JSON for programs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anogan.review.audit import Entry, canonical
from anogan.review.cases import Case, Decision, Query
from anogan.review.desk import Desk
from anogan.storage import spreadsheet
from anogan.storage.atomic import write_bytes
from anogan.storage.documents import json_text

_CASE = (
    "id", "key", "kind", "subject", "title", "detector", "threshold", "status", "reason", "score", "p_value", "flagged",
    "priority", "added", "state", "version", "verdict", "signed_by", "signed", "blind",
)  # fmt: skip
_LOG = ("number", "at", "actor", "action", "case", "details", "hash")
_DECISION = ("reader", "stage", "blind", "verdict", "reason", "text", "seconds", "decided")


def export(desk: Desk, path: Path, query: Query | None = None) -> int:
    """Write the cases of a query with their decisions, whole or not at all, and return how many cases.

    `.csv` has one row for each decision, and one for each case without; `.json` has one object for each case. What the
    desk withholds from its user stays out; folders of pictures, too.

    Raises
    ------
    ValueError
        The name ends otherwise, or the file cannot be written.
    """
    if path.suffix not in (".csv", ".json"):
        raise ValueError(f"{path}: expected a name that ends in .csv or .json")
    records = list(desk.records(query))
    write_bytes(path, (table(records) if path.suffix == ".csv" else document(records)).encode())
    return len(records)


def document(records: list[tuple[Case, tuple[Decision, ...]]]) -> str:
    """Return records as JSON: one object for each case."""
    cases = []
    for case, decisions in records:
        values = asdict(case)
        own = {name: values[name] for name in _CASE}
        cases.append(own | {"decisions": [{name: getattr(one, name) for name in _DECISION} for one in decisions]})
    return json_text({"format": 1, "cases": cases}, indent=1, default=_iso, ensure_ascii=False) + "\n"


def table(records: list[tuple[Case, tuple[Decision, ...]]]) -> str:
    """Return records as CSV: one row for each decision, and one for each case without."""
    head = [*_CASE, *(f"decision_{name}" for name in _DECISION)]
    return spreadsheet.table(head, (row for case, decisions in records for row in _rows(case, decisions)))


def log_table(entries: Iterable[Entry]) -> str:
    """Return rows of the audit log as CSV."""
    rows = ([canonical(value) if name == "details" else value for name, value in _named(one)] for one in entries)
    return spreadsheet.table(_LOG, rows)


def log_document(entries: Iterable[Entry]) -> str:
    """Return rows of the audit log as JSON, from which their hashes can be worked out again; see `audit.link`."""
    rows = [dict(_named(one)) for one in entries]
    return json_text({"format": 1, "log": rows}, indent=1, ensure_ascii=False) + "\n"


def _named(entry: Entry) -> list[tuple[str, Any]]:
    return [(name, getattr(entry, name)) for name in _LOG]


def _rows(case: Case, decisions: tuple[Decision, ...]) -> Iterator[list[Any]]:
    own = [_cell(getattr(case, name)) for name in _CASE]
    for decision in decisions or (None,):
        yield own + [_cell(None if decision is None else getattr(decision, name)) for name in _DECISION]


def _cell(value: Any) -> Any:
    return _iso(value) if isinstance(value, datetime.datetime) else value


def _iso(value: datetime.datetime) -> str:
    return value.isoformat(timespec="milliseconds")
