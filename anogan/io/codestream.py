"""What a compressed image says of itself, which is what its decoder obeys: size, depth, color, scans and end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from struct import unpack_from
from typing import NamedTuple

JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
"""The first bytes of a JP2 file (ISO 15444-1, I.5.1)."""
MAX_SCANS = 100
"""Scans of a progressive JPEG, each of which goes over all pixels; encoders make about ten."""
_MAX_SEGMENTS = 100_000

_SEGMENT = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""A marker that is no restart within a scan (ISO 10918-1, B.1.1.3); scans hold no other FF but with a stuffed zero
behind it, JPEG-LS with a stuffed bit (ISO 14495-1, A.1)."""

_MORE = bytes(37 * number % 251 for number in range(1, 65))


class Size(NamedTuple):
    """Rows, columns and samples per pixel."""

    rows: int
    columns: int
    samples: int

    def __str__(self) -> str:
        return f"{self.rows} x {self.columns} x {self.samples}"


@dataclass(frozen=True)
class Stream:
    """The header of a compressed image.

    Attributes
    ----------
    size
        Rows, columns and samples.
    precision
        Bits of a sample; 0 where those of its samples differ.
    signed
        Whether samples may be negative; None: JPEG and JPEG-LS do not say.
    colors
        "RGB", "YBR", both or neither: what JPEG, or a JP2 file around JPEG 2000, tells of the colors of its samples.
    transformed
        Whether a decoder of JPEG 2000 turns the samples to RGB by itself (ISO 15444-1, annex G).
    """

    size: Size
    precision: int
    signed: bool | None = None
    colors: frozenset[str] = frozenset()
    transformed: bool = False


class Unknown(ValueError):
    """The header is not in the bytes given: they are damaged, of another kind, or too few."""


def jpeg_header(data: bytes) -> Stream:
    """Read the frame header of JPEG (ISO 10918-1, B.2.2) or JPEG-LS (ISO 14495-1, C.2.2).

    Colors are told by Adobe's segment (APP14, Adobe Technical Note 5116: its transform), by a JFIF segment, which means
    YCbCr (ISO 10918-5, 6.2), by samples named R, G and B, and by samples of fewer pixels, which only chroma has.

    Raises
    ------
    Unknown
        There is none, or an image of several layers (hierarchical JPEG).
    """
    if data[:2] != b"\xff\xd8":
        raise Unknown
    colors: set[str] = set()
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise Unknown
        marker = data[place + 1]
        if marker == 0xFF:  # fill bytes
            place += 1
            continue
        (length,) = unpack_from(">H", data, place + 2)
        segment = data[place + 4 : place + 2 + length]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
                break
            precision, *size = unpack_from(">BHHB", segment)
            return Stream(Size(*size), precision, colors=frozenset(colors | _colors_of_samples(segment[6:])))
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA or marker == 0xDE or length < 2:
            raise Unknown  # a scan or an end before any frame header
        if marker == 0xE0 and segment.startswith(b"JFIF\0"):
            colors.add("YBR")
        if marker == 0xEE and segment.startswith(b"Adobe") and len(segment) > 11:
            colors.add("YBR" if segment[11] else "RGB")
        place += 2 + length
    raise Unknown


def _colors_of_samples(samples: bytes) -> set[str]:
    """Return the colors that the names (0, 3, 6) and sampling factors (1, 4, 7) of a frame header tell."""
    if len(samples) < 9:
        return set()
    named = {"RGB"} if samples[:9:3] in (b"RGB", b"rgb") else set()
    return named | ({"YBR"} if len(set(samples[1:9:3])) > 1 else set())


def jpeg_scans(data: bytes) -> tuple[int, int]:
    """Count the scans of JPEG or JPEG-LS up to its end, or to one more than `MAX_SCANS`.

    Segments are stepped over, with the thumbnails in them, and nothing behind the end is looked at.

    Returns
    -------
    scans, end
        How many; the place behind its end (EOI), or 0 if the search did not get there.

    Raises
    ------
    Unknown
        It has so many other segments that stepping over them takes seconds.
    """
    place, scans = 2, 0
    for _ in range(_MAX_SEGMENTS):
        found = _SEGMENT.search(data, place)
        if found is None or scans > MAX_SCANS:
            return scans, 0
        marker, place = data[found.end() - 1], found.end()
        if marker == 0xD9:
            return scans, place
        scans += marker == 0xDA
        place += int.from_bytes(data[place : place + 2], "big")
    raise Unknown


def with_longer_scans(data: bytes) -> bytes:
    """Return a JPEG with some bytes more at the end of each scan: a decoder reads them only where others are missing.

    Decoders fill what is missing with gray, without a word; so an image that comes out otherwise is cut off.
    """
    parts, start, place, within = [], 0, 2, False
    while found := _SEGMENT.search(data, place):
        if within:
            scan = data[start : found.start()].rstrip(b"\xff")  # without fill bytes of the marker
            parts += [scan, _MORE]
            start += len(scan)
        marker, place = data[found.end() - 1], found.end()
        if marker == 0xD9:
            break
        within = marker == 0xDA
        place += int.from_bytes(data[place : place + 2], "big")
    return b"".join([*parts, data[start:]])


def jpeg_2000_header(data: bytes) -> Stream:
    """Read the main header of a JPEG 2000 codestream (ISO 15444-1, A.5.1 and A.6.1), also of one in a JP2 file.

    Raises
    ------
    Unknown
        There is none where it should be.
    """
    start = _codestream(data) if data.startswith(JP2) else 0
    if data[start : start + 4] != b"\xff\x4f\xff\x51" or start + 42 > len(data):
        raise Unknown
    right, bottom, left, top = unpack_from(">4I", data, start + 8)
    (samples,) = unpack_from(">H", data, start + 40)
    described = {data[start + 42 + 3 * n : start + 45 + 3 * n] for n in range(min(samples, 5))}
    place = start + 2
    while place + 4 <= len(data):
        marker, length = unpack_from(">2H", data, place)
        if marker == 0xFF52 and place + 9 <= len(data):
            depth, across, down = described.pop() if len(described) == 1 else b"\x7f\1\1"
            if (across, down) != (1, 1):
                depth = 0x7F  # samples of fewer pixels
            size = Size(bottom - top, right - left, samples)
            colors = _colors_of_jp2(data[:start])
            return Stream(size, (depth + 1) & 0x7F, bool(depth & 0x80), colors, data[place + 8] != 0)
        if not 0xFF50 <= marker < 0xFF90 or length < 2:
            raise Unknown  # the first tile, or damage
        place += 2 + length
    raise Unknown


def _colors_of_jp2(boxes: bytes) -> frozenset[str]:
    """Return the colors that the boxes before a codestream tell (ISO 15444-1, I.5.3.3): decoders turn them to RGB."""
    spaces = re.findall(rb"colr\x01..(....)", boxes, re.DOTALL)  # by number
    usual = all(int.from_bytes(space, "big") in (16, 17) for space in spaces)  # sRGB, gray
    return frozenset() if usual else frozenset({"YBR"})


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
