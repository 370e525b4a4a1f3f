"""A scan is well formed, or it is not made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anogan.scan import Geometry, Result, Scan


@pytest.mark.parametrize(
    ("pixels", "complaint"),
    [
        (np.zeros((4,), np.float32), r"got \(4,\)"),
        (np.zeros((4, 4, 4), np.float32), r"got \(4, 4, 4\)"),
        (np.zeros((0, 4), np.float32), r"got \(0, 4\)"),
        (np.zeros((4, 4), np.float64), "got float64"),
        (np.full((4, 4), 1.5, np.float32), "got 1.5 to 1.5"),
        (np.full((4, 4), -0.5, np.float32), "got -0.5"),
        (np.array([[0, np.nan]], np.float32), "got nan"),
    ],
)
def test_pixels_that_no_reader_may_give_are_refused(pixels: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^a.png: .*{complaint}"):
        Scan(pixels, "a.png")


def test_a_result_that_is_not_scored_has_no_verdict() -> None:
    result = Result("a.png", "not scored", reason="torn")
    assert math.isnan(result.score)
    assert result.flagged is None
    assert result.p_value is None
    assert result.anomaly_map is None


@pytest.mark.parametrize(
    ("along_row", "along_column", "plane"),
    [
        ((1, 0, 0), (0, 1, 0), "axial"),
        ((0, 1, 0), (0, 0, -1), "sagittal"),
        ((1, 0, 0), (0, 0.6, -0.8), "coronal"),  # 37 degrees off
    ],
)
def test_a_plane_is_the_nearest_one(
    along_row: tuple[float, float, float], along_column: tuple[float, float, float], plane: str
) -> None:
    assert Geometry((0, 0, 0), along_row, along_column).plane == plane
