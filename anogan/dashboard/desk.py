"""The review desk behind its pages: which one, on whose behalf, and what both pages say of a case."""

from __future__ import annotations

import datetime
import functools
import os

import streamlit as st

from anogan.dashboard import sign_in, widgets
from anogan.review import LOCAL, Case, Desk, Page, Query, open_desk
from anogan.review.export import document, table
from anogan.review.sheet import sheet

WAITING = ("open", "second reading", "arbitration")
"""States in which a case waits for a reader."""


def database() -> str:
    """Return the file or URL of the desk that the dashboard was started with; "" for none."""
    return os.environ.get("ANOGAN_DESK", "")


def require_desk() -> Desk:
    """Return the desk on behalf of who is signed in or named in the field, or say what is wrong and end the page."""
    if not database():
        start = "anogan dashboard runs/NAME --desk DATABASE"
        widgets.empty("No review desk", "Start the dashboard with the desk's database:", start)
        st.stop()
    if not sign_in.required():
        _ask_name()
    try:
        desk = opened()
        desk.reader.need("see")
    except ValueError as error:
        widgets.problem(error)
        st.stop()
    return desk


def opened() -> Desk:
    """Return the desk on behalf of who has signed in, or where nobody must is named in the field.

    Raises
    ------
    ValueError
        Nobody has signed in, or the database cannot be opened.
    """
    if not database():
        raise ValueError("a sign-in needs a review desk, which knows its members; start the dashboard with --desk")
    name = sign_in.user() if sign_in.required() else (st.session_state.get("desk_reader") or "").strip() or LOCAL
    return _connected(database()).sign_in(name)


@st.cache_resource(max_entries=2, show_spinner=False)
def _connected(url: str) -> Desk:
    """Open the database once for all users: it holds connections, nobody's data."""
    return open_desk(url)


def _ask_name() -> None:
    """Ask who reads. The server listens on this machine alone, so it is a statement, as `--as` is, not a sign-in."""
    st.text_input(
        "Reader",
        LOCAL,
        key="desk_reader",
        persist_state="session",
        width=220,
        max_chars=100,
        help="Your name as the desk's list of members has it. A desk without members is that of one person, local.",
    )


def may_see_judgments(desk: Desk) -> bool:
    """Tell whether this reader may see what the detector says of cases that wait for a decision."""
    return not desk.policy.blind_first or (desk.reader.may("see") and not desk.reader.may("read"))


def open_case(id: int) -> None:
    """Go to a case, and read it anew."""
    st.session_state.pop("desk_case", None)
    widgets.open_page("desk case", case=str(id))


def judgment_mark(case: Case) -> str:
    """Write what the detector decided, or that it is withheld, as a badge in Markdown."""
    if case.blind and case.status == "scored":
        return ":gray-badge[:material/lock: Withheld]"
    return widgets.verdict_mark({"status": case.status, "flagged": case.flagged, "p_value": case.p_value})


def state_mark(case: Case) -> str:
    """Write how far a case is as a badge in Markdown."""
    color = "blue" if case.state in WAITING else "green"
    words = case.state if case.verdict is None else f"{case.state}: {case.verdict}"
    return f":{color}-badge[{words[:1].upper()}{words[1:]}]"


def moment(when: datetime.datetime) -> str:
    """Write a time for people, in UTC as the log has it.

    >>> moment(datetime.datetime(2026, 1, 5, 9, 30, tzinfo=datetime.UTC))
    '2026-01-05 09:30 UTC'
    """
    return f"{when:%Y-%m-%d %H:%M} UTC"


def export_buttons(desk: Desk, query: Query, name: str) -> None:
    """Offer the cases of a query as files; they are read, and the log written, at the click."""
    if not desk.reader.may("export"):
        return
    for kind, mime in (("csv", "text/csv"), ("json", "application/json")):
        st.download_button(
            f"Export {kind.upper()}",
            functools.partial(exported, desk, query, kind),
            f"{name}.{kind}",
            mime,
            key=f"export-{kind}",
            on_click="ignore",
            icon=":material/download:",
        )


def sheet_button(desk: Desk, id: int) -> None:
    """Offer a case as a page to print; it is made, and the log written, at the click."""
    if desk.reader.may("export"):
        st.download_button(
            "Printable sheet",
            functools.partial(sheet, desk, id),
            f"case-{id}.html",
            "text/html",
            key="sheet",
            on_click="ignore",
            icon=":material/print:",
        )


def exported(desk: Desk, query: Query, kind: str) -> str:
    """Return the cases of a query with their decisions as CSV or JSON."""
    records = list(desk.records(query))
    return table(records) if kind == "csv" else document(records)


def listed(query: Query, page: Page) -> None:
    """Remember which cases the queue shows, for the way to the next and the previous one."""
    st.session_state["desk_listed"] = {"query": query, "cases": [case.id for case in page.cases], "after": page.after}


def neighbors(desk: Desk, id: int) -> tuple[int | None, int | None]:
    """Return the cases before and after one in the list of the queue; None where there is none."""
    known = st.session_state.get("desk_listed")
    if known is None or id not in known["cases"]:
        return None, None
    place = known["cases"].index(id)
    if place == len(known["cases"]) - 1 and known["after"] is not None:
        page = desk.page(known["query"], known["after"], 20)
        known["cases"] += [case.id for case in page.cases if case.id not in known["cases"]]
        known["after"] = page.after
    following = known["cases"][place + 1 : place + 2]
    return (known["cases"][place - 1] if place else None), (following[0] if following else None)
