"""The size that a compressed image gives itself, which is what its decoder allocates."""

from __future__ import annotations

from struct import unpack_from
from typing import NamedTuple

JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
"""The first bytes of a JP2 file (ISO 15444-1, I.5.1)."""


class Size(NamedTuple):
    """Rows, columns and samples per pixel."""

    rows: int
    columns: int
    samples: int

    def __str__(self) -> str:
        return f"{self.rows} x {self.columns} x {self.samples}"


class Unknown(ValueError):
    """The size is not in the bytes given: they are damaged, of another kind, or too few."""


def jpeg_size(data: bytes) -> Size:
    """Read the frame header of JPEG (ISO 10918-1, B.2.2) or JPEG-LS (ISO 14495-1, C.2.2).

    Raises
    ------
    Unknown
        There is none, or an image of several layers (hierarchical JPEG).
    """
    if data[:2] != b"\xff\xd8":
        raise Unknown
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise Unknown
        marker = data[place + 1]
        if marker == 0xFF:  # fill bytes
            place += 1
            continue
        (length,) = unpack_from(">H", data, place + 2)
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            if place + 10 > len(data):
                break
            return Size(*unpack_from(">HHB", data, place + 5))
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA or marker == 0xDE or length < 2:
            raise Unknown  # a scan or an end before any frame header
        place += 2 + length
    raise Unknown


def jpeg_2000_size(data: bytes) -> Size:
    """Read the SIZ segment of a JPEG 2000 codestream (ISO 15444-1, A.5.1), also of one in a JP2 file.

    Raises
    ------
    Unknown
        There is none where it should be.
    """
    place = _codestream(data) if data.startswith(JP2) else 0
    if data[place : place + 4] != b"\xff\x4f\xff\x51" or place + 42 > len(data):
        raise Unknown
    right, bottom, left, top = unpack_from(">4I", data, place + 8)
    (samples,) = unpack_from(">H", data, place + 40)
    return Size(bottom - top, right - left, samples)


def _codestream(data: bytes) -> int:
    """Return where the codestream begins in a JP2 file (ISO 15444-1, I.5.4)."""
    place = 0
    while place + 8 <= len(data):
        length, kind = unpack_from(">I4s", data, place)
        header = 8
        if length == 1 and place + 16 <= len(data):
            (length,), header = unpack_from(">Q", data, place + 8), 16
        if kind == b"jp2c":
            return place + header
        if length < header:
            raise Unknown
        place += length
    raise Unknown
