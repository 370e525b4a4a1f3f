"""Numbers worked out by hand, a slow direct definition for several images per subject, and MLstatkit as an oracle."""

import numpy as np
import pytest
from MLstatkit import Delong_test
from scipy.special import logit
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from anogan import metrics

Noisy = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def second(noisy: Noisy) -> np.ndarray:
    """Another model's scores of the same images, on another scale."""
    labels, scores = noisy
    return np.round(100 + 5 * (scores + np.random.default_rng(4).normal(0.4 * labels, 0.8)))


def test_auroc_and_its_interval_by_hand(five: Noisy) -> None:
    area = metrics.auroc(*five)
    assert area.value == pytest.approx(5 / 6, abs=1e-12)
    # variance: var(2/3, 1) / 2 + var(1, 1, 1/2) / 3 = (1/18) / 2 + (1/12) / 3 = 1/36 + 1/36
    # degrees of freedom: (1/18)^2 / ((1/36)^2 / 1 + (1/36)^2 / 2) = 8/3; log odds of 5/6 have slope 1 / (5/6 * 1/6)
    half = t.ppf(0.975, 8 / 3) * np.sqrt(1 / 18) * 36 / 5
    assert logit(area.low) == pytest.approx(np.log(5) - half, abs=1e-9)
    assert logit(area.high) == pytest.approx(np.log(5) + half, abs=1e-9)


def test_auroc_counts_ties_one_half() -> None:
    assert metrics.auroc(np.array([0, 1]), np.array([2.0, 2.0])).value == 0.5


def test_auroc_agrees_with_scikit_learn(noisy: Noisy) -> None:
    assert metrics.auroc(*noisy).value == pytest.approx(roc_auc_score(*noisy), abs=1e-9)


def test_auroc_of_a_turned_score_is_mirrored(noisy: Noisy) -> None:
    labels, scores = noisy
    area, turned = metrics.auroc(labels, scores), metrics.auroc(labels, -scores)
    assert turned == pytest.approx((1 - area.value, 1 - area.high, 1 - area.low))


def test_a_perfect_score_is_not_certain() -> None:
    """Newcombe's limit of an area of 1: the area at which 1 lies 1.96 standard errors away."""
    area = metrics.auroc(np.repeat([0, 1], [20, 10]), np.arange(30.0))
    low = area.low
    spread = 1 + (15 - 1) * ((1 - low) / (2 - low) + low / (1 + low))
    assert area.value == area.high == 1
    assert 1 - low == pytest.approx(norm.ppf(0.975) * np.sqrt(low * (1 - low) * spread / 200), abs=1e-9)
    subjects = np.concatenate([np.arange(20), np.repeat([20, 21], 5)])  # ten abnormal images, of two subjects
    assert metrics.auroc(np.repeat([0, 1], [20, 10]), np.arange(30.0), subjects).low < low - 0.1


def test_one_abnormal_subject_tells_little() -> None:
    area = metrics.auroc(
        np.array([0, 0, 0, 0, 1, 1]), np.array([1.0, 2, 3, 4, 3.5, 3.6]), ["a", "b", "c", "d", "e", "e"]
    )
    assert area.value == 0.75
    assert area.low < 0.25 < 0.75 < area.high < 1


def test_comparison_agrees_with_mlstatkit(noisy: Noisy, second: np.ndarray) -> None:
    labels, first = noisy
    difference, p_value = metrics.compare_auroc(labels, first, second)
    _, oracle, of_first, of_second = Delong_test(labels, first, second, return_ci=False)
    assert difference.value == pytest.approx(of_first - of_second, abs=1e-9)
    assert p_value == pytest.approx(oracle, abs=1e-9)
    assert 0.001 < p_value < 0.9
    assert difference.low < difference.value < difference.high


def test_the_other_way_round_the_comparison_is_mirrored(noisy: Noisy, second: np.ndarray) -> None:
    labels, first = noisy
    there, back = metrics.compare_auroc(labels, first, second), metrics.compare_auroc(labels, second, first)
    assert back.p_value == pytest.approx(there.p_value)
    assert back.difference == pytest.approx((-there.difference.value, -there.difference.high, -there.difference.low))


def test_comparison_of_clustered_images_agrees_with_the_definition(noisy: Noisy, second: np.ndarray) -> None:
    """Obuchowski 1997, written out with loops over pairs of images and over subjects."""
    labels, first = noisy
    subjects = np.random.default_rng(5).integers(0, 60, len(labels))  # several images each, of both kinds
    abnormal, healthy = np.flatnonzero(labels), np.flatnonzero(labels == 0)
    sums = []
    for scores in (first, second):
        above = {(i, j): (scores[i] > scores[j]) + (scores[i] == scores[j]) / 2 for i in abnormal for j in healthy}
        area = np.mean(list(above.values()))
        of_abnormal, of_healthy = np.zeros(60), np.zeros(60)
        for i in abnormal:
            of_abnormal[subjects[i]] += np.mean([above[i, j] for j in healthy]) - area
        for j in healthy:
            of_healthy[subjects[j]] += np.mean([above[i, j] for i in abnormal]) - area
        sums.append((area, of_abnormal, of_healthy))
    (area, x, y), (other, v, w) = sums
    x, y = x - v, y - w
    m, n = len(np.unique(subjects[abnormal])), len(np.unique(subjects[healthy]))
    both = len(np.unique(subjects))
    variance = (
        m / (m - 1) * (x @ x) / len(abnormal) ** 2
        + n / (n - 1) * (y @ y) / len(healthy) ** 2
        + 2 * both / (both - 1) * (x @ y) / (len(abnormal) * len(healthy))
    )
    found = metrics.compare_auroc(labels, first, second, [f"{number:02d}" for number in subjects])
    assert found.difference.value == pytest.approx(area - other, abs=1e-9)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(area - other) / np.sqrt(variance)), abs=1e-9)


def test_a_model_does_not_differ_from_itself(noisy: Noisy) -> None:
    labels, scores = noisy
    assert metrics.compare_auroc(labels, scores, 2 * scores + 1) == ((0, 0, 0), 1)
    # Two models without a fault on ten images are not known to be alike.
    labels, perfect = np.repeat([0, 1], 5), np.arange(10.0)
    found = metrics.compare_auroc(labels, perfect, perfect**2)
    assert found.p_value == 1
    assert found.difference.low < -0.2
    assert found.difference.high > 0.2


def test_a_difference_without_variance_is_not_certain() -> None:
    labels = np.repeat([0, 1], 5)
    difference, p_value = metrics.compare_auroc(labels, np.arange(10.0), np.zeros(10))
    assert np.isnan(p_value)
    assert difference.low < 0.3 < difference.value == 0.5


def test_a_comparison_needs_two_subjects_of_each_kind() -> None:
    with pytest.raises(ValueError, match="two subjects with healthy and two with abnormal"):
        metrics.compare_auroc(np.array([0, 0, 1]), np.arange(3), np.arange(3))
    with pytest.raises(ValueError, match="not all are finite"):
        metrics.compare_auroc(np.array([0, 1]), np.arange(2.0), np.array([0, np.inf]))
