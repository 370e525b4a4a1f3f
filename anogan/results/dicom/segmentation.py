"""The images on the source's own grid: which pixels stand out (Segmentation), and how far (Parametric Map)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.color import CIELabColor
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes

from anogan.results.dicom.identity import HEALTHY_SD, Marks
from anogan.results.dicom.source import Unsupported

_RED = CIELabColor(53.2, 80.1, 67.2)  # of sRGB 255, 0, 0: what viewers draw the regions in


def segmentation(marks: Marks, indices: Sequence[int], number: int) -> Segmentation:
    """Return the regions of these slices at or above the level: one segment, a frame for each slice, empty or not.

    PS3.3, A.51; BINARY, as most viewers show it. The frames stand in the order of their places.
    """
    origin = marks.origin
    description = SegmentDescription(
        segment_number=1,
        segment_label=f"{marks.label}: anomaly >= {marks.level:.3g} SD",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=marks.algorithm(),
        tracking_uid=marks.uid(f"tracking {number}"),
        tracking_id=marks.tracking_id,
        display_color=_RED,
    )
    ds = Segmentation(
        source_images=[origin.stand_in(origin.series.scans[index]) for index in indices],
        pixel_array=maps(marks, indices) >= marks.level,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        omit_empty_frames=False,
        content_label=marks.label,
        content_description=f"Anomaly regions, {marks.label.lower()} machine output",
        **marks.keywords("seg", number),
    )
    if not origin.placed:
        ds.PatientOrientation = origin.patient_orientation(origin.series.scans[indices[0]])
    origin.name_sources(ds, indices)
    return ds


def parametric_map(marks: Marks, indices: Sequence[int], number: int) -> ParametricMap:
    """Return the anomaly maps of these slices (PS3.3, A.75): float32 in healthy standard deviations.

    Raises
    ------
    Unsupported
        They have no place in the patient; the standard makes the Frame of Reference module mandatory.
    """
    origin = marks.origin
    if not origin.placed:
        raise Unsupported("DICOM wants a frame of reference for it, and the images have none")
    low, high = map(float, marks.detector["map_range"])
    values = maps(marks, indices)
    mapping = RealWorldValueMapping(
        lut_label="anomaly",
        lut_explanation="Anomaly in standard deviations of healthy images",
        unit=HEALTHY_SD,
        value_range=(float(values.min()), float(values.max())),
        slope=1,
        intercept=0,
        quantity_definition=codes.DCM.ZScore,
    )
    ds = ParametricMap(
        source_images=[origin.stand_in(origin.series.scans[index]) for index in indices],
        pixel_array=values,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[VOILUTTransformation(window_center=(low + high) / 2, window_width=high - low)],
        content_label=marks.label,
        content_description=f"Anomaly map, {marks.label.lower()} machine output",
        **marks.keywords("map", number),
    )
    ds.Laterality = origin.header.get("Laterality") or ""
    origin.name_sources(ds, indices)
    return ds


def maps(marks: Marks, indices: Sequence[int]) -> np.ndarray:
    """Return the anomaly maps of these slices, (n, H, W) float32."""
    found = []
    for index in indices:
        scan, anomaly_map = marks.origin.series.scans[index], marks.result.slices[index].anomaly_map
        if anomaly_map is None or anomaly_map.shape != scan.pixels.shape[:2]:
            shape = None if anomaly_map is None else anomaly_map.shape
            raise ValueError(f"{scan.source}: its map has shape {shape}, the image {scan.pixels.shape[:2]}")
        if not np.isfinite(anomaly_map).all():
            raise ValueError(f"{scan.source}: its map holds values that are not finite; score the series again")
        found.append(anomaly_map.astype(np.float32))
    return np.stack(found)
