"""Versions: what a run's detector learned from reviews, how it compares, promote, roll back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from anogan.dashboard import desk as review
from anogan.dashboard import widgets
from anogan.dashboard.widgets import interval, plain
from anogan.review import Desk

if TYPE_CHECKING:
    from anogan.assurance.feedback.versions import Version

NOTICE = "versions_notice"


def page() -> None:
    """Show the versions of the run, the newest first; an admin of the desk chooses which one works."""
    st.title("Versions", anchor=False)
    run, desk = widgets.require_run(), review.require_desk()
    from anogan.assurance.feedback import versions  # after the first paint: it imports torch

    if notice := st.session_state.pop(NOTICE, ""):
        st.success(plain(notice), icon=":material/check_circle:")
    try:
        known = versions.listed(run)
        works = versions.current(run) if known else None
    except (ValueError, OSError) as error:
        widgets.problem(error)
        return
    if not known:
        widgets.empty(
            "One version so far",
            "Signed dismissals as a normal variant can enter the healthy reference in a new version:",
            f"anogan feedback propose {run.as_posix()} {review.database() or 'DATABASE'} DATA",
        )
        return
    if works is None:
        st.info("What works is none of these versions: it was calibrated or altered since.", icon=":material/info:")
    admin = desk.reader.may("administer")
    if not admin:
        st.caption("An admin of the desk promotes versions and rolls them back.")
    elif works is not None:
        go_back(run, desk)
    for version in reversed(known):
        show(run, desk, version, works, admin)


def go_back(run: Path, desk: Desk) -> None:
    """Offer the one step back."""
    from anogan.assurance.feedback import versions

    if st.button("Roll back the last promotion", icon=":material/undo:", key="rollback"):
        _do(lambda: f"Version {versions.rollback(run, desk).number} works again.")


def show(run: Path, desk: Desk, version: Version, works: int | None, admin: bool) -> None:
    """Show one version: what it is, what entered, how it compares, and whether it may work."""
    from anogan.assurance.feedback import versions

    note, number = version.note, version.number
    with st.container(border=True, key=f"version-{number}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(f"Version {number}", anchor=False, width="content")
            if number == works:
                st.badge("Works now", icon=":material/check:", color="green")
            elif version.against:
                st.badge("Cannot be promoted", icon=":material/block:", color="orange")
        base = "" if note["base"] is None else f" · proposed in place of version {note['base']}"
        st.caption(plain(f"{note['detector']} · made {note['made']}{base}"))
        if "verdict" in note:
            compared(note)
        for sentence in version.against:
            st.warning(plain(sentence), icon=":material/block:")
        if (
            admin
            and number != works
            and not version.against
            and st.button(f"Promote version {number}", type="primary", key=f"promote-{number}")
        ):
            _do(lambda: f"Version {versions.promote(run, number, desk).number} works now.")


def compared(note: dict[str, Any]) -> None:
    """Show the comparison of a proposal (B) with the version it would replace (A), and which cases entered."""
    st.markdown(plain(note["verdict"]))
    planted, tests, flagged = note["planted"], note["selftest"], note["flagged"]
    columns: dict[str, list[str]] = {
        "": ["Calibration images flagged", "Planted anomalies found", "Self-test anomalies found", "Self-test"]
    }
    for place, name in enumerate((f"Version {note['base']} (A)", "This version (B)")):
        columns[name] = [
            f"{flagged[place]:.1%} of {note['calibration_images']}",
            interval(planted[place]) if planted else "—",
            f"{tests[place]['found']} of {tests[place]['made']}",
            "passed" if tests[place]["passed"] else "failed",
        ]
    st.table(columns, border="horizontal", hide_index=True)
    entered = ", ".join(f"case {one['case']} ({one['patches']})" for one in note["admitted"])
    st.caption(plain(f"Entered, with how many patches: {entered}."))
    if note["refused"]:
        with st.expander(f"Not admitted: {len(note['refused'])}"):
            for one in note["refused"]:
                st.markdown(plain(f"Case {one['case']}: {one['reason']}"))
    st.caption("Compared on the healthy calibration images, with the same anomalies put into them for both versions.")


def _do(step: Callable[[], str]) -> None:
    """Take a step, say what came of it, and show the page anew."""
    try:
        with st.spinner("Checking the files of the version"):
            notice = step()
    except (ValueError, OSError) as error:
        widgets.problem(error)
        return
    st.session_state[NOTICE] = f"{notice} Restart `anogan listen` and `anogan serve`, which keep what they loaded."
    st.rerun()
