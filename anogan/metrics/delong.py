"""The area under the ROC curve, of one model or of two on the same images, with the intervals of DeLong et al."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, rankdata
from scipy.stats import t as student

from anogan.metrics.inputs import checked
from anogan.metrics.intervals import Estimate

_Z = float(norm.ppf(0.975))
_ROUNDING = 1e-12  # of a standard error that is 0


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
        in the area covers far less than it says; its quantile is Student's, with the degrees of freedom of Welch and
        Satterthwaite. Where there is no variance to see, at an area of 0 or 1 or with one subject in a class, it is
        method 5 of Newcombe (Statistics in Medicine 2006), with subjects as the counts.

    Raises
    ------
    ValueError
        A class is missing, a score is not finite, or the lengths differ.
    """
    labels, scores, clusters = checked(labels, scores, subjects)
    return _interval(_contributions(labels, scores, clusters))


def compare_auroc(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, subjects: Sequence[str] | None = None
) -> Comparison:
    """Return how much larger the AUROC of `first` is than that of `second`, on the same images.

    The p-value is that of DeLong et al. (Biometrics 1988), in the form of Obuchowski (Biometrics 1997) for several
    images per subject. The interval is put together from those of the two areas and their correlation (method of
    variance estimates recovery: Zou, Psychological Methods 2007), so it need not be symmetric and near 1 holds more
    often; seldom, where the p-value is about 0.05, the two disagree. The p-value is nan where the areas differ without
    any variance to see. Both are about other subjects, not about another training of a model.

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
    one, other = (_contributions(*checked(labels, scores, subjects)) for scores in (first, second))
    if min(one.n_abnormal, one.n_healthy) < 2:
        raise ValueError("compare_auroc: at least two subjects with healthy and two with abnormal images are needed")
    difference, common = one.area - other.area, _variance(one, other)
    own = [max(_variance(each, each), 0.0) for each in (one, other)]
    error = math.sqrt(max(sum(own) - 2 * common, 0.0))
    if error > _ROUNDING:
        p_value = float(2 * norm.sf(abs(difference) / error))
    else:
        p_value = 1.0 if difference == 0 else math.nan
        if difference == 0 and 0 < one.area < 1:  # the two order the images alike
            return Comparison(Estimate(0.0, 0.0, 0.0), p_value)
    a, b = _interval(one), _interval(other)
    spread = math.sqrt(own[0] * own[1])
    correlation = common / spread if spread > 0 else 0.0

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(up**2 + down**2 - 2 * correlation * up * down, 0.0))

    low = difference - reach(a.value - a.low, b.high - b.value)
    high = difference + reach(a.high - a.value, b.value - b.low)
    return Comparison(Estimate(difference, low, high), p_value)


class _Contributions(NamedTuple):
    """What each subject adds to an area beyond the mean, through its abnormal and through its healthy images."""

    area: float
    abnormal: np.ndarray  # (S,), sums to 0
    healthy: np.ndarray  # (S,), sums to 0
    n_abnormal: int  # subjects with an abnormal image
    n_healthy: int


def _contributions(labels: np.ndarray, scores: np.ndarray, clusters: np.ndarray) -> _Contributions:
    abnormal, healthy = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    # Of each abnormal image, the share of healthy images below it; of each healthy one, of abnormal images above it.
    below = (ranks[labels] - rankdata(abnormal)) / len(healthy)
    above = 1 - (ranks[~labels] - rankdata(healthy)) / len(abnormal)
    area, count = float(below.mean()), int(clusters.max()) + 1
    return _Contributions(
        area,
        np.bincount(clusters[labels], below - area, minlength=count) / len(abnormal),
        np.bincount(clusters[~labels], above - area, minlength=count) / len(healthy),
        len(np.unique(clusters[labels])),
        len(np.unique(clusters[~labels])),
    )


def _parts(one: _Contributions, other: _Contributions) -> tuple[float, float, float]:
    """Return the covariance of two areas on the same images: through abnormal images, healthy ones, and both."""
    m, n, count = one.n_abnormal, one.n_healthy, len(one.abnormal)
    both = one.abnormal @ other.healthy + one.healthy @ other.abnormal
    return (
        float(one.abnormal @ other.abnormal) * m / max(m - 1, 1),
        float(one.healthy @ other.healthy) * n / max(n - 1, 1),
        float(both) * count / max(count - 1, 1),
    )


def _variance(one: _Contributions, other: _Contributions) -> float:
    return sum(_parts(one, other))


def _interval(one: _Contributions) -> Estimate:
    area, m, n = one.area, one.n_abnormal, one.n_healthy
    if not 0 < area < 1 or min(m, n) < 2:
        return Estimate(area, *_newcombe(area, m, n))
    abnormal, healthy, both = _parts(one, one)
    variance = max(abnormal + healthy + both, 0.0)
    freedom = (abnormal + healthy) ** 2 / max(abnormal**2 / (m - 1) + healthy**2 / (n - 1), 1e-300)
    half = float(student.ppf(0.975, max(freedom, 1.0))) * math.sqrt(variance) / (area * (1 - area))
    return Estimate(area, float(expit(logit(area) - half)), float(expit(logit(area) + half)))


def _newcombe(area: float, abnormal: int, healthy: int) -> tuple[float, float]:
    """Return the areas whose own standard error just reaches from them to the one found."""
    others = (abnormal + healthy) / 2 - 1

    def outside(true: float) -> float:
        spread = 1 + others * ((1 - true) / (2 - true) + true / (1 + true))
        return (area - true) ** 2 - _Z**2 * true * (1 - true) * spread / (abnormal * healthy)

    low = float(brentq(outside, 0.0, area - 1e-9)) if area > 0 else 0.0
    high = float(brentq(outside, area + 1e-9, 1.0)) if area < 1 else 1.0
    return low, high
