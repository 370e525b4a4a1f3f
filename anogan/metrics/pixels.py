"""How well the anomaly maps agree with the masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import label as label_regions

from anogan.metrics.inputs import descending

_TOUCHING = np.ones((3, 3), bool)  # pixels of one region touch by side or corner


class BestDice(NamedTuple):
    """The highest Dice of any threshold, and that threshold."""

    dice: float
    threshold: float


class _Image(NamedTuple):
    """The pixels kept of one image."""

    abnormal: np.ndarray  # (A,) float32 values
    share: np.ndarray  # (A,) of its region's pixels, that each is; a region sums to 1
    healthy: np.ndarray  # (B,) float32 values
    weight: float  # healthy pixels that each kept one stands for


class PixelTally:
    """Collects anomaly maps and masks one image at a time; then gives pixel AUROC, AUPRO and Dice.

    Parameters
    ----------
    per_image
        All abnormal pixels are kept. Of the healthy pixels of an image at most this many are drawn (without
        replacement, with a fixed seed) and weighted, so that each image counts with its true number of pixels.
    """

    def __init__(self, per_image: int = 10_000) -> None:
        self.per_image = per_image
        self.sampled = False  # whether any healthy pixel was left out
        self.n_regions = 0
        self._rng = np.random.default_rng(0)
        self._images: list[_Image] = []

    def add(self, anomaly_map: np.ndarray, mask: np.ndarray) -> None:
        """Add one image: (H, W) map, finite, kept as float32; (H, W) mask, true where abnormal.

        Raises
        ------
        ValueError
            The shapes differ, or the map is not finite.
        """
        if anomaly_map.shape != mask.shape:
            raise ValueError(f"the mask has {mask.shape} pixels and the anomaly map {anomaly_map.shape}")
        if not np.isfinite(anomaly_map).all():
            raise ValueError("the anomaly map is not finite")
        anomaly_map, mask = anomaly_map.astype(np.float32), mask.astype(bool)
        healthy, weight = anomaly_map[~mask], 1.0
        if len(healthy) > self.per_image:
            weight = len(healthy) / self.per_image
            healthy = self._rng.choice(healthy, self.per_image, replace=False)
            self.sampled = True
        regions, count = label_regions(mask, _TOUCHING)
        region_of = regions[mask]
        share = 1 / np.bincount(region_of, minlength=1)[region_of]
        self._images.append(_Image(anomaly_map[mask], share, healthy, weight))
        self.n_regions += count

    def auroc(self) -> float:
        """Return the AUROC over all pixels.

        Raises
        ------
        ValueError
            No image with an abnormal pixel, or none with a healthy one, was added.
        """
        _, abnormal, healthy, _ = self._curve()
        return _area(healthy, abnormal, 1.0)

    def aupro(self, limit: float = 0.3) -> float:
        """Return the area under the per-region overlap up to a pixel false-positive rate of `limit`, divided by it.

        Each connected region counts the same, whatever its size (Bergmann et al., CVPR 2019 and IJCV 2021). Errors
        are those of `auroc`.
        """
        _, _, healthy, overlap = self._curve()
        return _area(healthy, overlap, limit)

    def dice(self, threshold: float) -> float:
        """Return the Dice coefficient of `map >= threshold` over the pixels of all images together.

        Twice the pixels that are abnormal and flagged, over the abnormal plus the flagged (Dice, Ecology 1945).

        Raises
        ------
        ValueError
            No image with an abnormal pixel was added.
        """
        self._need_a_mask()
        found = sum(int((image.abnormal >= threshold).sum()) for image in self._images)
        abnormal = sum(len(image.abnormal) for image in self._images)
        false_alarms = sum(image.weight * int((image.healthy >= threshold).sum()) for image in self._images)
        return float(2 * found / (abnormal + found + false_alarms))

    def best_dice(self) -> BestDice:
        """Return the highest Dice of any threshold, and the threshold.

        That threshold is chosen with the masks in hand: it says what the maps hold, not what a user gets, which is
        `dice` at the operating point. Errors are those of `dice`.
        """
        threshold, abnormal, healthy, _ = self._curve()
        dice = 2 * abnormal / (abnormal[-1] + abnormal + healthy)
        best = int(dice.argmax())
        return BestDice(float(dice[best]), float(threshold[best]))

    def _need_a_mask(self) -> None:
        if self.n_regions == 0:
            raise ValueError("pixel metrics: no image with a mask was added")

    def _curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the values from the highest down, and the abnormal pixels, healthy pixels and shares of regions at
        or above each.
        """
        self._need_a_mask()
        values = np.concatenate([part for image in self._images for part in (image.abnormal, image.healthy)])
        order, ends = descending(values)

        def at_or_above(parts: Callable[[_Image], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
            return np.concatenate([part for image in self._images for part in parts(image)])[order].cumsum()[ends]

        abnormal = at_or_above(lambda image: (np.ones(len(image.abnormal)), np.zeros(len(image.healthy))))
        healthy = at_or_above(lambda image: (np.zeros(len(image.abnormal)), np.full(len(image.healthy), image.weight)))
        shares = at_or_above(lambda image: (image.share, np.zeros(len(image.healthy))))
        return values[order][ends], abnormal, healthy, shares


def _area(x: np.ndarray, y: np.ndarray, limit: float) -> float:
    """Return the area under y / y[-1] against x / x[-1], from 0 to `limit`, divided by it."""
    if x[-1] == 0:
        raise ValueError("pixel metrics: every pixel is abnormal; images with healthy pixels are needed")
    x, y = np.concatenate([[0.0], x / x[-1]]), np.concatenate([[0.0], y / y[-1]])
    inside = x <= limit
    x, y = np.append(x[inside], limit), np.append(y[inside], np.interp(limit, x, y))
    return float(np.diff(x) @ (y[1:] + y[:-1]) / 2 / limit)
