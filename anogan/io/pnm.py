"""PBM, PGM and PPM, as text and binary, by value (netpbm's pbm(5), pgm(5) and ppm(5))."""

from __future__ import annotations

import re

import numpy as np

from anogan.io.decoded import Picture, picture
from anogan.io.pixels import check_size, damaged, several_pages

_HEADER_BYTES = 1 << 16
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})(?=[\s#])")
_MOST = re.compile(_GAP + rb"(\d{1,10})(?=[\s#])")


def pnm_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) as the header says, or (0, 0) where that is damaged."""
    header = _HEADER.match(data, 0, _HEADER_BYTES)
    return (int(header[3]), int(header[2])) if header else (0, 0)


def read_pnm(name: str, data: bytes) -> Picture:
    """Read a file of one picture; its values are divided by the maximum in its header.

    Raises
    ------
    Refused
        It is damaged, too large, holds a second picture, or a value above its maximum.
    """
    header = _HEADER.match(data, 0, _HEADER_BYTES)
    height, width = pnm_size(data)
    check_size(name, height, width)
    if header is None or not (height and width):
        raise damaged(name)
    kind, place, most = int(header[1]), header.end(), 1
    if kind not in (1, 4):
        found = _MOST.match(data, place, _HEADER_BYTES)
        if found is None or not 0 < int(found[1]) < 1 << 16:
            raise damaged(name)
        most, place = int(found[1]), found.end()
    shape = (height, width, 3) if kind in (3, 6) else (height, width)
    values = _text(name, kind, data[place:], shape) if kind < 4 else _binary(name, kind, data, place + 1, most, shape)
    if values.max() > most:
        raise damaged(name)
    details = {"original size": f"{height} x {width}", "color mode": "RGB" if len(shape) == 3 else "gray"}
    bits = {"bits": str(most.bit_length()), "maximum": str(most)}
    return picture(name, "PNM", values, most, details | bits, white_is_zero=kind in (1, 4))


def _text(name: str, kind: int, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Return the values that are written as digits; those of black and white need no gaps."""
    text = re.sub(rb"#[^\r\n]*", b"", data)
    if not re.fullmatch(rb"[\s\d]*", text):
        raise damaged(name)
    if kind == 1:
        values = np.frombuffer(text.translate(None, b" \t\n\r\v\f"), np.uint8).astype(np.int64) - ord("0")
    else:
        values = np.fromstring(text, np.int64, sep=" ")
    if values.size != np.prod(shape):
        raise damaged(name)
    return values.reshape(shape)


def _binary(name: str, kind: int, data: bytes, place: int, most: int, shape: tuple[int, ...]) -> np.ndarray:
    dtype = np.dtype(np.uint8 if most < 256 else ">u2")
    row = -(-shape[1] // 8) if kind == 4 else int(np.prod(shape[1:])) * dtype.itemsize
    end = place + shape[0] * row
    if end > len(data):
        raise damaged(name)
    if data[end : end + 1024].lstrip()[:1] == b"P":
        raise several_pages(name)
    if kind == 4:
        bits = np.unpackbits(np.frombuffer(data, np.uint8, end - place, place).reshape(shape[0], row), axis=1)
        return bits[:, : shape[1]]
    return np.frombuffer(data, dtype, int(np.prod(shape)), place).reshape(shape)
