"""DICOM in and out, by way of pydicom and its decoders."""

from anogan.io.dicom.reading import (
    Header,
    read_dicom,
    read_dicom_frames,
    read_dicom_header,
    read_dicom_series,
    read_dicom_subject,
    read_dicomdir,
)
from anogan.io.dicom.writing import write_dicom

__all__ = [
    "Header",
    "read_dicom",
    "read_dicom_frames",
    "read_dicom_header",
    "read_dicom_series",
    "read_dicom_subject",
    "read_dicomdir",
    "write_dicom",
]
