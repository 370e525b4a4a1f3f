"""The curves behind the figures: ROC, precision against recall, and detection error trade-off."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anogan.metrics.inputs import checked, descending


class Roc(NamedTuple):
    """A receiver operating characteristic, from the strictest threshold to the loosest."""

    threshold: np.ndarray
    false_alarm_rate: np.ndarray
    sensitivity: np.ndarray


class Pr(NamedTuple):
    """Precision and recall, from the strictest threshold to the loosest."""

    threshold: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


class Det(NamedTuple):
    """A detection error trade-off: false alarms against misses, from the strictest threshold to the loosest."""

    threshold: np.ndarray
    false_alarm_rate: np.ndarray
    miss_rate: np.ndarray


def roc_curve(labels: np.ndarray, scores: np.ndarray, points: int = 400) -> Roc:
    """Return the corners of the ROC curve, thinned to at most `points` that lie evenly along it.

    Every row is exact: at its threshold the two rates are those of `confusion`. The first threshold lies just above
    the highest score, so nothing is flagged there; at the last everything is. Errors are those of `auroc`.
    """
    threshold, true_positive, false_positive = flagged(labels, scores)
    # A point on a straight run between its neighbors adds nothing to the curve.
    up, right = np.diff(true_positive), np.diff(false_positive)
    corners = np.concatenate([[True], up[:-1] * right[1:] != right[:-1] * up[1:], [True]])
    keep = _thinned(np.flatnonzero(corners), true_positive, false_positive, points)
    return Roc(threshold[keep], (false_positive / false_positive[-1])[keep], (true_positive / true_positive[-1])[keep])


def pr_curve(labels: np.ndarray, scores: np.ndarray, points: int = 400) -> Pr:
    """Return precision against recall, thinned to at most `points` that lie evenly along the ROC curve.

    Every row is exact. The first threshold is the highest score, as above it nothing is flagged and there is no
    precision; of the rows with one recall the first stays, which has the highest precision. Errors are those of
    `auroc`.
    """
    threshold, true_positive, false_positive = (values[1:] for values in flagged(labels, scores))
    keep = _thinned(np.flatnonzero(np.diff(true_positive, prepend=-1)), true_positive, false_positive, points)
    precision, recall = true_positive / (true_positive + false_positive), true_positive / true_positive[-1]
    return Pr(threshold[keep], precision[keep], recall[keep])


def det_curve(labels: np.ndarray, scores: np.ndarray, points: int = 400) -> Det:
    """Return the points of `roc_curve` as false alarms against misses (Martin et al., Eurospeech 1997).

    Both axes are usually drawn on the scale of normal quantiles, where 0 and 1 lie outside. Errors are those of
    `auroc`.
    """
    threshold, false_alarm_rate, sensitivity = roc_curve(labels, scores, points)
    return Det(threshold, false_alarm_rate, 1 - sensitivity)


def flagged(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return falling thresholds, and the abnormal and healthy images at or above each; at the first there are none."""
    labels, scores, _ = checked(labels, scores, None)
    order, ends = descending(scores)
    threshold = np.concatenate([[np.nextafter(scores.max(), np.inf)], scores[order][ends]])
    true_positive, false_positive = (np.append(0, np.cumsum(one[order])[ends]) for one in (labels, ~labels))
    return threshold, true_positive, false_positive


def _thinned(keep: np.ndarray, true_positive: np.ndarray, false_positive: np.ndarray, points: int) -> np.ndarray:
    """Return at most `points` of the rows `keep`, evenly along the ROC curve; the first and the last stay."""
    if points < 2:
        raise ValueError(f"points: expected at least 2, got {points}")
    if len(keep) <= points:
        return keep
    length = (true_positive / true_positive[-1] + false_positive / false_positive[-1])[keep]
    rows = np.searchsorted(length, np.linspace(length[0], length[-1], points)).clip(max=len(keep) - 1)
    return keep[np.unique(rows)]
