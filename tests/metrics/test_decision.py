"""Numbers worked out by hand, and what must hold at the ends."""

import math

import numpy as np
import pytest

from anogan import metrics
from anogan.metrics import Estimate

Noisy = tuple[np.ndarray, np.ndarray]


def test_predictive_values_by_hand() -> None:
    # of 1000 people 10 are ill: 9 are found; of the 990 others 99 are flagged
    assert metrics.predictive_values(0.9, 0.9, 0.01) == pytest.approx((9 / 108, 891 / 892), abs=1e-12)
    assert metrics.predictive_values(0.9, 0.9, 0.5) == pytest.approx((0.9, 0.9), abs=1e-12)


def test_predictive_values_where_nobody_is_flagged() -> None:
    ppv, npv = metrics.predictive_values(0, 1, 0.2)
    assert math.isnan(ppv)
    assert npv == pytest.approx(0.8)
    with pytest.raises(ValueError, match="prevalence: expected a number between 0 and 1, got 20"):
        metrics.predictive_values(0.9, 0.9, 20)


def test_predictive_intervals_by_hand() -> None:
    sensitivity, specificity = Estimate(0.8, 0.6, 0.9), Estimate(0.9, 0.8, 0.95)
    found = metrics.predictive_intervals(sensitivity, specificity, 0.5)
    # At even odds PPV = r / (1 + r), r = sensitivity / (1 - specificity) = 8. The limits r solve
    # (r * 0.1 - 0.8)^2 = (0.8 - limit of the sensitivity)^2 + r^2 * (0.1 - limit of the false-alarm rate)^2
    for ppv, top, bottom in ((found.ppv.low, 0.6, 0.2), (found.ppv.high, 0.9, 0.05)):
        ratio = ppv / (1 - ppv)
        assert (ratio * 0.1 - 0.8) ** 2 == pytest.approx((0.8 - top) ** 2 + (ratio * (0.1 - bottom)) ** 2, abs=1e-9)
    assert found.ppv.low < found.ppv.value < found.ppv.high
    assert found.npv.low < found.npv.value < found.npv.high
    assert found.ppv.value == pytest.approx(8 / 9, abs=1e-12)


def test_predictive_intervals_of_what_is_known_exactly() -> None:
    exact = metrics.predictive_intervals(Estimate(0.7, 0.7, 0.7), Estimate(0.95, 0.95, 0.95), 0.03)
    for found, value in zip(exact, metrics.predictive_values(0.7, 0.95, 0.03), strict=True):
        assert found == pytest.approx((value, value, value), abs=1e-9)


def test_predictive_intervals_without_a_false_alarm() -> None:
    found = metrics.predictive_intervals(Estimate(0.8, 0.6, 0.9), Estimate(1.0, 0.9, 1.0), 0.5).ppv
    ratio = math.sqrt(0.6 * 1.0) / 0.1
    assert found == pytest.approx((1, ratio / (1 + ratio), 1), abs=1e-9)


def test_predictive_intervals_widen_what_is_less_sure(noisy: Noisy) -> None:
    few, many = (
        metrics.predictive_intervals(metrics.binomial(8 * n, 10 * n), metrics.binomial(19 * n, 20 * n), 0.1)
        for n in (1, 100)
    )
    for narrow, wide in zip(many, few, strict=True):
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_flag_rate_by_hand() -> None:
    """0.1 x 0.9 + 0.9 x 0.2; the distances to the limits add up as squares, each with its weight."""
    found = metrics.flag_rate(Estimate(0.9, 0.8, 0.95), Estimate(0.8, 0.7, 0.85), 0.1)
    expected = 0.27, 0.27 - math.hypot(0.1 * 0.1, 0.9 * 0.05), 0.27 + math.hypot(0.1 * 0.05, 0.9 * 0.1)
    assert found == pytest.approx(expected)
    assert metrics.flag_rate(Estimate(0.9, 0.8, 1.0), Estimate(0.8, 0.7, 0.85), 1.0) == pytest.approx((0.9, 0.8, 1.0))


def test_decision_curve_by_hand(five: Noisy) -> None:
    # at 2.5 both abnormal images are found and one healthy image of three is flagged
    found = metrics.decision_curve(*five, 2.5, 0.1, [0.1, 1.0])
    assert found.threshold_probability == pytest.approx([1 / 11, 1 / 2], abs=1e-12)
    assert found.net_benefit == pytest.approx([0.1 - 0.1 * 0.9 / 3, 0.1 - 0.9 / 3], abs=1e-12)
    assert found.treat_all == pytest.approx([0.1 - 0.1 * 0.9, 0.1 - 0.9], abs=1e-12)


def test_a_threshold_below_all_scores_is_treating_all(noisy: Noisy) -> None:
    odds = np.linspace(0.01, 2, 20)
    everybody = metrics.decision_curve(*noisy, -99.0, 0.3, odds)
    assert everybody.net_benefit == pytest.approx(everybody.treat_all, abs=1e-12)
    assert metrics.decision_curve(*noisy, 99.0, 0.3, odds).net_benefit.tolist() == [0] * 20


def test_odds_are_positive(five: Noisy) -> None:
    with pytest.raises(ValueError, match="odds: expected positive numbers"):
        metrics.decision_curve(*five, 2.5, 0.1, [0.0])
