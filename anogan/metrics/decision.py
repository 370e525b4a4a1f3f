"""What a sensitivity and a specificity are worth where the abnormal are as frequent as they are."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from anogan.metrics.image import confusion
from anogan.metrics.inputs import checked, share
from anogan.metrics.intervals import Estimate


class PredictiveValues(NamedTuple):
    """The share of flagged images that are abnormal, and of the others that are healthy."""

    ppv: float
    npv: float


class PredictiveIntervals(NamedTuple):
    """The same with 95 % intervals."""

    ppv: Estimate
    npv: Estimate


class DecisionCurve(NamedTuple):
    """Net benefit per image, at each threshold probability; flagging nobody has a net benefit of 0 everywhere."""

    threshold_probability: np.ndarray
    net_benefit: np.ndarray
    treat_all: np.ndarray


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> PredictiveValues:
    """Return PPV and NPV at a prevalence other than that of the test images, by Bayes' rule.

    A value is nan where nobody is flagged, or everybody.

    Raises
    ------
    ValueError
        A number is not in [0, 1].
    """
    sensitivity, specificity = share("sensitivity", sensitivity), share("specificity", specificity)
    prevalence = share("prevalence", prevalence)
    found, false_alarms = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
    missed, left_alone = prevalence * (1 - sensitivity), (1 - prevalence) * specificity
    return PredictiveValues(_part(found, false_alarms), _part(left_alone, missed))


def predictive_intervals(sensitivity: Estimate, specificity: Estimate, prevalence: float) -> PredictiveIntervals:
    """Return PPV and NPV at a known prevalence, with what the two intervals leave open.

    PPV rises with the likelihood ratio sensitivity / (1 - specificity), NPV with specificity / (1 - sensitivity), and
    the interval of a ratio follows from those of its two independent parts, which need not be symmetric (method of
    variance estimates recovery for ratios: Newcombe, Statistical Methods in Medical Research 2016).

    Raises
    ------
    ValueError
        A number is not in [0, 1].
    """
    value = predictive_values(sensitivity.value, specificity.value, prevalence)
    positive = _ratio(sensitivity, specificity.complement())
    negative = _ratio(specificity, sensitivity.complement())
    ppv = [_part(prevalence * ratio, 1 - prevalence) if ratio < math.inf else 1.0 for ratio in positive]
    npv = [_part((1 - prevalence) * ratio, prevalence) if ratio < math.inf else 1.0 for ratio in negative]
    return PredictiveIntervals(Estimate(value.ppv, ppv[0], ppv[1]), Estimate(value.npv, npv[0], npv[1]))


def flag_rate(sensitivity: Estimate, specificity: Estimate, prevalence: float) -> Estimate:
    """Return the share of images that are flagged at a known prevalence, with what the two intervals leave open.

    It is prevalence x sensitivity + (1 - prevalence) x (1 - specificity), a sum of two independent shares, whose
    interval follows from theirs (method of variance estimates recovery: Zou and Donner, Statistics in Medicine 2008).

    Raises
    ------
    ValueError
        The prevalence is not in [0, 1].
    """
    prevalence = share("prevalence", prevalence)
    parts = ((prevalence, sensitivity), (1 - prevalence, specificity.complement()))
    value = sum(weight * part.value for weight, part in parts)
    below = math.hypot(*(weight * (part.value - part.low) for weight, part in parts))
    above = math.hypot(*(weight * (part.high - part.value) for weight, part in parts))
    return Estimate(value, max(0.0, value - below), min(1.0, value + above))


def decision_curve(
    labels: np.ndarray, scores: np.ndarray, threshold: float, prevalence: float, odds: np.ndarray
) -> DecisionCurve:
    """Return the net benefit of acting on `score >= threshold`, beside acting on everybody (Vickers and Elkin 2006).

    Net benefit is prevalence x sensitivity - odds x (1 - prevalence) x (1 - specificity), in finds per image, where
    `odds` says how many false alarms one find is worth: the harm of a false alarm over the benefit of a find. The
    curve is that of the one operating point, since an anomaly score is not a probability of disease.

    Parameters
    ----------
    labels, scores
        (N,) as in `auroc`.
    prevalence
        Of the abnormal where the detector is used, in [0, 1].
    odds
        (K,) positive, e.g. 0.1 if one find is worth ten false alarms; the threshold probability is odds / (1 + odds).

    Raises
    ------
    ValueError
        As in `auroc`; `prevalence` is not in [0, 1], or an odds is not positive and finite.
    """
    labels, scores, _ = checked(labels, scores, None)
    prevalence, odds = share("prevalence", prevalence), np.asarray(odds, dtype=np.float64)
    if not (np.isfinite(odds) & (odds > 0)).all():
        raise ValueError("odds: expected positive numbers, such as 0.1 if one find is worth ten false alarms")
    counts = confusion(labels, scores, threshold)
    found = prevalence * counts.true_positive / labels.sum()
    false_alarms = (1 - prevalence) * counts.false_positive / (~labels).sum()
    return DecisionCurve(odds / (1 + odds), found - odds * false_alarms, prevalence - odds * (1 - prevalence))


def _part(one: float, other: float) -> float:
    return one / (one + other) if one + other > 0 else math.nan


def _ratio(top: Estimate, bottom: Estimate) -> tuple[float, float]:
    """Return the limits of a ratio of two independent shares; the upper one may be infinite."""
    x, y = top.value, bottom.value
    a, b = x - top.low, bottom.high - y
    reach = x * y + math.sqrt((a * y) ** 2 + b**2 * (x**2 - a**2))
    low = (x**2 - a**2) / reach if reach > 0 else 0.0
    a, b = top.high - x, y - bottom.low
    reach = x * y + math.sqrt((b * x) ** 2 + a**2 * (y**2 - b**2))
    high = reach / (y**2 - b**2) if bottom.low > 0 else math.inf
    return low, high
