"""The structure of a TIFF file, read and checked before anything is decoded (TIFF 6.0; BigTIFF; their tags by number).

Sample format, bits, planes, byte order and photometric interpretation decide how the numbers are read. What is not read
is refused by what it is, and not as damaged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from struct import calcsize, error, unpack_from
from typing import Literal

import numpy as np

from anogan.io.pixels import MAX_PIXELS, Refused, check_size, too_large

LITTLE, BIG = (b"II*\x00", b"II+\x00"), (b"MM\x00*", b"MM\x00+")
"""The first bytes of TIFF and BigTIFF."""

MAX_BYTES = 1 << 29
"""Bytes that the numbers of a file may unpack to: 64 million pixels of gray as float64, or of RGB with 16 bits."""

GRAY_WHITE, GRAY, RGB, PALETTE, MASK, CMYK, YCBCR = range(7)
"""Photometric interpretations that are read."""
NONE, CCITT, CCITT_3, CCITT_4, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD = (
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    32946,
    32773,
    50000,
)
"""Compressions that are read."""

_COLORS = {GRAY_WHITE: 1, GRAY: 1, RGB: 3, PALETTE: 1, MASK: 1, CMYK: 4, YCBCR: 3}  # samples
_COLORS_UNREAD = {
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "a camera's raw mosaic",
    32844: "LogL",
    32845: "LogLuv",
}
_COMPRESSIONS = {NONE, CCITT, CCITT_3, CCITT_4, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD}
_COMPRESSIONS_UNREAD = {6: "JPEG of the old kind", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50001: "WebP"}
_COMPRESSIONS_UNREAD |= {33003: "JPEG 2000", 33005: "JPEG 2000", 50002: "JPEG XL", 34892: "lossy JPEG of a camera"}
_BITS = {"u": {*range(1, 17), 24, 32, 64}, "i": {8, 16, 32, 64}, "f": {16, 24, 32, 64}}

_WIDTH, _HEIGHT, _BITS_TAG, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _DESCRIPTION = 256, 257, 258, 259, 262, 266, 270
_STRIPS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 274, 277, 278, 279, 284
_T4, _PREDICTOR, _COLORMAP, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 292, 317, 320, 322, 323, 324, 325
_INKS, _EXTRA, _FORMAT, _JPEG_TABLES, _COEFFICIENTS, _SUBSAMPLING, _REFERENCE = 332, 338, 339, 347, 529, 530, 532
_DEPTH, _STACK = 32997, 33629
_WANTED = {
    *(_WIDTH, _HEIGHT, _BITS_TAG, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _DESCRIPTION, _STRIPS, _ORIENTATION),
    *(_SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR, _T4, _PREDICTOR, _COLORMAP, _TILE_WIDTH, _TILE_HEIGHT, _TILES),
    *(_TILE_BYTES, _INKS, _EXTRA, _FORMAT, _JPEG_TABLES, _COEFFICIENTS, _SUBSAMPLING, _REFERENCE, _DEPTH),
}
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_TEXT, _RATIONAL, _UNDEFINED = 2, 5, 7
_YCBCR = {_COEFFICIENTS: (0.299, 0.587, 0.114), _REFERENCE: (0, 255, 128, 255, 128, 255)}  # TIFF 6.0, section 21

_Tags = dict[int, tuple[float, ...]]


@dataclass(frozen=True)
class Layout:
    """How the numbers of a TIFF file lie in it; all that `anogan.io.tiff_pixels` needs.

    Attributes
    ----------
    order
        "<" or ">".
    height, width, samples
        As they are stored; orientation turns them.
    kind, bits
        "u", "i" or "f", and how many bits a number has.
    planes
        1, or the number of samples where each has a plane of its own.
    chunk
        (rows, columns) of a strip or tile.
    places
        (offset, bytes) of each strip or tile, row by row and plane by plane.
    alpha
        Which sample is the opacity, or None; `associated`: the colors are multiplied by it already.
    left_out
        How many samples beyond the colors have no meaning that is known.
    """

    order: Literal["<", ">"]
    height: int
    width: int
    samples: int
    kind: str
    bits: int
    photometric: int
    compression: int
    predictor: int
    reversed_bits: bool
    planes: int
    tiled: bool
    chunk: tuple[int, int]
    places: tuple[tuple[int, int], ...]
    orientation: int = 1
    alpha: int | None = None
    associated: bool = False
    left_out: int = 0
    colormap: np.ndarray | None = None
    jpeg_tables: bytes = b""
    t4_options: int = 0

    @property
    def colors(self) -> int:
        """Samples of a pixel that are its gray, color or palette index."""
        return _COLORS[self.photometric]


def tiff_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) as the first directory says, or (0, 0) where that is damaged."""
    try:
        tags, _, _ = _read_tags("", data)
        return _one(tags, _HEIGHT, 0, ""), _one(tags, _WIDTH, 0, "")
    except Refused:
        return 0, 0


def read_layout(name: str, data: bytes) -> Layout:
    """Read the structure of a TIFF file.

    Raises
    ------
    Refused
        One sentence that begins with `name`: it is damaged, too large, holds several pages, planes or channels, or
        numbers, colors or a compression that are not read.
    """
    tags, text, following = _read_tags(name, data)
    _check_one_picture(name, tags, text, following)
    height, width = _one(tags, _HEIGHT, 0, name), _one(tags, _WIDTH, 0, name)
    if not (height > 0 and width > 0):
        raise damaged(name)
    samples = _one(tags, _SAMPLES, 1, name)
    check_size(name, height, width)
    compression = _compression(name, tags)
    photometric = _photometric(name, tags, compression, samples)
    kind, bits = _numbers(name, tags, samples)
    alpha, associated, left_out = _extra_samples(name, tags, photometric, samples)
    planar = _one(tags, _PLANAR, 1, name) == 2 and samples > 1
    chunk = _chunk_size(name, tags, height, width, samples * max(bits, 8) // 8)
    places = _places(name, tags, data, -(-height // chunk[0]) * -(-width // chunk[1]) * (samples if planar else 1))
    layout = Layout(
        "<" if data[:2] == b"II" else ">",
        height,
        width,
        samples,
        kind,
        bits,
        photometric,
        compression,
        _one(tags, _PREDICTOR, 1, name) if compression in (LZW, DEFLATE, OLD_DEFLATE, ZSTD, NONE) else 1,
        _one(tags, _FILL_ORDER, 1, name) == 2,
        samples if planar else 1,
        _TILE_WIDTH in tags,
        chunk,
        places,
        _one(tags, _ORIENTATION, 1, name),
        alpha,
        associated,
        left_out,
        _colormap(name, tags, bits) if photometric == PALETTE else None,
        bytes(map(int, tags.get(_JPEG_TABLES, ()))),
        _one(tags, _T4, 0, name),
    )
    _check_combination(name, layout, tags)
    return layout


def damaged(name: str) -> Refused:
    """Return what to raise for a file that contradicts itself or ends too early."""
    return Refused(f"{name}: is damaged or cut off; copy or export it again")


def unread(name: str, what: str) -> Refused:
    """Return what to raise for a whole file of a kind that is not read."""
    return Refused(f"{name}: is a TIFF {what}, which is not read; save it as gray or RGB, uncompressed or with LZW")


def _read_tags(name: str, data: bytes) -> tuple[_Tags, bytes, int]:
    """Return the values of the tags that matter, the description, and where the next directory is (0: nowhere)."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[:4] in (LITTLE[1], BIG[1])
    counter, offset = ("Q", "Q") if big else ("H", "I")
    tags: _Tags = {}
    text = b""
    try:
        (place,) = unpack_from(order + offset, data, 8 if big else 4)
        (count,) = unpack_from(order + counter, data, place)
        place += calcsize(order + counter)
        size = 20 if big else 12
        if count > 4096 or place + count * size > len(data):
            raise damaged(name)
        for entry in range(place, place + count * size, size):
            tag, kind, number = unpack_from(order + "HH" + offset, data, entry)
            if tag == _STACK and number > 1:  # MetaMorph: as many planes as this has values
                raise _several(name)
            if tag in _WANTED:
                raw = _value(name, data, order, entry + 4 + calcsize(order + offset), kind, number, offset)
                if tag == _DESCRIPTION:
                    text = text or raw
                else:
                    tags.setdefault(tag, _decoded(name, order, kind, raw))
        (following,) = unpack_from(order + offset, data, place + count * size)
    except error:
        raise damaged(name) from None
    return tags, text, following


def _value(name: str, data: bytes, order: str, place: int, kind: int, number: int, offset: str) -> bytes:
    """Return the bytes of a tag's value, which lies in its entry or elsewhere."""
    width = {_TEXT: 1, _UNDEFINED: 1, _RATIONAL: 8, 10: 8}.get(kind) or calcsize("=" + _TYPES.get(kind, "x"))
    room = calcsize("=" + offset)
    if number * width > room:
        (place,) = unpack_from(order + offset, data, place)
    if number == 0 or place + number * width > len(data):
        raise damaged(name)
    return data[place : place + number * width]


def _decoded(name: str, order: str, kind: int, raw: bytes) -> tuple[float, ...]:
    if kind == _UNDEFINED:
        return tuple(raw)
    if kind == _RATIONAL:
        pairs = unpack_from(f"{order}{len(raw) // 4}I", raw)
        return tuple(one / (two or 1) for one, two in zip(pairs[::2], pairs[1::2], strict=True))
    if kind not in _TYPES:
        raise damaged(name)
    code = _TYPES[kind]
    return unpack_from(f"{order}{len(raw) // calcsize('=' + code)}{code}", raw)


def _one(tags: _Tags, tag: int, otherwise: int, name: str) -> int:
    value = tags.get(tag, (otherwise,))[0]
    if value != int(value):
        raise damaged(name)
    return int(value)


def _several(name: str) -> Refused:
    return Refused(f"{name}: holds several pages or frames; save each as a file of its own")


def _check_one_picture(name: str, tags: _Tags, text: bytes, following: int) -> None:
    """Refuse several pages, and one page behind which its description puts more (ImageJ; tifffile)."""
    images = re.match(rb"ImageJ=[^\n]*\n(?:.*\n)*?images=(\d{1,9})", text[:4096])
    if following or _one(tags, _DEPTH, 1, name) > 1 or (images and int(images[1]) > 1):
        raise _several(name)
    if text.startswith(b'{"shape":') and len(text) < 4096:
        try:
            shape = json.loads(text.rstrip(b"\0"))["shape"]
            stored = _one(tags, _HEIGHT, 1, name) * _one(tags, _WIDTH, 1, name) * _one(tags, _SAMPLES, 1, name)
            more = int(np.prod(shape, dtype=float)) > stored
        except (ValueError, TypeError, KeyError):
            return
        if more:
            raise _several(name)


def _compression(name: str, tags: _Tags) -> int:
    compression = _one(tags, _COMPRESSION, 1, name)
    if compression not in _COMPRESSIONS:
        what = _COMPRESSIONS_UNREAD.get(compression, f"a method of the number {compression}")
        raise unread(name, f"compressed with {what}")
    return compression


def _photometric(name: str, tags: _Tags, compression: int, samples: int) -> int:
    if _PHOTOMETRIC not in tags:
        raise Refused(
            f"{name}: does not say whether its zero is black or white or which colors it has; export it again"
        )
    photometric = _one(tags, _PHOTOMETRIC, 0, name)
    if photometric not in _COLORS:
        what = _COLORS_UNREAD.get(photometric, f"a photometric interpretation of the number {photometric}")
        raise unread(name, f"in the colors of {what}")
    if samples < _COLORS[photometric]:
        raise damaged(name)
    if photometric == CMYK and _one(tags, _INKS, 1, name) != 1:
        raise unread(name, "of inks other than CMYK")
    return photometric


def _numbers(name: str, tags: _Tags, samples: int) -> tuple[str, int]:
    """Return the kind of the numbers and their bits; both may be said once, or once a sample."""
    bits, formats = (set(islice(tags.get(tag, (1,)), samples)) for tag in (_BITS_TAG, _FORMAT))
    if len(bits) > 1 or len(formats) > 1:
        raise unread(name, "whose samples differ in their number of bits or in their format")
    (wide,), (form,) = bits, formats
    if form in (5, 6):
        raise unread(name, "of complex numbers")
    kind = {1: "u", 2: "i", 3: "f", 4: "u"}.get(int(form))  # 4: unknown, to be read as without this tag
    if kind is None or wide < 1:
        raise damaged(name)
    if wide not in _BITS[kind]:
        words = {"u": "unsigned", "i": "signed", "f": "floating point"}[kind]
        raise unread(name, f"of {words} numbers of {int(wide)} bits")
    return kind, int(wide)


def _extra_samples(name: str, tags: _Tags, photometric: int, samples: int) -> tuple[int | None, bool, int]:
    """Return which sample is the opacity, whether it is multiplied in, and how many samples nobody explains.

    A fourth sample beside RGB that is not explained is left out, as all readers do. More samples, or some beside gray,
    are channels of a microscope or a satellite, of which none may be dropped in silence.
    """
    colors = _COLORS[photometric]
    given = tags.get(_EXTRA, ())
    kinds = [int(given[k]) if k < len(given) else 0 for k in range(samples - colors)] if samples - colors < 64 else []
    opacity = next((k for k, kind in enumerate(kinds) if kind in (1, 2)), None)
    left_out = samples - colors - (opacity is not None)
    if left_out > (photometric in (RGB, CMYK)):
        raise Refused(f"{name}: holds {samples} channels; save each as a file of its own, or the colors as RGB")
    if opacity is None:
        return None, False, left_out
    return colors + opacity, kinds[opacity] == 1, left_out


def _chunk_size(name: str, tags: _Tags, height: int, width: int, pixel_bytes: int) -> tuple[int, int]:
    """Return (rows, columns) of strips or tiles; tiles at the edges are larger than what they show."""
    if _TILE_WIDTH in tags:
        rows, columns = _one(tags, _TILE_HEIGHT, 0, name), _one(tags, _TILE_WIDTH, 0, name)
    else:
        rows, columns = min(_one(tags, _ROWS, height, name), height), width
    if rows < 1 or columns < 1:
        raise damaged(name)
    padded = -(-height // rows) * rows * -(-width // columns) * columns
    if padded > 2 * MAX_PIXELS:
        raise too_large(name, f"tiles of {rows} x {columns}")
    if padded * pixel_bytes > MAX_BYTES:
        raise Refused(f"{name}: its numbers take more than {MAX_BYTES >> 20} MB; shrink it, or save it with fewer bits")
    return rows, columns


def _places(name: str, tags: _Tags, data: bytes, count: int) -> tuple[tuple[int, int], ...]:
    """Return offset and length of each strip or tile, none of which may lie outside of the file or hold others."""
    offsets, lengths = (
        tags.get(one, tags.get(two, ())) for one, two in ((_TILES, _STRIPS), (_TILE_BYTES, _STRIP_BYTES))
    )
    if not lengths and len(offsets) == count == 1 and _one(tags, _COMPRESSION, 1, name) == NONE:
        lengths = (len(data) - offsets[0],)  # old writers
    if len(offsets) < count or len(lengths) < count:
        raise damaged(name)
    places = tuple((int(one), int(two)) for one, two in zip(offsets[:count], lengths[:count], strict=True))
    if any(place <= 0 or length <= 0 or place + length > len(data) for place, length in places):
        raise damaged(name)
    if sum(length for _, length in places) > len(data):  # the same bytes again and again
        raise damaged(name)
    return places


def _colormap(name: str, tags: _Tags, bits: int) -> np.ndarray:
    """Return the colors of a palette, (2 ** bits, 3) float32 in [0, 1]; some write them as bytes."""
    colors: Sequence[float] = tags.get(_COLORMAP, ())
    if bits > 16 or len(colors) != 3 * 2**bits:
        raise damaged(name)
    table = np.array(colors, np.int64).reshape(3, -1).T
    return ((table if table.max() < 256 else table >> 8) / 255).astype(np.float32)


def _check_combination(name: str, layout: Layout, tags: _Tags) -> None:
    """Refuse whole files whose combination is not read."""
    if layout.compression in (CCITT, CCITT_3, CCITT_4) and (layout.bits, layout.samples, layout.kind) != (1, 1, "u"):
        raise damaged(name)
    if layout.compression == JPEG and (layout.bits, layout.kind) != (8, "u"):
        raise unread(name, f"compressed with JPEG of {layout.bits} bits")
    if layout.photometric in (PALETTE, MASK) and layout.kind != "u":
        raise damaged(name)
    if layout.photometric == CMYK and (layout.kind, layout.bits) not in (("u", 8), ("u", 16)):
        raise unread(name, f"in CMYK of {layout.bits} bits")
    if layout.predictor not in (1, 2, 3):
        raise unread(name, f"with a predictor of the number {layout.predictor}")
    if layout.predictor == 2 and layout.bits not in (8, 16, 32, 64):
        raise unread(name, f"with differences of {layout.bits} bits")
    if layout.predictor == 3 and (layout.kind != "f" or layout.bits == 24):
        raise damaged(name) if layout.kind != "f" else unread(name, "with differences of 24 bits")
    if layout.photometric == YCBCR and layout.compression != JPEG:
        plain = (layout.kind, layout.bits, layout.samples) == ("u", 8, 3)
        usual = all(
            len(tags.get(tag, value)) == len(value) and np.allclose(tags.get(tag, value), value, atol=1e-3)
            for tag, value in _YCBCR.items()
        )
        if not plain or not usual or tuple(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1):
            raise unread(name, "in YCbCr with reduced or unusual colors and without JPEG")
