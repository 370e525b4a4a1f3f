"""What an operating point means in daily work: flags and misses per day, and what a flag is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from anogan import metrics
from anogan.dashboard import widgets
from anogan.dashboard.widgets import interval, plain
from anogan.detector.calibration import rate_at
from anogan.metrics import Estimate
from anogan.results.reading import read_results


def show(sensitivity: Estimate, specificity: Estimate) -> None:
    """Ask for a day's images and the prevalence among them, and show the work that comes of it."""
    st.subheader("Work load", anchor=False)
    places = st.columns([1, 1, 2], gap="large")
    images = places[0].number_input("Images per day", 1, 1_000_000, 100, key="images_per_day")
    percent = places[1].number_input(
        "Prevalence (%)",
        0.0,
        100.0,
        1.0,
        0.1,
        format="%.2f",
        key="prevalence",
        help="Share of abnormal images where the detector is used; among the images of this evaluation it may differ.",
    )
    widgets.facts({name: interval(values, digits) for name, (values, digits) in
                   per_day(sensitivity, specificity, int(images), percent / 100).items()})  # fmt: skip
    st.caption(
        "Expected on average over many days. In brackets: what the intervals of sensitivity and specificity leave "
        "open; the prevalence is taken as you give it."
    )


def per_day(
    sensitivity: Estimate, specificity: Estimate, images: int, prevalence: float
) -> dict[str, tuple[Estimate, int]]:
    """Return {figure: (estimate, digits)} of a day.

    >>> exact = Estimate(0.9, 0.9, 0.9)
    >>> {name: round(values.value, digits) for name, (values, digits) in per_day(exact, exact, 100, 0.1).items()}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'Flagged per day': 18.0, 'of them abnormal': 9.0, 'of them false alarms': 9.0, 'Missed per day': 1.0,
     'PPV: of the flagged, abnormal': 0.5, 'NPV: of the others, healthy': 0.988}
    """
    abnormal, healthy = images * prevalence, images * (1 - prevalence)
    worth = metrics.predictive_intervals(sensitivity, specificity, prevalence)
    return {
        "Flagged per day": (_times(metrics.flag_rate(sensitivity, specificity, prevalence), images), 1),
        "of them abnormal": (_times(sensitivity, abnormal), 1),
        "of them false alarms": (_times(specificity.complement(), healthy), 1),
        "Missed per day": (_times(sensitivity.complement(), abnormal), 1),
        "PPV: of the flagged, abnormal": (worth.ppv, 3),
        "NPV: of the others, healthy": (worth.npv, 3),
    }


def command(run: Path, threshold: float) -> None:
    """Say that the slider changes no detector, and which command would set about this threshold."""
    try:
        detector: Mapping[str, Any] = read_results(run / "results")["detector"]
    except (ValueError, OSError):
        return
    scores = detector.get("calibration_scores") or []
    if not scores:
        st.caption("The slider changes nothing. `anogan calibrate` sets a threshold, on healthy images alone.")
        return
    rate = rate_at(scores, threshold)
    if rate is None:
        st.caption(
            f"The slider changes nothing. No calibration gives this threshold: it flags all {len(scores)} healthy "
            "calibration images."
        )
        return
    option = f" --group {detector['column']}" if detector.get("groups") else ""
    each = f", for each {plain(detector['column'])} one of its own" if option else ""
    above = (
        " the highest that they give, which lies" if threshold > max(scores) else " about this threshold, which lies"
    )
    st.caption(
        f"The slider changes nothing: the detector keeps its threshold. From the {len(scores)} healthy calibration "
        f"images of this evaluation's detector, this command would set{above} at or below it{each}:"
    )
    st.code(f"anogan calibrate {run.as_posix()} DATA --false-alarm-rate {rate:g}{option}", language="bash")


def _times(share: Estimate, count: float) -> Estimate:
    return Estimate(*(count * value for value in share))
