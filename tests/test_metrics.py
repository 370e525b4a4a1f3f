"""Numbers worked out by hand, invariants, and scikit-learn as an oracle."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from anogan import metrics

# Three healthy and two abnormal images. Of the abnormal ones, 2.5 lies above 2/3 of the healthy, 4 above all;
# of the healthy ones, 1 and 2 lie below both abnormal, 3 below one half.
LABELS = np.array([0, 0, 0, 1, 1])
SCORES = np.array([1.0, 2.0, 3.0, 2.5, 4.0])


@pytest.fixture
def noisy() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = rng.random(200) < 0.3
    return labels.astype(int), np.round(rng.normal(labels, 1.0), 1)  # rounded: with ties


def test_auroc_and_its_delong_interval_by_hand() -> None:
    area = metrics.auroc(LABELS, SCORES)
    assert area.value == pytest.approx(5 / 6)
    # variance: var(2/3, 1) / 2 + var(1, 1, 1/2) / 3 = (1/18) / 2 + (1/12) / 3 = 1/18
    assert area.low == pytest.approx(5 / 6 - 1.959964 * np.sqrt(1 / 18))
    assert area.high == 1.0


def test_auroc_counts_ties_one_half() -> None:
    assert metrics.auroc(np.array([0, 1]), np.array([2.0, 2.0])).value == 0.5


def test_auroc_agrees_with_scikit_learn(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    assert metrics.auroc(*noisy).value == pytest.approx(roc_auc_score(*noisy))


def test_auroc_of_a_turned_score_is_mirrored(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = noisy
    area, turned = metrics.auroc(labels, scores), metrics.auroc(labels, -scores)
    assert turned == pytest.approx((1 - area.value, 1 - area.high, 1 - area.low))


@pytest.mark.parametrize(
    "metric",
    [
        metrics.auroc,
        metrics.average_precision,
        lambda *given: metrics.sensitivity_at_specificity(*given[:2], 0.9, given[2]),
    ],
    ids=["auroc", "average_precision", "sensitivity"],
)
def test_a_copy_of_every_image_of_a_subject_tells_nothing_new(metric, noisy) -> None:  # type: ignore[no-untyped-def]
    labels, scores = noisy
    subjects = [f"{number:03d}" for number in range(len(labels))]
    once = metric(labels, scores, subjects)
    twice = metric(np.tile(labels, 2), np.tile(scores, 2), subjects * 2)
    careless = metric(np.tile(labels, 2), np.tile(scores, 2), None)
    assert twice == pytest.approx(once)
    assert careless.high - careless.low < 0.85 * (once.high - once.low)


def test_average_precision_by_hand() -> None:
    # down the list: 4 (abnormal) precision 1, 3 (healthy), 2.5 (abnormal) precision 2/3
    assert metrics.average_precision(LABELS, SCORES).value == pytest.approx((1 + 2 / 3) / 2)


def test_average_precision_agrees_with_scikit_learn(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    assert metrics.average_precision(*noisy).value == pytest.approx(average_precision_score(*noisy))


@pytest.mark.parametrize(("specificity", "sensitivity"), [(0.9, 3 / 4), (0.99, 2 / 4), (0.5, 4 / 4), (1.0, 2 / 4)])
def test_sensitivity_at_specificity_by_hand(specificity: float, sensitivity: float) -> None:
    healthy, abnormal = np.arange(1.0, 11.0), np.array([5.5, 9.5, 11.0, 12.0])
    labels = np.repeat([0, 1], [10, 4])
    found = metrics.sensitivity_at_specificity(labels, np.concatenate([healthy, abnormal]), specificity)
    assert found.value == sensitivity
    assert found.low <= found.value <= found.high


def test_sensitivity_is_nothing_when_a_healthy_image_leads() -> None:
    assert metrics.sensitivity_at_specificity(np.array([0, 1]), np.array([2.0, 1.0]), 0.95).value == 0


def test_bootstrap_is_the_same_every_time(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    assert metrics.average_precision(*noisy) == metrics.average_precision(*noisy)


def test_bootstrap_covers_the_truth() -> None:
    """Of 60 data sets of which the truth is known, about 95 % of the intervals hold it."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    truth = 0.2595  # P(N(1, 1) > 1.645), the sensitivity at 95 % specificity
    held = 0
    for _ in range(60):
        low, high = metrics.sensitivity_at_specificity(labels, rng.normal(labels, 1.0), 0.95)[1:]
        held += low <= truth <= high
    assert held >= 50


def test_binomial_by_hand() -> None:
    none = metrics.binomial(0, 10)
    assert none == pytest.approx((0, 0, 1 - 0.025**0.1))
    assert metrics.binomial(10, 10) == pytest.approx((1, 0.025**0.1, 1))
    with pytest.raises(ValueError, match="11 of 10"):
        metrics.binomial(11, 10)


def test_confusion_flags_at_the_threshold() -> None:
    found = metrics.confusion(LABELS, SCORES, 2.5)
    assert found == (2, 1, 2, 0)
    assert found.false_positive == 1


def test_roc_curve_by_hand() -> None:
    threshold, false_alarm_rate, sensitivity = metrics.roc_curve(LABELS, SCORES)
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


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0], [1.0, 2.0], "2 healthy and 0 abnormal"),
        ([0, 1], [1.0, np.nan], "not all are finite"),
        ([0, 1, 1], [1.0, 2.0], "one of each per image"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.auroc(np.array(labels), np.array(scores))


def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Two regions, of one pixel (0.9) and of three (0.8, 0.5, 0.1), and four healthy pixels."""
    anomaly_map = np.array([[0.9, 0.7, 0.8, 0.5], [0.4, 0.2, 0.0, 0.1]])
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 1]], bool)
    return anomaly_map, mask


def test_pixel_auroc_by_hand() -> None:
    tally = metrics.PixelTally()
    tally.add(*pixels())
    # 0.9 and 0.8 lie above four healthy pixels, 0.5 above three, 0.1 above one: 12 of 16
    assert tally.auroc() == pytest.approx(12 / 16)


def test_aupro_by_hand() -> None:
    tally = metrics.PixelTally()
    tally.add(*pixels())
    # overlap (1 + 1/3) / 2 up to the first false positive (1/4), then (1 + 2/3) / 2 up to 0.3
    assert tally.aupro(0.3) == pytest.approx((0.25 * 2 / 3 + 0.05 * 5 / 6) / 0.3)


def test_aupro_does_not_care_where_healthy_pixels_come_from() -> None:
    anomaly_map, mask = pixels()
    together, apart = metrics.PixelTally(), metrics.PixelTally()
    together.add(np.vstack([anomaly_map, np.full((1, 4), 0.6)]), np.vstack([mask, np.zeros((1, 4), bool)]))
    apart.add(anomaly_map, mask)
    apart.add(np.full((1, 4), 0.6), np.zeros((1, 4), bool))
    assert apart.aupro() == pytest.approx(together.aupro())
    assert together.n_regions == apart.n_regions == 2


def test_drawing_healthy_pixels_changes_little() -> None:
    rng = np.random.default_rng(0)
    exact, drawn = metrics.PixelTally(10**6), metrics.PixelTally(500)
    for index in range(20):
        mask = np.zeros((60, 50 + 10 * index), bool)
        mask[20:30, 10:25] = index % 2
        anomaly_map = rng.normal(1.5 * mask + 0.1 * index, 1.0)
        exact.add(anomaly_map, mask)
        drawn.add(anomaly_map, mask)
    assert drawn.sampled
    assert not exact.sampled
    assert drawn.auroc() == pytest.approx(exact.auroc(), abs=0.01)
    assert drawn.aupro() == pytest.approx(exact.aupro(), abs=0.02)


def test_pixel_metrics_need_a_mask() -> None:
    tally = metrics.PixelTally()
    tally.add(np.zeros((4, 4)), np.zeros((4, 4), bool))
    with pytest.raises(ValueError, match="no image with a mask"):
        tally.auroc()
    with pytest.raises(ValueError, match=r"\(3, 3\) pixels"):
        tally.add(np.zeros((4, 4)), np.zeros((3, 3), bool))
