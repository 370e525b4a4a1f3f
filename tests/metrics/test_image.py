"""Numbers worked out by hand, and scikit-learn as an oracle."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from anogan import metrics

Noisy = tuple[np.ndarray, np.ndarray]


def test_average_precision_by_hand(five: Noisy) -> None:
    # down the list: 4 (abnormal) precision 1, 3 (healthy), 2.5 (abnormal) precision 2/3
    assert metrics.average_precision(*five).value == pytest.approx((1 + 2 / 3) / 2, abs=1e-9)


def test_average_precision_agrees_with_scikit_learn(noisy: Noisy) -> None:
    assert metrics.average_precision(*noisy).value == pytest.approx(average_precision_score(*noisy), abs=1e-9)


@pytest.mark.parametrize(("specificity", "sensitivity"), [(0.9, 3 / 4), (0.99, 2 / 4), (0.5, 4 / 4), (1.0, 2 / 4)])
def test_sensitivity_at_specificity_by_hand(specificity: float, sensitivity: float) -> None:
    healthy, abnormal = np.arange(1.0, 11.0), np.array([5.5, 9.5, 11.0, 12.0])
    labels = np.repeat([0, 1], [10, 4])
    found = metrics.sensitivity_at_specificity(labels, np.concatenate([healthy, abnormal]), specificity)
    assert found.value == sensitivity
    assert found.low <= found.value <= found.high


def test_sensitivity_is_nothing_when_a_healthy_image_leads() -> None:
    assert metrics.sensitivity_at_specificity(np.array([0, 1]), np.array([2.0, 1.0]), 0.95).value == 0


def test_confusion_flags_at_the_threshold(five: Noisy) -> None:
    found = metrics.confusion(*five, 2.5)
    assert found == (2, 1, 2, 0)
    assert found.false_positive == 1


def test_a_subject_is_as_ill_as_its_worst_image() -> None:
    found = metrics.by_subject(np.array([0, 1, 0, 0]), np.array([3.0, 1.0, 2.0, 5.0]), ["b", "b", "a", "a"])
    assert found.subjects.tolist() == ["a", "b"]
    assert found.labels.tolist() == [0, 1]
    assert found.scores.tolist() == [5, 3]  # the highest score, whichever image is the abnormal one


def test_by_subject_takes_one_class_but_no_gaps() -> None:
    assert metrics.by_subject(np.zeros(2), np.arange(2.0), ["a", "b"]).labels.tolist() == [0, 0]
    with pytest.raises(ValueError, match="one of each per image"):
        metrics.by_subject(np.zeros(2), np.arange(2.0), ["a"])
    with pytest.raises(ValueError, match="not all are finite"):
        metrics.by_subject(np.zeros(2), np.array([0, np.nan]), ["a", "b"])


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
