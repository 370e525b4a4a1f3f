"""PNG, JPEG and TIFF in; PNG out."""

from __future__ import annotations

import base64
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

from anogan.io.atomic import write_bytes
from anogan.io.codestream import MAX_SCANS, jpeg_scans
from anogan.io.pixels import Refused, check_size, too_large, unit_range
from anogan.scan import Scan

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
"""The first bytes of PNG, JPEG and TIFF (little and big endian)."""

_FORMATS = ("PNG", "JPEG", "TIFF")


def read_raster(path: str | os.PathLike[str], data: bytes | None = None) -> Scan:
    """Read a PNG, JPEG or TIFF file, or `data` that came under the name `path`.

    Gray stays gray; palettes, CMYK and YCbCr become RGB; transparent places are laid on black; EXIF orientation is
    applied. Values of 8 and 16 bits are divided by the largest possible one (16-bit colors keep their upper 8 bits).
    Floats in [0, 1] are kept; other floats and 32-bit integers are stretched from the image's minimum to its maximum.

    Raises
    ------
    ValueError
        The file is damaged, has more than 64 million pixels, several pages, or values that are not finite.
    """
    name = os.fspath(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all that matters is said below, in one sentence
            if data is None:
                data = Path(path).read_bytes()  # in memory, where a length of 4 GB in the file allocates nothing
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                check_size(name, image.height, image.width)
                # MPO: a JPEG of a phone, with a second picture behind the one that counts
                # (counting the pages of a TIFF would take the square of their number)
                if image.format != "MPO" and getattr(image, "is_animated", False):
                    raise Refused(f"{name}: holds several pages or frames; save each as a file of its own")
                scans, end = jpeg_scans(data) if image.format in ("JPEG", "MPO") else (0, 0)
                if scans > MAX_SCANS:
                    raise Refused(f"{name}: is a JPEG of more than {MAX_SCANS} scans, too slow to decode; save it anew")
                tags = dict(getattr(image, "tag_v2", {}))  # before the decoder forgets them
                image.load()
                upright = ImageOps.exif_transpose(image)
    except Refused as refused:
        raise ValueError(str(refused)) from None
    except Image.DecompressionBombError:
        raise ValueError(str(too_large(name))) from None
    except UnidentifiedImageError:
        raise ValueError(f"{name}: begins like an image, but its header is damaged; copy or export it again") from None
    except MemoryError:
        raise
    except Exception:  # decoders fail in many ways on damaged data
        raise ValueError(f"{name}: is damaged or cut off; copy or export it again") from None
    pixels, details = _pixels_of(upright, tags, name)
    file_format = "JPEG" if image.format == "MPO" else image.format or ""
    details = {"original size": f"{image.height} x {image.width}", "color mode": image.mode} | details
    if 0 < end < len(data):  # a film of a phone, or another picture
        details["not read"] = f"{len(data) - end:,} bytes behind the picture"
    return Scan(pixels, name, format=file_format, details=details)


def raster_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) of a PNG, JPEG or TIFF file as its header says, or (0, 0) where that is damaged.

    `read_raster` says what is wrong with such a file; this only tells how much memory it will take.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
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


def _pixels_of(image: Image.Image, tags: dict[int, Any], name: str) -> tuple[np.ndarray, dict[str, str]]:
    """Return (H, W) or (H, W, 3) float32 in [0, 1], and what was done."""
    details = {"bits": "8"}
    white_is_zero = tags.get(PHOTOMETRIC_INTERPRETATION) == 0
    if "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
        details["transparency"] = "laid on black"
    if image.mode.startswith("I;16") or (image.mode == "I" and not tags):  # "I" without tags: PNG in older Pillow
        bits = tags.get(BITSPERSAMPLE, 16)
        bits = int(bits[0] if isinstance(bits, tuple) else bits)
        pixels = (np.asarray(image).astype(np.float32) / (2**bits - 1)).clip(0, 1)
        details["bits"] = str(bits)
    elif image.mode in ("I", "F"):
        pixels, details["window"] = unit_range(np.asarray(image), name)
        details["bits"] = "32"
    else:
        image = image.convert("L" if image.mode in ("1", "L") else "RGB")
        pixels = np.asarray(image).astype(np.float32) / 255
        white_is_zero = False  # Pillow has turned it round
    return 1 - pixels if white_is_zero else pixels, details
