"""Arrays in, numbers with 95 % intervals out. Label 1 is abnormal, a higher score is more anomalous.

Images of one subject resemble each other, so intervals that treat them as independent are too narrow: give `subjects`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import label as label_regions
from scipy.stats import binomtest, norm, rankdata

_REPLICATES = 1000  # of the bootstrap
_TOUCHING = np.ones((3, 3), bool)  # pixels of one region touch by side or corner


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Confusion(NamedTuple):
    """Counts at one threshold; `score >= threshold` flags."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int


class Roc(NamedTuple):
    """A receiver operating characteristic, from the strictest threshold to the loosest."""

    threshold: np.ndarray
    false_alarm_rate: np.ndarray
    sensitivity: np.ndarray


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
        The interval is that of DeLong et al. (Biometrics 1988), in the form of Obuchowski (Biometrics 1997) for
        several images per subject, which is the same when each subject has one.

    Raises
    ------
    ValueError
        A class is missing, a score is not finite, or the lengths differ.
    """
    labels, scores, clusters = _checked(labels, scores, subjects)
    abnormal, healthy = scores[labels], scores[~labels]
    m, n = len(abnormal), len(healthy)
    ranks = rankdata(scores)
    # Of each abnormal image, the share of healthy images below it; of each healthy one, of abnormal images above it.
    below = (ranks[labels] - rankdata(abnormal)) / n
    above = 1 - (ranks[~labels] - rankdata(healthy)) / m
    area = float(below.mean())
    count = int(clusters.max()) + 1
    of_abnormal = np.bincount(clusters[labels], below - area, minlength=count)  # summed by subject
    of_healthy = np.bincount(clusters[~labels], above - area, minlength=count)
    variance = (
        _unbiased(of_abnormal, of_abnormal, len(np.unique(clusters[labels]))) / m**2
        + _unbiased(of_healthy, of_healthy, len(np.unique(clusters[~labels]))) / n**2
        + 2 * _unbiased(of_abnormal, of_healthy, count) / (m * n)
    )
    half = float(norm.ppf(0.975) * np.sqrt(max(variance, 0.0)))
    return Estimate(area, max(area - half, 0.0), min(area + half, 1.0))


def average_precision(labels: np.ndarray, scores: np.ndarray, subjects: Sequence[str] | None = None) -> Estimate:
    """Return the mean precision over recall, as steps; the interval is a bootstrap over subjects.

    Parameters and errors are those of `auroc`.
    """

    def statistic(true_positive: np.ndarray, false_positive: np.ndarray) -> float:
        flagged = np.maximum(true_positive + false_positive, 1e-12)
        gained = np.diff(true_positive, prepend=0.0)
        return float((gained * true_positive / flagged).sum() / true_positive[-1])

    return _bootstrap(labels, scores, subjects, statistic)


def sensitivity_at_specificity(
    labels: np.ndarray, scores: np.ndarray, specificity: float, subjects: Sequence[str] | None = None
) -> Estimate:
    """Return the largest sensitivity at which the specificity is at least `specificity`, a number in [0, 1].

    The interval is a bootstrap over subjects. The threshold is chosen on the same images, so the value flatters a
    little; the operating point of a calibrated detector does not. Parameters and errors are those of `auroc`.
    """
    if not 0 <= specificity <= 1:
        raise ValueError(f"specificity: expected a number between 0 and 1, got {specificity}")

    def statistic(true_positive: np.ndarray, false_positive: np.ndarray) -> float:
        allowed = (1 - specificity) * false_positive[-1] + 1e-9
        reached = int(np.searchsorted(false_positive, allowed, side="right"))
        return float(true_positive[reached - 1] / true_positive[-1]) if reached else 0.0

    return _bootstrap(labels, scores, subjects, statistic)


def binomial(successes: int, trials: int) -> Estimate:
    """Return a share with its exact interval (Clopper and Pearson, Biometrika 1934).

    Raises
    ------
    ValueError
        `trials` is not positive, or `successes` is not in [0, trials].
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"binomial: expected 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    interval = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    return Estimate(successes / trials, float(interval.low), float(interval.high))


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Confusion:
    """Count right and wrong decisions of `score >= threshold`."""
    labels, flagged = np.asarray(labels, dtype=bool), np.asarray(scores) >= threshold
    return Confusion(
        true_positive=int((flagged & labels).sum()),
        false_positive=int((flagged & ~labels).sum()),
        true_negative=int((~flagged & ~labels).sum()),
        false_negative=int((~flagged & labels).sum()),
    )


def roc_curve(labels: np.ndarray, scores: np.ndarray, points: int = 400) -> Roc:
    """Return the corners of the ROC curve, thinned to at most `points` that lie evenly along it.

    Every row is exact: at its threshold the two rates are those of `confusion`. The first threshold lies just above
    the highest score, so nothing is flagged there; at the last everything is. Errors are those of `auroc`.
    """
    labels, scores, _ = _checked(labels, scores, None)
    if points < 2:
        raise ValueError(f"points: expected at least 2, got {points}")
    order, ends = _descending(scores)
    true_positive, false_positive = (np.cumsum(one[order])[ends] for one in (labels, ~labels))
    threshold = np.concatenate([[np.nextafter(scores.max(), np.inf)], scores[order][ends]])
    sensitivity = np.concatenate([[0.0], true_positive / labels.sum()])
    false_alarm_rate = np.concatenate([[0.0], false_positive / (~labels).sum()])
    # A point on a straight run between its neighbors adds nothing to the curve.
    bends = np.diff(true_positive, prepend=0)[:-1] * np.diff(false_positive)
    bends = bends != np.diff(false_positive, prepend=0)[:-1] * np.diff(true_positive)
    keep = np.flatnonzero(np.concatenate([[True], bends, [True]]))
    if len(keep) > points:
        length = (sensitivity + false_alarm_rate)[keep]  # along the curve, from 0 to 2
        keep = keep[np.unique(np.searchsorted(length, np.linspace(0, 2, points)).clip(max=len(keep) - 1))]
    return Roc(threshold[keep], false_alarm_rate[keep], sensitivity[keep])


class PixelTally:
    """Collects anomaly maps and masks one image at a time; then gives pixel AUROC and AUPRO.

    Parameters
    ----------
    per_image
        All abnormal pixels are kept. Of the healthy pixels of an image at most this many are drawn (without
        replacement, with a fixed seed) and weighted, so that each image counts with its true number of pixels.
    """

    def __init__(self, per_image: int = 10_000) -> None:
        self.per_image = per_image
        self.sampled = False  # whether any healthy pixel was left out
        self.n_regions = 0
        self._rng = np.random.default_rng(0)
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, anomaly_map: np.ndarray, mask: np.ndarray) -> None:
        """Add one image: (H, W) map, finite; (H, W) mask, true where abnormal.

        Raises
        ------
        ValueError
            The shapes differ, or the map is not finite.
        """
        if anomaly_map.shape != mask.shape:
            raise ValueError(f"the mask has {mask.shape} pixels and the anomaly map {anomaly_map.shape}")
        if not np.isfinite(anomaly_map).all():
            raise ValueError("the anomaly map is not finite")
        healthy = anomaly_map[~mask]
        weight = 1.0
        if len(healthy) > self.per_image:
            weight = len(healthy) / self.per_image
            healthy = self._rng.choice(healthy, self.per_image, replace=False)
            self.sampled = True
        regions, count = label_regions(mask, _TOUCHING)
        region_of = regions[mask]
        share = 1 / np.bincount(region_of, minlength=1)[region_of]  # pixels of one region sum to 1
        abnormal = anomaly_map[mask]
        self._parts.append(
            (
                np.concatenate([abnormal, healthy]).astype(np.float32),
                np.concatenate([np.zeros(len(abnormal)), np.full(len(healthy), weight)]).astype(np.float32),
                np.concatenate([np.ones(len(abnormal)), np.zeros(len(healthy))]).astype(np.float32),
                np.concatenate([share, np.zeros(len(healthy))]).astype(np.float32),
            )
        )
        self.n_regions += count

    def auroc(self) -> float:
        """Return the AUROC over all pixels.

        Raises
        ------
        ValueError
            No image with an abnormal pixel, or none with a healthy one, was added.
        """
        return self._area(2, 1.0)

    def aupro(self, limit: float = 0.3) -> float:
        """Return the area under the per-region overlap up to a pixel false-positive rate of `limit`, divided by it.

        Each connected region counts the same, whatever its size (Bergmann et al., CVPR 2019 and IJCV 2021). Errors
        are those of `auroc`.
        """
        return self._area(3, limit)

    def _area(self, positive: int, limit: float) -> float:
        if self.n_regions == 0:
            raise ValueError("pixel metrics: no image with a mask was added")
        values = np.concatenate([part[0] for part in self._parts])
        order, ends = _descending(values)
        y = np.concatenate([part[positive] for part in self._parts])[order].cumsum(dtype=np.float64)[ends]
        x = np.concatenate([part[1] for part in self._parts])[order].cumsum(dtype=np.float64)[ends]
        if x[-1] == 0:
            raise ValueError("pixel metrics: every pixel is abnormal; images with healthy pixels are needed")
        x, y = np.concatenate([[0.0], x / x[-1]]), np.concatenate([[0.0], y / y[-1]])
        inside = x <= limit
        x, y = np.append(x[inside], limit), np.append(y[inside], np.interp(limit, x, y))
        return float(np.diff(x) @ (y[1:] + y[:-1]) / 2 / limit)


def _checked(
    labels: np.ndarray, scores: np.ndarray, subjects: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bool labels, float64 scores and the number of each image's subject, all (N,)."""
    labels, scores = np.asarray(labels).astype(bool), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1 or (subjects is not None and len(subjects) != len(labels)):
        raise ValueError("labels, scores and subjects: expected one of each per image")
    if labels.all() or not labels.any():
        raise ValueError(
            f"healthy and abnormal images are both needed, got {(~labels).sum()} healthy and {labels.sum()} abnormal"
        )
    if not np.isfinite(scores).all():
        raise ValueError("scores: not all are finite")
    if subjects is None:
        return labels, scores, np.arange(len(labels))
    return labels, scores, np.unique(np.asarray(subjects), return_inverse=True)[1]


def _unbiased(one: np.ndarray, other: np.ndarray, count: int) -> float:
    """Return the sum of products over `count` subjects, corrected for the mean that was taken off."""
    return float((one * other).sum()) * count / max(count - 1, 1)


def _descending(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order from the highest score down, and where in it each run of equal scores ends."""
    order = np.argsort(-scores, kind="stable")
    return order, np.flatnonzero(np.diff(scores[order], append=-np.inf))


def _bootstrap(
    labels: np.ndarray,
    scores: np.ndarray,
    subjects: Sequence[str] | None,
    statistic: Callable[[np.ndarray, np.ndarray], float],
) -> Estimate:
    """Return a statistic of the cumulative counts with its percentile interval.

    Subjects are drawn with replacement, those with an abnormal image and those without separately, so that no draw
    lacks a class; a subject brings all its images.
    """
    labels, scores, clusters = _checked(labels, scores, subjects)
    order, ends = _descending(scores)
    labels, clusters = labels[order], clusters[order]

    def value(weights: np.ndarray) -> float:
        return statistic(np.cumsum(weights * labels)[ends], np.cumsum(weights * ~labels)[ends])

    rng = np.random.default_rng(0)
    count = int(clusters.max()) + 1
    ill = np.bincount(clusters, labels, minlength=count) > 0
    groups = [np.flatnonzero(ill), np.flatnonzero(~ill)]
    draws = []
    for _ in range(_REPLICATES):
        times = np.zeros(count)
        for group in groups:
            times += np.bincount(rng.choice(group, len(group)), minlength=count) if len(group) else 0
        weights = times[clusters]
        if weights[~labels].any():  # a draw of subjects that are ill in every image tells nothing
            draws.append(value(weights))
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value(np.ones(len(labels))), float(low), float(high))
