"""The series that an object is derived from: what is copied from it, and how it is referred to.

highdicom takes single-frame headers as its sources. Every slice, be it a file or a frame of one, gets such a header
here, under a UID of its own; `Origin.name_sources` puts the real instances and frames in their place afterwards.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom.config
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, MRImageStorage, SecondaryCaptureImageStorage
from pydicom.valuerep import validate_value

from anogan.io.dicom.quiet import keep_quiet
from anogan.io.uids import derived_uid
from anogan.scan import Scan, Series

keep_quiet("pydicom")

MAKER = "anogan"

_OWN_GROUPS = {0x0028, 0x0048, 0x5200, 0x7FE0}  # pixels, slides and functional groups: those of the source alone
_OWN = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "SliceThickness",
    "FrameOfReferenceUID", "PositionReferenceIndicator", "ImagePositionPatient", "ImageOrientationPatient",
)  # fmt: skip
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_FORMATS = ("AS", "CS", "DA", "DS", "DT", "IS", "TM")
# Patient and General Study, type 2: may be empty, not absent.
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


class Unsupported(ValueError):
    """A sentence on why an object cannot be made of this series; others can."""


@dataclass(frozen=True, eq=False)
class Origin:
    """A series and the header of one of its files.

    Attributes
    ----------
    series
        The slices.
    header
        What the objects copy: patient, study and equipment, in Unicode; nothing of pixels and planes.
    thickness
        SliceThickness in mm, or None.
    sop_class_uid
        That of the file.
    """

    series: Series
    header: Dataset
    thickness: float | None
    sop_class_uid: str

    @classmethod
    def read(cls, series: Series, sources: Sequence[Path]) -> Origin:
        """Find the file of the first slice among the sources, in any order, and read its header.

        Raises
        ------
        ValueError
            The series is not of DICOM files, the file is missing or damaged, or it is a result itself.
        """
        first = series.scans[0]
        if not (first.instance_uid and first.series_uid and first.study_uid):
            raise ValueError(
                f"{series.source}: has no DICOM UIDs; only DICOM series can be written back, use inspect for others"
            )
        if (shared := len(series.scans) - len(series.images)) > 0:
            raise ValueError(
                f"{series.source}: {shared} of its {len(series.scans)} images have the SOP instance UID of another "
                "one, so no object can say which image it speaks of; export the series with a UID for each image"
            )
        header = None
        for path in sources:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if dcmread(path, force=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID != first.instance_uid:
                        continue
                    header = dcmread(path, force=True, stop_before_pixels=True)
                    header.decode()
                    copied, thickness = _copied(header), _thickness(header, series)
                    break
            except Exception:  # of another series perhaps; a damaged file is damaged in many ways
                header = None
        if header is None:
            raise ValueError(
                f"{series.source}: the file of instance {first.instance_uid} is not among the {len(sources)} files "
                "given for it, or is damaged; name the files that the series was read from"
            )
        if header.get("Manufacturer") == MAKER:
            raise ValueError(f"{series.source}: is a result of anogan, not an image to be judged; leave it out")
        return cls(series, copied, thickness, str(header.SOPClassUID))

    @property
    def placed(self) -> bool:
        """Whether every slice has a place in the patient and a pixel size."""
        return all(scan.geometry is not None and scan.spacing is not None for scan in self.series.scans)

    @property
    def frame_of_reference_uid(self) -> str:
        """That of the source; a series that lacks it, against the standard, shares one made of its UID."""
        geometry = self.series.scans[0].geometry
        given = "" if geometry is None else geometry.frame_of_reference_uid
        return given or derived_uid(self.series.series_uid, "frame of reference")

    def parts(self, indices: Sequence[int]) -> list[list[int]]:
        """Return which of these slices go into one image object: all, or where they have no place, each into its own.

        Raises
        ------
        Unsupported
            Two slices lie at one place, or a file without geometry holds several frames (PS3.3, C.8.20.2 would allow
            these; highdicom does not write them).
        """
        scans = [self.series.scans[index] for index in indices]
        if self.placed:
            places = [np.dot(scan.geometry.normal, scan.geometry.origin) for scan in scans if scan.geometry]
            if len(np.unique(np.round(places, 6))) < len(places):
                raise Unsupported("two of its slices lie at the same place")
            return [list(indices)]
        if any(scan.frames > 1 for scan in scans):
            raise Unsupported("its frames have no place in the patient")
        return [[index] for index in indices]

    def stand_in(self, scan: Scan) -> Dataset:
        """Return the header of one slice as that of a single-frame image."""
        ds = Dataset()
        ds.update(self.header)  # shares its elements: what is set below is not among them
        ds.SOPClassUID = MRImageStorage if self.placed else SecondaryCaptureImageStorage
        ds.SOPInstanceUID = _stand_in_uid(scan)
        ds.SeriesInstanceUID = scan.series_uid
        ds.Modality = scan.modality or "OT"
        ds.Rows, ds.Columns = scan.pixels.shape[:2]
        if self.placed:
            assert scan.geometry is not None
            assert scan.spacing is not None
            ds.FrameOfReferenceUID = self.frame_of_reference_uid
            ds.PositionReferenceIndicator = ""
            ds.ImagePositionPatient = list(map(_decimal, scan.geometry.origin))
            ds.ImageOrientationPatient = list(map(_decimal, scan.geometry.along_row + scan.geometry.along_column))
            ds.PixelSpacing = list(map(_decimal, scan.spacing))
            ds.SliceThickness = None if self.thickness is None else _decimal(self.thickness)
        return ds

    def sop_class_of(self, scan: Scan) -> str:
        """Return the SOP class of a slice's file."""
        return scan.sop_class_uid or self.sop_class_uid

    def reference(self, scan: Scan, frame: bool = False) -> Dataset:
        """Return an item that refers to a slice's file (PS3.3, table 10-11), or to its very frame (table 10-3)."""
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = self.sop_class_of(scan), scan.instance_uid
        if frame and scan.frames > 1:
            item.ReferencedFrameNumber = scan.frame
        return item

    def files(self, indices: Sequence[int] | None = None) -> list[Scan]:
        """Return one slice of each file, in their order."""
        scans = self.series.scans if indices is None else [self.series.scans[index] for index in indices]
        return list({scan.instance_uid: scan for scan in reversed(scans)}.values())[::-1]

    def patient_orientation(self, scan: Scan) -> list[str]:
        """Return where rows and columns point (PS3.3, C.7.6.1.1.1), such as ["L", "PF"]; [] where that is unknown."""
        if scan.geometry is None:
            given = self.header.get("PatientOrientation") or []
            return [str(value) for value in given] if len(given) == 2 else []
        return [_letters(scan.geometry.along_row), _letters(scan.geometry.along_column)]

    def evidence(self) -> list[Dataset]:
        """Return a header of each file under its own UID, for highdicom to list and to copy from."""
        items = []
        for scan in self.files():
            ds = Dataset()
            ds.update(self.header)
            ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, scan.instance_uid
            ds.SeriesInstanceUID = scan.series_uid
            items.append(ds)
        return items

    def name_evidence(self, ds: Dataset) -> None:
        """Put the files' SOP classes, which highdicom does not copy from when it does not know them, into a report."""
        classes = {scan.instance_uid: self.sop_class_of(scan) for scan in self.files()}
        for study in ds.CurrentRequestedProcedureEvidenceSequence:
            for series in study.ReferencedSeriesSequence:
                for item in series.ReferencedSOPSequence:
                    given = item.ReferencedSOPClassUID
                    item.ReferencedSOPClassUID = classes.get(item.ReferencedSOPInstanceUID, given)

    def name_sources(self, ds: Dataset, indices: Sequence[int]) -> None:
        """Put the files and frames of these slices into an image made of their stand-ins."""
        scans = {_stand_in_uid(self.series.scans[index]): self.series.scans[index] for index in indices}
        for frame in ds.PerFrameFunctionalGroupsSequence:
            for source in frame.DerivationImageSequence[0].SourceImageSequence:
                source.update(self.reference(scans[source.ReferencedSOPInstanceUID], frame=True))
        files = self.files(indices)
        ds.SourceImageSequence = list(map(self.reference, files))
        ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence = list(map(self.reference, files))


def _copied(header: Dataset) -> Dataset:
    """Return what the objects copy, with what the standard wants and without what it forbids."""
    kept = Dataset()
    for element in header:
        tag = BaseTag(element.tag)
        if tag.group in _OWN_GROUPS or tag.is_private or element.keyword in _OWN or _malformed(element):
            continue
        kept.add(element)
    for keyword in _LOSSY:
        if keyword in header:
            kept.add(header[keyword])
    for keyword in _TYPE_2:
        if keyword not in kept:
            setattr(kept, keyword, "")
    if kept.PatientSex not in ("M", "F", "O"):
        kept.PatientSex = ""
    kept.SpecificCharacterSet = "ISO_IR 192"
    return kept


def _malformed(element: DataElement) -> bool:
    """Return whether a date, a number or a code is none, such as an age of "42" in place of "042Y" (PS3.5, 6.2)."""
    if element.VR not in _FORMATS or element.is_empty:
        return False
    try:
        for value in element.value if element.VM > 1 else [element.value]:
            validate_value(element.VR, str(value), pydicom.config.RAISE)
    except ValueError:
        return True
    return False


def _thickness(header: Dataset, series: Series) -> float | None:
    """Return SliceThickness, of a multi-frame file from its functional groups, else the step."""
    groups = [header]
    frame = series.scans[0].frame - 1
    for keyword, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        for group in (header.get(keyword) or [])[index : index + 1]:
            groups += group.get("PixelMeasuresSequence") or []
    for ds in groups:
        try:
            thickness = float(ds.SliceThickness)
        except (AttributeError, TypeError, ValueError):
            continue
        if thickness > 0:
            return thickness
    return abs(series.step) if series.step else None


def _stand_in_uid(scan: Scan) -> UID:
    return derived_uid(scan.instance_uid, f"frame {scan.frame}")


def _letters(direction: tuple[float, float, float]) -> str:
    strongest = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    return "".join(("LPH" if direction[axis] > 0 else "RAF")[axis] for axis in strongest if abs(direction[axis]) > 0.1)


def _decimal(value: float) -> str:
    """Return a number in the at most 16 characters of a decimal string, as exact as they are."""
    for digits in range(16, 0, -1):
        if len(text := f"{float(value):.{digits}g}") <= 16:
            return text
    raise AssertionError(value)
