"""The overlay for viewers that show nothing else: the top slices with their heat maps as Secondary Capture."""

from __future__ import annotations

import cv2
import numpy as np
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from anogan.results import heatmap
from anogan.results.dicom.identity import Marks

MOST = 5
"""Slices that are drawn, the most anomalous first."""

_WIDTH = 384  # the least that holds the legend
_LEGEND = 46
_SOURCE = Code("121322", "DCM", "Source image for image processing operation")


def captures(marks: Marks, indices: list[int]) -> list[SCImage]:
    """Return the heat maps of these slices as images of their own (PS3.3, A.8.1), each over a legend.

    The image is enlarged by a whole number where it is narrower than the legend; the source's pixels stay squares.
    """
    return [_capture(marks, index, rank) for rank, index in enumerate(indices, start=1)]


def _capture(marks: Marks, index: int, rank: int) -> SCImage:
    origin = marks.origin
    scan, anomaly_map = origin.series.scans[index], marks.result.slices[index].anomaly_map
    assert anomaly_map is not None
    place = f"slice {index + 1} of {len(origin.series.scans)}"
    low, high = map(float, marks.detector["map_range"])
    picture = heatmap.overlay(scan.pixels, anomaly_map, (low, high))
    scale = -(-max(_WIDTH, picture.shape[1]) // picture.shape[1])
    picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    spacing = tuple(mm / scale for mm in scan.spacing) if origin.placed and scan.spacing is not None else None
    header = origin.header
    ds = SCImage(
        pixel_array=np.vstack([picture, _legend(picture.shape[1], marks.label, place, (low, high))]),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # it takes single letters alone; the right ones follow
        pixel_spacing=spacing,
        study_instance_uid=header.StudyInstanceUID,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate or None,
        study_time=header.StudyTime or None,
        referring_physician_name=header.ReferringPhysicianName,
        specific_character_set="ISO_IR 192",
        **marks.keywords("sc", rank),
    )
    ds.copy_patient_and_study_information(origin.stand_in(scan))
    ds.Laterality = header.get("Laterality") or ""
    ds.PatientOrientation = origin.patient_orientation(scan)
    ds.ImageComments = f"{marks.caveat}. {place} of {marks.series_name}, number {rank} by anomaly."
    ds.DerivationDescription = f"{marks.label} anomaly map of {marks.name}, drawn from {low:.3g} to {high:.3g} SD"
    if scan.burned_in is not None:
        ds.BurnedInAnnotation = "YES" if scan.burned_in else "NO"
    source = origin.reference(scan, frame=True)
    source.PurposeOfReferenceCodeSequence = [_item(_SOURCE)]
    ds.SourceImageSequence = [source]
    return ds


def _legend(width: int, label: str, place: str, map_range: tuple[float, float]) -> np.ndarray:
    """Return the strip below an image, (46, width, 3) uint8: the caveat, the slice, the color scale."""
    strip = np.zeros((_LEGEND, width, 3), np.uint8)
    low, high = map_range

    def write(text: str, x: int, y: int) -> None:
        cv2.putText(strip, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)

    write(f"{label} machine output, not a diagnosis", 4, 16)
    write(place, 4, 37)
    write(f"{low:.3g}", 170, 37)
    write(f"{high:.3g} SD", 312, 37)
    ramp = np.linspace(low, high, 96, dtype=np.float32)[None].repeat(12, axis=0)
    strip[27:39, 210:306] = heatmap.overlay(np.zeros(ramp.shape, np.uint8), ramp, map_range, 1.0)
    return strip


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
