"""DICOM in. Names and numbers of patients stay in the file: none is kept, shown, or put into an error."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from anogan.errors import Refused
from anogan.io.dicom.attributes import Attributes, Frame
from anogan.io.dicom.decoding import decode
from anogan.io.dicom.display import check_numbers, show
from anogan.io.dicom.persons import Person, person
from anogan.io.dicom.pixel_format import PIXEL_KEYWORDS
from anogan.io.dicom.quiet import keep_quiet
from anogan.io.dicom.stacks import stack
from anogan.io.guard import check_structure
from anogan.io.pixels import WindowChoice, check_size, several_frames
from anogan.scan import Scan, Series
from anogan.storage.pseudonym import pseudonym

keep_quiet("pydicom")


@dataclass(frozen=True)
class Header:
    """What must be known of a file before its pixels are read.

    Attributes
    ----------
    study_uid, series_uid
        DICOM UIDs, or "".
    person
        Whose it is.
    rows, columns, frames
        The size; 0, 0, 0 for a directory.
    """

    study_uid: str = ""
    series_uid: str = ""
    person: Person = Person()
    rows: int = 0
    columns: int = 0
    frames: int = 0

    @property
    def directory(self) -> bool:
        """Whether it is a DICOMDIR, which has no pixels and lists files."""
        return self.frames == 0


def read_dicom(path: str | os.PathLike[str], window: WindowChoice = "first") -> Scan:
    """Read a single-frame DICOM image as a viewer would show it at first, see `display.show`.

    Raises
    ------
    ValueError
        The file is damaged, has no pixels, several frames, or more than 64 million pixels, they cannot be decoded, or
        no window has the name.
    """
    with one_sentence(os.fspath(path)):
        return show(_read_frames(path, single=True), window)[0][0]


def read_dicom_frames(path: str | os.PathLike[str], window: WindowChoice = "first") -> list[Scan]:
    """Read all frames of a file in their order, shown as `read_dicom_series` shows them; ValueError as `read_dicom`."""
    name = os.fspath(path)
    with one_sentence(name):
        scans = [scan for part in stack(_read_frames(path), name, window) for scan in part.scans]
        return sorted(scans, key=lambda scan: scan.frame)


def read_dicom_series(
    paths: Iterable[str | os.PathLike[str]], source: str, window: WindowChoice = "first", notes: Sequence[str] = ()
) -> tuple[list[Series], list[tuple[Path, str]]]:
    """Read the files of one series as its stacks of slices, see `stacks.stack`; all of them carry `notes`.

    Returns
    -------
    series, problems
        The stacks; the files that cannot be read with their reasons, which the notes of the stacks count.

    Raises
    ------
    ValueError
        No stack can be made of what can be read.
    """
    frames: list[Frame] = []
    problems: list[tuple[Path, str]] = []
    for path in paths:
        try:
            frames += _read_frames(path)
        except ValueError as error:
            problems.append((Path(path), str(error)))
    if not frames:
        return [], problems
    files = "file" if len(problems) == 1 else "files"
    unread = [f"{len(problems)} {files} of its series cannot be read"] if problems else []
    with one_sentence(source):
        return stack(frames, source, window, [*notes, *unread]), problems


def read_dicom_header(path: str | os.PathLike[str]) -> Header:
    """Read what a file is and how large, without its pixels.

    Raises
    ------
    ValueError
        The file is damaged or too large, or it is no directory and has no pixels.
    """
    name = os.fspath(path)
    with one_sentence(name):
        ds = _read_header(path)
        meta = getattr(ds, "file_meta", Dataset())
        if meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            return Header()
        return _check(ds, name)


def read_dicom_subject(path: str | os.PathLike[str]) -> str:
    """Return the pseudonym that `read_dicom` gives, from the header alone; "" when the header is damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = _read_header(path)
        except Exception:  # whoever reads the pixels will say what is wrong
            return ""
        try:
            return pseudonym(header)
        except Refused:  # there is no key
            raise
        except Exception:
            return ""


def read_dicomdir(path: str | os.PathLike[str]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the files that a DICOMDIR lists (DICOM PS3.3, annex F), and why some are left out.

    The records are taken as they stand in the file, not by their offsets, which may be wrong or run in circles.
    Nothing outside the folder of the DICOMDIR is ever opened.
    """
    name, folder = os.fspath(path), Path(path).parent
    found: dict[Path, None] = {}
    problems: list[tuple[Path, str]] = []
    with one_sentence(name):
        for record in _read_header(path).get("DirectoryRecordSequence") or []:
            parts = [part for text in Attributes(record).texts("ReferencedFileID") for part in _split(text)]
            if not any(parts):
                continue
            file = folder.joinpath(*parts)
            if not file.resolve().is_relative_to(folder.resolve()):
                problems.append((Path(path), f"{name}: lists a file outside its folder, which is not opened"))
                continue
            there = _as_on_disk(folder, parts)
            if len(there) > 1:
                problems.append(
                    (file, f"{file}: is listed in {name}, and {len(there)} files go by that name; keep one")
                )
            elif not there or not there[0].resolve().is_relative_to(folder.resolve()):
                problems.append((file, f"{file}: is listed in {name}, but there is no such file; copy the whole disc"))
            elif not there[0].samefile(path):
                found[there[0]] = None
    if not found and not problems:
        problems.append((Path(path), f"{name}: lists no images; name the folder that holds them instead"))
    return list(found), problems


def _split(text: str) -> list[str]:
    """Return the components of a file ID, which some write with separators; an absolute path stays as it is."""
    return [text] if Path(text).is_absolute() else re.split(r"[/\\]", text)


def _as_on_disk(folder: Path, parts: Sequence[str]) -> list[Path]:
    """Return the files that a DICOMDIR means: as it writes them, or else in another case, with .dcm or without ;1."""
    if (exact := folder.joinpath(*parts)).is_file():
        return [exact]
    here = [folder]
    for number, part in enumerate(parts, start=1):
        wanted = _plain(part)
        names = {wanted} if number < len(parts) else {wanted, f"{wanted}.dcm", wanted.removesuffix(".dcm")}
        inside = [entry for place in here if place.is_dir() for entry in sorted(place.iterdir())]
        here = [entry for entry in inside if _plain(entry.name) in names]
    return [entry for entry in here if entry.is_file()]


def _plain(name: str) -> str:
    """Return a name without case, version, and the dot that ISO 9660 (7.5.1) puts before an empty extension."""
    return name.casefold().partition(";")[0].rstrip(".")


@contextmanager
def one_sentence(name: str) -> Iterator[None]:
    """Turn whatever a damaged file does to a decoder into one sentence; pydicom's words may quote the header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (Refused, MemoryError):
        raise
    except Exception:
        raise Refused(f"{name}: is a damaged DICOM file; copy or export it again") from None


def _read_frames(path: str | os.PathLike[str], single: bool = False) -> list[Frame]:
    name = os.fspath(path)
    with one_sentence(name):
        header = _check(_read_header(path), name)
        if single and header.frames > 1:
            raise several_frames(name, header.frames)
        check_structure(path)
        ds = dcmread(path, force=True)
        held = [keyword for keyword in PIXEL_KEYWORDS if keyword in ds]
        if not held:
            raise _without_pixels(ds, name)
        if len(held) > 1:
            raise Refused(f"{name}: holds both {held[0]} and {held[1]}, of which one belongs; export it again")
        keyword = held[0]
        groups = ds.get("PerFrameFunctionalGroupsSequence")
        if groups and len(groups) != header.frames:
            raise Refused(f"{name}: says {header.frames} frames, but describes {len(groups)}; export it again")
        complete_meta(ds)
        try:
            decoded = list(decode(ds, header.frames))
        except Refused as refused:
            raise Refused(f"{name}: {refused}") from None
        del ds[keyword]  # the frames live on with their attributes, and need no second copy of the pixels
        frames = [
            Frame(stored, Attributes(ds, index, name), name, pseudonym(ds), index + 1, header.frames)
            for index, stored in enumerate(decoded)
        ]
        for frame in frames:  # of a series, a file with such a number is left out, and not the series
            check_numbers(frame)
        return frames


def _read_header(path: str | os.PathLike[str]) -> Dataset:
    """Parse all but the pixels; every file is opened by this before anything else."""
    check_structure(path, stop_before_pixels=True)
    return dcmread(path, stop_before_pixels=True, force=True)


def _check(ds: Dataset, name: str) -> Header:
    rows, columns, frames = (_count(ds, keyword, name) for keyword in ("Rows", "Columns", "NumberOfFrames"))
    if not rows or not columns:
        raise _without_pixels(ds, name)
    frames = frames or 1
    if frames < 1:
        raise Refused(f"{name}: its header says {frames} frames; export it again")
    check_size(name, rows, columns, frames)
    study, series = (str(ds.get(keyword) or "") for keyword in ("StudyInstanceUID", "SeriesInstanceUID"))
    return Header(study, series, person(ds), rows, columns, frames)


def _count(ds: Dataset, keyword: str, name: str) -> int | None:
    """Return a count in the header, or None where it is absent or empty."""
    try:
        value = ds.get(keyword)
        if value in (None, ""):
            return None
        if (count := int(value)) == value or isinstance(value, str):
            return count
    except (TypeError, ValueError, OverflowError):
        pass
    raise Refused(f"{name}: its header does not say {keyword} as one whole number; export it again")


def _without_pixels(ds: Dataset, name: str) -> Refused:
    kind = Attributes(ds).kind
    return Refused(f"{name}: is a DICOM file without pixels{f' ({kind})' if kind else ''}; choose an image")


def complete_meta(ds: Dataset) -> None:
    """Give a file without a meta header the transfer syntax that it was read in, which old files leave unsaid."""
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in ds.file_meta:
        implicit = ds.original_encoding[0] is not False
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
