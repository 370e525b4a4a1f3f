"""Lookup tables and palettes (DICOM PS3.3, C.11.1.1, C.11.2.1.1, C.7.6.3.1.5 and C.7.9.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from anogan.io.dicom.attributes import Attributes, Frame

_COLORS = ("Red", "Green", "Blue")
_MOST = 2**16


@dataclass(frozen=True, eq=False)
class Table:
    """A lookup table: values before the first entry take the first, values behind the last take the last.

    Attributes
    ----------
    first
        The value that takes the first entry.
    entries
        (N,), or (N, 3) of a palette.
    """

    first: int
    entries: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the entries of values of any number type; a fraction takes the entry of the whole number below."""
        if values.dtype.kind == "f" or values.dtype.itemsize > 4:  # may lie beyond any integer
            values = values.astype(np.float64).clip(self.first, self.first + len(self.entries) - 1)
            return self.entries[np.floor(values - self.first).astype(np.int64)]
        return self.entries[(values.astype(np.int64) - self.first).clip(0, len(self.entries) - 1)]

    def clips(self, values: np.ndarray) -> np.ndarray:
        """Return which values lie beyond its ends, bool."""
        return (values < self.first) | (values >= self.first + len(self.entries))

    def same_as(self, other: object) -> bool:
        """Whether it shows all values as another one does."""
        return isinstance(other, Table) and self.first == other.first and np.array_equal(self.entries, other.entries)


def lookup_table(item: Dataset, name: str, attributes: Attributes, signed: bool) -> tuple[Table, int]:
    """Return a lookup table as it stands in a sequence, and the bits of its entries.

    Parameters
    ----------
    item
        The item of the sequence.
    name
        What people call it, such as "VOI LUT".
    attributes
        Of the frame.
    signed
        Whether the values that it takes may be negative; its first value then is, whatever its encoding says.

    Raises
    ------
    Refused
        Descriptor and entries disagree, or one is not there.
    """
    count, first, bits = _descriptor(item, "LUTDescriptor", name, attributes, signed)
    if not 8 <= bits <= 16:
        raise attributes.refused(f"its {name} says entries of {bits} bits, where 8 to 16 can be; export it again")
    entries = _entries(item, "LUTData", count, bits, name, attributes)
    if entries.max() >= 2**bits:
        raise attributes.refused(
            f"its {name} says entries of {bits} bits, but one of them is {entries.max()}; export it again"
        )
    return Table(first, entries), bits


def palette(frame: Frame) -> Table | None:
    """Return the palette with entries in [0, 1], (N, 3), or None.

    Raises
    ------
    Refused
        A palette image has none, or its tables do not belong together, or descriptor and entries disagree.
    """
    attributes = frame.attributes
    ds = attributes.ds
    supplemental = attributes.text("PixelPresentation") in ("COLOR", "MIXED")
    if not (supplemental or frame.photometric == "PALETTE COLOR"):
        return None
    if "RedPaletteColorLookupTableDescriptor" not in ds:
        if frame.photometric == "PALETTE COLOR":
            raise attributes.refused("is a palette image without its palette; export it as RGB")
        return None
    described = {
        _descriptor(ds, f"{color}PaletteColorLookupTableDescriptor", "palette", attributes, frame.signed)
        for color in _COLORS
    }
    if len(described) > 1:
        raise attributes.refused("the tables of its palette differ in length, start or bits; export it as RGB")
    ((count, first, bits),) = described
    if bits not in (8, 16):
        raise attributes.refused(f"its palette says colors of {bits} bits, where 8 or 16 can be; export it as RGB")
    if "RedPaletteColorLookupTableData" in ds:
        tables = [
            _entries(ds, f"{color}PaletteColorLookupTableData", count, bits, "palette", attributes) for color in _COLORS
        ]
        entries = np.stack(tables, axis=1)
    else:
        plain = Dataset()  # pydicom expands segments, but refuses supplemental palettes by another attribute
        plain.update(ds.group_dataset(0x0028))
        plain.file_meta = ds.file_meta
        entries = apply_color_lut(np.arange(first, first + count), plain)[:, :3]
    # Tables said to be of 16 bits may hold values of 8, and those said to be of 8 words of 16.
    return Table(first, entries / (65535 if entries.max() > 255 else 255))


def _descriptor(ds: Dataset, keyword: str, name: str, attributes: Attributes, signed: bool) -> tuple[int, int, int]:
    """Return how many entries a table has, the value that takes the first, and the bits of an entry.

    The three are words of 16 bits (PS3.3, C.11.1.1.1), whose sign an encoding may have got wrong.
    """
    numbers = Attributes(ds, source=attributes.source).numbers(keyword, 3)
    if not numbers:
        raise attributes.refused(f"its {name} has no {keyword}; export it again")
    if any(number != int(number) or not -_MOST // 2 <= number < _MOST for number in numbers):
        raise attributes.refused(f"the {keyword} of its {name} is not of 16 bits; export it again")
    count, first, bits = (int(number) for number in numbers)
    if signed and first >= _MOST // 2:
        first -= _MOST
    elif not signed and first < 0 and attributes.ds.original_encoding[0]:  # implicit VR: pydicom has guessed the sign
        first += _MOST
    return count % _MOST or _MOST, first, bits


def _entries(ds: Dataset, keyword: str, count: int, bits: int, name: str, attributes: Attributes) -> np.ndarray:
    """Return the (count,) entries of a table: words of 16 bits, or bytes that stand two in a word."""
    data = ds.get(keyword)
    if data is None or (isinstance(data, bytes | str) and not data):
        raise attributes.refused(f"its {name} has no {keyword}; export it again")
    if isinstance(data, bytes):
        order = "<>"[attributes.ds.original_encoding[1] is False]
        if len(data) == 2 * count:
            return np.frombuffer(data, f"{order}u2").astype(np.int64)
        if bits == 8 and len(data) == count + count % 2:
            if order == ">" and ds[keyword].VR == "OW":  # the bytes of a word stand the other way round (PS3.5, 7.3)
                data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
            return np.frombuffer(data, "u1")[:count].astype(np.int64)
        raise attributes.refused(
            f"its {name} says {count} entries of {bits} bits, but has {len(data)} bytes; export it again"
        )
    entries = np.atleast_1d(np.asarray(data))
    if entries.dtype.kind not in "iu" or entries.ndim != 1 or entries.min() < 0 or entries.max() >= _MOST:
        raise attributes.refused(f"the {keyword} of its {name} is not of words of 16 bits; export it again")
    if len(entries) != count:
        raise attributes.refused(f"its {name} says {count} entries, but has {len(entries)}; export it again")
    return entries.astype(np.int64)
