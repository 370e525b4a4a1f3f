"""Files of any kind in, series out."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anogan.io.files import find_images, kind_of
from anogan.io.formats import RASTERS
from anogan.io.pixels import MAX_VOLUME, WindowChoice
from anogan.io.raster import read_raster
from anogan.scan import Series

if TYPE_CHECKING:
    from anogan.io.dicom import Header

Problems = list[tuple[Path, str]]


def read_series(
    paths: Iterable[str | os.PathLike[str]], window: WindowChoice = "first"
) -> tuple[list[Series], list[tuple[Path, str]]]:
    """Read all series in files and folders.

    The files of one DICOM series become one or more stacks of slices, sorted by their positions along the slice normal;
    all slices of a stack are shown by one window, so that they can be compared (`anogan.io.dicom.stacks.stack` and
    `anogan.io.dicom.display.show` say how). NIfTI volumes become slices as `anogan.io.nifti.read_nifti` says.

    Parameters
    ----------
    paths
        Folders (with all that they hold, of any studies), files, or DICOMDIR files (with what they list).
    window
        Which window shows gray DICOM images: "first", the name of one, or (center, width).

    Returns
    -------
    series
        In the order of their study and series UIDs, then NIfTI and raster images; an image without a series is one by
        itself.
    problems
        The files that cannot be read, each with its reason.

    Raises
    ------
    ValueError
        A path does not exist, or a folder holds no image.
    """
    problems: Problems = []
    return list(iter_series(paths, problems, window)), problems


def iter_series(
    paths: Iterable[str | os.PathLike[str]], problems: Problems, window: WindowChoice = "first"
) -> Iterator[Series]:
    """Yield what `read_series` returns, with one series in memory at a time.

    Parameters
    ----------
    paths, window
        As in `read_series`.
    problems
        Files that cannot be read are added with their reasons.
    """
    dicom: defaultdict[tuple[str, str], list[tuple[Path, Header]]] = defaultdict(list)
    others = []
    waiting = find_images(paths)
    for path in waiting:  # grows while DICOMDIRs are followed
        try:
            kind = kind_of(path)
            if kind == "dicom":
                from anogan.io.dicom import read_dicom_header, read_dicomdir  # pydicom takes a while to import

                header = read_dicom_header(path)
                if header.directory:
                    files, missing = read_dicomdir(path)
                    problems += missing
                    waiting += [file for file in files if file not in waiting]
                else:  # without a series UID, the file is a series
                    dicom[header.study_uid, header.series_uid or f"~{path}"].append((path, header))
            elif kind:
                others.append((path, kind))
            else:
                raise not_an_image(path)
        except (ValueError, OSError) as error:
            problems.append((path, str(error)))
    studies = Counter(series for _, series in dicom)
    for (_, uid), group in sorted(dicom.items()):
        yield from _dicom(group, problems, window, studies[uid])
    for path, kind in others:
        try:
            if kind == "nifti":
                from anogan.io.nifti import read_nifti

                yield from read_nifti(path, window)
            else:
                yield Series((read_raster(path),), os.fspath(path))
        except (ValueError, OSError) as error:
            problems.append((path, str(error)))


def not_an_image(path: str | os.PathLike[str]) -> ValueError:
    """Return what to raise for a file of an unknown kind."""
    return ValueError(
        f"{os.fspath(path)}: is not a {RASTERS}, DICOM or NIfTI image, whatever its name; export it as one"
    )


def _dicom(
    files: list[tuple[Path, Header]], problems: Problems, window: WindowChoice, studies: int
) -> Iterator[Series]:
    """Yield the stacks of the files under one series UID in one of so many studies, each of one person."""
    from anogan.io.dicom.persons import by_person

    source = _source(files)
    try:
        groups = by_person(files, source)
    except ValueError as error:
        problems.append((Path(source), str(error)))
        return
    notes = []
    if len(groups) > 1:
        notes.append(f"its series UID stands for {len(groups)} patients, who are taken apart: these are images of one")
    if studies > 1:
        notes.append(f"its series UID stands in {studies} studies, which are taken apart: these are images of one")
    for group in groups:
        for series in _stacks(group, problems, window, notes):
            # Each is a case by itself, as stacks are: the UID alone would name several.
            yield replace(series, stacks=series.stacks + 1) if notes else series


def _source(files: list[tuple[Path, Header]]) -> str:
    paths = [path for path, _ in files]
    return os.fspath(paths[0]) if len(paths) == 1 else os.path.commonpath([path.parent for path in paths])


def _stacks(
    files: list[tuple[Path, Header]], problems: Problems, window: WindowChoice, notes: list[str]
) -> Iterator[Series]:
    from anogan.io.dicom import read_dicom_series

    paths, source = [path for path, _ in files], _source(files)
    pixels = sum(header.rows * header.columns * header.frames for _, header in files)
    if pixels > MAX_VOLUME:
        reason = f"{source}: a series has more than the {MAX_VOLUME // 1_000_000} million pixels that are read at once"
        problems.append((Path(source), f"{reason}; split it"))
        return
    try:
        series, unread = read_dicom_series(paths, source, window, notes)
    except ValueError as error:
        problems.append((Path(source), str(error)))
        return
    problems += unread
    yield from series
