"""Scores that the tests of the metrics share."""

import numpy as np
import pytest


@pytest.fixture
def five() -> tuple[np.ndarray, np.ndarray]:
    """Three healthy and two abnormal images.

    Of the abnormal ones, 2.5 lies above 2/3 of the healthy and 4 above all; of the healthy ones, 1 and 2 lie below
    both abnormal and 3 below one half.
    """
    return np.array([0, 0, 0, 1, 1]), np.array([1.0, 2.0, 3.0, 2.5, 4.0])


@pytest.fixture
def noisy() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = rng.random(200) < 0.3
    return labels.astype(int), np.round(rng.normal(labels, 1.0), 1)  # rounded: with ties
