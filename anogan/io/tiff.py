"""The structure of a TIFF file, read and checked before anything is decoded (TIFF 6.0; BigTIFF; their tags by number).

Sample format, bits, planes, byte order and photometric interpretation decide how the numbers are read. What is not read
is refused by what it is, and not as damaged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Literal

import numpy as np

from anogan.errors import Refused
from anogan.io.pixels import check_size, damaged, several_pages
from anogan.io.tiff_tags import Directory, Tag, read_directory
from anogan.storage.documents import json_value

MAX_BYTES = 1 << 29
"""Bytes that the numbers of a file may unpack to, more than 64 million pixels of RGB with 16 bits take; half as many
where they have more bits and must be stretched."""


class Photometric(IntEnum):
    """What samples show, as far as it is read (tag 262)."""

    GRAY_WHITE = 0
    GRAY = 1
    RGB = 2
    PALETTE = 3
    MASK = 4
    CMYK = 5
    YCBCR = 6


class Compression(IntEnum):
    """How strips and tiles are compressed, as far as it is read (tag 259)."""

    NONE = 1
    FAX = 2
    FAX_3 = 3
    FAX_4 = 4
    LZW = 5
    JPEG = 7
    DEFLATE = 8
    OLD_DEFLATE = 32946
    PACKBITS = 32773
    LZMA = 34925
    ZSTD = 50000


_LARGEST_TILE = 1 << 24
"""Pixels of a tile that may be larger than its image."""
_COLORS = dict.fromkeys(Photometric, 1) | {Photometric.RGB: 3, Photometric.YCBCR: 3, Photometric.CMYK: 4}  # samples
_COLORS_UNREAD = {
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "a camera's raw mosaic",
    32844: "LogL",
    32845: "LogLuv",
}
_FAXES = (Compression.FAX, Compression.FAX_3, Compression.FAX_4)
_WITH_DIFFERENCES = {Compression.LZW, Compression.DEFLATE, Compression.OLD_DEFLATE, Compression.LZMA, Compression.ZSTD}
_COMPRESSIONS_UNREAD = {6: "JPEG of the old kind", 34712: "JPEG 2000", 34887: "LERC", 50001: "WebP"}
_COMPRESSIONS_UNREAD |= {33003: "JPEG 2000", 33005: "JPEG 2000", 50002: "JPEG XL", 34892: "lossy JPEG of a camera"}
_BITS = {"u": {*range(1, 17), 24, 32, 64}, "i": {8, 16, 32, 64}, "f": {16, 24, 32, 64}}

_YCBCR = {  # TIFF 6.0, section 21
    Tag.YCBCR_COEFFICIENTS: (0.299, 0.587, 0.114),
    Tag.REFERENCE_BLACK_WHITE: (0, 255, 128, 255, 128, 255),
}


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
    no_data
        The value that stands where nothing was measured, or None.
    """

    order: Literal["<", ">"]
    height: int
    width: int
    samples: int
    kind: str
    bits: int
    photometric: Photometric
    compression: Compression
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
    no_data: float | None = None

    @property
    def colors(self) -> int:
        """Samples of a pixel that are its gray, color or palette index."""
        return _COLORS[self.photometric]


def tiff_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) as the first directory says, or (0, 0) where that is damaged."""
    try:
        tags = read_directory("", data)
        return tags.one(Tag.HEIGHT, 0), tags.one(Tag.WIDTH, 0)
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
    tags = read_directory(name, data)
    _check_one_picture(tags)
    height, width = tags.one(Tag.HEIGHT, 0), tags.one(Tag.WIDTH, 0)
    if not (height > 0 and width > 0):
        raise damaged(name)
    samples = tags.one(Tag.SAMPLES, len(tags.all(Tag.BITS, (1,))))
    check_size(name, height, width)
    compression = _compression(tags)
    photometric = _photometric(tags, samples)
    kind, bits = _numbers(tags, samples)
    alpha, associated, left_out = _extra_samples(tags, photometric, samples)
    planar = tags.one(Tag.PLANAR, 1) == 2 and samples > 1
    chunk = _chunk_size(tags, height, width, samples, number_bytes(bits))
    places = _places(tags, data, -(-height // chunk[0]) * -(-width // chunk[1]) * (samples if planar else 1))
    layout = Layout(
        tags.order,
        height,
        width,
        samples,
        kind,
        bits,
        photometric,
        compression,
        tags.one(Tag.PREDICTOR, 1) if compression not in (*_FAXES, Compression.JPEG) else 1,
        tags.one(Tag.FILL_ORDER, 1) == 2,
        samples if planar else 1,
        Tag.TILE_WIDTH in tags,
        chunk,
        places,
        tags.one(Tag.ORIENTATION, 1),
        alpha,
        associated,
        left_out,
        _colormap(tags, bits) if photometric == Photometric.PALETTE else None,
        bytes(map(int, tags.all(Tag.JPEG_TABLES, ()))),
        tags.one(Tag.T4_OPTIONS, 0),
        tags.no_data,
    )
    _check_combination(layout, tags)
    return layout


def number_bytes(bits: int) -> int:
    """Return how many bytes a number of some bits takes in memory."""
    return next(size for size in (1, 2, 4, 8) if bits <= 8 * size)


def unread(name: str, what: str) -> Refused:
    """Return what to raise for a whole file of a kind that is not read."""
    return Refused(f"{name}: is a TIFF {what}, which is not read; save it as gray or RGB of 8 or 16 bits")


def _check_one_picture(tags: Directory) -> None:
    """Refuse several pages, and one page behind which its description puts more (ImageJ; tifffile)."""
    images = re.match(rb"ImageJ=[^\n]*\n(?:.*\n)*?images=(\d{1,9})", tags.text[:4096])
    if tags.following or tags.planes > 1 or tags.one(Tag.DEPTH, 1) > 1 or (images and int(images[1]) > 1):
        raise several_pages(tags.name)
    if tags.one(Tag.SUBFILE_TYPE, 0) & 1 and Tag.SUB_DIRECTORIES in tags:  # as cameras write their raw files
        raise Refused(f"{tags.name}: begins with a thumbnail and keeps its picture elsewhere; export that as PNG")
    if tags.text.startswith(b'{"shape":') and len(tags.text) < 4096:
        try:
            shape = json_value(tags.text.rstrip(b"\0").decode())["shape"]
            stored = tags.one(Tag.HEIGHT, 1) * tags.one(Tag.WIDTH, 1) * tags.one(Tag.SAMPLES, 1)
            more = int(np.prod(shape, dtype=float)) > stored
        except (ValueError, TypeError, KeyError, OverflowError):
            return
        if more:
            raise several_pages(tags.name)


def _compression(tags: Directory) -> Compression:
    compression = tags.one(Tag.COMPRESSION, 1)
    if compression not in set(Compression):
        what = _COMPRESSIONS_UNREAD.get(compression, f"a method of the number {compression}")
        raise unread(tags.name, f"compressed with {what}")
    return Compression(compression)


def _photometric(tags: Directory, samples: int) -> Photometric:
    if Tag.PHOTOMETRIC not in tags:
        raise Refused(
            f"{tags.name}: does not say whether its zero is black or white or which colors it has; export it again"
        )
    photometric = tags.one(Tag.PHOTOMETRIC, 0)
    if photometric not in set(Photometric):
        what = _COLORS_UNREAD.get(photometric, f"a photometric interpretation of the number {photometric}")
        raise unread(tags.name, f"in the colors of {what}")
    if samples < _COLORS[Photometric(photometric)]:
        raise damaged(tags.name)
    if photometric == Photometric.CMYK and tags.one(Tag.INK_SET, 1) != 1:
        raise unread(tags.name, "of inks other than CMYK")
    return Photometric(photometric)


def _numbers(tags: Directory, samples: int) -> tuple[str, int]:
    """Return the kind of the numbers and their bits; both may be said once, or once a sample."""
    bits, formats = (set(islice(tags.all(tag, (1,)), samples)) for tag in (Tag.BITS, Tag.SAMPLE_FORMAT))
    if len(bits) > 1 or len(formats) > 1:
        raise unread(tags.name, "whose samples differ in their number of bits or in their format")
    (wide,), (form,) = bits, formats
    if form in (5, 6):
        raise unread(tags.name, "of complex numbers")
    kind = {1: "u", 2: "i", 3: "f", 4: "u"}.get(int(form))  # 4: unknown, to be read as without this tag
    if kind is None or wide < 1:
        raise damaged(tags.name)
    if wide not in _BITS[kind]:
        words = {"u": "unsigned", "i": "signed", "f": "floating point"}[kind]
        raise unread(tags.name, f"of {words} numbers of {int(wide)} bits")
    return kind, int(wide)


def _extra_samples(tags: Directory, photometric: Photometric, samples: int) -> tuple[int | None, bool, int]:
    """Return which sample is the opacity, whether it is multiplied in, and how many samples nobody explains.

    A fourth sample beside RGB that is not explained is left out, as all readers do. More samples, or some beside gray,
    are channels of a microscope or a satellite, of which none may be dropped in silence.
    """
    colors = _COLORS[photometric]
    given = tags.all(Tag.EXTRA_SAMPLES, ())
    kinds = [int(given[k]) if k < len(given) else 0 for k in range(samples - colors)] if samples - colors < 64 else []
    opacity = next((k for k, kind in enumerate(kinds) if kind in (1, 2)), None)
    left_out = samples - colors - (opacity is not None)
    if left_out > (photometric in (Photometric.RGB, Photometric.CMYK)):
        raise Refused(f"{tags.name}: holds {samples} channels; save each as a file of its own, or the colors as RGB")
    if opacity is None:
        return None, False, left_out
    return colors + opacity, kinds[opacity] == 1, left_out


def _chunk_size(tags: Directory, height: int, width: int, samples: int, each: int) -> tuple[int, int]:
    """Return (rows, columns) of strips or tiles; tiles at the edges are larger than what they show."""
    if Tag.TILE_WIDTH in tags:
        rows, columns = tags.one(Tag.TILE_HEIGHT, 0), tags.one(Tag.TILE_WIDTH, 0)
    else:
        rows, columns = min(tags.one(Tag.ROWS_PER_STRIP, height), height), width
    if rows < 1 or columns < 1:
        raise damaged(tags.name)
    padded = -(-height // rows) * rows * -(-width // columns) * columns
    if padded > 2 * height * width + _LARGEST_TILE:  # readers make room for images by their size
        raise Refused(
            f"{tags.name}: has tiles of {rows} x {columns} for an image of {height} x {width}; save it with small ones"
        )
    most = MAX_BYTES if each <= 2 else MAX_BYTES // 2
    if padded * samples * each > most:
        raise Refused(f"{tags.name}: its numbers take more than {most >> 20} MB; shrink it or save fewer bits")
    return rows, columns


def _places(tags: Directory, data: bytes, count: int) -> tuple[tuple[int, int], ...]:
    """Return offset and length of each strip or tile, none of which may lie outside of the file or hold others."""
    offsets = tags.all(Tag.TILE_OFFSETS, tags.all(Tag.STRIP_OFFSETS))
    lengths = tags.all(Tag.TILE_BYTES, tags.all(Tag.STRIP_BYTES))
    if not lengths and len(offsets) == count == 1 and tags.one(Tag.COMPRESSION, 1) == Compression.NONE:
        lengths = (len(data) - offsets[0],)  # old writers
    if len(offsets) < count or len(lengths) < count:
        raise damaged(tags.name)
    places = tuple((int(one), int(two)) for one, two in zip(offsets[:count], lengths[:count], strict=True))
    if tags.one(Tag.COMPRESSION, 1) == Compression.NONE:  # some writers say more; what is needed is checked later
        places = tuple((place, min(length, len(data) - place)) for place, length in places)
    if any(place == 0 or length == 0 for place, length in places):
        raise Refused(f"{tags.name}: leaves some of its strips or tiles out; export it again, whole")
    if any(place < 0 or length < 0 or place + length > len(data) for place, length in places):
        raise damaged(tags.name)
    if sum(length for _, length in places) > len(data):
        raise Refused(f"{tags.name}: takes the same bytes for several strips or tiles; export it again")
    return places


def _colormap(tags: Directory, bits: int) -> np.ndarray:
    """Return the colors of a palette, (2 ** bits, 3) float32 in [0, 1]; some write them as bytes."""
    colors: Sequence[float] = tags.all(Tag.COLOR_MAP, ())
    if bits > 16 or len(colors) != 3 * 2**bits:
        raise damaged(tags.name)
    table = np.array(colors, np.int64).reshape(3, -1).T
    return ((table if table.max() < 256 else table >> 8) / 255).astype(np.float32)


def _check_combination(layout: Layout, tags: Directory) -> None:
    """Refuse whole files whose combination is not read."""
    if layout.compression in _FAXES and (layout.bits, layout.samples, layout.kind) != (1, 1, "u"):
        raise damaged(tags.name)
    if layout.compression == Compression.JPEG and (layout.bits, layout.kind) != (8, "u"):
        raise unread(tags.name, f"compressed with JPEG of {layout.bits} bits")
    if layout.photometric in (Photometric.PALETTE, Photometric.MASK) and layout.kind != "u":
        raise damaged(tags.name)
    if layout.photometric == Photometric.CMYK and (layout.kind, layout.bits) not in (("u", 8), ("u", 16)):
        raise unread(tags.name, f"in CMYK of {layout.bits} bits")
    if layout.associated and layout.photometric in (Photometric.PALETTE, Photometric.CMYK):
        raise unread(tags.name, "whose opacity is multiplied into a palette or into inks")
    if layout.predictor not in (1, 2, 3):
        raise unread(tags.name, f"with a predictor of the number {layout.predictor}")
    if layout.predictor != 1 and layout.compression not in _WITH_DIFFERENCES:  # which some readers apply, some do not
        raise unread(tags.name, "with differences, but without a compression that has them")
    if layout.predictor == 2 and layout.bits not in (8, 16, 32, 64):
        raise unread(tags.name, f"with differences of {layout.bits} bits")
    if layout.predictor == 3 and (layout.kind != "f" or layout.bits == 24):
        raise damaged(tags.name) if layout.kind != "f" else unread(tags.name, "with differences of 24 bits")
    if layout.photometric == Photometric.YCBCR and layout.compression != Compression.JPEG:
        plain = (layout.kind, layout.bits, layout.samples) == ("u", 8, 3)
        usual = all(
            len(tags.all(tag, value)) == len(value) and np.allclose(tags.all(tag, value), value, atol=1e-3)
            for tag, value in _YCBCR.items()
        )
        if not plain or not usual or tuple(tags.all(Tag.YCBCR_SUBSAMPLING, (2, 2))) != (1, 1):
            raise unread(tags.name, "in YCbCr with reduced or unusual colors and without JPEG")
