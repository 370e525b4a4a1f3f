"""Portraits bent, warped from landmark to landmark, and laid over each other.

Maps say from where each pixel is fetched, (H, W, 2), so that whatever is bent and warped is fetched once. Landmarks,
(189, 2), are x and y in pixels, in the order of the Face Research Lab London Set.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import Delaunay

EYES = (0, 1)
IRISES = range(2, 18)
EYES_AND_BROWS, NOSE, MOUTH = slice(18, 45), slice(50, 71), slice(87, 109)
JAW, HAIRLINE = slice(125, 134), slice(134, 145)


def random_bend(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a slight bend: smooth shifts of up to a hundredth of the side."""
    height, width = shape[:2]
    coarse = rng.uniform(-0.01, 0.01, (6, 6, 2)).astype(np.float32) * max(height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([columns, rows]) + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def fetch(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    return cv2.remap(image, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101).clip(0, 1)


def bent_points(points: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Return where landmarks lie after a slight bend."""
    at = points.round().astype(int).clip(0, np.array(bend.shape[1::-1]) - 1)
    return points - (bend[at[:, 1], at[:, 0]] - at)


def warp(shape: tuple[int, ...], source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the map that brings landmarks from `source` to `target`: affine in each triangle, the border stays."""
    height, width = shape[:2]
    edge = [(x * (width - 1), y * (height - 1)) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)]
    kept = np.setdiff1d(np.arange(len(source)), IRISES)  # irises turn: they would fold the lids
    source, target = (np.concatenate([points[kept], edge]) for points in (source, target))
    triangles = Delaunay((source + target) / 2).simplices
    inside = np.zeros((height, width), np.int32)
    for index, corners in enumerate(triangles):
        cv2.fillConvexPoly(inside, target[corners].round().astype(np.int32), index)
    affine = np.stack(
        [cv2.getAffineTransform(*(p[t].astype(np.float32) for p in (target, source))) for t in triangles]
    ).astype(np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    a = affine.reshape(-1, 6)[inside]
    return np.dstack([a[..., k] * columns + a[..., k + 1] * rows + a[..., k + 2] for k in (0, 3)])


def similarity(shape: tuple[int, ...], source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the map that turns, scales and shifts so that the eyes of `source` come to those of `target`."""
    to = cv2.estimateAffinePartial2D(target[list(EYES)], source[list(EYES)])[0]
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.dstack([a * columns + b * rows + c for a, b, c in to.astype(np.float32)])


def hull(shape: tuple[int, ...], points: np.ndarray, grow: float, feather: float) -> np.ndarray:
    """Return a soft mask (H, W, 1): the convex hull of points, scaled about its center by `grow`."""
    center = (points.min(0) + points.max(0)) / 2
    mask = np.zeros(shape[:2], np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull((center + grow * (points - center)).round().astype(np.int32)), 1.0)
    return cv2.GaussianBlur(mask, (0, 0), feather)[..., None]


def face_mask(shape: tuple[int, ...], points: np.ndarray) -> np.ndarray:
    return hull(shape, np.concatenate([points[JAW], points[HAIRLINE]]), 0.88, 6)


def match_color(image: np.ndarray, to: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give `image` the mean and deviation of each color that `to` has inside the mask."""
    weights = mask[..., 0].ravel()
    mean, mean_to = (np.average(x.reshape(-1, 3), axis=0, weights=weights) for x in (image, to))
    spread, spread_to = (
        np.average((x.reshape(-1, 3) - m) ** 2, axis=0, weights=weights) ** 0.5
        for x, m in ((image, mean), (to, mean_to))
    )
    return ((image - mean) * (spread_to / spread).clip(0.8, 1.25) + mean_to).clip(0, 1).astype(np.float32)
