"""Work list: every file of a run, the least healthy-looking first; what was not scored is never hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from anogan.dashboard import run_folder, widgets
from anogan.dashboard.widgets import number, p_text, plain
from anogan.scan import Outcome

PAGE_LENGTH = 20
FILTERS = {
    "All": tuple(Outcome),
    "Flagged": (Outcome.FLAGGED,),
    "Not flagged": (Outcome.NOT_FLAGGED,),
    "Not decided": (Outcome.UNDECIDED, Outcome.NOT_CALIBRATED),
    "Not scored": (Outcome.NOT_SCORED,),
}
COLUMNS = [0.7, 4, 1.6, 1, 1, 0.8]


def page() -> None:
    """Show the work list."""
    run = widgets.require_run()
    st.title("Work list", anchor=False)
    widgets.selftest_banner(run)
    results = widgets.require_results(run)
    cases = run_folder.worklist_order(results["cases"])
    describe(results["detector"], run)
    if not cases:
        widgets.empty("No cases yet", "The results of this run hold no file.")
        return
    chosen, words = controls(cases)
    shown = matching(cases, chosen, words)
    not_scored = [case for case in cases if case["status"] != "scored"]
    if chosen == "All" and not_scored and not words:
        warn(not_scored)
    if chosen == "All":
        shown = [case for case in shown if case["status"] == "scored" or words]
    if not shown:
        st.info(
            "No case matches." if chosen != "Not scored" else "Every file was scored.", icon=":material/filter_alt:"
        )
        return
    rows(shown, run / "results")


def describe(summary: Mapping[str, Any], run: Path) -> None:
    """Say which detector judged, and what its threshold promises."""
    name = plain(summary.get("name") or summary.get("profile") or "unnamed")
    if summary.get("threshold") is None:
        option = " --series" if summary.get("unit") == "series" else ""
        st.warning(
            f"Detector {name} is not calibrated: cases are sorted by score and nothing is flagged. "
            f"Run `anogan calibrate {run.as_posix()} DATA{option}`, then score again.",
            icon=":material/tune:",
        )
    else:
        st.caption(f"Sorted by p-value, smallest first. Detector {name}. {plain(summary.get('promise') or '')}")


def matching(cases: Sequence[Mapping[str, Any]], chosen: str, words: str = "") -> list[dict[str, Any]]:
    """Return the cases that a filter and a search text leave over, in the same order."""
    words = words.strip().lower()
    kept = FILTERS[chosen]
    return [
        dict(case)
        for case in cases
        if widgets.outcome_of(case) in kept and words in f"{case['file']} {case.get('subject', '')}".lower()
    ]


def controls(cases: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Show the filter and the search, and return what is chosen in them."""
    counts = {name: len(matching(cases, name)) for name in FILTERS}
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    chosen = left.segmented_control(
        "Show",
        FILTERS,
        default="All",
        required=True,
        format_func=lambda name: f"{name} ({counts[name]})",
        key="filter",
        persist_state="session",
        on_change=_first_page,
    )
    words = right.text_input(
        "Search file or subject", key="search", persist_state="session", placeholder="text", on_change=_first_page
    )
    return chosen or "All", words


def warn(not_scored: Sequence[Mapping[str, Any]]) -> None:
    """List the files that were not scored: they need a person's eyes."""
    count = len(not_scored)
    title = "1 file was not scored. Nothing is known about it: look at it yourself."
    if count > 1:
        title = f"{count} files were not scored. Nothing is known about them: look at them yourself."
    lines = [f"- {widgets.file_and_reason(case['file'], case.get('reason'))}" for case in not_scored[:3]]
    if count > 3:
        lines.append(f"- and {count - 3} more under the filter Not scored")
    st.warning("\n".join([f"**{title}**", *lines]), icon=":material/visibility_off:")


def rows(cases: Sequence[Mapping[str, Any]], results: Path) -> None:
    """Show one page of the list; a click anywhere on a row opens its case."""
    pages = -(-len(cases) // PAGE_LENGTH)
    current = min(int(st.session_state.get("list_page", 0)), pages - 1)
    with st.container(gap="xsmall"):
        with st.container(key="list-header"):
            titles = ("", "File", "Verdict", "p-value", "Score", "")
            for column, title in zip(st.columns(COLUMNS, vertical_alignment="center"), titles, strict=True):
                column.caption(title)
        for index, case in enumerate(cases[current * PAGE_LENGTH : (current + 1) * PAGE_LENGTH]):
            row(index, case, results)
    if pages > 1:
        turn_pages(current, pages, len(cases))


def row(index: int, case: Mapping[str, Any], results: Path) -> None:
    """Show one case as a row."""
    name = Path(case["file"]).name
    with st.container(border=True, key=f"row-{index}"):
        places = st.columns(COLUMNS, vertical_alignment="center")
        with places[0]:
            if case["status"] == "scored":
                widgets.picture(results / "cases" / case["case"] / "thumbnail.png", f"Thumbnail of {name}")
        with places[1]:
            detail = case.get("subject") if case["status"] == "scored" else case.get("reason")
            st.markdown(f"**{plain(name)}**" + (f"  \n{plain(detail)}" if detail else ""))
        with places[2]:
            widgets.verdict_badge(case)
        places[3].markdown(p_text(case.get("p_value")))
        places[4].markdown(number(case.get("score")))
        if case.get("case") and places[5].button(
            "Open", key=f"open-{index}", type="tertiary", help=f"Open {plain(name)}"
        ):
            widgets.open_page("case", case=case["case"])


def turn_pages(current: int, pages: int, count: int) -> None:
    """Show where in the list we are, and buttons to turn pages."""
    with st.container(horizontal=True, horizontal_alignment="center", vertical_alignment="center"):
        st.button("Previous page", disabled=current == 0, on_click=_turn, args=(current - 1,), key="page-back")
        first = current * PAGE_LENGTH + 1
        last = min(first + PAGE_LENGTH - 1, count)
        st.markdown(f"{first} to {last} of {count}", width="content")
        st.button("Next page", disabled=current == pages - 1, on_click=_turn, args=(current + 1,), key="page-on")


def _turn(number_of_page: int) -> None:
    st.session_state["list_page"] = number_of_page


def _first_page() -> None:
    st.session_state["list_page"] = 0
