"""Words and panels that several pages show: the frame, messages, badges, pictures, numbers in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from anogan.assurance import drift
from anogan.assurance.selftest.verdict import mark
from anogan.dashboard import run_folder, style
from anogan.results.reading import read_results
from anogan.scan import Outcome

LARGEST_WIDTH = 1460
"""Streamlit shrinks a wider image on the server unless its width is asked for by number."""


def frame(pages: Mapping[str, Any]) -> None:
    """Show the line that stands above every page, and remember the pages for `open_page`."""
    st.session_state["pages"] = dict(pages)
    st.html(style.SHEET)
    run = run_folder.chosen_run()
    with st.container(key="frame", horizontal=True, horizontal_alignment="distribute"):
        st.markdown(f"**anogan** · run {plain(run.name)}" if run else "**anogan**", width="content")
        st.markdown("Decision support, not a diagnosis.", width="content")
    if run is not None:
        drift_banner(run)


def drift_banner(run: Path) -> None:
    """Say on every page that the calibration no longer holds, if the monitor has found so or cannot be read."""
    try:
        words = drift.warning(run)
    except ValueError as error:
        problem(error)
        return
    if words:
        st.error(
            f"**{plain(words[:1].upper() + words[1:])}.** `anogan drift {run.as_posix()}`", icon=":material/warning:"
        )


def open_page(name: str, **query: str) -> None:
    """Go to another page of the router. Only a case's hash may be in `query`: addresses end up in logs."""
    st.switch_page(st.session_state["pages"][name], query_params=query)


def plain(text: object) -> str:
    """Escape a file name, a reason or a path so that Markdown shows it letter by letter."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~$:&-])", r"\\\1", str(text).replace("\n", " "))


def file_and_reason(file: str, reason: str | None) -> str:
    """Write why a file was not scored as Markdown, naming the file once: most reasons name it already."""
    name = Path(file).name
    reason = reason or "no reason recorded"
    return plain(reason) if name in reason else f"**{plain(name)}**: {plain(reason)}"


def empty(title: str, text: str, command: str = "") -> None:
    """Say that there is nothing yet, and what to do about it."""
    with st.container(border=True):
        st.subheader(title, anchor=False)
        st.markdown(text)
        if command:
            st.code(command, language="bash")


def problem(error: Exception | str, advice: str = "") -> None:
    """Show an error as the one sentence it carries."""
    st.error(plain(error) + (f"\n\n{advice}" if advice else ""), icon=":material/error:")


def selftest_banner(run: Path) -> None:
    """Say it, above whatever the page shows, if the run's detector failed its self-test or that is out of date."""
    if words := mark(run):
        st.error(plain(words), icon=":material/warning:")


def require_run() -> Path:
    """Return the run folder the dashboard was started with, or say what is wrong and end the page."""
    run = run_folder.chosen_run()
    start = "anogan dashboard runs/NAME"
    if run is None:
        empty("No run chosen", "The dashboard shows one run folder. Start it with the folder's name:", start)
        st.stop()
    if not run.is_dir():
        problem(f"There is no run folder {run}.", f"Start the dashboard with an existing one: `{start}`")
        st.stop()
    if not run_folder.is_run(run):
        problem(f"{run} is not a run folder: it holds no detector, no training and no results.")
        st.stop()
    return run


def require_results(run: Path) -> dict[str, Any]:
    """Return results.json of a run, or say what is missing or damaged and end the page."""
    folder = run / "results"
    if not (folder / "results.json").is_file():
        name = run.as_posix()
        empty("No cases yet", "Score images with this run, and they appear here:", f"anogan inspect {name} IMAGES...")
        st.stop()
    try:
        return read_results(folder)
    except (ValueError, OSError) as error:
        problem(error)
        st.stop()


_SIGNS = {
    Outcome.FLAGGED: (":material/flag:", "orange"),
    Outcome.NOT_FLAGGED: (":material/remove:", "blue"),
    Outcome.UNDECIDED: (":material/help:", "gray"),
    Outcome.NOT_CALIBRATED: (":material/help:", "gray"),
    Outcome.NOT_SCORED: (":material/visibility_off:", "gray"),
}


def outcome_of(case: Mapping[str, Any]) -> Outcome:
    """Return what became of a case, as results.json keeps it."""
    return Outcome.of(case["status"], case.get("flagged"), case.get("p_value"))


def verdict(case: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return (words, icon, color) of what was decided about a case. Nothing is ever called normal."""
    outcome = outcome_of(case)
    return outcome.capitalize(), *_SIGNS[outcome]


def verdict_mark(case: Mapping[str, Any]) -> str:
    """Write the verdict as a badge in Markdown: a word and an icon, so that color is never the only sign."""
    words, icon, color = verdict(case)
    return f":{color}-badge[{icon} {words}]"


def verdict_badge(case: Mapping[str, Any]) -> None:
    """Show the verdict as a badge."""
    st.markdown(verdict_mark(case), width="content")


def number(value: float | None, digits: int = 2) -> str:
    """Write a number for people; an em dash where there is none."""
    return "—" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def p_text(p_value: float | None) -> str:
    """Write a p-value: three decimals, and two significant digits where those would hide it."""
    return "—" if p_value is None else f"{p_value:.3f}" if p_value >= 0.01 else f"{p_value:.2g}"


def interval(values: Sequence[float | None] | None, digits: int = 3) -> str:
    """Write [value, low, high] as `0.953 (0.941 to 0.964)`."""
    if not values or values[0] is None:
        return "—"
    value, *limits = values
    text = number(value, digits)
    return f"{text} ({number(limits[0], digits)} to {number(limits[1], digits)})" if len(limits) == 2 else text


def picture(image: np.ndarray | str | Path, alt: str, caption: str | None = None) -> None:
    """Show an image with all its pixels as wide as its place allows; a file that cannot be shown becomes a word."""
    width: Any = "stretch"
    if isinstance(image, np.ndarray):
        # A number keeps the server from shrinking a wide image; the browser still fits it into the column.
        width = image.shape[1] if image.shape[1] > LARGEST_WIDTH else "stretch"
    elif not Path(image).is_file():
        st.caption("no picture")
        return
    try:
        source = image if isinstance(image, np.ndarray) else str(image)
        st.image(source, caption=caption, width=width, alt=alt, output_format="PNG")
    except (OSError, ValueError, SyntaxError):  # Pillow raises SyntaxError for a broken PNG
        st.caption("picture damaged")


def facts(rows: Mapping[str, str]) -> None:
    """Show names and values as a quiet table of two columns."""
    st.table({"": list(rows), " ": list(rows.values())}, border="horizontal", hide_index=True, hide_header=True)
