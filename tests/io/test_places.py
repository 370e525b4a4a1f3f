"""Planes in words, and steps."""

from __future__ import annotations

import numpy as np
import pytest

from anogan.io.places import measure, orientation
from anogan.scan import Geometry


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ((1, 0, 0), (0, 1, 0), "axial"),
        ((-1, 0, 0), (0, 1, 0), "axial"),
        ((1, 0, 0), (0, 0, -1), "coronal"),
        ((0, 1, 0), (0, 0, -1), "sagittal"),
        ((1, 0, 0), (0, np.cos(0.01), np.sin(0.01)), "axial"),  # half a degree
        ((0, 0.8, 0.6), (1, 0, 0), "oblique, 36.9 degrees from axial"),  # the normal has z 0.8
        ((0.6, 0.8, 0), (0, 0, -1), "oblique, 36.9 degrees from sagittal"),
    ],
)
def test_planes_in_words(row: tuple[float, ...], column: tuple[float, ...], words: str) -> None:
    assert orientation(Geometry((0, 0, 0), row, column)) == words  # type: ignore[arg-type]


def test_single_images_have_no_step() -> None:
    assert measure([3.0], [None]) == (None, [])


def test_positions_without_geometry_have_a_step() -> None:
    assert measure([1.0, 2.5, 4.0], [None] * 3) == (1.5, [])


def test_rounded_positions_are_even() -> None:
    step, notes = measure([0, 1.333, 2.667, 4.0, 5.333], [None] * 5)
    assert step == pytest.approx(1.33325)
    assert notes == []


def test_many_gaps_are_not_all_named() -> None:
    positions = np.cumsum([0, *([1, 1, 1, 3] * 7)])
    step, (note,) = measure(positions.tolist(), [None] * len(positions))
    assert step is None
    assert note == "14 slices are missing, with a step of 1 mm: after slice 4, 8, 12, 16, 20 and others"
