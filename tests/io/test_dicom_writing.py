"""DICOM out: files that a strict reader takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import config as pydicom_config
from pydicom import dcmread
from pydicom.uid import MRImageStorage

from anogan.io.dicom import write_dicom

# MR Image Storage: the attributes of type 1 (with a value) and 2 (perhaps without) of PS3.3 A.4's mandatory modules.
TYPE_1 = """
SOPClassUID SOPInstanceUID SpecificCharacterSet StudyInstanceUID SeriesInstanceUID Modality PatientPosition
FrameOfReferenceUID PixelSpacing ImageOrientationPatient ImagePositionPatient ImageType ScanningSequence SequenceVariant
SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation PixelData
"""
TYPE_2 = """
PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber
SeriesNumber PositionReferenceIndicator Manufacturer InstanceNumber SliceThickness ScanOptions MRAcquisitionType
RepetitionTime EchoTime EchoTrainLength
"""


def test_what_is_written_passes_a_strict_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydicom_config.settings, "reading_validation_mode", pydicom_config.RAISE)
    path = tmp_path / "a.dcm"
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    write_dicom(
        path, pixels, spacing=(1 / 3, 2e-5), position=(-123.456789012345, 1e-17, 7), patient_id="P", window=(1 / 3, 2e9)
    )
    ds = dcmread(path)  # without force: preamble and meta header are there
    for element in ds.iterall():
        assert element.value is not NotImplemented  # reads, and so validates, each value
    assert all(ds.get(keyword) not in (None, "") for keyword in TYPE_1.split())
    assert all(keyword in ds for keyword in TYPE_2.split())
    assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID == MRImageStorage
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
    assert ds.PatientName == ""
    np.testing.assert_array_equal(ds.pixel_array, pixels)
    np.testing.assert_allclose(ds.PixelSpacing, [1 / 3, 2e-5], rtol=1e-8)


def test_the_same_input_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        write_dicom(tmp_path / name, np.ones((3, 4), np.uint16), uids=("2.25.1", "2.25.2", "2.25.3"))
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_only_gray_pixels_of_16_bits_are_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="uint16"):
        write_dicom(tmp_path / "a.dcm", np.zeros((2, 2)))
    assert not list(tmp_path.iterdir())
