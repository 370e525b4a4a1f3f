"""What all readers agree on: how large an image may be, and which of its values become black and white."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from anogan.errors import Refused

MAX_PIXELS = 64_000_000
"""Images with more pixels are refused before they are decoded."""
MAX_VOLUME = 400_000_000
"""So are files and series with more pixels in all their frames: 1500 slices of 512 x 512, 1.6 GB of float32."""

WindowChoice = str | tuple[float, float]
"""Which window shows a gray image: "first", the name of one in its header, or (center, width)."""


@dataclass(frozen=True)
class Window:
    """Which values become black and white (DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3).

    Attributes
    ----------
    center, width
        In units of the values. The width is above 0, and at least 1 for "LINEAR", which is not defined below
        (C.11.2.1.2.1): whoever makes a window of a smaller width makes it "LINEAR_EXACT".
    function
        "LINEAR", "LINEAR_EXACT" or "SIGMOID".
    made_up
        Where it comes from, in words, if no header and no profile gave it.
    """

    center: float
    width: float
    function: str = "LINEAR"
    made_up: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """The window for people."""
        return self.made_up or f"center {self.center:g}, width {self.width:g}, {self.function}"

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the values in [0, 1], float64; nothing but that array is of their size."""
        shown: np.ndarray = np.array(values, np.float64)
        if self.function == "SIGMOID":
            shown -= self.center
            shown *= -4
            shown /= self.width
            np.clip(shown, -50, 50, out=shown)
            np.exp(shown, out=shown)
            shown += 1
            return np.divide(1, shown, out=shown)
        low, high = self._edges()
        if high <= low:  # LINEAR of width 1 is a threshold
            return np.greater(shown, low, out=shown)
        shown -= low
        shown /= high - low
        return np.clip(shown, 0, 1, out=shown)

    def clips(self, values: np.ndarray) -> np.ndarray:
        """Return which values lie beyond black or white, bool; a sigmoid has no end."""
        if self.function == "SIGMOID":
            return np.zeros(values.shape, bool)
        low, high = self._edges()
        return (values < low) | (values > high)

    def _edges(self) -> tuple[float, float]:
        """Return the values that become 0 and 1."""
        if self.function == "LINEAR_EXACT":
            return self.center - self.width / 2, self.center + self.width / 2
        return self.center - 0.5 - (self.width - 1) / 2, self.center - 0.5 + (self.width - 1) / 2


def full_range(low: float, high: float, words: str, name: str) -> Window:
    """Return the window in which `low` is black and `high` is white; where they are one, all is black.

    Raises
    ------
    Refused
        They are further apart than numbers go; the sentence begins with `name`.
    """
    width = high - low or 1.0
    if not np.isfinite(width):
        raise Refused(f"{name}: holds values too far apart to be shown together; scale them before reading")
    return Window(low + width / 2, width, "LINEAR_EXACT", words)


def stretch(images: Iterable[np.ndarray], name: str, keep: bool) -> Window:
    """Return one window for images of no known range, from the minimum to the maximum of all, so that they compare.

    Parameters
    ----------
    images
        Arrays of any number type, without their padding.
    name
        The file, for the error.
    keep
        Whether floats in [0, 1] keep their values. Those of a picture are shares of white already; those of a scan are
        in some unit, and the same map in another unit must be the same picture.
    """
    low, high, kind = np.inf, -np.inf, ""
    for values in images:
        if values.size:
            low, high, kind = min(low, float(values.min())), max(high, float(values.max())), values.dtype.kind
            if not (np.isfinite(low) and np.isfinite(high)):
                raise not_finite(name)
    if not kind:  # all is padding
        return full_range(0, 1, "none", name)
    if keep and kind == "f" and 0 <= low <= high <= 1:
        return full_range(0, 1, "none", name)
    return full_range(low, high, f"minimum to maximum ({low:g} to {high:g})", name)


def unit_range(values: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """Bring one picture of no known range to [0, 1], see `stretch`: float32 pixels, and in words what was done."""
    window = stretch([values], name, keep=True)
    return window.apply(values).astype(np.float32), window.words


def too_large(name: str, size: str = "too many") -> Refused:
    """Return what to raise for an image of this size."""
    return Refused(
        f"{name}: has {size} pixels, more than the {MAX_PIXELS // 1_000_000} million that are read; shrink or crop it"
    )


def check_size(name: str, height: int, width: int, frames: int = 1) -> None:
    """Refuse an image or a volume by the size in its header."""
    if height * width > MAX_PIXELS:
        raise too_large(name, f"{height} x {width}")
    if height * width * frames > MAX_VOLUME:
        raise Refused(
            f"{name}: has {frames} frames of {height} x {width} pixels, more than the {MAX_VOLUME // 1_000_000} million"
            " pixels that are read at once; split it"
        )


def damaged(name: str) -> Refused:
    """Return what to raise for a picture that contradicts itself or ends too early."""
    return Refused(f"{name}: is damaged or cut off; copy or export it again")


def several_pages(name: str) -> Refused:
    """Return what to raise for a picture file with more than one picture."""
    return Refused(f"{name}: holds several pages or frames; save each as a file of its own")


def several_frames(name: str, frames: int) -> Refused:
    """Return what to raise for a volume where one image is wanted."""
    return Refused(
        f"{name}: holds {frames} frames; read it as a series (anogan.io.read_series, or `anogan inspect --series`)"
    )


def not_finite(name: str) -> Refused:
    """Return what to raise for NaN and infinity."""
    return Refused(f"{name}: holds values that are not finite; replace them before reading")
