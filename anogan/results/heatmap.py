"""An anomaly map drawn over its image, on one fixed scale."""

from __future__ import annotations

import cv2
import numpy as np

_DARK = 64  # inferno (van der Walt and Smith) without its blackest quarter, which would hide the image
_STRIP = 128  # rows that are drawn at a time
_FADE = 0.25  # share of the scale over which the colors appear


def _inferno() -> np.ndarray:
    """Return the colors, (256, 3) uint8 RGB: lightness rises evenly, also for the color-blind."""
    steps = np.linspace(_DARK, 255, 256).round().astype(np.uint8)
    return cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[:, 0, ::-1].copy()


_COLORS = _inferno()


def overlay(
    image: np.ndarray, anomaly_map: np.ndarray, map_range: tuple[float, float], opacity: float = 0.55
) -> np.ndarray:
    """Draw a map over its image. The same value has the same color in every image.

    Parameters
    ----------
    image
        (H, W) or (H, W, 3), uint8, or float in [0, 1].
    anomaly_map
        (H, W). Up to `low`, and where it is not a number, the image shows through as it is.
    map_range
        (low, high): the scale, shared by all images. Colors fade in over its first quarter and end at `high`.
    opacity
        0 (the image alone) to 1.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8, RGB.

    Raises
    ------
    ValueError
        The shapes differ, the range is empty, or the opacity is outside [0, 1].
    """
    if image.shape[:2] != anomaly_map.shape:
        raise ValueError(f"overlay: the image has shape {image.shape[:2]}, the map {anomaly_map.shape}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"overlay: expected an opacity in [0, 1], got {opacity}")
    drawn = np.empty((*anomaly_map.shape, 3), np.uint8)
    for start in range(0, len(drawn), _STRIP):  # nothing but the pictures themselves is as large as they are
        rows = slice(start, start + _STRIP)
        under = image[rows].astype(np.float32) * (1.0 if image.dtype == np.uint8 else 255.0)
        under = under if under.ndim == 3 else np.repeat(under[..., None], 3, axis=2)
        colors, weight = _colored(anomaly_map[rows], map_range)
        drawn[rows] = (under + (colors - under) * (opacity * weight[..., None])).round().clip(0, 255)
    return drawn


def layer(anomaly_map: np.ndarray, map_range: tuple[float, float]) -> np.ndarray:
    """Return the colors of `overlay` by themselves, (H, W, 4) uint8 RGBA, to be laid over an image by who shows it.

    Raises
    ------
    ValueError
        The range is empty.
    """
    colors, weight = _colored(anomaly_map, map_range)
    return np.dstack([colors, (weight * 255).round().astype(np.uint8)])


def _colored(anomaly_map: np.ndarray, map_range: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the color of each place, (H, W, 3) uint8, and how much of it shows, (H, W) in [0, 1]."""
    low, high = map_range
    if not low < high:
        raise ValueError(f"overlay: expected a range with low < high, got {map_range}")
    level = np.nan_to_num((anomaly_map.astype(np.float32) - low) / (high - low), nan=0.0).clip(0, 1)
    return _COLORS[(level * 255).round().astype(np.uint8)], (level / _FADE).clip(0, 1)
