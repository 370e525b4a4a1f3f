"""Pictures in (PNG, JPEG, TIFF and others, see `anogan.io.formats`); PNG out."""

from __future__ import annotations

import base64
import io
import os
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageOps, features

from anogan.errors import Refused
from anogan.io.codestream import MAX_SCANS, Stream, Unknown, jpeg_2000_header, jpeg_scans
from anogan.io.decoded import Picture, picture, upright
from anogan.io.formats import HEADER, RASTERS, raster_format
from anogan.io.pixels import check_size, damaged, several_pages, too_large
from anogan.io.pnm import pnm_size, read_pnm
from anogan.io.tiff import tiff_size
from anogan.io.tiff_pixels import read_tiff
from anogan.scan import Scan
from anogan.storage.atomic import write_bytes

_PILLOW = {  # our names, and Pillow's
    "PNG": ("PNG",),
    "JPEG": ("JPEG",),
    "BMP": ("BMP",),
    "GIF": ("GIF",),
    "WebP": ("WEBP",),
    "AVIF": ("AVIF",),
    "JPEG 2000": ("JPEG2000",),
    "TGA": ("TGA",),
}
_NEEDS = {"WebP": "webp", "AVIF": "avif", "JPEG 2000": "jpg_2000"}  # that a Pillow may be built without
_WHOLLY = ("PNG", "GIF", "TIFF", "PNM")  # of which everything is read, or refused before
_LOSSY = ("JPEG", "WebP", "AVIF", "JPEG 2000")


def read_raster(path: str | os.PathLike[str], data: bytes | None = None) -> Scan:
    """Read a picture: PNG, JPEG, TIFF, BMP, GIF, WebP, AVIF, JPEG 2000, PNM or TGA.

    Gray stays gray; palettes, CMYK and YCbCr become RGB; transparent places are laid on black; EXIF orientation is
    applied; color profiles are not. Unsigned values of up to 16 bits are divided by the largest possible one (colors of
    more than 8 bits keep their upper 8, but for PNG and TIFF, which keep all). Floats in [0, 1] are kept; other floats,
    signed integers and those of more than 16 bits are stretched from the image's minimum to its maximum.

    Parameters
    ----------
    path
        The file, or the name under which `data` came.

    Raises
    ------
    ValueError
        The file is damaged, has more than 64 million pixels, several pages or frames, values that are not finite, or is
        of a kind that is not read.
    """
    name = os.fspath(path)
    found = read_picture(path, data)
    return Scan(found.pixels, name, format=found.format, details=found.details)


def read_picture(path: str | os.PathLike[str], data: bytes | None = None) -> Picture:
    """Read a picture as `read_raster` does, with what masks need beside."""
    name = os.fspath(path)
    if data is None:
        data = Path(path).read_bytes()  # in memory, where a length of 4 GB in the file allocates nothing
    kind = raster_format(data[:HEADER], name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all that matters is said below, in one sentence
            if kind == "TIFF":
                return read_tiff(name, data)
            if kind == "PNM":
                return read_pnm(name, data)
            if not kind:
                raise Refused(f"{name}: is not a {RASTERS} image; export it as one")
            with _opened(name, kind, data) as image:
                return _decoded(name, kind, image, data)
    except Refused as refused:
        raise ValueError(str(refused)) from None
    except MemoryError:
        raise
    except Exception:  # decoders fail in many ways on damaged data, and on what they cannot read
        raise ValueError(str(_damaged(name, kind))) from None


def raster_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) of a picture as its header says, or (0, 0) where that is damaged.

    `read_raster` says what is wrong with such a file; this only tells how much memory it will take.
    """
    kind = raster_format(data[:HEADER])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "TIFF":
                return tiff_size(data)
            if kind == "PNM":
                return pnm_size(data)
            with Image.open(io.BytesIO(data), formats=_PILLOW[kind]) as image:
                return image.height, image.width
    except Exception:  # as above
        return 0, 0


def write_png(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write (H, W) uint8 or uint16, or (H, W, 3) uint8 RGB, as PNG; whole or not at all.

    Raises
    ------
    ValueError
        The array has another shape or type, or the file cannot be written.
    """
    gray = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
    color = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
    if not (gray or color):
        raise ValueError(f"{os.fspath(path)}: cannot be a PNG: got {array.dtype} of shape {array.shape}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())


def data_uri(pixels: np.ndarray) -> str:
    """Return (H, W) or (H, W, 3 or 4) uint8 as a PNG inside a URI, for a page that asks no server for its pictures."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _damaged(name: str, kind: str) -> Refused:
    """Return what to raise where a decoder gives up; it does not say whether it knows this kind of picture."""
    if kind in _WHOLLY:
        return damaged(name)
    return Refused(
        f"{name}: is damaged, cut off, or a kind of {kind} that is not read; copy it again or save it as PNG"
    )


def _opened(name: str, kind: str, data: bytes) -> Image.Image:
    """Return a picture of which no more than the header is read and checked."""
    if kind in _NEEDS and not features.check(_NEEDS[kind]):
        raise Refused(
            f"{name}: is {kind}, which this installation cannot read; install a newer Pillow or save it as PNG"
        )
    try:
        image = Image.open(io.BytesIO(data), formats=_PILLOW[kind])
    except Image.DecompressionBombError:
        raise too_large(name) from None
    except MemoryError:
        raise
    except Exception:
        raise _damaged(name, kind) from None
    check_size(name, image.height, image.width)
    # MPO: a JPEG of a phone, with a second picture behind the one that counts
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise several_pages(name)
    return image


def _decoded(name: str, kind: str, image: Image.Image, data: bytes) -> Picture:
    details = {"original size": f"{image.height} x {image.width}", "color mode": image.mode, "bits": "8"}
    if kind == "JPEG":
        details |= _checked_jpeg(name, image, data)
    stream = _stream(name, image, data) if kind == "JPEG 2000" else None
    image.load()
    orientation = image.getexif().get(0x0112, 1)  # in PNG, it may come behind the pixels
    if stream is not None and stream.precision != 8:
        return _deep_jpeg_2000(name, stream, data, details)
    if kind == "PNG" and data[24] == 16 and (image.mode != "I;16" or "transparency" in image.info):
        values = upright(imagecodecs.png_decode(data), orientation)
        return _deep(name, kind, values, 16, details)
    if kind == "PNG" and data[24:26] in (b"\x02\x00", b"\x04\x00") and "transparency" in image.info:
        image.info["transparency"] *= 255 // (2 ** data[24] - 1)  # Pillow spreads the grays and not the transparent one
    index = np.asarray(image) if image.mode == "P" else None
    if index is not None and index.max() >= len(image.getpalette() or ()) // 3:
        raise Refused(f"{name}: uses colors that its palette does not have; export it again")
    image = ImageOps.exif_transpose(image)
    index = None if index is None else upright(index, orientation)
    if _opacity_means_nothing(kind, image, data):
        image = image.convert("RGBA").convert("RGB")
    alpha, most = None, 255
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A")).astype(np.float32) / 255
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    if image.mode.startswith("I"):
        most, details["bits"] = 65535, "16"
    else:
        image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    lossy = kind in _LOSSY
    return picture(name, kind, np.asarray(image), most, details, alpha=alpha, associated=True, index=index, lossy=lossy)


def _checked_jpeg(name: str, image: Image.Image, data: bytes) -> dict[str, str]:
    """Refuse a JPEG that is slow to decode or whose inks may be either way round; tell what lies behind the picture."""
    scans, end = jpeg_scans(data)
    if scans > MAX_SCANS:
        raise Refused(f"{name}: is a JPEG of more than {MAX_SCANS} scans, too slow to decode; save it anew")
    if image.mode == "CMYK" and "adobe" not in image.info:
        raise Refused(f"{name}: is a JPEG in CMYK that does not say which way round; save it as RGB")
    if 0 < end < len(data):  # a film of a phone, or another picture
        return {"not read": f"{len(data) - end:,} bytes behind the picture"}
    return {}


def _deep(name: str, kind: str, values: np.ndarray, bits: int, details: dict[str, str]) -> Picture:
    """Return gray or color, perhaps with opacity, of a depth that Pillow brings to 8 bits."""
    channels, most = values.shape[2] if values.ndim == 3 else 1, 2**bits - 1
    alpha = values[..., -1].astype(np.float32) / np.float32(most) if channels in (2, 4) else None
    colors = values if values.ndim == 2 else values[..., 0] if channels < 3 else values[..., :3]
    lossy = kind in _LOSSY
    return picture(name, kind, colors, most, details | {"bits": str(bits)}, alpha=alpha, lossy=lossy)


def _stream(name: str, image: Image.Image, data: bytes) -> Stream:
    """Return the header of JPEG 2000, which its decoder obeys, and which must agree with that of the file around it."""
    try:
        stream = jpeg_2000_header(data)
    except Unknown:
        raise _damaged(name, "JPEG 2000") from None
    if stream.size[:2] != (image.height, image.width):
        raise _damaged(name, "JPEG 2000")
    if not 0 < stream.precision <= 16 or stream.size.samples > 4:
        raise Refused(f"{name}: is JPEG 2000 of more than 4 samples, of unlike ones or of over 16 bits; save it as PNG")
    return stream


def _deep_jpeg_2000(name: str, stream: Stream, data: bytes, details: dict[str, str]) -> Picture:
    """Return JPEG 2000 of other than 8 bits, of which Pillow makes white black (it rounds 65535 up to 256 of 255)."""
    if stream.colors or b"pclr" in data[: data.find(b"\xff\x4f\xff\x51")]:
        raise Refused(f"{name}: is JPEG 2000 of {stream.precision} bits in unusual colors; save it as PNG")
    values = imagecodecs.jpeg2k_decode(data).astype(np.int64)
    if stream.signed:
        values += 1 << (stream.precision - 1)
    return _deep(name, "JPEG 2000", values, stream.precision, details)


def _opacity_means_nothing(kind: str, image: Image.Image, data: bytes) -> bool:
    """Whether the fourth channel is there by accident: a TGA may say so, and a BMP that is 0 everywhere has none."""
    if not image.has_transparency_data:
        return False
    if kind == "TGA":
        return data[17] & 15 == 0
    return kind == "BMP" and image.convert("RGBA").getchannel("A").getextrema() == (0, 0)
