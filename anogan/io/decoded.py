"""A decoded picture: what it shows, and what its file holds beside that, which only masks need."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from anogan.io.pixels import unit_range


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded picture.

    Attributes
    ----------
    pixels
        (H, W) or (H, W, 3) float32 in [0, 1], ready for display; transparent places are laid on black.
    format
        "PNG", "JPEG", ...
    details
        What the reader found: original size, bits, window.
    alpha
        Opacity, (H, W) float32 in [0, 1], or None.
    index
        Which color of its palette each pixel has, (H, W) integers, or None.
    stored
        The values, in `pixels`' shape, where these were stretched and no longer say which value was 0; else None.
    lossy
        Whether the compression may have added noise.
    """

    pixels: np.ndarray
    format: str
    details: dict[str, str] = field(default_factory=dict)
    alpha: np.ndarray | None = None
    index: np.ndarray | None = None
    stored: np.ndarray | None = None
    lossy: bool = False


def picture(
    name: str,
    file_format: str,
    values: np.ndarray,
    most: int | None,
    details: dict[str, str],
    *,
    alpha: np.ndarray | None = None,
    associated: bool = False,
    index: np.ndarray | None = None,
    white_is_zero: bool = False,
    lossy: bool = False,
) -> Picture:
    """Bring values to [0, 1] and lay them on black.

    Parameters
    ----------
    values
        (H, W) or (H, W, 3) numbers.
    most
        The value that is white (or black, if `white_is_zero`); None: `anogan.io.pixels.stretch` decides.
    alpha, associated
        Opacity, (H, W) float32 in [0, 1]; whether the values are multiplied by it already.
    """
    stored = None
    if most is None:
        stored = None if white_is_zero else values
        pixels, details["window"] = unit_range(values, name)
    else:
        pixels = values.astype(np.float32)
        pixels /= np.float32(most)
        np.clip(pixels, 0, 1, out=pixels)
    if white_is_zero:
        pixels = (alpha if associated and alpha is not None else 1) - pixels
        np.clip(pixels, 0, 1, out=pixels)
    if alpha is not None:
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        if not associated:
            pixels = pixels * alpha[..., None]
        details["transparency"] = "laid on black"
    return Picture(np.ascontiguousarray(pixels), file_format, details, alpha, index, stored, lossy)


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Return (H, W, ...) as a viewer turns it (EXIF 2.3, 4.6.4, also tag 274 of TIFF 6.0); unknown: as it is."""
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
