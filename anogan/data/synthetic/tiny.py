"""Tiny images with known anomalies, for tests that must not wait."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from anogan.data.synthetic.fields import soft_edge
from anogan.io import write_png


def tiny_images(
    n_healthy: int, n_abnormal: int, *, size: int = 64, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make small phantoms for tests: a textured disc with two darker ellipses; abnormal ones hold one blob.

    Returns
    -------
    images
        (N, size, size) float32 in [0, 1], the healthy ones first.
    masks
        (N, size, size) bool, true on the blob.
    labels
        (N,) int, 1 = abnormal.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    images, masks = [], []
    for index in range(n_healthy + n_abnormal):
        y, x = rng.uniform(-0.06, 0.06, 2)
        radius, level = rng.uniform(0.72, 0.82), rng.uniform(0.55, 0.7)
        image = level * soft_edge(np.hypot(rows - y, columns - x), radius, 0.08)
        for side in (-1, 1):
            ellipse = np.hypot((rows - y) / 0.35, (columns - x - 0.25 * side) / 0.14)
            image -= 0.3 * soft_edge(ellipse, rng.uniform(0.85, 1.15), 0.3)
        image += 0.03 * cv2.GaussianBlur(rng.normal(0, 2, (size, size)), (0, 0), 1)
        mask = np.zeros((size, size), bool)
        if index >= n_healthy:
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
            away = np.hypot(rows - y - distance * np.sin(angle), columns - x - distance * np.cos(angle))
            blob = rng.uniform(0.12, 0.25)
            image += rng.choice([-1, 1]) * rng.uniform(0.25, 0.35) * soft_edge(away, blob, 0.06)
            mask = away <= blob
        images.append(image.clip(0, 1))
        masks.append(mask)
    labels = np.repeat([0, 1], [n_healthy, n_abnormal])
    return np.array(images, dtype=np.float32), np.array(masks, dtype=bool), labels


def write_tiny(folder: str | os.PathLike[str], n_healthy: int, n_abnormal: int, size: int = 64, seed: int = 0) -> Path:
    """Write `tiny_images` as 8-bit PNG: `healthy/`, `abnormal/` and `masks/` (the names of `abnormal/`)."""
    folder = Path(folder)
    images, masks, labels = tiny_images(n_healthy, n_abnormal, size=size, seed=seed)
    for index, (image, mask, label) in enumerate(zip(images, masks, labels, strict=True)):
        name = f"{index:04d}.png"
        place = folder / ("abnormal" if label else "healthy")
        place.mkdir(parents=True, exist_ok=True)
        write_png(place / name, (image * 255).round().astype(np.uint8))
        if label:
            (folder / "masks").mkdir(exist_ok=True)
            write_png(folder / "masks" / name, mask.astype(np.uint8) * 255)
    return folder
