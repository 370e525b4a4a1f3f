"""The area under the ROC curve, of one model or of two on the same images, with the intervals of DeLong et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from anogan.metrics.inputs import checked
from anogan.metrics.intervals import Estimate

_Z = float(norm.ppf(0.975))


class Comparison(NamedTuple):
    """Two models on the same images: the first AUROC minus the second, and the p-value of no difference."""

    difference: Estimate
    p_value: float


def auroc(labels: np.ndarray, scores: np.ndarray, subjects: Sequence[str] | None = None) -> Estimate:
    """Return the area under the ROC curve; ties count one half.

    Parameters
    ----------
    labels
        (N,) 0 healthy, 1 abnormal.
    scores
        (N,) finite.
    subjects
        (N,) whose image each is; None: every image is a subject of its own.

    Returns
    -------
    Estimate
        The variance is that of DeLong et al. (Biometrics 1988), in the form of Obuchowski (Biometrics 1997) for
        several images per subject, which is the same when each subject has one. The interval is symmetric in the
        log odds of the area (Pepe, The Statistical Evaluation of Medical Tests, 2003): near 1, one that is symmetric
        in the area covers far less than it says. Where there is no variance to see, at an area of 0 or 1 or with one
        subject in a class, it is method 5 of Newcombe (Statistics in Medicine 2006), with subjects as the counts.

    Raises
    ------
    ValueError
        A class is missing, a score is not finite, or the lengths differ.
    """
    labels, scores, clusters = checked(labels, scores, subjects)
    below, above = _placements(labels, scores)
    area = float(below.mean())
    counts = [len(np.unique(clusters[mine])) for mine in (labels, ~labels)]
    if not 0 < area < 1 or min(counts) < 2:
        return Estimate(area, *_newcombe(area, *counts))
    half = _Z * np.sqrt(_variance(labels, clusters, below, above)) / (area * (1 - area))
    return Estimate(area, float(expit(logit(area) - half)), float(expit(logit(area) + half)))


def compare_auroc(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, subjects: Sequence[str] | None = None
) -> Comparison:
    """Return how much larger the AUROC of `first` is than that of `second`, on the same images.

    The test is that of DeLong et al. (Biometrics 1988), in the form of Obuchowski (Biometrics 1997) for several images
    per subject. It says how sure the difference is on such subjects, not whether the second training of a model would
    do as well.

    Parameters
    ----------
    labels, subjects
        As in `auroc`.
    first, second
        (N,) finite scores of the two models, each on a scale of its own.

    Raises
    ------
    ValueError
        As in `auroc`, or a class has fewer than two subjects.
    """
    _, second, _ = checked(labels, second, subjects)
    labels, first, clusters = checked(labels, first, subjects)
    if min(len(np.unique(clusters[mine])) for mine in (labels, ~labels)) < 2:
        raise ValueError("compare_auroc: at least two subjects with healthy and two with abnormal images are needed")
    # What is left of each image's contribution once the two models are subtracted holds their covariance.
    below, above = (
        one - other for one, other in zip(_placements(labels, first), _placements(labels, second), strict=True)
    )
    difference = float(below.mean())
    error = float(np.sqrt(_variance(labels, clusters, below, above)))
    interval = Estimate(difference, max(difference - _Z * error, -1.0), min(difference + _Z * error, 1.0))
    if error == 0:
        return Comparison(interval, 1.0 if difference == 0 else 0.0)
    return Comparison(interval, float(2 * norm.sf(abs(difference) / error)))


def _placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each abnormal image the share of healthy ones below it, of each healthy one of abnormal ones above."""
    abnormal, healthy = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    below = (ranks[labels] - rankdata(abnormal)) / len(healthy)
    above = 1 - (ranks[~labels] - rankdata(healthy)) / len(abnormal)
    return below, above


def _variance(labels: np.ndarray, clusters: np.ndarray, below: np.ndarray, above: np.ndarray) -> float:
    """Return the variance of the mean of `below`: sums over subjects, corrected for the mean that was taken off."""
    m, n = len(below), len(above)
    count = int(clusters.max()) + 1
    of_abnormal = np.bincount(clusters[labels], below - below.mean(), minlength=count)
    of_healthy = np.bincount(clusters[~labels], above - above.mean(), minlength=count)

    def unbiased(one: np.ndarray, other: np.ndarray, subjects: int) -> float:
        return float((one * other).sum()) * subjects / max(subjects - 1, 1)

    variance = (
        unbiased(of_abnormal, of_abnormal, len(np.unique(clusters[labels]))) / m**2
        + unbiased(of_healthy, of_healthy, len(np.unique(clusters[~labels]))) / n**2
        + 2 * unbiased(of_abnormal, of_healthy, count) / (m * n)
    )
    return max(variance, 0.0)


def _newcombe(area: float, abnormal: int, healthy: int) -> tuple[float, float]:
    """Return the areas whose own standard error just reaches from them to the one found."""
    others = (abnormal + healthy) / 2 - 1

    def outside(true: float) -> float:
        spread = 1 + others * ((1 - true) / (2 - true) + true / (1 + true))
        return (area - true) ** 2 - _Z**2 * true * (1 - true) * spread / (abnormal * healthy)

    low = float(brentq(outside, 0.0, area - 1e-9)) if area > 0 else 0.0
    high = float(brentq(outside, area + 1e-9, 1.0)) if area < 1 else 1.0
    return low, high
