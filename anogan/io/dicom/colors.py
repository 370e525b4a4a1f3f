"""Which colors the samples of an image are, and RGB from them (DICOM PS3.3, C.7.6.3.1.2; PS3.5, 8.2)."""

from __future__ import annotations

import numpy as np
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGBaseline8Bit, JPEGExtended12Bit

from anogan.errors import Refused
from anogan.io.codestream import Stream

LOSSY_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_TO_RGB = np.array(
    [[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]]  # ISO 10918-5, 7
)


def is_ybr(photometric: str, syntax: str, stream: Stream | None = None) -> bool:
    """Return whether decoded samples are Y, CB and CR, and not R, G and B.

    The header decides, but for lossy JPEG, where encoders transform colors by themselves and say so in the stream:
    there the stream does, if it tells. A decoder of JPEG 2000 undoes the transform that the stream names.

    Raises
    ------
    Refused
        The stream contradicts the header or itself, and the colors cannot be known.
    """
    header = {"RGB": "RGB", "YBR_FULL": "YBR", "YBR_FULL_422": "YBR"}.get(photometric, "transformed")
    if syntax in JPEG2000TransferSyntaxes:
        transformed = stream is not None and stream.transformed
        if header != "RGB" and transformed != (header == "transformed"):
            raise _contradiction(photometric, f"{'with' if transformed else 'without'} a color transform")
        if stream is not None and stream.colors:
            raise _contradiction(photometric, "in a JP2 file of other colors")
        return header == "YBR"
    if header == "transformed":
        raise _contradiction(photometric, "not JPEG 2000")
    told = stream.colors if stream is not None else frozenset()
    if len(told) > 1:
        raise _contradiction(photometric, "both RGB and YCbCr by their markers")
    if told and told != {header} and syntax not in LOSSY_JPEG:
        raise _contradiction(photometric, "RGB by their markers" if "RGB" in told else "YCbCr by their markers")
    return (told or {header}) == {"YBR"}


def rgb(samples: np.ndarray, bits: int) -> np.ndarray:
    """Return (H, W, 3) RGB from full-range Y, CB and CR of so many bits, of the same type."""
    most = 2**bits - 1
    colors: np.ndarray = samples.astype(np.float32 if bits <= 16 else np.float64)
    colors -= np.array([0, 2 ** (bits - 1), 2 ** (bits - 1)], colors.dtype)
    colors = colors @ _TO_RGB.astype(colors.dtype)
    return np.floor(colors + 0.5).clip(0, most).astype(samples.dtype)


def _contradiction(photometric: str, found: str) -> Refused:
    return Refused(f"its header says {photometric}, but its compressed pixels are {found}; export it as RGB")
