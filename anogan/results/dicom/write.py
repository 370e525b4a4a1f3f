"""Make the objects of one result and write them into a folder."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from anogan.io.dicom.quiet import keep_quiet
from anogan.results.dicom.identity import Marks, Verification
from anogan.results.dicom.secondary_capture import MOST, captures
from anogan.results.dicom.segmentation import parametric_map, segmentation
from anogan.results.dicom.source import Origin, Unsupported
from anogan.results.dicom.structured_report import report
from anogan.scan import Series, SeriesResult
from anogan.storage.atomic import write_bytes

keep_quiet("highdicom")

KINDS = ("seg", "map", "sr", "sc")
"""Segmentation, Parametric Map, structured report, Secondary Capture."""

_log = logging.getLogger(__name__)
_WORDS = {"seg": "segmentation", "map": "parametric map"}


def write_derived(
    series: Series,
    sources: Sequence[Path],
    result: SeriesResult,
    detector: Mapping[str, Any],
    folder: Path,
    threshold: float | None = None,
    kinds: Collection[str] = KINDS,
    verified: Verification | None = None,
) -> list[Path]:
    """Write a result as DICOM objects of the source's study: series of their own, on the source's own grid.

    Parameters
    ----------
    series
        What was scored; its slices come from DICOM files.
    sources
        These files, in any order. Patient and study are copied from one of them, never into a name or a log.
    result
        What the detector says of the series, slice by slice, maps in healthy standard deviations. One that is not
        scored gives a report that says so, and no image that could be read as normal.
    detector
        `Detector.summary(series=True)`; one of single images leaves the operating point unsaid.
    folder
        Where the files go, named by kind and SOP instance UID.
    threshold
        The map value from which a pixel belongs to a region; None: the lower end of `map_range`, which the maps of
        95 % of healthy images do not reach.
    kinds
        Which of `KINDS`.
    verified
        The reader who has signed it; None: the objects say that nobody has verified them. DICOM has a flag for it in
        reports alone, the other objects say it in words. Verified objects have UIDs of their own.

    Returns
    -------
    list[Path]
        The files. The same files, detector and verdict give the same UIDs and names again.

    Raises
    ------
    ValueError
        A kind is unknown, the series is not of DICOM files, not of these or itself a result, result and series do not
        belong together, or a file cannot be written. An object that cannot be made of such a series at all is left
        out; the log and the report say why.
    """
    if unknown := set(kinds) - set(KINDS):
        raise ValueError(f"kinds: expected some of {', '.join(KINDS)}, got {', '.join(sorted(unknown))}")
    scored = result.status == "scored"
    if scored and len(result.slices) != len(series.scans):
        raise ValueError(f"{series.source}: has {len(series.scans)} slices, its result {len(result.slices)}")
    if verified is not None and not scored:
        raise ValueError(f"{series.source}: is not scored, so there is nothing that a reader could have verified")
    level = float(detector["map_range"][0]) if threshold is None else float(threshold)
    marks = Marks(Origin.read(series, sources), result, detector, level, verified)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote names that highdicom finds odd
            objects = _make(marks, kinds)
            files = [(folder / f"{kind}-{ds.SOPInstanceUID}.dcm", _bytes(ds)) for kind, ds in objects]
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(tuple(scan.source for scan in series.scans)):
            raise
        raise ValueError(  # its words may quote the header
            f"{series.source}: its result cannot be written as DICOM ({type(error).__name__}); "
            "check the source files with a validator such as dciodvfy"
        ) from None
    for path, data in files:
        write_bytes(path, data)
    return [path for path, _ in files]


def _make(marks: Marks, kinds: Collection[str]) -> list[tuple[str, Dataset]]:
    """Return the objects and their kinds, the report after what it refers to."""
    result = marks.result
    if result.status != "scored":
        return [("sr", report(marks, (), (), ()))] if "sr" in kinds else []
    judged = [index for index, each in enumerate(result.slices) if each.status == "scored"]
    top = [index for index in result.top if index in set(judged)][:MOST]
    made: list[tuple[str, Dataset]] = []
    regions: list[tuple[Dataset, list[int]]] = []
    left_out: list[str] = []
    for kind, make in (("seg", segmentation), ("map", parametric_map)):
        if kind not in kinds:
            continue
        try:
            parts = list(enumerate(marks.origin.parts(judged), start=1))
            images = [(make(marks, indices, number), indices) for number, indices in parts]
        except Unsupported as why:
            left_out.append(f"There is no {_WORDS[kind]}: {why}.")
            _log.warning("%s: no %s is written: %s", marks.origin.series.source, _WORDS[kind], why)
            continue
        made += [(kind, ds) for ds, _ in images]
        regions += images if kind == "seg" else []
    if "sr" in kinds:
        if len(judged) < len(result.slices):
            left_out.append(f"{len(result.slices) - len(judged)} slices are not scored, and have no frame.")
        made.append(("sr", report(marks, top, regions, left_out)))
    if "sc" in kinds:
        made += [("sc", ds) for ds in captures(marks, top)]
    return made


def _bytes(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
