"""Images in, results out. What a file is, its content decides, not its name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from anogan.io.raster import SIGNATURES, read_raster, write_png
from anogan.scan import Scan

__all__ = ["find_images", "read_scan", "read_subject", "write_png"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".ima"}
_NOT_IMAGES = {"dicomdir"}  # a DICOM file that lists others


def read_scan(path: str | os.PathLike[str]) -> Scan:
    """Read one image: PNG, JPEG, TIFF, or single-frame DICOM.

    Parameters
    ----------
    path
        The file. At most 64 million pixels, which its header must say before anything is decoded.

    Returns
    -------
    Scan
        Pixels in [0, 1], ready for display.

    Raises
    ------
    ValueError
        The file is missing, is no such image, is damaged or too large; the sentence begins with its path.
    """
    kind = _kind(path)
    if kind == "raster":
        return read_raster(path)
    if kind == "dicom":
        from anogan.io.dicom import read_dicom  # pydicom takes a while to import

        return read_dicom(path)
    raise ValueError(f"{os.fspath(path)}: is not a PNG, JPEG, TIFF or DICOM image, whatever its name; export it as one")


def read_subject(path: str | os.PathLike[str]) -> str:
    """Return the pseudonym of the person in a DICOM file from its header alone, or "" for any other file."""
    if _kind(path) != "dicom":
        return ""
    from anogan.io.dicom import read_dicom_subject

    return read_dicom_subject(path)


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List images: files as they are named, folders with all that they hold, sorted.

    In folders, hidden entries and folders named `masks` are passed over. A file counts as an image when its name or its
    content says so, so that a damaged image is found, and reported by whoever reads it.

    Raises
    ------
    ValueError
        A path does not exist, or a folder holds no image.
    """
    found: dict[Path, None] = {}  # in order, each once
    for path in map(Path, paths):
        if path.is_dir():
            inside = _images_below(path)
            if not inside:
                raise ValueError(f"{path}: holds no PNG, JPEG, TIFF or DICOM image")
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            raise ValueError(f"{path}: there is no such file or folder")
    return list(found)


def _images_below(folder: Path) -> list[Path]:
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name.lower() != "masks"]
        for path in (Path(place, name) for name in files):
            if path.name.startswith(".") or path.name.lower() in _NOT_IMAGES or path.is_fifo():
                continue
            if path.suffix.lower() in _SUFFIXES or _looks_like_image(path):
                found.append(path)
    return sorted(found)


def _looks_like_image(path: Path) -> bool:
    try:
        return bool(_kind(path))
    except ValueError:
        return False


def _kind(path: str | os.PathLike[str]) -> str:
    """Return "raster", "dicom", or "" from the first bytes."""
    name = os.fspath(path)
    if Path(path).is_fifo():  # reading it would wait for someone to write
        raise ValueError(f"{name}: is a pipe and no file; name an image")
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except FileNotFoundError:
        raise ValueError(f"{name}: there is no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{name}: is a folder; name a file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise ValueError(f"{name}: cannot be opened ({getattr(error, 'strerror', '') or 'bad name'})") from None
    if not start:
        raise ValueError(f"{name}: is empty; copy or export it again")
    if start[128:132] == b"DICM":  # first, because the 128 bytes before it may hold a TIFF header (PS3.10, 7.1)
        return "dicom"
    if start.startswith(SIGNATURES):
        return "raster"
    # Old DICOM files begin at once with a low element of group 0002 or 0008, little endian.
    old = start[:2] in (b"\x02\x00", b"\x08\x00") and start[2:3] < b"\x70" and start[3:4] == b"\x00"
    return "dicom" if old else ""
