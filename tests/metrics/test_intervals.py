"""Numbers worked out by hand, and what every interval must do."""

import numpy as np
import pytest
from scipy.stats import beta

from anogan import metrics

Noisy = tuple[np.ndarray, np.ndarray]


def test_binomial_by_hand() -> None:
    none = metrics.binomial(0, 10)
    assert none == pytest.approx((0, 0, 1 - 0.025**0.1))
    assert metrics.binomial(10, 10) == pytest.approx((1, 0.025**0.1, 1))
    with pytest.raises(ValueError, match="11 of 10"):
        metrics.binomial(11, 10)


def test_wilson_by_hand() -> None:
    """With z^2 = 3.8415: none of 10 gives z^2 / (10 + z^2) at most; 5 of 10 lies in the middle."""
    assert metrics.wilson(0, 10) == pytest.approx((0, 0, 3.841459 / 13.841459))
    assert metrics.wilson(5, 10) == pytest.approx((0.5, 0.236593, 0.763407), abs=1e-6)
    with pytest.raises(ValueError, match="0 of 0"):
        metrics.wilson(0, 0)


@pytest.mark.parametrize(
    "metric",
    [
        metrics.auroc,
        metrics.average_precision,
        lambda *given: metrics.sensitivity_at_specificity(*given[:2], 0.9, given[2]),
        lambda labels, scores, subjects: metrics.compare_auroc(labels, scores, np.abs(scores), subjects).difference,
    ],
    ids=["auroc", "average_precision", "sensitivity", "difference"],
)
def test_a_copy_of_every_image_of_a_subject_tells_nothing_new(metric, noisy: Noisy) -> None:  # type: ignore[no-untyped-def]
    labels, scores = noisy
    subjects = [f"{number:03d}" for number in range(len(labels))]
    once = metric(labels, scores, subjects)
    twice = metric(np.tile(labels, 2), np.tile(scores, 2), subjects * 2)
    careless = metric(np.tile(labels, 2), np.tile(scores, 2), None)
    assert twice == pytest.approx(once)
    assert careless.high - careless.low < 0.85 * (once.high - once.low)


def test_bootstrap_is_the_same_every_time(noisy: Noisy) -> None:
    assert metrics.average_precision(*noisy) == metrics.average_precision(*noisy)


def test_bootstrap_covers_the_truth() -> None:
    """Of 40 data sets of which the truth is known, about 95 % of the intervals hold it."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    truth = 0.2595  # P(N(1, 1) > 1.645), the sensitivity at 95 % specificity
    held, width = 0, 0.0
    for _ in range(40):
        low, high = metrics.sensitivity_at_specificity(labels, rng.normal(labels, 1.0), 0.95)[1:]
        held += low <= truth <= high
        width += (high - low) / 40
    assert held >= 35
    assert width < 0.45


def test_bootstrap_at_a_fixed_threshold_is_that_of_a_share() -> None:
    """Healthy images that all tie fix the threshold; then the sensitivity has a Beta posterior."""
    labels = np.repeat([0, 1], [400, 20])
    scores = np.concatenate([np.zeros(400), np.repeat([-1.0, 1.0], [5, 15])])
    found = metrics.sensitivity_at_specificity(labels, scores, 0.9)
    assert found.value == 15 / 20
    assert found[1:] == pytest.approx(beta.ppf([0.025, 0.975], 15.25, 5.25), abs=0.02)


def test_bootstrap_does_not_depend_on_how_much_is_drawn_at_once(noisy: Noisy, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = metrics.average_precision(*noisy)
    monkeypatch.setattr("anogan.metrics.intervals._AT_ONCE", 5000)
    assert metrics.average_precision(*noisy) == whole
