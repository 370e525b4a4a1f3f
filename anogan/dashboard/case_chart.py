"""Where a score stands among the healthy ones, as a drawing: Plotly's 4.7 MB would hold the pictures up by seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from anogan.dashboard.charts import CASE, THRESHOLD
from anogan.evaluation.charts import HEALTHY, Plot, Scale, linear

BINS = 40

_drawing = st.components.v2.component(
    "anogan_drawing",
    html='<div class="drawing"></div>',
    css=(Path(__file__).parent / "drawing.css").read_text(encoding="utf-8"),
    js="""export default ({ data, parentElement }) => {
      parentElement.querySelector(".drawing").innerHTML = data.svg;
    }""",
)


def show(healthy: Sequence[float], threshold: float | None, score: float, unit: str, words: str) -> None:
    """Show the drawing of `among_healthy`."""
    _drawing(data={"svg": among_healthy(healthy, threshold, score, unit, words)}, key="among-healthy")


def among_healthy(healthy: Sequence[float], threshold: float | None, score: float, unit: str, words: str) -> str:
    """Draw the healthy scores as a histogram, with threshold and case as upright lines, as SVG.

    Parameters
    ----------
    healthy
        Scores of the healthy calibration images.
    threshold, score
        Where the lines stand, in units of the score; without a threshold, or where one is not finite, it has none.
    unit
        What is counted, as `images`.
    words
        Say what it shows to those who cannot see it.
    """
    marks = [mark for mark in (threshold, score) if mark is not None and np.isfinite(mark)]
    every = np.array([*healthy, *marks], dtype=float)
    every = every[np.isfinite(every)]
    low, high = float(every.min()), float(every.max())
    width = (high - low) / BINS or 1.0
    edges = low + width * np.arange(BINS + 2)
    counts = np.histogram([one for one in healthy if np.isfinite(one)], edges)[0]
    top = max(int(counts.max()), 1) * 1.3  # room for the words of the lines
    ticks = [tick for tick in linear("", 0.0, top).ticks if tick[0] == int(tick[0]) <= counts.max()]
    across = linear("score (higher = more anomalous)", low, float(edges[-1]))
    plot = Plot(across, Scale(unit, 0.0, top, ticks), width=720, height=270)
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            said = f"score {left:.2f} to {right:.2f}: {count} of {len(healthy)} healthy {unit}"
            plot.box((float(left), float(right)), (0.0, float(count)), HEALTHY, said)
    lines = [(threshold, "threshold", THRESHOLD, "6 4", 1.0), (score, "this case", CASE, "", 0.9)]
    for at, name, color, dash, height in lines:
        if at in marks and at is not None:
            plot.line([at, at], [0.0, top * height], color, dash)
            left_half = at < (low + float(edges[-1])) / 2
            aside, anchor = (6, "start") if left_half else (-6, "end")
            plot.text_at(plot.across(at) + aside, plot.up(top * height) + 12, f"{name} {at:.2f}", anchor, color)
    return str(plot.svg(words))
