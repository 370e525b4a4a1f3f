"""A value and its 95 % interval: exact for a share, a bootstrap over subjects for what has no formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from anogan.metrics.inputs import checked, descending

_REPLICATES = 1000  # of the bootstrap
_BEYOND = 0.25  # of a subject, above and below all scores
_AT_ONCE = 2**16  # weights, which fit into a processor's cache


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def complement(self) -> Estimate:
        """Return that of 1 - value."""
        return Estimate(1 - self.value, 1 - self.high, 1 - self.low)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def binomial(successes: int, trials: int) -> Estimate:
    """Return a share with its exact interval (Clopper and Pearson, Biometrika 1934).

    Exact means that it never covers less than 95 %; where the count is small it covers more.

    Raises
    ------
    ValueError
        `trials` is not positive, or `successes` is not in [0, trials].
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"binomial: expected 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    interval = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    return Estimate(successes / trials, float(interval.low), float(interval.high))


def wilson(successes: int, trials: int) -> Estimate:
    """Return a share with its score interval (Wilson, JASA 1927): narrower than `binomial`, right on average.

    Raises
    ------
    ValueError
        As `binomial`.
    """
    share = binomial(successes, trials).value
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return Estimate(share, float(interval.low), float(interval.high))


class Band(NamedTuple):
    """Values, (K,), each with its own 95 % interval, which holds for that value and not for all at once."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def bootstrap(
    labels: np.ndarray,
    scores: np.ndarray,
    subjects: Sequence[str] | None,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Estimate:
    """Return the interval of a `bootstrap_band` of one value: `statistic` returns (R,)."""
    band = bootstrap_band(labels, scores, subjects, lambda *weights: statistic(*weights)[:, None])
    return Estimate(float(band.value[0]), float(band.low[0]), float(band.high[0]))


def bootstrap_band(
    labels: np.ndarray,
    scores: np.ndarray,
    subjects: Sequence[str] | None,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Band:
    """Return K statistics of the ROC curve with their intervals from a Bayesian bootstrap over subjects.

    Each subject gets a random exponential weight for all its images (Rubin, Annals of Statistics 1981; for ROC curves
    Gu, Ghosal and Roy, Statistics in Medicine 2008); the classes keep the shares they have in the data. A sample never
    shows the tails of its population, so a plain bootstrap takes the threshold of a high specificity for known when it
    is not, and its intervals are too narrow. So each class also gets a quarter of a subject above and below all scores;
    for a share, half a one would be Jeffreys' prior. With none, `benchmarks/interval_coverage.py` found too narrow
    intervals in small samples, with half a one too low ones of an average precision near 1.

    Parameters
    ----------
    statistic
        Takes the (R, T) weights of abnormal and of healthy images at or above each of T falling thresholds, returns
        (R, K) values. At or above the first threshold lies only what was added.
    """
    labels, scores, clusters = checked(labels, scores, subjects)
    order, ends = descending(np.concatenate([[np.inf, np.inf], scores, [-np.inf, -np.inf]]))
    kind = np.concatenate([[True, False], labels, [True, False]])[order]
    count = int(clusters.max()) + 1
    owner = np.concatenate([[count, count + 1], clusters, [count + 2, count + 3]])[order]
    sizes = [mine.sum() / len(np.unique(clusters[mine])) for mine in (labels, ~labels)]  # images per subject

    def values(weights: np.ndarray) -> np.ndarray:
        images = weights[:, owner]
        classes = []
        for mine, total in ((kind, labels.sum()), (~kind, (~labels).sum())):
            at_or_above = np.cumsum(images * mine, axis=1)[:, ends]
            at_or_above *= total / at_or_above[:, -1:]
            classes.append(at_or_above)
        return statistic(*classes)

    inside, beyond = np.random.default_rng(0).spawn(2)  # two, so that the draws do not depend on `rows`
    rows = max(1, _AT_ONCE // len(kind))
    draws = []
    for start in range(0, _REPLICATES, rows):
        drawn = min(rows, _REPLICATES - start)
        weights = [inside.exponential(size=(drawn, count)), beyond.gamma(_BEYOND, sizes * 2, size=(drawn, 4))]
        draws.append(values(np.concatenate(weights, axis=1)))
    low, high = np.quantile(np.concatenate(draws), [0.025, 0.975], axis=0)
    value = values((np.arange(count + 4) < count).astype(float)[None])[0]
    return Band(value, np.minimum(low, value), np.maximum(high, value))
