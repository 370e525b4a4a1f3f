"""How far the curves of a report may lie from where they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anogan.metrics import bootstrap_band

_RATES = np.unique(np.concatenate([np.geomspace(0.001, 0.1, 25), np.linspace(0, 1, 101)]))
_RECALLS = np.linspace(0.01, 1, 100)


class Bands(NamedTuple):
    """95 % limits of the ROC and of the precision-recall curve, place by place; those of DET are 1 - ROC's."""

    false_alarm_rate: np.ndarray
    sensitivity_low: np.ndarray
    sensitivity_high: np.ndarray
    recall: np.ndarray
    precision_low: np.ndarray
    precision_high: np.ndarray


def bands(labels: np.ndarray, scores: np.ndarray, subjects: Sequence[str]) -> Bands:
    """Return the bands by a bootstrap over subjects; parameters and errors are those of `metrics.auroc`."""

    def sensitivity(abnormal: np.ndarray, healthy: np.ndarray) -> np.ndarray:
        found, alarms = (weights / weights[:, -1:] for weights in (abnormal, healthy))
        at = np.array([np.searchsorted(one, _RATES + 1e-9, side="right") - 1 for one in alarms])
        # -1 where the first threshold flags too many
        return np.where(at >= 0, np.take_along_axis(found, at.clip(0), axis=1), 0.0)

    def precision(abnormal: np.ndarray, healthy: np.ndarray) -> np.ndarray:
        at = np.array([np.searchsorted(one / one[-1], _RECALLS - 1e-9) for one in abnormal])
        found, alarms = (np.take_along_axis(weights, at, axis=1) for weights in (abnormal, healthy))
        return found / np.maximum(found + alarms, 1e-12)

    roc = bootstrap_band(labels, scores, subjects, sensitivity)
    pr = bootstrap_band(labels, scores, subjects, precision)
    return Bands(_RATES, roc.low, roc.high, _RECALLS, pr.low, pr.high)
