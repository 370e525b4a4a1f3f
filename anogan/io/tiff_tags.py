"""The directory of a TIFF or BigTIFF file: the tags that matter, and nothing that a camera or a microscope adds."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from struct import calcsize, error, unpack_from
from typing import Literal

from anogan.errors import Refused
from anogan.io.pixels import damaged

LITTLE, BIG = (b"II*\x00", b"II+\x00"), (b"MM\x00*", b"MM\x00+")
"""The first bytes of TIFF and BigTIFF."""

_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_TEXT, _RATIONAL, _UNDEFINED = 2, 5, 7
_MOST_TAGS, _MOST_VALUES = 4096, 1 << 22


class Tag(IntEnum):
    """The tags that are read, by the names of TIFF 6.0 and of those who added some."""

    SUBFILE_TYPE = 254
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    DESCRIPTION = 270
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    PLANAR = 284
    T4_OPTIONS = 292
    PREDICTOR = 317
    COLOR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    SUB_DIRECTORIES = 330
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    REFERENCE_BLACK_WHITE = 532
    DEPTH = 32997  # SGI
    NO_DATA = 42113  # GDAL: a number as text
    STACK = 33629  # MetaMorph: as many planes as this has values


_WANTED = frozenset(Tag)


@dataclass(frozen=True)
class Directory:
    """The first directory of a file.

    Attributes
    ----------
    name
        The file, for errors.
    order
        "<" or ">".
    values
        Of each tag that is there and not text.
    text
        The description.
    planes
        How many MetaMorph puts behind the first.
    following
        Where the next directory is, or 0.
    no_data
        The value that GDAL says stands where nothing was measured, or None.
    """

    name: str
    order: Literal["<", ">"]
    values: dict[int, tuple[float, ...]] = field(default_factory=dict)
    text: bytes = b""
    planes: int = 1
    following: int = 0
    no_data: float | None = None

    def __contains__(self, tag: Tag) -> bool:
        return tag in self.values

    def all(self, tag: Tag, otherwise: tuple[float, ...] = ()) -> tuple[float, ...]:
        """Return the values of a tag."""
        return self.values.get(tag, otherwise)

    def one(self, tag: Tag, otherwise: int) -> int:
        """Return the first value of a tag, which must be a whole number."""
        value = self.all(tag, (otherwise,))[0]
        if value != int(value):
            raise damaged(self.name)
        return int(value)


def read_directory(name: str, data: bytes) -> Directory:
    """Read the first directory of a file (TIFF 6.0, section 2); no more than the file is long is taken.

    Raises
    ------
    Refused
        It is damaged or cut off.
    """
    order: Literal["<", ">"] = "<" if data[:2] == b"II" else ">"
    big = data[:4] in (LITTLE[1], BIG[1])
    counter, offset, size = ("Q", "Q", 20) if big else ("H", "I", 12)
    values: dict[int, tuple[float, ...]] = {}
    text, planes, no_data = b"", 1, None
    seen: set[int] = set()
    try:
        (place,) = unpack_from(order + offset, data, 8 if big else 4)
        (count,) = unpack_from(order + counter, data, place)
        place += calcsize(order + counter)
        end = place + count * size
        if count > _MOST_TAGS or end > len(data):
            raise damaged(name)
        for entry in range(place, end, size):
            tag, kind, number = unpack_from(order + "HH" + offset, data, entry)
            if tag in seen or tag not in _WANTED:  # of two, the first counts
                continue
            seen.add(tag)
            if tag == Tag.STACK:
                planes = number
                continue
            raw = _raw(name, data, order, entry + 4 + calcsize(order + offset), kind, number, offset)
            if tag == Tag.DESCRIPTION:
                text = raw
            elif tag == Tag.NO_DATA:
                with suppress(ValueError):  # what is no number stands nowhere
                    no_data = float(raw.partition(b"\0")[0].decode("ascii"))
            else:
                values[tag] = _numbers(name, order, kind, raw)
        (following,) = unpack_from(order + offset, data, end)
    except error:
        raise damaged(name) from None
    return Directory(name, order, values, text, planes, following, no_data)


def _raw(name: str, data: bytes, order: str, place: int, kind: int, number: int, offset: str) -> bytes:
    """Return the bytes of a tag's value, which lies in its entry or elsewhere."""
    width = {_TEXT: 1, _UNDEFINED: 1, _RATIONAL: 8}.get(kind) or calcsize("=" + _TYPES.get(kind, "x"))
    if number * width > calcsize("=" + offset):
        (place,) = unpack_from(order + offset, data, place)
    if number > _MOST_VALUES:
        raise Refused(f"{name}: has a tag of {number} values, too many to read; export it again")
    if number == 0 or place + number * width > len(data):
        raise damaged(name)
    return data[place : place + number * width]


def _numbers(name: str, order: str, kind: int, raw: bytes) -> tuple[float, ...]:
    if kind == _UNDEFINED:
        return tuple(raw)
    if kind == _RATIONAL:
        pairs = unpack_from(f"{order}{len(raw) // 4}I", raw)
        return tuple(one / (two or 1) for one, two in zip(pairs[::2], pairs[1::2], strict=True))
    if kind not in _TYPES:
        raise damaged(name)
    code = _TYPES[kind]
    return unpack_from(f"{order}{len(raw) // calcsize('=' + code)}{code}", raw)
