"""Tables that people open in a spreadsheet, which runs what begins like a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

# OWASP, CSV injection: what begins a formula, also in other widths, at the start of a cell, or of what becomes a cell
# where the list separator is a semicolon or a tab: there quotes end where no quote is meant to. Blanks before it may be
# trimmed. The mark itself is marked, so that `plain` gives back every text.
_START = r"(^|[;\t\r\n])"
_PASSED = r"[\" \xa0\u2000-\u200f\u3000\ufeff\x00]*"
_FORMULA = rf"(?={_PASSED}['=+\-@\t\r\n\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20])"
_RISKY = re.compile(_START + _FORMULA)
_MARKED = re.compile(f"{_START}'{_FORMULA}")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table as CSV (RFC 4180, lines end in a line feed): numbers as they are, None as an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(cell, head))
    writer.writerows(map(cell, row) for row in rows)
    return text.getvalue()


def cell(value: object) -> object:
    """Return what a spreadsheet shows as this value and does not run: texts that begin like a formula get a '.

    >>> cell("=1+1"), cell(-1.5), cell("a-b")
    ("'=1+1", -1.5, 'a-b')
    """
    return _RISKY.sub(r"\1'", value) if isinstance(value, str) else value


def plain(text: str) -> str:
    """Return the text that `cell` was given.

    >>> plain("'=1+1")
    '=1+1'
    """
    return _MARKED.sub(r"\1", text)
