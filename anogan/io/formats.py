"""Which pictures are read, and how each is known: by its first bytes, and TGA, which has none, by its name as well."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from struct import unpack_from

from anogan.io.codestream import JP2
from anogan.io.tiff_tags import BIG, LITTLE

RASTERS = "PNG, JPEG, TIFF, BMP, GIF, WebP, AVIF, JPEG 2000, PNM, TGA"
"""What is read beside DICOM and NIfTI, for sentences."""

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".webp", ".avif", ".jp2", ".j2k", ".jpx"}
SUFFIXES |= {".j2c", ".jpc", ".jpf", ".pnm", ".ppm", ".pgm", ".pbm", ".tga", ".jfif", ".jpe", ".apng", ".mpo"}
"""What files of these kinds are called."""
UNREAD_SUFFIXES = {".heic", ".heif", ".jxl", ".jxr", ".exr", ".hdr", ".psd", ".dng", ".pfm", ".pam", ".icns", ".ico"}
UNREAD_SUFFIXES |= {".jls", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".svs", ".ndpi", ".czi"}
UNREAD_SUFFIXES |= {".lif", ".nd2", ".oib", ".oir", ".vsi", ".mrxs", ".pcx", ".qoi", ".dds", ".fits"}
"""Names of images that are not read. They are found in folders all the same, so that somebody says so."""

HEADER = 64
"""As many first bytes tell the kind of a picture."""

_STARTS = [
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("JPEG", b"\xff\xd8\xff"),
    *(("TIFF", start) for start in (*LITTLE, *BIG)),
    ("GIF", b"GIF87a"),
    ("GIF", b"GIF89a"),
    ("JPEG 2000", JP2),
    ("JPEG 2000", b"\xff\x4f\xff\x51"),
]
_PNM = re.compile(rb"P[1-6](\s|#)[\s\d#]")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_TGA_DEPTHS = {1: (8,), 2: (16, 24, 32), 3: (8, 16)}  # of palettes, colors and gray; 8 more: packed


def raster_format(start: bytes, name: str | os.PathLike[str] = "") -> str:
    """Return the format of a picture that begins like this and is called `name`, such as "PNG", or ""."""
    for found, sign in _STARTS:
        if start.startswith(sign):
            return found
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:8] == b"ftyp" and _brands(start) & {b"avif", b"avis"}:
        return "AVIF"
    if start[:2] == b"BM" and len(start) >= 18 and unpack_from("<I", start, 14)[0] in _BMP_HEADERS:
        return "BMP"
    if _PNM.match(start):
        return "PNM"
    return "TGA" if PurePath(name).suffix.lower() == ".tga" and _is_tga(start) else ""


def _brands(start: bytes) -> set[bytes]:
    """Return the brands of an ISO base media file (ISO 14496-12, 4.3), of which AVIF is one."""
    return {start[8:12], *(start[place : place + 4] for place in range(16, min(len(start), HEADER) - 3, 4))}


def _is_tga(start: bytes) -> bool:
    """Whether all of a TGA header makes sense (Truevision TGA 2.0)."""
    if len(start) < 18:
        return False
    has_map, kind, _, map_size, map_depth, _, _, width, height, depth, flags = unpack_from("<xBBHHBHHHHBB", start)
    palette = (has_map, map_size > 0, map_depth in (16, 24, 32)) == (1, True, True)
    plain = has_map == 0
    return (
        kind in (1, 2, 3, 9, 10, 11)
        and depth in _TGA_DEPTHS[kind & 7]
        and (palette if kind & 7 == 1 else plain or palette)
        and width > 0
        and height > 0
        and flags & 0xC0 == 0
    )
