"""Agreement of two readers: a table worked by hand, scikit-learn's value, and the delta method done numerically."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from anogan import metrics

TABLE = np.array([[20, 5], [10, 15]])


def test_a_table_by_hand() -> None:
    """Agreed 35 of 50 = 0.7; by chance 25/50 x 30/50 + 25/50 x 20/50 = 0.5; kappa = 0.2 / 0.5."""
    assert metrics.cohen_kappa(TABLE).value == pytest.approx(0.4)


def test_the_value_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 3, 200)
    second = np.where(generator.random(200) < 0.6, first, generator.integers(0, 3, 200))
    table = np.zeros((3, 3), int)
    np.add.at(table, (first, second), 1)
    assert metrics.cohen_kappa(table).value == pytest.approx(cohen_kappa_score(first, second))


@pytest.mark.parametrize("table", [TABLE, np.array([[30, 4, 1], [6, 20, 5], [2, 3, 9]])])
def test_the_interval_is_that_of_the_delta_method(table: np.ndarray) -> None:
    """Multinomial shares have the covariance (diag p - p p') / n; the gradient is taken by differences."""

    def kappa(share: np.ndarray) -> float:
        share = share.reshape(table.shape)
        chance = share.sum(1) @ share.sum(0)
        return float((np.trace(share) - chance) / (1 - chance))

    n, share = table.sum(), table.ravel() / table.sum()
    steps = np.eye(len(share)) * 1e-6
    gradient = np.array([(kappa(share + step) - kappa(share - step)) / 2e-6 for step in steps])
    deviation = math.sqrt(gradient @ (np.diag(share) - np.outer(share, share)) @ gradient / n)
    found = metrics.cohen_kappa(table)
    assert (found.high - found.low) / 2 / 1.959964 == pytest.approx(deviation, rel=1e-5)


def test_it_stays_within_its_range_and_says_where_it_is_not_defined() -> None:
    assert metrics.cohen_kappa([[4, 0], [0, 6]]) == metrics.Estimate(1.0, 1.0, 1.0)
    assert metrics.cohen_kappa([[0, 3], [3, 0]]).value == -1.0
    assert math.isnan(metrics.cohen_kappa([[7, 0], [0, 0]]).value)
    with pytest.raises(ValueError, match="expected a square table of counts with at least one case"):
        metrics.cohen_kappa([[0, 0], [0, 0]])
