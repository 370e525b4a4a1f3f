"""From a scan to the network's grid and range, and back to the scan's own grid."""

from __future__ import annotations

import cv2
import numpy as np

from anogan.config import InputConfig
from anogan.faces import detection
from anogan.scan import Scan

HEADROOM = 0.75  # where the 95th percentile lands: what is brighter than normal tissue must still look brighter
LEAST_NATIVE_SIDE = 56  # pixels: two patches of noise in each region, see anogan.detector.noise
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def to_network(scan: Scan, config: InputConfig) -> np.ndarray:
    """Bring a scan to the network's grid and range.

    The image is stretched to the square and its aspect not kept; with `align` "face" the square is the face's.

    Parameters
    ----------
    scan
        The scan.
    config
        The profile's `input` section: channels, size, intensity and alignment.

    Returns
    -------
    np.ndarray
        (C, size, size) float32 in [-1, 1].

    Raises
    ------
    ValueError
        `intensity` is "percentile" and all pixels are alike, a face is asked for and not acquired, or the noise is to
        be judged and the scan is gray or too small.
    """
    if config.noise and (scan.pixels.ndim == 2 or min(scan.pixels.shape[:2]) < LEAST_NATIVE_SIDE):
        shown = " x ".join(map(str, scan.pixels.shape[1::-1])) + (" and gray" if scan.pixels.ndim == 2 else "")
        raise ValueError(
            f"its noise cannot be judged: the photo must be in color and at least {LEAST_NATIVE_SIDE} pixels wide and"
            f" high; it is {shown}"
        )
    image = _seen(scan, config)
    low, high = _intensity_range(scan, image, config)
    image = ((_resize_image(image, (config.size, config.size)) - low) / (high - low)).clip(0, 1) * 2 - 1
    image = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.ascontiguousarray(image, dtype=np.float32)


def image_to_scan_grid(image: np.ndarray, scan: Scan, config: InputConfig) -> np.ndarray:
    """Bring an image of the network, such as a reconstruction, to the scan's own grid.

    A percentile stretch is undone, so that image and scan compare. Beside an aligned face the scan itself stays: the
    network has not seen what is there.

    Parameters
    ----------
    image
        (C, h, w) in [-1, 1].
    scan
        The scan it belongs to.
    config
        The profile's `input` section.

    Returns
    -------
    np.ndarray
        (H, W) float32 in [0, 1]; (H, W, 3) when both the scan and the network have colors.
    """
    unit = (np.asarray(image, np.float32).transpose(1, 2, 0).clip(-1, 1) + 1) / 2
    unit = unit[..., 0] if unit.shape[2] == 1 else unit
    if config.intensity == "percentile":
        low, high = _intensity_range(scan, _seen(scan, config), config)
        unit = unit * (high - low) + low
    if scan.pixels.ndim == 2:
        unit = _with_channels(unit, 1)
    unit = np.ascontiguousarray(unit)
    if config.align == "face":
        return _from_crop(unit.clip(0, 1), scan, _with_channels(scan.pixels, 1) if unit.ndim == 2 else scan.pixels)
    return _resize_image(unit, scan.pixels.shape[:2]).clip(0, 1)


def mask_to_network(mask: np.ndarray, config: InputConfig) -> np.ndarray:
    """Bring a mask (H, W) to the network's grid: (size, size) bool, true where half of a cell or more is covered.

    A mask too small to cover half of any cell keeps the cells that it covers most.
    """
    covered = _resize_image(np.asarray(mask, bool).astype(np.float32), (config.size, config.size))
    least = min(0.5, float(covered.max()))
    return (covered >= least) & (covered > 0)


def to_scan_grid(values: np.ndarray, scan: Scan, config: InputConfig) -> np.ndarray:
    """Bring a map (h, w) to a scan's grid (H, W), linearly between cell centers: (H, W) float32.

    Beside an aligned face it is 0, what healthy images have on average: nothing is said of what was not seen.
    """
    values = np.asarray(values, np.float32)
    shape = scan.pixels.shape[:2]
    if config.align == "face":
        return _from_crop(values, scan, np.zeros(shape, np.float32))
    return cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)


def _seen(scan: Scan, config: InputConfig) -> np.ndarray:
    """Return what the network is to see, before it is resized: (h, w) or (h, w, 3)."""
    image = detection.align(scan, config.size).pixels if config.align == "face" else scan.pixels
    return _with_channels(image, config.channels)


def _from_crop(image: np.ndarray, scan: Scan, around: np.ndarray) -> np.ndarray:
    """Bring a square that shows the scan's face, (h, h) or (h, h, 3), back to its place in `around`."""
    matrix = detection.to_crop(detection.find(scan).eyes, len(image))
    size = scan.pixels.shape[1::-1]
    back = cv2.warpAffine(
        image, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    cells = np.ones(image.shape[:2], np.uint8)
    inside = cv2.warpAffine(cells, matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0
    return np.where(inside if back.ndim == 2 else inside[..., None], back, around)


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1 and image.ndim == 3:
        return image @ LUMINANCE
    if channels == 3 and image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return image


def _intensity_range(scan: Scan, image: np.ndarray, config: InputConfig) -> tuple[float, float]:
    """Return which values become black and white."""
    if config.intensity == "range":
        return 0.0, 1.0
    low, bright = (float(value) for value in np.percentile(image, (0.5, 95)))
    if low < bright:
        return low, low + (bright - low) / HEADROOM
    low, high = float(image.min()), float(image.max())  # nearly all background
    if low == high:
        raise ValueError(f"{scan.source}: all pixels are alike, so there is nothing to judge")
    return low, high


def _resize_image(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (H, W) or (H, W, C): the mean where an axis shrinks, cubic where it grows; not clipped."""
    height, width = shape
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    if smaller != image.shape[1::-1]:
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    if (width, height) != smaller:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    return image
