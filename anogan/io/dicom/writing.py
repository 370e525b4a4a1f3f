"""DICOM out: the synthetic images."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from anogan.io.uids import derived_uid
from anogan.storage.atomic import write_bytes


def write_dicom(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    position: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    uids: tuple[str, str, str] | None = None,
    patient_id: str = "",
    series_description: str = "",
    instance_number: int = 1,
    window: tuple[float, float] | None = None,
    slice_thickness: float | None = None,
) -> None:
    """Write an MR Image Storage file (DICOM PS3.3, A.4) in Explicit VR Little Endian; whole or not at all.

    Parameters
    ----------
    path
        The file.
    pixels
        (H, W) uint16.
    spacing
        mm (row, column).
    position
        Center of the first pixel in mm, LPS (x, y, z).
    orientation
        Direction cosines of a row and of a column, LPS.
    uids
        Study, series and instance UID; None makes new ones.
    patient_id, series_description, instance_number
        As the standard names them. There is no patient name.
    window
        (center, width), or None.
    slice_thickness
        mm, or None.

    Raises
    ------
    ValueError
        The pixels are not (H, W) uint16, or the file cannot be written.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise ValueError(
            f"{os.fspath(path)}: expected (H, W) uint16 pixels, got {pixels.dtype} of shape {pixels.shape}"
        )
    study, series, instance = (UID(uid) for uid in uids) if uids else (generate_uid() for _ in range(3))
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = instance
    ds.SpecificCharacterSet = "ISO_IR 192"
    # Patient, General Study, General Series, Frame of Reference, General Equipment: type 2 may be empty, not absent.
    for keyword in (
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "ReferringPhysicianName",
    ):
        setattr(ds, keyword, "")
    for keyword in ("AccessionNumber", "Manufacturer", "PositionReferenceIndicator"):
        setattr(ds, keyword, "")
    ds.PatientID, ds.StudyID = patient_id, "1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.FrameOfReferenceUID = derived_uid(study, "frame of reference")
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = "MR", 1, series_description
    ds.BodyPartExamined, ds.PatientPosition = "HEAD", "HFS"
    ds.InstanceNumber = instance_number
    ds.BurnedInAnnotation = "NO"
    # Image Plane
    ds.PixelSpacing = [_decimal(mm) for mm in spacing]
    ds.ImagePositionPatient = [_decimal(mm) for mm in position]
    ds.ImageOrientationPatient = [_decimal(cosine) for cosine in orientation]
    ds.SliceThickness = None if slice_thickness is None else _decimal(slice_thickness)
    # MR Image: RM is "research mode"; times of a sequence that nobody ran stay empty
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "RM", "NONE", "", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = None, None, None
    # Image Pixel and VOI LUT
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    if window is not None:
        ds.WindowCenter, ds.WindowWidth = (_decimal(value) for value in window)
    data = pixels.astype("<u2").tobytes()
    ds.add_new("PixelData", "OW", data)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    write_bytes(path, buffer.getvalue())


def _decimal(value: float) -> str:
    """Return a number in the at most 16 characters of a decimal string."""
    return f"{float(value):.10g}" if abs(value) >= 1e-4 or value == 0 else f"{float(value):.8e}"
