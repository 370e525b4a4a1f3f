"""Smooth random fields, rotations and soft edges."""

from __future__ import annotations

import cv2
import numpy as np

SLICE_SPACING = 8.0  # mm from slice to slice, unless another is asked for; a pixel is 1 mm


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, ...], length: float, channels: int, spacing: float = SLICE_SPACING
) -> np.ndarray:
    """Return noise of standard deviation about 1 that varies over `length` mm: (slices, rows, columns, channels)."""
    slices, height, width = shape
    knots = [max(2, round(extent / length) + 2) for extent in (slices * spacing, height, width)]
    control = rng.normal(0, 1.25, (knots[0], knots[1] * knots[2] * channels)).astype(np.float32)
    through = cv2.resize(control, (control.shape[1], slices), interpolation=cv2.INTER_LINEAR)
    layers = through.reshape(slices, knots[1], knots[2], channels)
    fields = [cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in layers]
    return np.stack(fields).reshape(*shape, channels)


def rotation(angles: np.ndarray) -> np.ndarray:
    """Return the (3, 3) rotation about the first, second, then third axis; radians."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = turn @ matrix
    return matrix


def soft_edge(reach: np.ndarray, at: float, softness: float) -> np.ndarray:
    """Return 1 inside, 0 outside, and a slope of the given softness where the outline is."""
    return 1 / (1 + np.exp(((reach - at) / (0.5 * softness)).clip(-30, 30)))
