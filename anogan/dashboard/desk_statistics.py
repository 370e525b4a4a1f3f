"""Work of the desk: what came and was done, how far readers and detector agree, and how long a case takes."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Mapping

import streamlit as st

from anogan.dashboard import charts, widgets
from anogan.dashboard import desk as review
from anogan.dashboard.widgets import interval, plain
from anogan.review import KINDS, STATES, Agreement, Band, Day, Desk, Query, Statistics, Times

PERIODS: Mapping[str, int | None] = {"7 days": 7, "30 days": 30, "90 days": 90, "Always": None}
"""Days back from now, by when a case came."""


def page() -> None:
    """Show the desk's own work in numbers."""
    st.title("Work of the desk", anchor=False)
    desk = review.require_desk()
    try:
        with st.spinner("Counting"):
            found = desk.statistics(filters())
    except ValueError as error:
        widgets.problem(error)
        return
    if not found.states:
        widgets.empty("No case in this time", "Choose a longer time, or bring cases to the desk:",
                      "anogan inspect runs/NAME IMAGES... --desk DATABASE")  # fmt: skip
        return
    headline(found)
    days(found.days)
    agreement(found)
    bands(found.bands)
    times(desk, found.times, found.untimed)


def filters() -> Query:
    """Show the filters and return the query."""
    places = st.columns([2, 2, 4])
    period = places[0].selectbox("Came within", tuple(PERIODS), 1, key="work_period", persist_state="session")
    kind = places[1].selectbox("Kind", ("All", *KINDS), key="work_kind", persist_state="session")
    back = PERIODS[period]
    since = None if back is None else datetime.datetime.now(datetime.UTC) - datetime.timedelta(back)
    return Query(kind=None if kind == "All" else kind, since=since, order="age")  # type: ignore[arg-type]


def headline(found: Statistics) -> None:
    """Show how many cases there are in each state, and how many are read on a day."""
    busy = [day.readings for day in found.days if day.readings]
    shown = {"Cases": sum(found.states.values())} | {
        state.capitalize(): found.states[state] for state in STATES if state in found.states
    }
    figures = {name: f"{count}" for name, count in shown.items()}
    figures["Readings on a day of work (median)"] = f"{statistics.median(busy):g}" if busy else "—"
    cells = "".join(f'<div class="figure"><span>{name}</span><b>{words}</b></div>' for name, words in figures.items())
    st.html(f'<div class="figures">{cells}</div>')


def days(found: tuple[Day, ...]) -> None:
    """Show what came on each day, by the state it is in now, and what was done."""
    st.subheader("By day", anchor=False)
    bars = {f"came, now {state}": [day.came.get(state, 0) for day in found] for state in STATES}
    lines = {"readings": [day.readings for day in found], "signed": [day.signed for day in found]}
    figure = charts.by_day([day.date for day in found], {k: v for k, v in bars.items() if any(v)}, lines)
    came, read = sum(sum(day.came.values()) for day in found), sum(day.readings for day in found)
    on = "1 day" if len(found) == 1 else f"{len(found)} days"
    alt = f"By day: {came} cases came and {read} readings were made on {on}"
    st.plotly_chart(figure, config=charts.PLAIN_BAR, alt=alt)


def agreement(found: Statistics) -> None:
    """Show how far two readers agree, a reader with his or her own blind decision, and the detector with the desk."""
    st.subheader("Agreement", anchor=False)
    kinds = {
        "First and second reader": (found.readers, "first reading", "second reading"),
        "Blind and final decision of a reader": (found.blind, "blind", "with the score in sight"),
        "Detector and decision": (found.detector, "detector (its flag)", "decision"),
    }
    st.table(
        {
            "": list(kinds),
            "cases": [str(one.cases) for one, *_ in kinds.values()],
            "agree": [interval(one.share) for one, *_ in kinds.values()],
            "Cohen's kappa": [interval(one.kappa) for one, *_ in kinds.values()],
        },
        border="horizontal",
        hide_index=True,
    )
    st.caption(
        "In brackets: 95 % intervals (Wilson's; kappa's is one for large samples). Kappa is 0 "
        "where they agree as often as by chance, and not defined where both always say the same. What waits for a "
        "reading is not in it."
    )
    with st.expander("Who said what"):
        for column, (title, (one, rows, columns)) in zip(st.columns(3, gap="large"), kinds.items(), strict=True):
            with column:
                cross(title, one, rows, columns)


def cross(title: str, one: Agreement, rows: str, columns: str) -> None:
    """Show the counts of two who judged the same cases."""
    st.markdown(f"**{title}**")
    st.caption(f"Down: {rows}. Across: {columns}.")
    cells = {word: [str(row[index]) for row in one.table] for index, word in enumerate(one.words)}
    st.table({"": list(one.words), **cells}, border="horizontal", hide_index=True)


def bands(found: tuple[Band, ...]) -> None:
    """Show how many of the decided cases were confirmed, by p-value."""
    st.subheader("Confirmed, by p-value", anchor=False)
    some = [band for band in found if band.confirmed or band.dismissed or band.unsure]
    if not some:
        st.info("No case was decided in this time.", icon=":material/hourglass_empty:")
        return
    names = [band_name(band) for band in some]
    rates = [(name, band.rate) for name, band in zip(names, some, strict=True)]
    drawn = [(name, rate) for name, rate in rates if rate is not None]
    if drawn:
        figure = charts.shares([name for name, _ in drawn], [rate for _, rate in drawn], "confirmed")
        words = ", ".join(f"{name} {rate.value:.0%}" for name, rate in drawn)
        st.plotly_chart(figure, config=charts.PLAIN_BAR, alt=f"Share confirmed: {words}")
    st.table(
        {
            "p-value": names,
            "confirmed": [str(band.confirmed) for band in some],
            "dismissed": [str(band.dismissed) for band in some],
            "unsure": [str(band.unsure) for band in some],
            "share confirmed": [interval(rate) for _, rate in rates],
        },
        border="horizontal",
        hide_index=True,
    )
    st.caption("Decided cases; of the share, those left unsure are no part. In brackets: Wilson's 95 % interval.")


def band_name(band: Band) -> str:
    """Name a band of p-values.

    >>> band_name(Band(0.01, 0.05, 0, 0, 0)), band_name(Band(0.0, 0.001, 0, 0, 0)), band_name(Band(None, None, 0, 0, 0))
    ('above 0.01 to 0.05', 'up to 0.001', 'not scored')
    """
    if band.high is None:
        return "not scored"
    return f"above {band.low:g} to {band.high:g}" if band.low else f"up to {band.high:g}"


def times(desk: Desk, found: tuple[Times, ...], untimed: int) -> None:
    """Show how long readings took, as far as this user may see it."""
    st.subheader("Time per case", anchor=False)
    if untimed:
        readings = "1 reading is" if untimed == 1 else f"{untimed} readings are"
        st.caption(f"{readings} not in these times: the clock of this machine was set back meanwhile.")
    if not found:
        st.info("You have read no case in this time.", icon=":material/hourglass_empty:")
        return
    st.table(
        {
            "reader": [plain(one.reader) if one.reader else "all" for one in found],
            "readings": [str(one.readings) for one in found],
            "median": [duration(one.median) for one in found],
            "middle half": [f"{duration(one.lower)} to {duration(one.upper)}" for one in found],
        },
        border="horizontal",
        hide_index=True,
    )
    own = "" if desk.reader.may("administer") or desk.reader.may("audit") else " Other readers' times are not shown."
    st.caption(f"From the opening of a case to its decision; of a blind reading to the second one.{own}")


def duration(seconds: float) -> str:
    """Write a time for people.

    >>> duration(8.25), duration(75), duration(5400)
    ('8.2 s', '75 s', '90 min')
    """
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
