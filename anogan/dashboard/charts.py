"""Plotly figures. Colors are Okabe and Ito's, safe for color-blind readers; lines also differ by dash.

Lines stand out from light and from dark ground alike; the words of axes and marks get their color from style.py.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

HEALTHY, ABNORMAL, THRESHOLD, CASE, INK = "#0072b2", "#d55e00", "#74838e", "#c93fae", "#43525c"
CURVES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d00", "#17252f")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")

PLAIN_BAR = {"displayModeBar": False}
"""Plotly settings for small figures: no tool bar."""


def _inked(figure: go.Figure) -> go.Figure:
    """Darken the axes' words: Streamlit's own gray is too pale to read."""
    figure.update_xaxes(tickfont_color=INK, title_font_color=INK)
    figure.update_yaxes(tickfont_color=INK, title_font_color=INK)
    return figure


def score_histogram(groups: Mapping[str, Sequence[float]], threshold: float) -> go.Figure:
    """Draw scores of two groups as histograms on common bins, with the threshold as an upright line.

    Parameters
    ----------
    groups
        {name: scores}; the first is drawn in the color of healthy, the second in that of abnormal.
    threshold
        Where the line stands, in units of the score.
    """
    every = np.concatenate([np.asarray(scores, dtype=float) for scores in groups.values()] or [np.zeros(0)])
    every = np.append(every[np.isfinite(every)], threshold if math.isfinite(threshold) else [])
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    width = (high - low) / 40 or 1.0
    figure = go.Figure()
    for (name, scores), color in zip(groups.items(), (HEALTHY, ABNORMAL), strict=False):
        figure.add_histogram(
            x=list(scores),
            name=name,
            marker_color=color,
            marker_line={"color": "white", "width": 1},
            opacity=0.75,
            xbins={"start": low, "end": high + width, "size": width},
            hovertemplate="score %{x}: %{y} images<extra>" + name + "</extra>",
        )
    figure.add_vline(x=threshold, line_color=THRESHOLD, line_width=2, line_dash="dash")
    figure.add_annotation(
        x=threshold,
        y=1.1,
        yref="paper",
        yanchor="bottom",
        text=f"threshold {threshold:.2f}",
        showarrow=False,
        font={"color": THRESHOLD, "size": 13},
    )
    figure.update_layout(
        barmode="overlay",
        height=270,
        margin={"l": 0, "r": 8, "t": 48, "b": 0},
        xaxis_title="score (higher = more anomalous)",
        yaxis_title="images",
        legend={"orientation": "h", "y": -0.28, "x": 0},
        hovermode="closest",
    )
    return _inked(figure)


def scores_over_time(times: Sequence[datetime.datetime], scores: Sequence[float], threshold: float | None) -> go.Figure:
    """Draw the scores of one subject in time, the last of them marked; the threshold lies across."""
    figure = go.Figure()
    sizes, colors = [8] * (len(scores) - 1) + [13], [HEALTHY] * (len(scores) - 1) + [CASE]
    figure.add_scatter(
        x=list(times),
        y=list(scores),
        mode="lines+markers",
        line={"color": HEALTHY, "width": 1.5},
        marker={"size": sizes, "color": colors},
        hovertemplate="%{x|%Y-%m-%d}: score %{y:.2f}<extra></extra>",
    )
    if threshold is not None:
        figure.add_hline(y=threshold, line_color=THRESHOLD, line_dash="dash", annotation_text="threshold")
    figure.update_layout(height=190, margin={"l": 0, "r": 8, "t": 12, "b": 0}, showlegend=False, yaxis_title="score")
    ends = [times[0], times[-1]]
    figure.update_xaxes(tickvals=ends, ticktext=[f"{when:%Y-%m-%d}" for when in ends])
    return _inked(figure)


def roc_curve(
    false_alarm_rate: Sequence[float], sensitivity: Sequence[float], here: tuple[float, float], words: str
) -> go.Figure:
    """Draw a ROC curve and the chosen operating point (false-alarm rate, sensitivity) on it."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": "#8496a1", "dash": "dot", "width": 1}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=list(false_alarm_rate),
        y=list(sensitivity),
        mode="lines",
        line={"color": HEALTHY, "width": 2.5, "shape": "hv"},
        hovertemplate="false alarms %{x:.1%}<br>sensitivity %{y:.1%}<extra></extra>",
    )
    figure.add_scatter(
        x=[here[0]],
        y=[here[1]],
        mode="markers+text",
        text=[words],
        textposition="middle right" if here[0] < 0.6 else "middle left",
        textfont={"color": INK, "size": 13},
        marker={"color": ABNORMAL, "size": 14, "line": {"color": "white", "width": 2}},
        hovertemplate="operating point<br>false alarms %{x:.1%}<br>sensitivity %{y:.1%}<extra></extra>",
        cliponaxis=False,
    )
    figure.update_layout(
        height=400, margin={"l": 0, "r": 8, "t": 12, "b": 0}, showlegend=False, font={"size": 13},
        xaxis={"title": "false-alarm rate (1 - specificity)", "range": [-0.02, 1.02], "tickformat": ".0%"},
        yaxis={"title": "sensitivity", "range": [-0.02, 1.04], "tickformat": ".0%"},
    )  # fmt: skip
    return _inked(figure)


def component_bars(areas: Mapping[str, float], fused: float | None) -> go.Figure:
    """Draw the AUROC of each component as a bar, the fused score last and darker."""
    names, values = list(areas), [float(value) for value in areas.values()]
    if fused is not None:
        names, values = [*names, "fused score"], [*values, fused]
    colors = ["#a9d0e6"] * len(areas) + [HEALTHY] * (len(names) - len(areas))
    figure = go.Figure(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            marker_color=colors,
            text=[f"{value:.3f}" for value in values],
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
            textfont={"color": [INK] * len(areas) + ["white"] * (len(names) - len(areas)), "size": 13},
            hoverinfo="skip",
        )
    )
    figure.add_vline(x=0.5, line_dash="dot", line_color="#8496a1", layer="below")
    figure.update_layout(
        height=60 + 38 * len(names),
        margin={"l": 0, "r": 8, "t": 4, "b": 0},
        xaxis={"range": [0, 1], "title": "AUROC (0.5 = chance)"},
    )
    return _inked(figure)


def loss_curves(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], mark: int | None = None) -> go.Figure:
    """Draw {name: (steps, values)}; `mark` stands as an upright line, the step of the snapshot shown."""
    figure = go.Figure()
    for index, (name, (steps, values)) in enumerate(curves.items()):
        line = {"color": CURVES[index % len(CURVES)], "dash": DASHES[index % len(DASHES)], "width": 2}
        figure.add_scatter(x=list(steps), y=list(values), mode="lines", name=name.replace("_", " "), line=line)
    if mark is not None:
        figure.add_vline(x=mark, line_color="#8496a1", line_dash="dot")
    figure.update_layout(
        height=330,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        xaxis_title="step",
        yaxis_title="loss",
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.24, "x": 0},
    )
    return _inked(figure)


def signals(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], best: int) -> go.Figure:
    """Draw {signal: (steps, values)} side by side, each on its own scale; `best` is the step of the best snapshot."""
    figure = make_subplots(rows=1, cols=len(curves), subplot_titles=list(curves), horizontal_spacing=0.05)
    for column, (name, (steps, values)) in enumerate(curves.items(), start=1):
        line = {"color": CURVES[0], "width": 2}
        figure.add_scatter(x=list(steps), y=list(values), mode="lines+markers", name=name, line=line, row=1, col=column)
        figure.add_vline(x=best, line_color="#8496a1", line_dash="dot", row=1, col=column)
    figure.update_annotations(font={"size": 12, "color": INK})
    figure.update_layout(height=190, margin={"l": 0, "r": 8, "t": 28, "b": 0}, showlegend=False)
    return _inked(figure)


def timeline(snapshots: Mapping[str, Sequence[int]], kept: Mapping[str, int], shown: tuple[str, int]) -> go.Figure:
    """Draw the snapshots of each phase, {phase: steps}, with the step that is kept of each and the one on view."""
    figure = go.Figure()
    for phase, steps in snapshots.items():
        marker = {"color": HEALTHY, "size": 9, "symbol": "circle"}
        figure.add_scatter(
            x=list(steps), y=[phase] * len(steps), mode="lines+markers", marker=marker, line={"color": "#a9d0e6"},
            name="snapshot", showlegend=phase == next(iter(snapshots)), hovertemplate="step %{x}<extra></extra>",
        )  # fmt: skip
    marks = {
        "on view": ([shown[1]], [shown[0]], {"color": INK, "size": 17, "symbol": "circle-open", "line": {"width": 2}}),
        "kept": (list(kept.values()), list(kept), {"color": ABNORMAL, "size": 15, "symbol": "star"}),
    }
    for name, (x, y, marker) in marks.items():
        if x:
            figure.add_scatter(
                x=x, y=y, mode="markers", marker=marker, name=name, hovertemplate=f"{name}: step %{{x}}<extra></extra>"
            )
    figure.update_layout(
        height=120 + 34 * len(snapshots), margin={"l": 0, "r": 8, "t": 4, "b": 0}, xaxis_title="step",
        yaxis={"autorange": "reversed", "type": "category"}, legend={"orientation": "h", "y": 1.3, "x": 0},
    )  # fmt: skip
    return _inked(figure)


def by_day(
    dates: Sequence[datetime.date], bars: Mapping[str, Sequence[int]], lines: Mapping[str, Sequence[int]]
) -> go.Figure:
    """Draw counts of each day: `bars` stacked, `lines` over them."""
    figure = go.Figure()
    patterns = ("", "/", "x", ".", "+")  # so that color is never the only sign
    for index, (name, counts) in enumerate(bars.items()):
        marker = {"color": CURVES[index % len(CURVES)], "pattern": {"shape": patterns[index % len(patterns)]}}
        figure.add_bar(x=list(dates), y=list(counts), name=name, marker=marker)
    for index, (name, counts) in enumerate(lines.items()):
        line = {"color": (INK, CASE)[index % 2], "dash": DASHES[index % len(DASHES)], "width": 2}
        figure.add_scatter(x=list(dates), y=list(counts), name=name, mode="lines+markers", line=line)
    figure.update_layout(
        barmode="stack", height=320, margin={"l": 0, "r": 8, "t": 8, "b": 0}, yaxis_title="cases",
        xaxis={"title": "day (UTC)", "tickformat": "%d %b"}, hovermode="x unified",
        legend={"orientation": "h", "y": -0.3, "x": 0},
    )  # fmt: skip
    if len(dates) <= 10:  # or a few days are told in hours
        figure.update_xaxes(tickvals=list(dates))
    return _inked(figure)


def shares(names: Sequence[str], values: Sequence[tuple[float, float, float]], title: str) -> go.Figure:
    """Draw shares with their intervals, (value, low, high) in [0, 1], one row each."""
    figure = go.Figure()
    figure.add_scatter(
        x=[value for value, _, _ in values], y=list(names), mode="markers", marker={"color": HEALTHY, "size": 11},
        error_x={
            "type": "data", "symmetric": False, "color": HEALTHY,
            "array": [high - value for value, _, high in values],
            "arrayminus": [value - low for value, low, _ in values],
        },
        hovertemplate="%{x:.1%}<extra>%{y}</extra>",
    )  # fmt: skip
    figure.update_layout(
        height=90 + 34 * len(names), margin={"l": 0, "r": 8, "t": 4, "b": 0}, showlegend=False,
        xaxis={"title": title, "range": [-0.02, 1.02], "tickformat": ".0%"},
        yaxis={"autorange": "reversed", "type": "category"},
    )  # fmt: skip
    return _inked(figure)
