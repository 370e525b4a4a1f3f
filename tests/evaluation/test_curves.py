"""Bands of the curves: where they must lie, and that they are those of the figures beside them."""

import numpy as np
import pytest

from anogan.evaluation.curves import bands
from anogan.metrics import roc_curve, sensitivity_at_specificity


def scored(count: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(0, 1, count), rng.normal(1.5, 1, count)])
    return np.repeat([0, 1], count), scores, [str(k // 2) for k in range(2 * count)]


def test_the_curve_lies_in_its_bands() -> None:
    labels, scores, subjects = scored(100)
    found = bands(labels, scores, subjects)
    roc = roc_curve(labels, scores)
    value = roc.sensitivity[np.searchsorted(roc.false_alarm_rate, found.false_alarm_rate + 1e-9, side="right") - 1]
    assert (found.sensitivity_low <= value).all()
    assert (value <= found.sensitivity_high).all()
    assert (
        (found.precision_low >= 0) & (found.precision_low < found.precision_high) & (found.precision_high <= 1)
    ).all()
    # Nearer to the corner nobody knows: no healthy image of a hundred says what one in a thousand does.
    assert found.sensitivity_low[found.false_alarm_rate <= 0.001] == pytest.approx(0.0)


@pytest.mark.parametrize("specificity", [0.9, 0.95, 0.99])
def test_the_roc_band_is_the_interval_of_sensitivity_at_a_specificity(specificity: float) -> None:
    labels, scores, subjects = scored(60)
    found = bands(labels, scores, subjects)
    place = int(np.argmin(abs(found.false_alarm_rate - (1 - specificity))))
    interval = sensitivity_at_specificity(labels, scores, specificity, subjects)
    assert found.sensitivity_low[place] == pytest.approx(interval.low)
    assert found.sensitivity_high[place] == pytest.approx(interval.high)
