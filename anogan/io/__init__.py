"""Images in, results out. What a file is, its content decides, not its name."""

from __future__ import annotations

import os

from anogan.io.files import find_images, kind_of
from anogan.io.pixels import WindowChoice, several_frames
from anogan.io.raster import read_raster, write_png
from anogan.io.series import iter_series, not_an_image, read_series
from anogan.scan import Scan

__all__ = ["find_images", "iter_series", "read_frames", "read_scan", "read_series", "read_subject", "write_png"]


def read_scan(path: str | os.PathLike[str], window: WindowChoice = "first") -> Scan:
    """Read one image: single-frame DICOM, or a picture (`anogan.io.raster.read_raster` says which and how).

    Parameters
    ----------
    path
        The file. At most 64 million pixels, which its header must say before anything is decoded.
    window
        Which window shows a gray DICOM image: "first", the name of one, or (center, width).

    Returns
    -------
    Scan
        Pixels in [0, 1], ready for display.

    Raises
    ------
    ValueError
        The file is missing, is no such image, is damaged or too large, or holds several frames; the sentence begins
        with its path.
    """
    kind = kind_of(path)
    if kind == "dicom":
        from anogan.io.dicom import read_dicom  # pydicom takes a while to import

        return read_dicom(path, window)
    scans = read_frames(path, window)
    if len(scans) > 1:
        raise ValueError(str(several_frames(os.fspath(path), len(scans))))
    return scans[0]


def read_frames(path: str | os.PathLike[str], window: WindowChoice = "first") -> list[Scan]:
    """Read all images of one file: the frames of a DICOM file, the slices of a NIfTI volume, or the one of a raster.

    All frames of a stack are shown by one window, so that they can be compared; see `read_series`.

    Parameters
    ----------
    path, window
        As in `read_scan`; at most 400 million pixels in all frames.

    Returns
    -------
    list of Scan
        In the order of the file.

    Raises
    ------
    ValueError
        As in `read_scan`.
    """
    kind = kind_of(path)
    if kind == "raster":
        return [read_raster(path)]
    if kind == "dicom":
        from anogan.io.dicom import read_dicom_frames

        return read_dicom_frames(path, window)
    if kind == "nifti":
        from anogan.io.nifti import read_nifti

        return [scan for series in read_nifti(path, window) for scan in series.scans]
    raise not_an_image(path)


def read_subject(path: str | os.PathLike[str]) -> str:
    """Return the pseudonym of the person in a DICOM file from its header alone, or "" for any other file."""
    if kind_of(path) != "dicom":
        return ""
    from anogan.io.dicom import read_dicom_subject

    return read_dicom_subject(path)
