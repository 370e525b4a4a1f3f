"""Series with a planted lesion at a known place, as files, slices and a result made by hand."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from anogan.io.dicom import write_dicom
from anogan.results.dicom import write_derived
from anogan.scan import Geometry, Result, Scan, Series, SeriesResult

ROWS, COLUMNS, SLICES, STEP = 24, 30, 5, 2.5
SPACING = (0.8, 0.7)
ORIGIN = np.array([-31.25, 17.5, 120.0])
LESION = (3, 7, 11)  # slice in the order of the series, row, column
DETECTOR: dict[str, Any] = {
    "name": "brain-mri",
    "map_range": [4.0, 12.0],
    "version": "0.1.0",
    "hash": "0123456789abcdef",
    "unit": "series",
    "threshold": 5.5,
    "false_alarm_rate": 0.05,
    "n_calibration": 59,
    "promise": "At most 5 % are flagged.",
}
_C, _S = np.cos(0.4), np.sin(0.4)
PLANES = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "oblique": ((_C, _S, 0), (-_S * _C, _C * _C, -_S)),
}


@dataclass
class Case:
    """A series, its files, and what was found."""

    series: Series
    files: list[Path]
    result: SeriesResult
    folder: Path

    def write(self, **options: Any) -> dict[str, list[Dataset]]:
        """Write the objects and read them again, by kind."""
        read: dict[str, list[Dataset]] = {}
        for path in self.write_files(**options):
            read.setdefault(path.name.split("-")[0], []).append(dcmread(path))
        return read

    def write_files(self, detector: dict[str, Any] = DETECTOR, out: str = "derived", **options: Any) -> list[Path]:
        return write_derived(self.series, self.files, self.result, detector, self.folder / out, **options)


def result_of(scans: Sequence[Scan], source: str, lesion: tuple[int, int, int] = LESION) -> SeriesResult:
    """Return maps of noise below the level, and a lesion of 9 SD of 2 x 2 pixels."""
    rng = np.random.default_rng(3)
    results = []
    for index, scan in enumerate(scans):
        values = rng.uniform(-1, 3.9, scan.pixels.shape[:2]).astype(np.float32)
        if index == lesion[0]:
            values[lesion[1] : lesion[1] + 2, lesion[2] : lesion[2] + 2] = 9
        results.append(Result(scan.source, "scored", score=float(values.max()), anomaly_map=values))
    top = sorted(range(len(results)), key=lambda index: -results[index].score)
    return SeriesResult(source, "scored", "", 7.25, 1 / 60, True, tuple(results), tuple(top))


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[..., Case]:
    """Return a function that writes a series of single-frame MR files."""

    def make(
        plane: str = "axial", edit: Callable[[Dataset], None] | None = None, geometry: bool = True, color: bool = False
    ) -> Case:
        row, column = (np.array(cosines, float) for cosines in PLANES[plane])
        normal = np.cross(row, column)
        rng = np.random.default_rng(1)
        files, scans = [], []
        for index in range(SLICES if geometry else 1):
            path = tmp_path / "source" / f"IM{(index * 3) % 5}"  # names that sort otherwise
            stored = rng.integers(0, 1000, (ROWS, COLUMNS), dtype=np.uint16)
            origin = ORIGIN + index * STEP * normal
            uids = ("1.2.3", "1.2.3.4", f"1.2.3.4.{index + 1}")
            write_dicom(
                path, stored, spacing=SPACING, position=origin, orientation=[*row, *column], uids=uids,
                patient_id="ID-77", slice_thickness=2.0, instance_number=SLICES - index,
            )  # fmt: skip
            ds = dcmread(path)
            if not geometry:
                for keyword in ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient"):
                    delattr(ds, keyword)
            if edit is not None:
                edit(ds)
            ds.save_as(path)
            files.append(path)
            pixels = (stored / 1000).astype(np.float32)
            scans.append(
                Scan(
                    np.stack([pixels] * 3, axis=2) if color else pixels,
                    str(path),
                    spacing=SPACING,
                    format="DICOM",
                    modality=ds.Modality,
                    study_uid=uids[0],
                    series_uid=uids[1],
                    instance_uid=uids[2],
                    sop_class_uid=ds.SOPClassUID,
                    position=float(normal @ origin),
                    geometry=Geometry(tuple(origin), tuple(row), tuple(column), ds.FrameOfReferenceUID)
                    if geometry
                    else None,
                )  # fmt: skip
            )
        return _case(scans, files, tmp_path, LESION if geometry else (0, *LESION[1:]))

    return make


@pytest.fixture
def enhanced_case(make_case: Callable[..., Case], tmp_path: Path) -> Case:
    """Return an oblique series in one enhanced file whose frames lie in another order than in space."""
    case = make_case("oblique")
    order = [2, 0, 4, 3, 1]  # which slice frames 1 to 5 hold
    single = [dcmread(case.files[index]) for index in order]
    ds = single[0]
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = EnhancedMRImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4.100"
    ds.NumberOfFrames = len(order)
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), 2.0
    orientation.ImageOrientationPatient = ds.ImageOrientationPatient
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for source in single:
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = source.ImagePositionPatient
        group.PlanePositionSequence, group.PlaneOrientationSequence = [position], [orientation]
        frames.append(group)
    ds.PerFrameFunctionalGroupsSequence = frames
    pixels = b"".join(source.PixelData for source in single)
    for keyword in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"):
        delattr(ds, keyword)
    ds.PixelData = pixels
    path = tmp_path / "enhanced" / "file"
    path.parent.mkdir()
    ds.save_as(path)
    scans = [
        Scan(
            scan.pixels,
            str(path),
            spacing=SPACING,
            format="DICOM",
            modality="MR",
            study_uid=scan.study_uid,
            series_uid=scan.series_uid,
            instance_uid="1.2.3.4.100",
            sop_class_uid=EnhancedMRImageStorage,
            frame=order.index(index) + 1,
            frames=len(order),
            geometry=scan.geometry,
            position=scan.position,
        )  # fmt: skip
        for index, scan in enumerate(case.series.scans)
    ]
    return _case(scans, [path], tmp_path, LESION)


def _case(scans: list[Scan], files: list[Path], folder: Path, lesion: tuple[int, int, int]) -> Case:
    series = Series(tuple(scans), str(folder / "source"), STEP if len(scans) > 1 else None)
    return Case(series, files[::-1], result_of(scans, series.source, lesion), folder)


@pytest.fixture(scope="session")
def validate() -> Callable[[Path], list[str]]:
    """Return a function that lists dciodvfy's errors and those warnings that nothing explains."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy on the path: install Debian's dicom3tools")
    explained = (
        "that would be needed to build DICOMDIR",  # what the source lacks, its objects lack
        "<Laterality>",  # empty: the sources do not say which side
        "<99ANOGAN>",  # our own codes, as PS3.16, section 8.2 lets them be
        "<QUANTITY>",  # defined in PS3.3, C.8.32.2.1.4, newer than the validator
    )

    def run(path: Path) -> list[str]:
        said = subprocess.run([program, str(path)], capture_output=True, text=True).stderr.splitlines()
        lines = [line for line in said if line.startswith(("Error", "Warning"))]
        return [line for line in lines if not any(words in line for words in explained)]

    return run


@pytest.fixture
def case_of() -> Callable[..., Case]:
    """Return a function that plants the lesion into any series."""

    def make(series: Series, files: list[Path], folder: Path) -> Case:
        return Case(series, files, result_of(series.scans, series.source), folder)

    return make
