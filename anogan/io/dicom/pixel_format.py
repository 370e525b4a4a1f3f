"""How a header says that pixels are stored (DICOM PS3.3, C.7.6.3; PS3.5, 8), and whether that can be.

Its sentences are about a file that whoever asks knows the name of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from anogan.errors import Refused

_GRAY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_MAX_PADDING = 4096  # bytes: a block of a disk or a disc
PIXEL_KEYWORDS = ("PixelData", *_FLOATS)
"""The attributes that hold pixels."""


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of an image are stored.

    Attributes
    ----------
    keyword
        Where they are.
    photometric
        PhotometricInterpretation.
    rows, columns, samples, frames
        How many there are.
    allocated, stored, high, signed
        The bits of a word, those of a value, the place of its highest bit, and whether it may be negative.
    planar
        0 where colors stand by pixel, 1 by plane; streams (PS3.5, 8.2) may say what they like.
    """

    keyword: str
    photometric: str
    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    planar: int

    @classmethod
    def of(cls, ds: Dataset, frames: int) -> PixelFormat:
        """Read the header of an image of so many frames.

        Raises
        ------
        Refused
            It contradicts itself, lacks an attribute, or is of a kind that is not read.
        """
        keyword = next(keyword for keyword in PIXEL_KEYWORDS if keyword in ds)
        photometric = str(ds.get("PhotometricInterpretation") or "").strip()
        if photometric not in _GRAY + _COLORS:
            raise Refused("its colors are of a kind that is not read; export it as RGB")
        samples, expected = _whole(ds, "SamplesPerPixel"), 1 if photometric in _GRAY else 3
        if samples != expected:
            raise Refused(
                f"its header says {samples} samples per pixel, where {photometric} has {expected}; export it again"
            )
        allocated = _whole(ds, "BitsAllocated")
        if allocated != _FLOATS.get(keyword, allocated) or allocated not in (1, 8, 16, 32, 64):
            raise Refused(f"its header says {allocated} bits for each value, which are not read; export it with 16")
        stored = allocated if keyword in _FLOATS else _whole(ds, "BitsStored")
        high = stored - 1 if keyword in _FLOATS else _whole(ds, "HighBit", stored - 1)
        if not 1 <= stored <= high + 1 <= allocated:
            raise Refused(
                f"its header says that values of {stored} bits end at bit {high} of {allocated} bits; export it again"
            )
        if _has_overlay_within(ds, allocated, range(high - stored + 1, high + 1)):
            raise Refused(f"its header puts an overlay into the {stored} bits of its values; export it again")
        sign = 0 if keyword in _FLOATS else _whole(ds, "PixelRepresentation")
        if sign not in (0, 1) or (sign == 1 and (samples == 3 or allocated == 1)):
            raise Refused(
                f"its header says PixelRepresentation {sign}, which {photometric} cannot have; export it again"
            )
        planar = _whole(ds, "PlanarConfiguration", -1) if samples == 3 else 0
        rows, columns = _whole(ds, "Rows"), _whole(ds, "Columns")
        return cls(keyword, photometric, rows, columns, samples, frames, allocated, stored, high, sign == 1, planar)

    @property
    def dtype(self) -> np.dtype:
        """The type of the values."""
        return np.dtype(f"{'ui'[self.signed]}{max(self.allocated, 8) // 8}")

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, 3), of a frame."""
        return (self.rows, self.columns, 3)[: 3 if self.samples == 3 else 2]

    def values(self, words: np.ndarray) -> np.ndarray:
        """Return the values in words: shifted down, without unused bits, with their sign (PS3.5, 8.1.1).

        Overlays stood in the unused bits once, and until 2004 values could stand in the upper ones.

        Raises
        ------
        Refused
            Values should stand in the upper bits, but what is there stands in the lowest.
        """
        bits = 8 * words.dtype.itemsize
        if self.keyword in _FLOATS or (self.stored == bits and self.signed == (words.dtype.kind == "i")):
            return words
        if self.high != self.stored - 1 and self._are_low(words.view(f"{'ui'[self.signed]}{bits // 8}")):
            raise Refused(
                f"its header says that values of {self.stored} bits end at bit {self.high}, but its pixels stand in the"
                f" lowest {self.stored} bits; export it again"
            )
        upper = words.view(f"u{bits // 8}") << (bits - 1 - self.high)
        return upper.view(f"{'ui'[self.signed]}{bits // 8}") >> (bits - self.stored)

    def _are_low(self, words: np.ndarray) -> bool:
        """Whether words use bits below those of the values, and none above as many as these."""
        if not (words & ((1 << (self.high - self.stored + 1)) - 1)).any():
            return False
        most = 1 << (self.stored - self.signed)
        return bool(words.max() < most and (not self.signed or words.min() >= -most))

    def check_length(self, data: bytes) -> int:
        """Return how many bytes of uncompressed pixels the header describes, or refuse others.

        A byte may make their number even (PS3.5, 8.1.1), and a block may be filled with zeros.

        Raises
        ------
        Refused
            There are fewer, or more.
        """
        if self.photometric in ("YBR_ICT", "YBR_RCT"):
            raise Refused(f"its header says {self.photometric}, which only JPEG 2000 has; export it as RGB")
        if self.planar not in (0, 1):
            raise Refused("its header does not say whether its colors stand by pixel or by plane; export it again")
        samples = self.samples
        if self.photometric == "YBR_FULL_422":
            samples = 2  # two of four pixels share their chroma (PS3.3, C.7.6.3.1.2)
            if self.planar or self.columns % 2:
                raise Refused("its header says YBR_FULL_422 of colors by plane or of an odd width; export it as RGB")
        bits = self.rows * self.columns * samples * self.allocated
        expected = math.ceil(bits * self.frames / 8)
        rest = data[expected:]
        if len(data) >= expected and (len(rest) == expected % 2 or _is_padding(rest, bits // 8, self.frames)):
            return expected
        frames = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        size = f"{self.rows} x {self.columns} x {self.samples}"
        raise Refused(
            f"holds {len(data):,} bytes of pixels, but its header describes {expected:,} ({frames} of {size} values of"
            f" {self.allocated} bits); export it again"
        )


def _is_padding(rest: bytes, frame: int, frames: int) -> bool:
    """Whether bytes behind the pixels fill a block: fewer than a frame, which may be one, and none for each frame."""
    each = frames > 1 and len(rest) % frames == 0
    return len(rest) < min(frame, _MAX_PADDING) and not each and not rest.strip(b"\0")


def _has_overlay_within(ds: Dataset, allocated: int, bits: range) -> bool:
    """Whether an overlay without data of its own stands in these bits of the words of the pixels (PS3.5, 8.1.2)."""
    for group in range(0x6000, 0x6020, 2):
        size, place, own = (ds.get((group, element)) for element in (0x0100, 0x0102, 0x3000))
        if size and place and own is None and size.value == allocated > 1 and place.value in bits:
            return True
    return False


def _whole(ds: Dataset, keyword: str, otherwise: int | None = None) -> int:
    value = ds.get(keyword)
    if value in (None, "") and otherwise is not None:
        return otherwise
    if not isinstance(value, int):
        raise Refused(f"its header does not say {keyword}, or not as one number; export it again")
    return value
