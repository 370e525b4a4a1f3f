"""How far two readers agree beyond what chance would give them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from anogan.metrics.intervals import Estimate

_NORMAL = float(norm.ppf(0.975))


def cohen_kappa(table: ArrayLike) -> Estimate:
    """Return Cohen's kappa (1960) with its large-sample interval (Fleiss, Cohen and Everitt 1969).

    1 is full agreement, 0 what two readers who do not look would reach, each with his or her own frequencies.

    Parameters
    ----------
    table
        (K, K) counts: rows are what the first reader said, columns what the second said.

    Returns
    -------
    Estimate
        In [-1, 1]; nan where it is not defined, because both always said the same one thing.

    Raises
    ------
    ValueError
        The table is not square, is empty, or holds a negative number.
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not (counts >= 0).all() or counts.sum() == 0:
        raise ValueError(f"cohen_kappa: expected a square table of counts with at least one case, got {table!r}")
    n = counts.sum()
    share = counts / n
    first, second = share.sum(1), share.sum(0)
    observed, chance = float(np.trace(share)), float(first @ second)
    if chance >= 1:
        return Estimate(math.nan, math.nan, math.nan)
    value = (observed - chance) / (1 - chance)
    agreed = np.diag(share) * ((1 - chance) - (first + second) * (1 - observed)) ** 2
    apart = share * (second[:, None] + first[None, :]) ** 2
    np.fill_diagonal(apart, 0)
    total = agreed.sum() + (1 - observed) ** 2 * apart.sum() - (observed * chance - 2 * chance + observed) ** 2
    reach = _NORMAL * math.sqrt(max(0.0, float(total)) / n) / (1 - chance) ** 2
    return Estimate(value, max(-1.0, value - reach), min(1.0, value + reach))
