"""Zip files of images, as hospitals hand them out: unpacked into a folder that is removed again."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from struct import unpack_from
from typing import BinaryIO

from anogan.errors import Refused
from anogan.io import find_images

MAX_UNPACKED = 8 << 30
"""Bytes that an archive may unpack to."""
MAX_RATIO = 100
"""How much larger than the archive its content may be, from 256 MB on."""
MAX_DIRECTORY = 32 << 20
"""Bytes of the list of members: some 300 000 names."""

_SMALL = 256 << 20


@dataclass
class Unpacked:
    """Paths of which the archives are unpacked.

    Attributes
    ----------
    paths
        Files and folders as they were named, but for archives the folder that each is unpacked into.
    problems
        Archives that were refused, or passed over because they lie within others, and why.
    """

    paths: list[Path] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    _archives: dict[Path, Path] = field(default_factory=dict)  # by folder

    def name(self, text: str | os.PathLike[str]) -> str:
        """Return a path or a sentence with `archive.zip/member` in place of where the member is unpacked."""
        name = os.fspath(text)
        for folder, archive in self._archives.items():
            name = name.replace(os.fspath(folder), os.fspath(archive))
        return name


@contextmanager
def unpacked(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Unpacked]:
    """Unpack the archives among some paths, for as long as the context lasts.

    Examples
    --------
    >>> with unpacked(["study.zip", "folder"]) as files:
    ...     for path in find_images(files.paths):
    ...         print(files.name(path))
    """
    found = Unpacked()
    with tempfile.TemporaryDirectory(prefix="anogan-") as temporary:
        for number, path in enumerate(map(Path, paths)):
            if not is_archive(path):
                found.paths.append(path)
                continue
            folder = Path(temporary, f"{number:06}")  # none is the beginning of another
            found._archives[folder] = path
            try:
                files = extract(path, folder)
                for inner in map(found.name, filter(is_archive, files)):
                    found.problems.append((Path(inner), f"{inner}: is an archive within an archive; unpack it first"))
                find_images([folder])  # says so where there are none
                found.paths.append(folder)
            except ValueError as error:
                found.problems.append((path, found.name(str(error))))
        yield found


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a zip file, by its first bytes."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except (OSError, ValueError):
        return False


def extract(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Unpack a zip file into a folder that does not exist yet; archives within it stay packed.

    Returns
    -------
    list of Path
        The files, in the order of the archive.

    Raises
    ------
    ValueError
        The archive is refused as a whole: it is damaged, encrypted, or too large when unpacked; it holds a link, a name
        that leads out of the folder, or two files of one name; or the folder cannot be written.
    """
    name, folder = os.fspath(path), Path(folder)
    try:
        with open(path, "rb") as file:
            if _directory_size(file) > MAX_DIRECTORY:
                raise Refused(f"{name}: lists too many files; split it")
            with zipfile.ZipFile(file) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
                places = [folder.joinpath(*_parts(member, name)) for member in members]
                _check_size(name, sum(member.file_size for member in members), os.fstat(file.fileno()).st_size)
                folder.mkdir(parents=True)
                for member, place in zip(members, places, strict=True):
                    _write(archive, member, place, name)
    except Refused as refused:
        raise ValueError(str(refused)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
        raise ValueError(f"{name}: is a damaged zip file, or of an unusual kind; zip the images again") from None
    except OSError as error:
        raise ValueError(f"{name}: cannot be unpacked ({error.strerror}); unpack it yourself") from None
    return places


def _parts(member: zipfile.ZipInfo, name: str) -> list[str]:
    """Return a member's path below the folder, or refuse what is no plain file below it."""
    if member.flag_bits & 1:
        raise Refused(f"{name}: is encrypted; unpack it first and name the folder")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"{name}: is compressed in an unusual way; zip the images again")
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise Refused(f"{name}: holds a link or a device in place of a file; zip plain files only")
    parts = [part for part in re.split(r"[/\\]", member.filename) if part != "."]
    if any(part in ("", "..") or ":" in part or not part.isprintable() for part in parts) or not parts:
        raise Refused(f"{name}: holds a name that leads out of it or is no file name; zip the images again")
    return parts


def _check_size(name: str, size: int, packed: int) -> None:
    if size > MAX_UNPACKED or size > max(MAX_RATIO * packed, _SMALL):
        raise Refused(f"{name}: unpacks to {size:,} bytes, too many for an archive of {packed:,}; unpack it yourself")


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path, name: str) -> None:
    """Write one member; zipfile reads no more than the size that was checked, and checks the sum of the bytes."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, open(place, "xb") as target:
            while block := source.read(1 << 20):
                target.write(block)
    except (FileExistsError, NotADirectoryError):
        raise Refused(f"{name}: holds two files of the same name; zip the images again") from None


def _directory_size(file: BinaryIO) -> int:
    """Return the bytes of the list of members, which zipfile reads as a whole (APPNOTE 4.3.14 and 4.3.16)."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - (1 << 16) - 98))
    tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or place + 22 > len(tail):
        raise zipfile.BadZipFile
    if place >= 76 and tail[place - 20 : place - 16] == b"PK\x06\x07":  # zip64: the record before it counts
        return int(unpack_from("<Q", tail, place - 76 + 40)[0])
    return int(unpack_from("<L", tail, place + 12)[0])
