"""Segmentation and map: what is planted on the source's grid comes back at its pixel, slice and millimeter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from anogan.io import read_scan
from anogan.scan import Geometry, Series

PLANES = ["axial", "sagittal", "oblique"]


def millimeters(ds: Dataset, frame: int, row: float, column: float) -> np.ndarray:
    """Return where a pixel of a multi-frame image lies (PS3.3, C.7.6.2.1.1), from the file alone."""
    shared, own = ds.SharedFunctionalGroupsSequence[0], ds.PerFrameFunctionalGroupsSequence[frame]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, across = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    start = np.array(own.PlanePositionSequence[0].ImagePositionPatient, float)
    return start + cosines[:3] * across * column + cosines[3:] * down * row


def source_of(ds: Dataset, frame: int) -> Dataset:
    return ds.PerFrameFunctionalGroupsSequence[frame].DerivationImageSequence[0].SourceImageSequence[0]


def planted(case: Any, slice_: int = 3, row: int = 7, column: int = 11) -> np.ndarray:
    """Return the lesion's center in mm, from the geometry that the files were written with."""
    geometry, spacing = case.series.scans[slice_].geometry, case.series.scans[slice_].spacing
    across, down = np.array(geometry.along_row), np.array(geometry.along_column)
    return np.array(geometry.origin) + across * spacing[1] * (column + 0.5) + down * spacing[0] * (row + 0.5)


def check_lesion(case: Any, ds: Dataset, pixels: np.ndarray) -> None:
    frames, rows, columns = np.nonzero(pixels)
    assert len(frames) == 4
    assert set(rows) == {7, 8}
    assert set(columns) == {11, 12}
    assert len(set(frames)) == 1
    np.testing.assert_allclose(millimeters(ds, frames[0], rows.mean(), columns.mean()), planted(case), atol=1e-6)
    scan, source = case.series.scans[3], source_of(ds, frames[0])
    assert source.ReferencedSOPInstanceUID == scan.instance_uid
    assert source.ReferencedSOPClassUID == scan.sop_class_uid
    assert source.get("ReferencedFrameNumber") == (scan.frame if scan.frames > 1 else None)


@pytest.mark.parametrize("plane", PLANES)
def test_a_planted_lesion_comes_back_at_its_place(make_case: Callable[..., Any], plane: str) -> None:
    case = make_case(plane)
    written = case.write(kinds=["seg", "map"])
    (segmentation,), (anomaly_map,) = written["seg"], written["map"]
    check_lesion(case, segmentation, segmentation.pixel_array)
    check_lesion(case, anomaly_map, anomaly_map.pixel_array >= 4)


def test_a_lesion_comes_back_from_an_enhanced_file(enhanced_case: Any) -> None:
    written = enhanced_case.write(kinds=["seg", "map"])
    (segmentation,), (anomaly_map,) = written["seg"], written["map"]
    check_lesion(enhanced_case, segmentation, segmentation.pixel_array)
    check_lesion(enhanced_case, anomaly_map, anomaly_map.pixel_array >= 4)
    assert len(segmentation.SourceImageSequence) == 1
    assert segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 2


def test_the_order_of_the_files_does_not_matter(make_case: Callable[..., Any]) -> None:
    case = make_case("oblique")
    (one,) = case.write(kinds=["seg"])["seg"]
    case.files = case.files[2:] + case.files[:2]
    (other,) = case.write(kinds=["seg"])["seg"]
    assert one.SOPInstanceUID == other.SOPInstanceUID
    assert one.PixelData == other.PixelData


@pytest.mark.parametrize("plane", PLANES)
def test_the_map_survives_to_the_last_bit(make_case: Callable[..., Any], plane: str) -> None:
    case = make_case(plane)
    (ds,) = case.write(kinds=["map"])["map"]
    by_instance = {
        scan.instance_uid: result for scan, result in zip(case.series.scans, case.result.slices, strict=True)
    }
    assert ds.pixel_array.dtype == np.float32
    for frame, values in enumerate(ds.pixel_array):
        expected = by_instance[source_of(ds, frame).ReferencedSOPInstanceUID].anomaly_map
        np.testing.assert_array_equal(values, expected)


def test_every_scored_slice_has_a_frame_and_the_rest_none(make_case: Callable[..., Any]) -> None:
    case = make_case()
    (ds,) = case.write(kinds=["seg"])["seg"]
    assert ds.NumberOfFrames == 5
    assert [frame.any() for frame in ds.pixel_array].count(True) == 1
    slices = list(case.result.slices)
    slices[1] = type(slices[1])(slices[1].source, "not scored", "too dark")
    case.result = type(case.result)(case.result.source, "scored", "", 7.25, None, None, tuple(slices), case.result.top)
    written = case.write(kinds=["seg", "map"])
    for (ds,) in written.values():
        named = {source_of(ds, frame).ReferencedSOPInstanceUID for frame in range(ds.NumberOfFrames)}
        assert named == {scan.instance_uid for scan in case.series.scans} - {case.series.scans[1].instance_uid}


def test_a_partly_scored_enhanced_file_keeps_its_frames_apart(enhanced_case: Any) -> None:
    case = enhanced_case
    slices = list(case.result.slices)
    slices[0] = type(slices[0])(slices[0].source, "not scored", "too dark")
    case.result = type(case.result)(case.result.source, "scored", "", 7.25, None, None, tuple(slices), case.result.top)
    (ds,) = case.write(kinds=["seg"])["seg"]
    check_lesion(case, ds, ds.pixel_array)
    assert {source_of(ds, frame).ReferencedFrameNumber for frame in range(4)} == {1, 3, 4, 5}


def test_highdicom_reads_the_volume_as_it_was(make_case: Callable[..., Any]) -> None:
    """An independent reader: its own affine takes the voxels to the planted place."""
    case = make_case("sagittal")
    (path,) = case.write_files(kinds=["seg"])
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    place = volume.affine @ [*np.argwhere(volume.array).mean(axis=0), 1]
    np.testing.assert_allclose(place[:3], planted(case), atol=1e-4)
    np.testing.assert_allclose(volume.spacing, [2.5, 0.8, 0.7], atol=1e-4)


def test_the_level_is_the_lower_end_of_the_scale_or_as_given(make_case: Callable[..., Any]) -> None:
    case = make_case()
    (ds,) = case.write(kinds=["seg"])["seg"]
    assert ds.SegmentSequence[0].SegmentLabel == "UNVERIFIED: anomaly >= 4 SD"
    (higher,) = case.write(kinds=["seg"], threshold=9.5)["seg"]
    assert not higher.pixel_array.any()
    assert higher.SegmentSequence[0].SegmentLabel == "UNVERIFIED: anomaly >= 9.5 SD"
    assert higher.SOPInstanceUID != ds.SOPInstanceUID


def test_the_segment_says_what_it_is_and_who_found_it(make_case: Callable[..., Any]) -> None:
    (ds,) = make_case().write(kinds=["seg"])["seg"]
    (segment,) = ds.SegmentSequence
    assert (ds.SegmentationType, segment.SegmentAlgorithmType) == ("BINARY", "AUTOMATIC")
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmVersion == "0.1.0, detector 0123456789abcdef"
    # PS3.3, C.10.7.1.1: L* of 53.2 in 0 to 100, a* of 80.1 and b* of 67.2 in -128 to 127, as 0 to 65535
    expected = [53.2 / 100 * 65535, (80.1 + 128) / 255 * 65535, (67.2 + 128) / 255 * 65535]
    np.testing.assert_allclose(segment.RecommendedDisplayCIELabValue, expected, atol=1)


def test_the_map_states_its_unit_and_its_window(make_case: Callable[..., Any]) -> None:
    (ds,) = make_case().write(kinds=["map"])["map"]
    shared = ds.SharedFunctionalGroupsSequence[0]
    group = shared if "RealWorldValueMappingSequence" in shared else ds.PerFrameFunctionalGroupsSequence[0]
    (mapping,) = group.RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "{SD}"
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == 9
    (voi,) = shared.FrameVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth) == (8, 8)


def test_a_source_without_a_place_keeps_its_pixels(make_case: Callable[..., Any]) -> None:
    written = make_case(geometry=False, color=True).write(kinds=["seg"])
    (ds,) = written["seg"]
    assert "FrameOfReferenceUID" not in ds
    assert "PlanePositionSequence" not in ds.PerFrameFunctionalGroupsSequence[0]
    assert source_of(ds, 0).ReferencedSOPInstanceUID == "1.2.3.4.1"
    assert np.argwhere(ds.pixel_array).tolist() == [[7, 11], [7, 12], [8, 11], [8, 12]]


def test_a_map_of_another_size_is_refused(make_case: Callable[..., Any]) -> None:
    case = make_case()
    slices = list(case.result.slices)
    slices[2] = type(slices[2])(slices[2].source, "scored", score=1.0, anomaly_map=np.zeros((3, 4), np.float32))
    case.result = type(case.result)(case.result.source, "scored", "", 7.25, None, None, tuple(slices), (0,))
    with pytest.raises(ValueError, match=r"IM1: its map has shape \(3, 4\), the image \(24, 30\)"):
        case.write()


@pytest.mark.realdata
def test_a_lesion_in_the_real_series(
    data_root: Path, tmp_path: Path, case_of: Callable[..., Any], validate: Callable[[Path], list[str]]
) -> None:
    files = sorted((data_root / "dicom" / "t1_series").iterdir())[:12]
    scans = []
    for path in files:
        ds = dcmread(path, stop_before_pixels=True)
        cosines = tuple(map(float, ds.ImageOrientationPatient))
        geometry = Geometry(
            tuple(map(float, ds.ImagePositionPatient)), cosines[:3], cosines[3:], ds.FrameOfReferenceUID
        )
        scan = read_scan(path)
        fields = {name: getattr(scan, name) for name in ("spacing", "modality", "study_uid", "series_uid", "position")}
        scans.append(
            type(scan)(
                scan.pixels,
                str(path),
                instance_uid=scan.instance_uid,
                sop_class_uid=ds.SOPClassUID,
                geometry=geometry,
                **fields,
            )  # fmt: skip
        )
    scans.sort(key=lambda scan: scan.position)
    case = case_of(Series(tuple(scans), "t1", None), files, tmp_path)
    written = case.write(kinds=["seg", "map"])
    check_lesion(case, written["seg"][0], written["seg"][0].pixel_array)
    check_lesion(case, written["map"][0], written["map"][0].pixel_array >= 4)
    assert written["seg"][0].PatientName == dcmread(files[0]).PatientName
    said = [line for path in case.write_files() for line in validate(path)]
    assert [line for line in said if line.startswith("Error")] == []  # it warns of the patient's old-style name
