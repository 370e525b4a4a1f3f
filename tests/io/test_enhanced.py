"""Enhanced multi-frame objects: what each frame has of its own, decoding frame by frame, and damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from anogan.io import read_frames, read_scan, read_series
from anogan.io.dicom import write_dicom
from anogan.results.reading import series_id
from anogan.scan import Series

Edit = Callable[[Dataset], None]


def only(path: Path) -> Series:
    (one,), problems = read_series([path])
    assert problems == []
    return one


def marks(series: Series) -> list[int]:
    """Return what number each frame was written as."""
    return [round(float(scan.pixels[1, 1] * 10)) for scan in series.scans]


def enhanced(
    path: Path,
    frames: Sequence[Edit],
    shared: Edit | None = None,
    syntax: str = ExplicitVRLittleEndian,
    series: str = "2.25.2",
) -> Path:
    """Write an enhanced MR object; frame k is full of k * 100, but for a pixel of 1000 and one of 0."""
    write_dicom(path, np.zeros((64, 60), np.uint16), uids=("2.25.1", series, "2.25.3"))
    ds = dcmread(path)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(ds, keyword)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    groups = Dataset()
    groups.PixelMeasuresSequence, groups.PlaneOrientationSequence = [Dataset()], [Dataset()]
    groups.PixelMeasuresSequence[0].PixelSpacing = [0.5, 0.7]
    groups.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    if shared is not None:
        shared(groups)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [groups], []
    stored = np.zeros((len(frames), 64, 60), np.uint16)
    for k, edit in enumerate(frames):
        stored[k], stored[k, 0, 0], stored[k, 0, 1] = 100 * k, 1000, 0
        own = Dataset()
        edit(own)
        ds.PerFrameFunctionalGroupsSequence.append(own)
    ds.NumberOfFrames = len(frames)
    ds["PixelData"].value = stored.tobytes()
    if syntax != ExplicitVRLittleEndian:
        ds.compress(syntax, generate_instance_uid=False)
    ds.save_as(path)
    return path


def at(z: float, **groups: Dataset) -> Edit:
    def edit(own: Dataset) -> None:
        own.PlanePositionSequence = [Dataset()]
        own.PlanePositionSequence[0].ImagePositionPatient = [1, 2, z]
        for keyword, item in groups.items():
            setattr(own, keyword, [item])

    return edit


def holding(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def test_an_enhanced_object_is_a_series_in_the_order_of_positions(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a.dcm", [at(4), at(0), at(2)])
    series = only(path)
    assert marks(series) == [1, 2, 0]
    assert [scan.frame for scan in series.scans] == [2, 3, 1]
    assert {scan.frames for scan in series.scans} == {3}
    assert (series.step, series.source, series.notes) == (2, str(path), ())
    assert {scan.spacing for scan in series.scans} == {(0.5, 0.7)}
    assert series.scans[0].geometry is not None
    assert series.scans[0].geometry.origin == (1, 2, 0)
    assert {scan.instance_uid for scan in series.scans} == {"2.25.3"}
    assert [scan.frame for scan in read_frames(path)] == [1, 2, 3]
    with pytest.raises(ValueError, match=r"holds 3 frames; read it as a series \(anogan.io.read_series"):
        read_scan(path)


def test_each_frame_has_its_own_rescale(tmp_path: Path) -> None:
    def transformed(slope: float, intercept: float) -> dict[str, Dataset]:
        return {
            "PixelValueTransformationSequence": holding(
                RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US"
            ),
        }

    window = holding(WindowCenter=500, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT")

    def shared(groups: Dataset) -> None:
        groups.FrameVOILUTSequence = [window]

    frames = [at(0, **transformed(1, 0)), at(2, **transformed(2, 50)), at(4, **transformed(0.5, 0))]
    series = only(enhanced(tmp_path / "a.dcm", frames, shared))
    # 0, 2 * 100 + 50 and 0.5 * 200 of 1000
    assert [float(scan.pixels[1, 1]) for scan in series.scans] == pytest.approx([0, 0.25, 0.1])


def test_echoes_in_one_object_are_two_stacks(tmp_path: Path) -> None:
    echoes = [holding(EffectiveEchoTime=time) for time in (80.0, 20.0)]
    path = enhanced(tmp_path / "a.dcm", [at(z, MREchoSequence=echo) for z in (0, 2) for echo in echoes])
    series, problems = read_series([path])
    assert problems == []
    assert [marks(one) for one in series] == [[1, 3], [0, 2]]
    assert series[0].notes == ("its series holds 2 stacks; this one has the Effective Echo Time 20",)
    assert len({series_id(one) for one in series}) == 2  # though both are of one instance
    assert [scan.frame for scan in read_frames(path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless, JPEG2000Lossless])
def test_frames_are_decoded_one_by_one(tmp_path: Path, syntax: str) -> None:
    plain = read_frames(enhanced(tmp_path / "a.dcm", [at(0), at(2), at(4)]))
    packed = read_frames(enhanced(tmp_path / "b.dcm", [at(0), at(2), at(4)], syntax=syntax))
    assert len(packed) == 3
    for one, other in zip(plain, packed, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_cut_off_object_is_refused_whole(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a.dcm", [at(0), at(2), at(4)], syntax=RLELossless)
    ds = dcmread(path)
    ds.NumberOfFrames = 4
    ds.PerFrameFunctionalGroupsSequence.append(Dataset())
    ds.save_as(path)
    with pytest.raises(ValueError, match="holds 3 compressed frames, but its header says 4"):
        read_frames(path)
    ds.NumberOfFrames = 3
    ds.save_as(path)
    with pytest.raises(ValueError, match="says 3 frames, but describes 4"):
        read_frames(path)


def test_one_position_for_all_frames_is_none(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", np.zeros((4, 5), np.uint16), position=(1, 2, 3))
    ds = dcmread(tmp_path / "a.dcm")
    ds.NumberOfFrames, ds.PixelData = 2, np.arange(40, dtype="<u2").tobytes()
    ds.save_as(tmp_path / "a.dcm")
    series = only(tmp_path / "a.dcm")
    assert [scan.geometry for scan in series.scans] == [None, None]
    assert [scan.frame for scan in series.scans] == [1, 2]
    assert "no position in the patient" in series.notes[0]


def test_no_damage_stops_a_folder(tmp_path: Path) -> None:
    whole = enhanced(tmp_path / "a.dcm", [at(0), at(2), at(4)], syntax=RLELossless).read_bytes()
    enhanced(tmp_path / "good.dcm", [at(0), at(2), at(4)], series="2.25.4")
    path, rng, unread = tmp_path / "a.dcm", np.random.default_rng(0), 0
    for _ in range(100):
        data = bytearray(whole)
        for place in rng.integers(132, len(data), 8):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        series, problems = read_series([tmp_path])
        assert any(len(one.scans) == 3 and one.series_uid == "2.25.4" for one in series)
        assert all(reason.startswith(str(path)) and "\n" not in reason for _, reason in problems)
        unread += len(problems)
    assert unread > 10
