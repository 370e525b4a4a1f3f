"""The figures of the report, each from the numbers of `evaluation.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from anogan.evaluation.charts import ABNORMAL, HEALTHY, INK, Plot, Scale, linear, percent, probit

_BINS = 44


def roc(found: Mapping[str, Any]) -> Markup:
    """Draw the ROC curve, its band and the operating point with its two intervals."""
    plot = Plot(percent("false-alarm rate (1 \u2212 specificity)"), percent("sensitivity"))
    bands, curve, point = found["bands"], found["roc"], found["operating_point"]
    plot.band(bands["false_alarm_rate"], bands["sensitivity_low"], bands["sensitivity_high"], HEALTHY)
    plot.line([0, 1], [0, 1], INK, dash="2 4", width=1)
    plot.line(curve["false_alarm_rate"], curve["sensitivity"], HEALTHY)
    if point:
        plot.cross(tuple(point["realized"]), tuple(point["sensitivity"]), "operating point")
    return plot.svg(f"ROC curve with its 95 % band; area {found['auroc'][0]:.3f}{_point_in_words(point)}")


def precision_recall(found: Mapping[str, Any]) -> Markup:
    """Draw precision over recall, the band, and what chance would give."""
    plot = Plot(percent("recall (sensitivity)"), percent("precision"))
    bands, curve, point = found["bands"], found["pr"], found["operating_point"]
    share = found["n_abnormal"] / (found["n_healthy"] + found["n_abnormal"])
    plot.band(bands["recall"], bands["precision_low"], bands["precision_high"], HEALTHY)
    plot.line([0, 1], [share, share], INK, dash="2 4", width=1)
    plot.steps(curve["recall"], curve["precision"], HEALTHY)
    if point and point["true_positive"]:
        precision = point["true_positive"] / (point["true_positive"] + point["false_positive"])
        plot.cross(tuple(point["sensitivity"]), (precision,) * 3, "operating point")
    return plot.svg(
        f"Precision over recall with its 95 % band; average precision {found['average_precision'][0]:.3f}, "
        f"chance would give {share:.3f}"
    )


def det(found: Mapping[str, Any]) -> Markup:
    """Draw misses over false alarms on normal deviates."""
    plot = Plot(probit("false-alarm rate"), probit("miss rate (1 \u2212 sensitivity)"))
    bands, curve, point = found["bands"], found["roc"], found["operating_point"]
    low, high = (1 - np.array(bands[f"sensitivity_{end}"]) for end in ("high", "low"))
    plot.band(bands["false_alarm_rate"], low.tolist(), high.tolist(), HEALTHY)
    plot.line(curve["false_alarm_rate"], [1 - one for one in curve["sensitivity"]], HEALTHY)
    if point:
        value, least, most = point["sensitivity"]
        plot.cross(tuple(point["realized"]), (1 - value, 1 - most, 1 - least), "operating point")
    return plot.svg(f"DET curve with its 95 % band{_point_in_words(point)}")


def _point_in_words(point: Mapping[str, Any] | None) -> str:
    if not point:
        return ""
    return (
        f"; at the operating point {point['realized'][0]:.1%} of the healthy and {point['sensitivity'][0]:.1%} of the "
        "abnormal images are flagged"
    )


def score_distributions(found: Mapping[str, Any]) -> Markup:
    """Draw the scores of healthy images upward and of abnormal ones downward, with the threshold between."""
    scores = {
        label: np.array([row["score"] for row in found["scores"] if row["label"] == label])
        for label in ("healthy", "abnormal")
    }
    every = np.concatenate(list(scores.values()))
    # Groups with thresholds of their own have no common one to draw.
    point = found["operating_point"] if (found["operating_point"] or {}).get("threshold") is not None else None
    low, high = float(every.min()), float(np.quantile(every, 0.98))
    if point:  # so that the threshold stands well inside
        low, high = min(low, point["threshold"]), max(high, point["threshold"] + 0.1 * (point["threshold"] - low))
    high = high if high > low else low + 1
    step = (high - low) / _BINS
    # With a threshold, one edge lies on it, so that no bar is half flagged.
    first = point["threshold"] - step * math.ceil((point["threshold"] - low) / step) if point else low
    edges = first + step * np.arange(_BINS + 2)
    low, high = float(edges[0]), float(edges[-1])
    inside = {label: values.clip(low, np.nextafter(high, low)) for label, values in scores.items()}
    shares = {label: np.histogram(values, edges)[0] / len(values) for label, values in inside.items()}
    top = max(float(share.max()) for share in shares.values()) * 1.12
    upward = [(share, f"{100 * share:.3g} %") for share, _ in linear("", 0.0, top).ticks]
    ticks = [*upward, *((-share, words) for share, words in upward[1:])]
    plot = Plot(
        linear("score (higher = more anomalous)", low, high),
        Scale("share of the class", -top, top, ticks),
        width=880,
        height=330,
    )
    for label, sign, color in (("healthy", 1, HEALTHY), ("abnormal", -1, ABNORMAL)):
        for left, right, share in zip(edges, edges[1:], shares[label], strict=False):
            if share:
                plot.box((float(left), float(right)), (0.0, float(sign * share)), color)
        words = f"{label}, {len(scores[label])} images"
        plot.text(high, sign * top * 0.9, words, "end", color)
    plot.line([low, high], [0, 0], INK, width=1)
    words = "Scores of healthy (upward) and abnormal (downward) images"
    if point:
        plot.line([point["threshold"]] * 2, [-top, top], INK, dash="6 4")
        plot.text(point["threshold"], top * 0.9, f"\u2009flagged from {point['threshold']:.3g}")
        words += f"; threshold {point['threshold']:.3g}{_point_in_words(point)}"
    return plot.svg(words)


def net_benefit(curve: Mapping[str, Any]) -> Markup:
    """Draw the decision curve: net benefit over the probability at which one would act."""
    x, own, everyone = curve["threshold_probability"], curve["net_benefit"], curve["treat_all"]
    top = max(*own, curve["prevalence"]) * 1.15
    round_ones = [digit * 10.0**power for power in range(-6, 0) for digit in (1, 2, 5)]
    if min(x) < 0.01:
        round_ones = [10.0**power for power in range(-6, 0)]
    ticks = [(chance, f"{100 * chance:g} %") for chance in round_ones if 0.99 * min(x) <= chance <= max(x)]
    across = Scale("probability from which one would act", min(x), max(x), ticks, math.log10)
    plot = Plot(across, linear("net benefit (per image)", -0.6 * top, top), left=70)
    plot.line(x, [0] * len(x), INK, width=1)
    kept = [k for k, value in enumerate(everyone) if value >= -0.6 * top]
    plot.line([x[k] for k in kept], [everyone[k] for k in kept], ABNORMAL, dash="7 4")
    kept = [k for k, value in enumerate(own) if value >= -0.6 * top]
    plot.line([x[k] for k in kept], [own[k] for k in kept], HEALTHY, width=2.5)
    plot.text_at(plot.right - 4, plot.top + 14, "the detector (solid)", "end", HEALTHY)
    plot.text_at(plot.right - 4, plot.top + 30, "act on everyone (dashed)", "end", ABNORMAL)
    plot.text_at(plot.right - 4, plot.top + 46, "act on nobody (thin, 0)", "end", INK)
    return plot.svg(
        f"Decision curve at a prevalence of {curve['prevalence']:.1%}: "
        f"the highest net benefit of the detector is {max(own):.4f}"
    )


def areas(rows: Sequence[tuple[str, Sequence[float], bool]]) -> Markup:
    """Draw AUROC as points with intervals, a row each: (name, [value, low, high] or [value], ours)."""
    height = 22 * len(rows) + 64
    low = min(0.4, *(values[-2] if len(values) > 1 else values[0] for _, values, _ in rows))
    low = max(low - 0.03, 0.0)
    across = Scale("AUROC (0.5 = chance)", low, 1.0, [(k / 10, f"{k / 10:.1f}") for k in range(11) if k / 10 >= low])
    plot = Plot(across, Scale("", len(rows) - 0.5, -0.5, []), width=880, height=height, left=345)
    plot.line([0.5, 0.5], [len(rows) - 0.5, -0.5], INK, dash="2 4", width=1)
    for row, (name, values, ours) in enumerate(rows):
        color = HEALTHY if ours else INK
        if len(values) > 1:
            plot.line([values[1], values[2]], [row, row], color, width=2)
        plot.dot(values[0], row, color, hollow=not ours)
        plot.row(row, name)
    words = ", ".join(f"{name} {values[0]:.3f}" for name, values, _ in rows)
    return plot.svg(f"AUROC: {words}")
