"""The numbers of a TIFF file: strips and tiles decoded by imagecodecs, laid together, and brought to gray or RGB."""

from __future__ import annotations

import lzma
import zlib

import imagecodecs
import numpy as np

from anogan.errors import Refused
from anogan.io.codestream import MAX_SCANS, Unknown, jpeg_header, jpeg_scans
from anogan.io.decoded import Picture, picture, upright
from anogan.io.pixels import damaged
from anogan.io.tiff import Compression, Layout, Photometric, number_bytes, read_layout, unread

_LZMA_MEMORY = 1 << 27
"""Bytes that LZMA may take for itself, which its header asks for: level 9 needs half of them."""
_NAMES = {
    Photometric.GRAY_WHITE: "gray, 0 is white",
    Photometric.GRAY: "gray",
    Photometric.RGB: "RGB",
    Photometric.PALETTE: "palette",
    Photometric.MASK: "black and white",
    Photometric.CMYK: "CMYK",
    Photometric.YCBCR: "YCbCr",
}


def read_tiff(name: str, data: bytes) -> Picture:
    """Read a TIFF or BigTIFF file of one page.

    Raises
    ------
    Refused
        As `anogan.io.tiff.read_layout`, or its strips or tiles cannot be decoded.
    """
    layout = read_layout(name, data)
    try:
        numbers = upright(_numbers(name, layout, data), layout.orientation)
    except (Refused, MemoryError):
        raise
    except Exception:  # decoders fail in many ways on damaged data
        raise damaged(name) from None
    details = {"original size": f"{layout.height} x {layout.width}", "color mode": _NAMES[layout.photometric]}
    details |= {"bits": str(layout.bits)}
    if layout.left_out:
        details["channels left out"] = str(layout.left_out)
    return _interpreted(name, layout, numbers, details)


def _interpreted(name: str, layout: Layout, numbers: np.ndarray, details: dict[str, str]) -> Picture:
    """Return what (H, W, samples) numbers show."""
    colors = numbers[..., : layout.colors]
    most = 2**layout.bits - 1 if layout.kind == "u" and layout.bits <= 16 else None
    if missing := _without_data(layout, colors, most):
        raise Refused(
            f"{name}: marks {missing:,} values as holding no data ({layout.no_data:g}); crop them away or fill them"
        )
    alpha = None
    if layout.alpha is not None:
        opacity = numbers[..., layout.alpha].astype(np.float32)
        if most is None and (layout.kind != "f" or not (opacity.min() >= 0 and opacity.max() <= 1)):
            raise unread(name, "whose opacity has no known range")
        alpha = opacity / np.float32(most or 1)
    index = None
    if layout.photometric == Photometric.PALETTE:
        assert layout.colormap is not None
        index = colors[..., 0]
        values, most = layout.colormap[index], 1
    elif layout.photometric == Photometric.CMYK:
        inks = colors.astype(np.float32) / np.float32(most or 1)
        values, most = (1 - inks[..., :3]) * (1 - inks[..., 3:]), 1
    elif layout.photometric == Photometric.YCBCR and layout.compression != Compression.JPEG:
        values = _rgb(colors)
    else:
        values = colors[..., 0] if layout.colors == 1 else colors
    return picture(
        name,
        "TIFF",
        values,
        most,
        details,
        alpha=alpha,
        associated=layout.associated,
        index=index,
        white_is_zero=layout.photometric == Photometric.GRAY_WHITE,
        lossy=layout.compression == Compression.JPEG,
    )


def _without_data(layout: Layout, colors: np.ndarray, most: int | None) -> int:
    """Count the values that say that nothing was measured (GDAL_NODATA, tag 42113).

    They are no brightness, and a window from minimum to maximum would begin or end at them. Zeros that are black anyway
    pass, and so does a palette, which shows them in a color of theirs.
    """
    black = layout.no_data == 0 and most is not None and layout.photometric != Photometric.GRAY_WHITE
    if layout.no_data is None or black or layout.photometric == Photometric.PALETTE:
        return 0
    with np.errstate(over="ignore"):  # a number of float64 may be none of float32
        value = colors.dtype.type(layout.no_data) if layout.kind == "f" else layout.no_data
    return int(np.count_nonzero(colors == value))


def _rgb(colors: np.ndarray) -> np.ndarray:
    """Return RGB for YCbCr, (H, W, 3) uint8, by the weights of ITU-R BT.601 (TIFF 6.0, section 21)."""
    luma, blue, red = (colors[..., k].astype(np.float64) - (128 if k else 0) for k in range(3))
    rgb = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    return rgb.round().clip(0, 255).astype(np.uint8)


def _numbers(name: str, layout: Layout, data: bytes) -> np.ndarray:
    """Return the numbers of a file, (H, W, samples)."""
    rows, columns = layout.chunk
    down, across = -(-layout.height // rows), -(-layout.width // columns)
    together = layout.samples // layout.planes
    found = np.empty((layout.height, layout.width, layout.samples), _dtype(layout))
    for number, (place, length) in enumerate(layout.places):
        plane, cell = divmod(number, down * across)
        top, left = cell // across * rows, cell % across * columns
        high, wide = min(rows, layout.height - top), min(columns, layout.width - left)
        stored = _chunk(
            name, layout, data[place : place + length], (rows, columns, together), rows if layout.tiled else high
        )
        target = found[top : top + high, left : left + wide, plane * together : (plane + 1) * together]
        target[:] = stored[:high, :wide]
    return found


def _dtype(layout: Layout) -> np.dtype:
    return np.dtype(f"{layout.kind}{number_bytes(layout.bits)}")


def _chunk(name: str, layout: Layout, data: bytes, shape: tuple[int, int, int], least: int) -> np.ndarray:
    """Return the numbers of a strip or tile, (rows, columns, samples); of a last strip, at least the rows it shows."""
    rows, columns, samples = shape
    if layout.compression == Compression.JPEG:
        return _jpeg(name, layout, data, shape, least)
    raw: bytes | bytearray = imagecodecs.bitorder_decode(data) if layout.reversed_bits else data
    if layout.compression in (Compression.FAX, Compression.FAX_3, Compression.FAX_4):
        return _ccitt(layout, raw, least, columns)
    row = -(-columns * samples * layout.bits // 8)
    raw = _unpacked(layout.compression, raw, rows * row)
    rows = min(rows, len(raw) // row)
    if rows < least:
        raise damaged(name)
    return _unpredicted(layout, raw[: rows * row], (rows, columns, samples))


def _unpacked(compression: Compression, raw: bytes | bytearray, most: int) -> bytes | bytearray:
    """Return the bytes of a strip or tile; no more than it can hold are unpacked."""
    if compression == Compression.LZW:
        return imagecodecs.lzw_decode(raw, out=most)
    if compression in (Compression.DEFLATE, Compression.OLD_DEFLATE):
        return zlib.decompressobj().decompress(raw, most)
    if compression == Compression.LZMA:
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY).decompress(raw, most)
    if compression == Compression.PACKBITS:
        return imagecodecs.packbits_decode(raw, out=most)
    if compression == Compression.ZSTD:
        return imagecodecs.zstd_decode(raw, out=most)
    return raw


def _unpredicted(layout: Layout, raw: bytes | bytearray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the numbers that some bytes hold."""
    dtype = _dtype(layout)
    if layout.predictor == 3:  # the bytes of a row lie in planes, whatever the byte order (Adobe TIFF Technical Note 3)
        return imagecodecs.floatpred_decode(np.frombuffer(raw, dtype).reshape(shape), axis=-2)
    if layout.predictor == 2:  # differences of the bits as unsigned numbers, also for others (TIFF 6.0, section 14)
        unsigned = np.dtype(f"u{dtype.itemsize}")
        steps = np.frombuffer(raw, unsigned.newbyteorder(layout.order)).reshape(shape)
        return np.cumsum(steps, axis=1, dtype=unsigned).view(dtype)
    if layout.bits == 24 and layout.kind == "f":
        return imagecodecs.float24_decode(raw, byteorder=layout.order).reshape(shape)
    if layout.bits == 24:
        three = np.frombuffer(raw, np.uint8).reshape(*shape, 3).astype(np.uint32)
        low, middle, high = (three[..., k] for k in ((0, 1, 2) if layout.order == "<" else (2, 1, 0)))
        return low | middle << 8 | high << 16
    if layout.bits in (8, 16, 32, 64):
        return np.frombuffer(raw, dtype.newbyteorder(layout.order)).reshape(shape)
    unpacked = imagecodecs.packints_decode(raw, dtype, layout.bits, runlen=shape[1] * shape[2])
    return unpacked.reshape(shape)


def _ccitt(layout: Layout, raw: bytes | bytearray, rows: int, columns: int) -> np.ndarray:
    """Return a fax's black and white, (rows, columns, 1) of 0 and 1."""
    if layout.compression == Compression.FAX:
        bits = imagecodecs.ccittrle_decode(raw, rows, columns)
    elif layout.compression == Compression.FAX_3:
        bits = imagecodecs.ccittfax3_decode(raw, rows, columns, t4options=layout.t4_options)
    else:
        bits = imagecodecs.ccittfax4_decode(raw, rows, columns)
    return np.asarray(bits).reshape(rows, columns, 1)


def _jpeg(name: str, layout: Layout, raw: bytes, shape: tuple[int, int, int], least: int) -> np.ndarray:
    """Return a strip or tile of JPEG, whose size in its own header must be the one it has here."""
    try:
        header = jpeg_header(raw)
        scans, _ = jpeg_scans(raw)
    except Unknown:
        raise damaged(name) from None
    size = header.size
    if not (least <= size.rows <= shape[0] and size[1:] == shape[1:] and header.precision == 8):
        raise damaged(name)
    if scans > MAX_SCANS:
        raise Refused(f"{name}: has more than {MAX_SCANS} scans in a strip of JPEG, too slow to decode; save it anew")
    color = {Photometric.RGB: "RGB", Photometric.YCBCR: "YCBCR", Photometric.CMYK: "CMYK"}.get(layout.photometric, "")
    if shape[2] == 1:
        color = "GRAYSCALE"
    elif not color or shape[2] != layout.colors:
        raise unread(name, "with opacity, compressed with JPEG")
    if header.colors & {"RGB": {"YBR"}, "YCBCR": {"RGB"}}.get(color, set()):
        raise Refused(f"{name}: its tags and its JPEG differ in whether its colors are RGB or YCbCr; export it again")
    seen = imagecodecs.jpeg8_decode(
        raw,
        tables=layout.jpeg_tables or None,
        colorspace=color,
        outcolorspace="RGB" if color == "YCBCR" else color,
    )
    return seen.reshape(size.rows, size.columns, size.samples)
