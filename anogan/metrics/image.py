"""How well the scores of images, or of subjects, tell abnormal from healthy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anogan.metrics.inputs import share
from anogan.metrics.intervals import Estimate, bootstrap


class Confusion(NamedTuple):
    """Counts at one threshold; `score >= threshold` flags."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int


class BySubject(NamedTuple):
    """One row per subject, in the order of their names: name, label (0, 1) and score."""

    subjects: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def average_precision(labels: np.ndarray, scores: np.ndarray, subjects: Sequence[str] | None = None) -> Estimate:
    """Return the mean precision over recall, as steps, at the share of abnormal images that the data have.

    The interval is a bootstrap over subjects. Parameters and errors are those of `auroc`.
    """

    def statistic(true_positive: np.ndarray, false_positive: np.ndarray) -> np.ndarray:
        flagged = np.maximum(true_positive + false_positive, 1e-12)
        gained = np.diff(true_positive, prepend=0.0)
        return (gained * true_positive / flagged).sum(1) / true_positive[:, -1]

    return bootstrap(labels, scores, subjects, statistic)


def sensitivity_at_specificity(
    labels: np.ndarray, scores: np.ndarray, specificity: float, subjects: Sequence[str] | None = None
) -> Estimate:
    """Return the largest sensitivity at which the specificity is at least `specificity`, a number in [0, 1].

    The interval is a bootstrap over subjects. The threshold is chosen on the same images, so the value flatters where
    there are few healthy ones (the interval knows that: it reaches further down than up); the operating point of a
    calibrated detector does not. Parameters and errors are those of `auroc`.
    """
    specificity = share("specificity", specificity)

    def statistic(true_positive: np.ndarray, false_positive: np.ndarray) -> np.ndarray:
        allowed = (1 - specificity + 1e-12) * false_positive[:, -1:]
        last = (false_positive <= allowed).sum(1) - 1  # -1 where the first threshold flags too many
        reached = np.take_along_axis(true_positive, np.maximum(last, 0)[:, None], axis=1)[:, 0]
        return np.where(last >= 0, reached / true_positive[:, -1], 0.0)

    return bootstrap(labels, scores, subjects, statistic)


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Confusion:
    """Count right and wrong decisions of `score >= threshold`."""
    labels, flagged = np.asarray(labels, dtype=bool), np.asarray(scores) >= threshold
    return Confusion(
        true_positive=int((flagged & labels).sum()),
        false_positive=int((flagged & ~labels).sum()),
        true_negative=int((~flagged & ~labels).sum()),
        false_negative=int((~flagged & labels).sum()),
    )


def by_subject(labels: np.ndarray, scores: np.ndarray, subjects: Sequence[str]) -> BySubject:
    """Return one label and one score per subject: the highest of its images, abnormal if one of them is.

    A subject with many images has more chances of a high score, so a threshold for images does not keep its
    false-alarm rate for subjects.

    Raises
    ------
    ValueError
        A score is not finite, or the lengths differ.
    """
    labels, scores = np.asarray(labels, dtype=int), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape or len(subjects) != len(labels):
        raise ValueError("labels, scores and subjects: expected one of each per image")
    if not np.isfinite(scores).all():
        raise ValueError("scores: not all are finite")
    names, index = np.unique(np.asarray(subjects), return_inverse=True)
    highest, ill = np.full(len(names), -np.inf), np.zeros(len(names), int)
    np.maximum.at(highest, index, scores)
    np.maximum.at(ill, index, labels)
    return BySubject(names, ill, highest)
