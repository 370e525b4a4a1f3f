"""Which files are images: their content decides, not their names."""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NoReturn

from anogan.io.formats import RASTERS, SUFFIXES, UNREAD_SUFFIXES, raster_format

GZIP = b"\x1f\x8b"
NIFTI_HEADER = 544
"""Bytes of the longer of the two headers, with the mark that extensions may follow."""

_SUFFIXES = SUFFIXES | UNREAD_SUFFIXES | {".dcm", ".dicom", ".ima", ".nii"}
_NOT_IMAGES = {"dicomdir", "thumbs.db", "desktop.ini", "manifest.csv"}  # the first is DICOM, and lists others
_MASKS = {"masks", "mask", "ground truth", "groundtruth", "gt"}


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List images: files as they are named, folders with all that they hold, sorted.

    In folders, hidden entries and folders of masks are passed over; linked folders are followed, each folder once. A
    file counts as an image when its name or its content says so, so that a damaged image is found, and reported by
    whoever reads it.

    Raises
    ------
    ValueError
        A path does not exist, or a folder holds no image.
    """
    return survey(paths)[0]


def survey(paths: Iterable[str | os.PathLike[str]]) -> tuple[list[Path], str]:
    """Return what `find_images` does, and which files in the folders are no images, as `passed_over` does."""
    found: dict[Path, None] = {}  # in order, each once
    others: set[Path] = set()
    for path in map(Path, paths):
        if path.is_dir():
            files = _files_below(path)
            inside = sorted(images_among(files))
            if not inside:
                raise ValueError(f"{path}: holds no {RASTERS}, DICOM or NIfTI image")
            found |= dict.fromkeys(inside)
            others |= set(files) - set(inside)
        elif path.exists():
            found[path] = None
        else:
            raise ValueError(f"{path}: there is no such file or folder")
    return list(found), _counted(others)


def kind_of(path: str | os.PathLike[str]) -> Literal["raster", "dicom", "nifti", ""]:
    """Return what a file is from its first bytes, or "".

    Raises
    ------
    ValueError
        It is missing, empty, a folder, or cannot be opened.
    """
    name = os.fspath(path)
    if Path(path).is_fifo():  # reading it would wait for someone to write
        raise ValueError(f"{name}: is a pipe and no file; name an image")
    try:
        with open(path, "rb") as file:
            start = file.read(NIFTI_HEADER)
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
    if raster_format(start, path):
        return "raster"
    if start.startswith(GZIP):
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, NIFTI_HEADER)
        except zlib.error:
            return ""
    if start[344:348] == b"n+1\x00" or is_nifti_2(start) or is_nifti_pair(start):
        return "nifti"
    # Old DICOM files begin at once with a low element of group 0002 or 0008, little endian.
    old = start[:2] in (b"\x02\x00", b"\x08\x00") and start[2:3] < b"\x70" and start[3:4] == b"\x00"
    return "dicom" if old else ""


def is_nifti_2(start: bytes) -> bool:
    """Return whether a file that begins like this is NIfTI-2; of NIfTI-1, the sign is further behind."""
    return start[4:12] == b"n+2\x00\r\n\x1a\n"


def is_nifti_pair(start: bytes) -> bool:
    """Return whether a file that begins like this is the header of a NIfTI pair, whose pixels lie in another file."""
    return start[344:348] == b"ni1\x00" or start[4:12] == b"ni2\x00\r\n\x1a\n"


def images_below(folder: Path) -> list[Path]:
    """List the images in a folder, as `find_images` does; there may be none."""
    return sorted(images_among(_files_below(folder)))


def images_among(files: Iterable[Path]) -> list[Path]:
    """Return the files whose name or content says that they are images."""
    return [
        path
        for path in files
        if path.suffix.lower() in _SUFFIXES or path.name.lower().endswith(".nii.gz") or _looks_like_image(path)
    ]


def passed_over(folder: Path) -> str:
    """Return which files in a folder are no images, counted by their suffixes, such as "3 .txt, 1 .csv"; "": none."""
    files = _files_below(folder)
    return _counted(set(files) - set(images_among(files)))


def _counted(files: Iterable[Path]) -> str:
    counts = Counter(path.suffix.lower() or "without a suffix" for path in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def folder_word(name: str) -> str:
    """Return a folder's name without what does not matter: case, - and _, and spaces about it."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def holds_masks(name: str) -> bool:
    """Return whether a folder of this name holds masks and no images."""
    return folder_word(name) in _MASKS


def _files_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=_unlisted, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back, or to what is there anyway
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not holds_masks(name))
        found += [
            path
            for path in (Path(place, name) for name in files)
            if not (path.name.startswith(".") or path.name.lower() in _NOT_IMAGES or path.is_fifo())
        ]
    return found


def _unlisted(error: OSError) -> NoReturn:
    """Refuse a folder that cannot be looked into: its images would be missing without a word."""
    raise ValueError(f"{error.filename}: cannot be looked into ({error.strerror}); give yourself the right to read it")


def _looks_like_image(path: Path) -> bool:
    try:
        return bool(kind_of(path))
    except ValueError:
        return False


def named(path: str | os.PathLike[str], reason: str) -> str:
    """Return a reason with its file; most name it already."""
    return reason if os.fspath(path) in reason else f"{os.fspath(path)}: {reason}"
