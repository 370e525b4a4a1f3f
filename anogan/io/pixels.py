"""What all readers agree on: how large an image may be, and how values of no known range are shown."""

from __future__ import annotations

import numpy as np

MAX_PIXELS = 64_000_000
"""Images with more pixels are refused before they are decoded."""


class Refused(ValueError):
    """A sentence for the user, told apart from a decoder's own ValueError."""


def too_large(name: str, size: str = "too many") -> Refused:
    """Return what to raise for an image of this size."""
    return Refused(
        f"{name}: has {size} pixels, more than the {MAX_PIXELS // 1_000_000} million that are read; shrink or crop it"
    )


def check_size(name: str, height: int, width: int) -> None:
    """Refuse an image by the size in its header."""
    if height * width > MAX_PIXELS:
        raise too_large(name, f"{height} x {width}")


def unit_range(values: np.ndarray, name: str, keep: np.ndarray | None = None) -> tuple[np.ndarray, str]:
    """Bring values of no known range to [0, 1]: float32 pixels, and in words what was done.

    Parameters
    ----------
    values
        (H, W) of any number type. Floats in [0, 1] stay as they are, others are stretched from minimum to maximum.
    name
        The file, for the error.
    keep
        (H, W) bool: where the image is, and not padding; None: everywhere.
    """
    inside = values if keep is None or not keep.any() else values[keep]
    low, high = float(inside.min()), float(inside.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise not_finite(name)
    if values.dtype.kind == "f" and 0 <= low <= high <= 1:
        return values.astype(np.float32).clip(0, 1), "none"
    pixels = (values.astype(np.float64) - low) / max(high - low, 1e-12)
    return pixels.clip(0, 1).astype(np.float32), f"minimum to maximum ({low:g} to {high:g})"


def not_finite(name: str) -> Refused:
    """Return what to raise for NaN and infinity."""
    return Refused(f"{name}: holds values that are not finite; replace them before reading")
