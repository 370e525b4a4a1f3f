"""Numbers worked out by hand, and scikit-learn as an oracle."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score
from sklearn.metrics import det_curve as sklearn_det_curve

from anogan import metrics

Noisy = tuple[np.ndarray, np.ndarray]


def test_roc_curve_by_hand(five: Noisy) -> None:
    threshold, false_alarm_rate, sensitivity = metrics.roc_curve(*five)
    assert threshold[0] > 4.0
    # The point at 2 lies on the line from 2.5 to 1 and is left out.
    assert threshold[1:] == pytest.approx([4.0, 3.0, 2.5, 1.0])
    assert false_alarm_rate == pytest.approx([0, 0, 1 / 3, 1 / 3, 1])
    assert sensitivity == pytest.approx([0, 1 / 2, 1 / 2, 1, 1])


def test_roc_curve_thinned_is_exact_at_every_point() -> None:
    rng = np.random.default_rng(1)
    labels = rng.random(5000) < 0.4
    scores = rng.normal(labels, 1.0)
    roc = metrics.roc_curve(labels, scores, points=50)
    assert 40 <= len(roc.threshold) <= 50
    assert (roc.false_alarm_rate[[0, -1]] == [0, 1]).all()
    assert (roc.sensitivity[[0, -1]] == [0, 1]).all()
    for threshold, false_alarm_rate, sensitivity in zip(*roc, strict=True):
        counts = metrics.confusion(labels, scores, threshold)
        assert counts.false_positive / (~labels).sum() == pytest.approx(false_alarm_rate)
        assert counts.true_positive / labels.sum() == pytest.approx(sensitivity)
    # Straight lines between the kept points enclose nearly the same area.
    area = np.diff(roc.false_alarm_rate) @ (roc.sensitivity[1:] + roc.sensitivity[:-1]) / 2
    assert area == pytest.approx(roc_auc_score(labels, scores), abs=2e-3)


def test_pr_curve_by_hand(five: Noisy) -> None:
    # 4: one find; 3: a false alarm, which only costs precision and is left out; 2.5: the second find, of three flagged
    assert metrics.pr_curve(*five).threshold.tolist() == [4.0, 2.5]
    assert metrics.pr_curve(*five).precision == pytest.approx([1, 2 / 3])
    assert metrics.pr_curve(*five).recall == pytest.approx([1 / 2, 1])


def test_pr_curve_agrees_with_scikit_learn(noisy: Noisy) -> None:
    found = metrics.pr_curve(*noisy)
    precision, recall, threshold = precision_recall_curve(*noisy)
    rows = np.searchsorted(threshold, found.threshold)
    assert threshold[rows] == pytest.approx(found.threshold, abs=0)
    assert precision[rows] == pytest.approx(found.precision, abs=1e-9)
    assert recall[rows] == pytest.approx(found.recall, abs=1e-9)
    # Nothing that matters was left out.
    steps = np.diff(found.recall, prepend=0) @ found.precision
    assert steps == pytest.approx(average_precision_score(*noisy), abs=1e-9)


def test_pr_curve_thinned_is_exact_and_reaches_both_ends(noisy: Noisy) -> None:
    whole, thin = metrics.pr_curve(*noisy), metrics.pr_curve(*noisy, points=10)
    assert 8 <= len(thin.threshold) <= 10
    assert set(zip(*thin, strict=True)) <= set(zip(*whole, strict=True))
    assert thin.threshold[[0, -1]].tolist() == whole.threshold[[0, -1]].tolist()


def test_det_curve_agrees_with_scikit_learn(noisy: Noisy) -> None:
    found = metrics.det_curve(*noisy)
    false_alarms, misses, threshold = sklearn_det_curve(*noisy, drop_intermediate=False)
    oracle = {at: (x, y) for at, x, y in zip(threshold, false_alarms, misses, strict=True)}
    shared = [row for row in zip(*found, strict=True) if row[0] in oracle]
    assert len(shared) > 20
    for at, x, y in shared:
        assert (x, y) == pytest.approx(oracle[at], abs=1e-9)
    assert (found.false_alarm_rate[0], found.miss_rate[0]) == (0, 1)
    assert (found.false_alarm_rate[-1], found.miss_rate[-1]) == (1, 0)


@pytest.mark.parametrize("curve", [metrics.roc_curve, metrics.pr_curve, metrics.det_curve])
def test_a_curve_has_two_points_or_more(curve, noisy: Noisy) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="points: expected at least 2, got 1"):
        curve(*noisy, points=1)
