"""Audit: the log of who saw, changed, signed, exported and promoted, and whether it holds."""

from __future__ import annotations

import functools

import streamlit as st

from anogan.dashboard import desk as review
from anogan.dashboard import widgets
from anogan.dashboard.widgets import plain
from anogan.review import Desk
from anogan.review.audit import Entry, canonical
from anogan.review.export import log_document, log_table

PAGE_LENGTH = 100


def page() -> None:
    """Show the audit log, the newest rows first."""
    st.title("Audit", anchor=False)
    desk = review.require_desk()
    try:
        count = desk.log_head().count
        actions(desk)
        rows(desk, count)
    except ValueError as error:
        widgets.problem(error)


def actions(desk: Desk) -> None:
    """Show the button that verifies the log, and those that export it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        check = st.button("Verify the log", type="primary", icon=":material/verified:", key="verify")
        st.space("stretch")
        for kind, mime in (("csv", "text/csv"), ("json", "application/json")):
            st.download_button(
                f"Export {kind.upper()}",
                functools.partial(exported, desk, kind),
                f"audit.{kind}",
                mime,
                key=f"export-log-{kind}",
                on_click="ignore",
                icon=":material/download:",
            )
    if check:
        verified(desk)


def verified(desk: Desk) -> None:
    """Verify the log, and show every fault."""
    with st.spinner("Every row is compared with the one before, then the cases with the log."):
        found = desk.verify()
    if found.faults:
        widgets.problem("The audit log does not hold; restore the database from a backup.")
        st.markdown("\n".join(f"- {plain(fault)}" for fault in found.faults))
        return
    st.success(f"{found.head.count} rows hold; the last is `{found.head.hash}`", icon=":material/verified:")
    st.caption("Rows cut off at the end are found only with an anchor: `anogan audit verify DATABASE --anchor FILE`.")


def rows(desk: Desk, count: int) -> None:
    """Show one page of the log."""
    if not count:
        st.info("Nothing has been done on this desk yet.", icon=":material/history:")
        return
    pages = -(-count // PAGE_LENGTH)
    number = 1
    if pages > 1:
        number = st.number_input("Page", 1, pages, key="audit_page", width=160, help="Page 1 has the newest rows.")
    last = count - (number - 1) * PAGE_LENGTH
    first = max(last - PAGE_LENGTH, 0)
    st.caption(f"Rows {last} to {first + 1} of {count}")
    entries = [_words(entry) for entry in reversed(desk.log(first, last - first))]
    st.dataframe(entries, hide_index=True, placeholder="", key="audit-log")


def exported(desk: Desk, kind: str) -> str:
    """Return the whole log as CSV or JSON; it is read, and the export logged, at the click."""
    return log_table(desk.export_log()) if kind == "csv" else log_document(desk.export_log())


def _words(entry: Entry) -> dict[str, object]:
    return {
        "Row": entry.number,
        "Time (UTC)": entry.at[:19].replace("T", " "),
        "Who": entry.actor,
        "What": entry.action,
        "Case": entry.case,
        "Details": canonical(entry.details),
        "Hash": entry.hash[:12],
    }
