"""Groups and species: counts that can be checked by hand."""

import numpy as np
import pytest

from anogan.evaluation.attacks import by_species
from anogan.evaluation.groups import SMALL, by_group
from anogan.metrics import binomial

LABELS = np.array([0, 0, 0, 1, 1, 1])
SCORES = np.array([1.0, 2.0, 5.0, 3.0, 4.0, 6.0])
SUBJECTS = list("abcdef")


def test_each_value_of_each_column_has_its_own_figures() -> None:
    images = [{"sex": s, "scanner": "A"} if s else {"scanner": "A"} for s in ("f", "f", "m", "f", "m", "")]
    found = by_group(images, LABELS, SCORES, SUBJECTS, (SCORES >= 4.0).tolist())
    assert [(g.column, g.value, g.n_healthy, g.n_abnormal) for g in found] == [
        ("sex", "f", 2, 1),
        ("sex", "m", 1, 1),
        ("sex", "not stated", 0, 1),
        ("scanner", "A", 3, 3),
    ]
    women, men, unknown, everyone = found
    assert women.auroc is not None
    assert men.auroc is not None
    assert everyone.auroc is not None
    assert (women.auroc.value, men.auroc.value) == (1.0, 0.0)
    assert everyone.auroc.value == pytest.approx(7 / 9)
    assert women.sensitivity == binomial(0, 1)
    assert everyone.false_alarm_rate == binomial(1, 3)
    assert (unknown.auroc, unknown.false_alarm_rate) == (None, None)
    assert unknown.sensitivity == binomial(1, 1)


def test_without_a_threshold_a_group_has_no_rates() -> None:
    (group,) = by_group([{"site": "x"}] * 6, LABELS, SCORES, SUBJECTS, [None] * 6)
    assert (group.false_alarm_rate, group.sensitivity) == (None, None)
    assert group.auroc is not None


@pytest.mark.parametrize(
    ("healthy", "abnormal", "small"), [(SMALL, SMALL, False), (SMALL - 1, 99, True), (99, 1, True)]
)
def test_a_group_is_small_when_either_class_is(healthy: int, abnormal: int, small: bool) -> None:
    labels = np.repeat([0, 1], [healthy, abnormal])
    names = [str(k) for k in range(len(labels))]
    (group,) = by_group([{"site": "x"}] * len(labels), labels, labels.astype(float), names, [None] * len(labels))
    assert group.small is small
    assert group.to_json()["small"] is small


def test_species_are_no_groups_and_no_columns_are_no_groups() -> None:
    assert by_group([{"species": "print"}] * 6, LABELS, SCORES, SUBJECTS, [None] * 6) == []
    assert by_group([{}] * 6, LABELS, SCORES, SUBJECTS, [None] * 6) == []


def test_the_worst_species_comes_first() -> None:
    bona_fide = np.arange(10.0)  # 0 to 9; at 7.5 two are flagged
    attacks = {"print": [8.0, 9.5, 10.0, 11.0], "replay": [1.0, 2.0, 12.0, 13.0]}
    scores = np.concatenate([bona_fide, *attacks.values(), [20.0]])
    labels = np.repeat([0, 1], [10, 9])
    images = [{}] * 10 + [{"species": name} for name, own in attacks.items() for _ in own] + [{}]
    found = by_species(images, labels, scores, threshold=7.5)
    assert [(one.name, one.n) for one in found.species] == [("replay", 4), ("print", 4), ("not stated", 1)]
    assert [one.apcer for one in found.species] == [binomial(2, 4), binomial(0, 4), binomial(0, 1)]
    assert found.bpcer == binomial(2, 10)
    replay, printed, _ = found.species
    assert replay.bpcer10 == pytest.approx(0.9)  # no replay may pass: all from 1 up are flagged
    assert printed.bpcer100 == pytest.approx(0.2)


def test_without_a_threshold_species_are_ranked_by_their_error_rate() -> None:
    labels, scores = np.repeat([0, 1], [10, 4]), np.array([*range(10), 5, 6, 20, 21], float)
    images = [{}] * 10 + [{"species": name} for name in ("near", "near", "far", "far")]
    found = by_species(images, labels, scores, threshold=None)
    assert found.bpcer is None
    assert [(one.name, one.apcer) for one in found.species] == [("near", None), ("far", None)]
    assert found.species[1].d_eer == 0
