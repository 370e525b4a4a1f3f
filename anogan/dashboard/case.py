"""Case: one file of the work list, with the way to the previous and the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from anogan.dashboard import case_view, run_folder, widgets, worklist
from anogan.dashboard.widgets import plain
from anogan.io.stack import open_stack
from anogan.results.reading import read_case


def page() -> None:
    """Show the case that the address names by its hash; without one, the first of the work list."""
    run = widgets.require_run()
    widgets.selftest_banner(run)
    results = widgets.require_results(run)
    # A file that lies twice in the list is one case: its hash is the same.
    cases = list(
        {case["case"]: case for case in run_folder.worklist_order(results["cases"]) if case.get("case")}.values()
    )
    if not cases:
        widgets.empty("No cases yet", "The results of this run hold no file that can be opened.")
        return
    # The address is typed by anyone: it only ever selects from the list, it never becomes a path.
    wanted = st.query_params.get("case", cases[0]["case"])
    case = next((case for case in cases if case["case"] == wanted), None)
    if case is None:
        widgets.empty("No such case", "The results of this run do not hold this case. It may belong to another run.")
        if st.button("To the work list"):
            widgets.open_page("worklist")
        return
    walk(case, cases)
    header(case, results["detector"])
    if case["status"] != "scored":
        return
    try:
        maps = kept_maps(run / "results", case["case"])
        stack = open_stack(run / "results" / "cases" / case["case"], case_view.map_range(results["detector"]))
    except (ValueError, OSError) as error:
        widgets.problem(error)
        return
    case_view.show(case, maps, results["detector"], run / "results" / "cases", stack)


def walk(case: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> None:
    """Show the way back, to the previous and to the next case, within the work list's filter when the case is in it."""
    chosen = st.session_state.get("filter") or "All"
    order = [entry["case"] for entry in worklist.matching(cases, chosen, st.session_state.get("search") or "")]
    if case["case"] not in order:
        chosen, order = "All", [entry["case"] for entry in cases]
    place = order.index(case["case"])
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Work list", icon=":material/arrow_back:", type="tertiary"):
            widgets.open_page("worklist")
        st.space("stretch")
        among = "" if chosen == "All" else f" {chosen.lower()}"
        st.markdown(f"Case {place + 1} of {len(order)}{among}", width="content")
        back = st.button("Previous", icon=":material/chevron_left:", disabled=place == 0, shortcut="P")
        on = st.button("Next", icon=":material/chevron_right:", disabled=place == len(order) - 1, shortcut="N")
    if back or on:
        widgets.open_page("case", case=order[place + 1 if on else place - 1])


def header(case: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Show the file's name, the verdict and its meaning in words."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(plain(Path(case["file"]).name), anchor=False, width="content")
        widgets.verdict_badge(case)
        if case.get("subject"):
            st.caption(plain(case["subject"]), width="content")
    st.markdown(plain(case_view.judgment(case, summary)))
    if case.get("top_slices"):
        first, *others = case["top_slices"]
        more = f"; after it come {', '.join(map(str, others))}" if others else ""
        st.caption(f"A series of {case['slices']} slices. The most unusual is slice {first}{more}.")
    if case["status"] != "scored":
        st.caption(
            "A file that was not scored is neither flagged nor cleared. "
            "Look at it yourself, or mend it and score it again."
        )


def kept_maps(results: Path, case: str) -> dict[str, np.ndarray]:
    """Read the maps of a case once per visit: the session, never a cache shared by users, keeps the last one."""
    key = (str(results), case, (results / "results.json").stat().st_mtime_ns)
    if st.session_state.get("maps_key") != key:
        st.session_state["maps"] = read_case(results, case)
        st.session_state["maps_key"] = key
    maps: dict[str, np.ndarray] = st.session_state["maps"]
    return maps
