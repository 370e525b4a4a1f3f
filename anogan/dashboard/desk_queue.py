"""Desk: the queue of cases that wait for a decision, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from anogan.dashboard import desk as review
from anogan.dashboard import widgets
from anogan.dashboard.widgets import p_text, plain
from anogan.review import KINDS, STATES, Case, Desk, Query

PAGE_LENGTH = 20
OPEN_WIDTH = 60
FLAGS: Mapping[str, bool | None] = {"All": None, "Flagged": True, "Not flagged": False}


def page() -> None:
    """Show the queue of the desk."""
    st.title("Desk", anchor=False)
    desk = review.require_desk()
    try:
        query, within = filters(review.may_see_judgments(desk))
        counts = desk.counts(within)
        actions(desk, query)
        if counts:
            st.markdown(" · ".join(f"**{counts[state]}** {state}" for state in STATES if state in counts))
        places = _places(query)
        found = desk.page(query, places[-1], PAGE_LENGTH)
        review.listed(query, found)
    except ValueError as error:
        widgets.problem(error)
        return
    if not found.cases:
        nothing(query, counts)
    else:
        rows(found.cases)
    if len(places) > 1 or found.after:
        turn_pages(places, found.after)


def filters(judged: bool) -> tuple[Query, Query]:
    """Show the filters; return the query, and the same in every state."""
    places = st.columns([2, 2, 2, 2, 3, 2], vertical_alignment="bottom")
    state = places[0].selectbox("State", ("All", *STATES), 1, key="desk_state", persist_state="session")
    kind = places[1].selectbox("Kind", ("All", *KINDS), key="desk_kind", persist_state="session")
    flagged = "All"
    if judged:
        flagged = places[2].selectbox("Judgment", tuple(FLAGS), key="desk_flagged", persist_state="session")
        order = places[3].selectbox("Order", ("p-value", "age", "priority"), key="desk_order", persist_state="session")
    else:
        order = places[3].selectbox("Order", ("age", "priority"), key="desk_order_blind", persist_state="session")
    search = places[4].text_input(
        "Search",
        key="desk_search",
        persist_state="session",
        max_chars=200,
        placeholder="case number, pseudonym or key",
        help="A case's number, or how its key or its subject's pseudonym begins.",
    )
    reader = places[5].text_input(
        "Read by",
        key="desk_read_by",
        persist_state="session",
        max_chars=100,
        placeholder="anybody",
        help="Who reads it now, or has decided on it.",
    )
    if not judged:
        st.caption("This desk is read blind first: decide once, then see what the detector says.")
    chosen: dict[str, Any] = {
        "kind": None if kind == "All" else kind,
        "flagged": FLAGS[flagged],
        "order": order,
        "reader": (reader or "").strip() or None,
        **_sought((search or "").strip()),
    }
    return Query(state=None if state == "All" else state, **chosen), Query(**chosen)  # type: ignore[arg-type]


def _sought(words: str) -> dict[str, Any]:
    """Read the search field: `7` or `#7` is a case's number, anything else the beginning of a key or a pseudonym.

    >>> _sought("#7"), _sought("ab12")
    ({'number': 7}, {'search': 'ab12'})
    """
    digits = words.removeprefix("#")
    if digits.isascii() and digits.isdecimal() and len(digits) < 10:
        return {"number": int(digits)}
    return {"search": words}


def actions(desk: Desk, query: Query) -> None:
    """Show the button that takes the next case, and those that export."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if desk.reader.may("read") and st.button(
            "Take the next case", type="primary", icon=":material/play_arrow:", key="take", shortcut="T"
        ):
            case = desk.take(query)
            if case is not None:
                review.open_case(case.id)
            st.info("No case under these filters waits for you.", icon=":material/filter_alt:")
        st.space("stretch")
        review.export_buttons(desk, query, "desk")


def nothing(query: Query, counts: Mapping[str, int]) -> None:
    """Say why the list is empty."""
    if any(counts.get(state) for state in review.WAITING) or (counts and query.state not in review.WAITING):
        st.info("No case matches.", icon=":material/filter_alt:")
    elif replace(query, state=None, order="age") != Query(order="age"):
        st.info("No case under these filters waits.", icon=":material/filter_alt:")
    else:
        widgets.empty(
            "No case waits",
            "`anogan inspect --desk` brings some:",
            "anogan inspect runs/NAME IMAGES... --desk DATABASE",
        )


def rows(cases: tuple[Case, ...]) -> None:
    """Show one page of the queue; a click anywhere on a row opens its case."""
    with st.container(gap="xsmall", key="queue"):
        with st.container(key="list-header"):
            st.caption(_cells("Case", "Title", "State", "Judgment", "p-value", "Came"))
        for index, case in enumerate(cases):
            row(index, case)


def row(index: int, case: Case) -> None:
    """Show one case as a row of two elements: its cells as one list, and the button that opens it."""
    detail = " · ".join(filter(None, (case.subject, case.kind, case.reader and f"read by {case.reader}")))
    with st.container(border=True, key=f"row-{index}", horizontal=True, vertical_alignment="center"):
        st.markdown(
            _cells(
                str(case.id),
                f"**{plain(case.title)}**  \n  {plain(detail)}",
                review.state_mark(case),
                review.judgment_mark(case),
                p_text(case.p_value),
                review.moment(case.added),
            ),
            width="stretch",
        )
        if st.button("Open", key=f"open-{index}", type="tertiary", width=OPEN_WIDTH, help=f"Open case {case.id}"):
            review.open_case(case.id)


def _cells(*words: str) -> str:
    """Write the cells of a row as a list in Markdown, which style.py lays out in columns."""
    return "\n".join(f"- {one}" for one in words)


def turn_pages(places: list[str | None], after: str | None) -> None:
    """Show buttons to turn pages: a page is known by the case before it, so none is skipped or shown twice."""
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        st.button("Previous page", disabled=len(places) == 1, on_click=_back, args=(places,), key="desk-back")
        st.markdown(f"Page {len(places)}", width="content")
        st.button("Next page", disabled=after is None, on_click=places.append, args=(after,), key="desk-on")


def _back(places: list[str | None]) -> None:
    places.pop()


def _places(query: Query) -> list[str | None]:
    """Return where the pages up to the one shown begin; another query begins anew."""
    if st.session_state.get("desk_query") != query:
        st.session_state["desk_query"], st.session_state["desk_places"] = query, [None]
    places: list[str | None] = st.session_state["desk_places"]
    return places
