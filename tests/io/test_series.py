"""Series out of files: order, stacks, gaps, tilt, one window for all; mixed folders; DICOMDIR."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from anogan.io import iter_series, read_scan, read_series, write_png
from anogan.io.dicom import write_dicom
from anogan.io.places import orientation
from anogan.results.reading import series_id
from anogan.scan import Series

AXIAL, SAGITTAL = (1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1)


def slices(
    folder: Path,
    places: Sequence[Sequence[float]],
    *,
    orientation: Sequence[float] = AXIAL,
    series: str = "2.25.2",
    study: str = "2.25.1",
    start: int = 0,
    edit: Callable[[Dataset, int], None] | None = None,
) -> Path:
    """Write a slice for each place of its first pixel; slice k is full of k * 100, but for one 1000 and one 0."""
    for k, place in enumerate(places):
        pixels = np.full((4, 5), 100 * k, np.uint16)
        pixels[0, :2] = 1000, 0
        path = folder / f"{start + k:03}.dcm"
        uids = (study, series, f"{series}.{start + k}")
        write_dicom(path, pixels, uids=uids, position=place, orientation=orientation, instance_number=len(places) - k)
        if edit is not None:
            ds = dcmread(path)
            edit(ds, k)
            ds.save_as(path)
    return folder


def only(folder: Path, **options: Any) -> Series:
    series, problems = read_series([folder], **options)
    assert problems == []
    (one,) = series
    return one


def marks(series: Series) -> list[int]:
    """Return what number each slice was written as."""
    return [round(float(scan.pixels[1, 1] * 10)) for scan in series.scans]


# Order and places


def test_slices_stand_in_the_order_of_their_positions(tmp_path: Path) -> None:
    series = only(slices(tmp_path, [(0, 0, 6), (0, 0, 0), (0, 0, 9), (0, 0, 3)]))
    assert marks(series) == [1, 3, 0, 2]  # neither names nor instance numbers are in this order
    assert [scan.position for scan in series.scans] == [0, 3, 6, 9]
    assert (series.step, series.notes, series.source) == (3, (), str(tmp_path))
    assert (series.study_uid, series.series_uid, series.modality) == ("2.25.1", "2.25.2", "MR")


def test_sagittal_slices_run_along_their_own_normal(tmp_path: Path) -> None:
    # y cross -z is -x: the slice furthest to the left (x = 8) comes first
    series = only(slices(tmp_path, [(0, 1, 2), (4, 1, 2), (8, 1, 2)], orientation=SAGITTAL))
    assert marks(series) == [2, 1, 0]
    assert [scan.position for scan in series.scans] == [-8, -4, 0]
    assert series.scans[0].geometry is not None
    assert orientation(series.scans[0].geometry) == "sagittal"


def test_oblique_slices(tmp_path: Path) -> None:
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    normal = np.array([0, -s, c])  # x cross (0, c, s)
    series = only(slices(tmp_path, [k * 2.5 * normal for k in range(4)], orientation=(1, 0, 0, 0, c, s)))
    assert series.step == pytest.approx(2.5)
    assert series.notes == ()
    assert series.scans[0].geometry is not None
    assert orientation(series.scans[0].geometry) == "oblique, 30.0 degrees from axial"


def test_missing_slices_are_counted(tmp_path: Path) -> None:
    series = only(slices(tmp_path, [(0, 0, z) for z in (0, 2, 4, 10, 12)]))
    assert series.step is None
    assert series.notes == ("2 slices are missing, with a step of 2 mm: after slice 3",)


def test_uneven_steps(tmp_path: Path) -> None:
    series = only(slices(tmp_path, [(0, 0, z) for z in (0, 2, 4, 6.6, 8.6)]))
    assert series.step is None
    assert series.notes == ("its steps are uneven: 2 to 2.6 mm",)


def test_a_tilted_gantry(tmp_path: Path) -> None:
    # Slices 5 mm apart that shift by 5 mm tan 15 degrees = 1.34 mm along y.
    shift = 5 * np.tan(np.radians(15))
    series = only(slices(tmp_path, [(0, k * shift, 5 * k) for k in range(4)]))
    assert series.step == pytest.approx(5)
    assert series.notes == (
        "its slices shift sideways by 1.34 mm from one to the next, as under a gantry tilted by 15.0 degrees",
    )


def test_a_tilt_in_the_header_alone(tmp_path: Path) -> None:
    edit = setting(GantryDetectorTilt=15)
    series = only(slices(tmp_path, [(0, 0, 0), (0, 0, 5)], edit=edit))
    assert series.notes == ("the header tells of a gantry tilted by 15 degrees, but the slices lie straight",)


def test_a_thinned_series(tmp_path: Path) -> None:
    series = only(slices(tmp_path, [(0, 0, 0), (0, 0, 6), (0, 0, 12)], edit=setting(SpacingBetweenSlices=2)))
    assert series.step == 6
    assert series.notes == ("its slices are 6 mm apart, where the header says 2 mm: some are left out",)


def test_without_positions_the_instance_numbers_count(tmp_path: Path) -> None:
    def nowhere(ds: Dataset, k: int) -> None:
        del ds.ImagePositionPatient

    series = only(slices(tmp_path, [(0, 0, 0)] * 3, edit=nowhere))
    assert marks(series) == [2, 1, 0]
    assert series.step is None
    assert "no position in the patient" in series.notes[0]


# Stacks that must not be mixed


def setting(**values: Any) -> Callable[[Dataset, int], None]:
    """Return an edit that sets attributes; a list gives each slice its own."""

    def edit(ds: Dataset, k: int) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value[k] if isinstance(value, list) else value)

    return edit


PLACES = [(0, 0, 0), (0, 0, 3), (0, 0, 6)]


def test_two_echoes_are_two_stacks(tmp_path: Path) -> None:
    slices(tmp_path, PLACES * 2, edit=setting(EchoTime=[90] * 3 + [10] * 3))
    series, problems = read_series([tmp_path])
    assert problems == []
    assert [marks(one) for one in series] == [[3, 4, 5], [0, 1, 2]]  # by echo time
    assert [one.step for one in series] == [3, 3]
    assert series[0].notes == ("its series holds 2 stacks; this one has the Echo Time 10",)
    assert [one.stacks for one in series] == [2, 2]
    assert len({series_id(one) for one in series}) == 2


def test_a_stack_that_is_sent_again_is_the_same_case(tmp_path: Path) -> None:
    slices(tmp_path / "a", PLACES * 2, edit=setting(EchoTime=[90] * 3 + [10] * 3))
    before = [series_id(one) for one in read_series([tmp_path / "a"])[0]]
    (tmp_path / "a").rename(tmp_path / "b")
    assert [series_id(one) for one in read_series([tmp_path / "b"])[0]] == before


def test_a_number_of_the_slice_is_no_kind_of_stack(tmp_path: Path) -> None:
    edit = setting(AcquisitionNumber=[1, 2, 3, 4, 5, 6], TemporalPositionIdentifier=[1, 1, 1, 2, 2, 2])
    series, problems = read_series([slices(tmp_path, PLACES * 2, edit=edit)])
    assert problems == []
    assert [marks(one) for one in series] == [[0, 1, 2], [3, 4, 5]]
    assert "Temporal Position Identifier 2" in series[1].notes[0]


def test_phases_of_echoes_are_split_twice(tmp_path: Path) -> None:
    edit = setting(EchoTime=[10, 10, 90, 90], TemporalPositionIdentifier=[1, 2, 1, 2])
    series, _ = read_series([slices(tmp_path, [(0, 0, 0)] * 4, edit=edit)])
    assert [marks(one) for one in series] == [[0], [1], [2], [3]]
    assert len(series[3].notes) == 2


def test_what_nothing_tells_apart_is_refused(tmp_path: Path) -> None:
    series, ((path, reason),) = read_series([slices(tmp_path, [*PLACES, (0, 0, 3)])])
    assert series == []
    assert path == tmp_path
    assert reason.startswith(f"{tmp_path}: holds 2 images at the same position of one series that nothing in the")


def test_copies_count_once(tmp_path: Path) -> None:
    slices(tmp_path, PLACES)
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "001.dcm").read_bytes())
    series = only(tmp_path)
    assert marks(series) == [0, 1, 2]
    assert series.notes == ("1 of its images are copies of others and are left out",)


def test_images_that_came_again_under_other_uids_count_once(tmp_path: Path) -> None:
    slices(tmp_path, PLACES)
    for k in (0, 2):
        ds = dcmread(tmp_path / f"{k:03}.dcm")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.9.{k}"
        ds.save_as(tmp_path / f"again-{k}.dcm")
    series = only(tmp_path)
    assert marks(series) == [0, 1, 2]
    assert series.notes == ("2 of its images came again under another SOP instance UID and are left out",)


def test_one_that_came_again_with_other_pixels_is_refused(tmp_path: Path) -> None:
    slices(tmp_path, PLACES)
    ds = dcmread(tmp_path / "001.dcm")
    ds.PixelData = bytes(40)
    ds.save_as(tmp_path / "again.dcm")
    series, ((_, reason),) = read_series([tmp_path])
    assert series == []
    assert "2 images at the same position of one series that nothing in the headers tells apart" in reason


@pytest.mark.parametrize(("keyword", "values"), [("Modality", ("CT", "PT")), ("Units", ("BQML", "CNTS"))])
def test_modalities_and_units_are_not_mixed(tmp_path: Path, keyword: str, values: tuple[str, str]) -> None:
    places = [(0, 0, 3 * k) for k in range(4)]
    series, problems = read_series([slices(tmp_path, places, edit=setting(**{keyword: [*values, *values]}))])
    assert problems == []
    assert [marks(one) for one in series] == [[0, 2], [1, 3]]


def test_a_modality_that_one_slice_leaves_unsaid_parts_nothing(tmp_path: Path) -> None:
    series = only(slices(tmp_path, PLACES, edit=setting(Modality=["MR", "", "MR"])))
    assert (marks(series), series.notes) == ([0, 1, 2], ())


def test_a_localizer_of_another_orientation_is_a_stack_of_its_own(tmp_path: Path) -> None:
    slices(tmp_path, PLACES)
    slices(tmp_path, [(0, 0, 1)], orientation=SAGITTAL, start=3)
    series, problems = read_series([tmp_path])
    assert problems == []
    assert [len(one.scans) for one in series] == [3, 1]
    assert series[0].notes == ("its series holds other images too; these are of 4 x 5 pixels, axial",)
    assert "sagittal" in series[1].notes[0]


def test_studies_are_told_apart(tmp_path: Path) -> None:
    slices(tmp_path / "a", PLACES, study="2.25.9", series="2.25.5")
    slices(tmp_path / "a", PLACES[:2], study="2.25.8", series="2.25.7", start=10)
    slices(tmp_path / "b", PLACES, study="2.25.8", series="2.25.6")
    write_png(tmp_path / "photo.png", np.zeros((3, 3), np.uint8))
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    series, problems = read_series([tmp_path])
    assert [one.series_uid for one in series] == ["2.25.6", "2.25.7", "2.25.5", ""]
    assert [len(one.scans) for one in series] == [3, 2, 3, 1]
    assert [one.source for one in series] == [str(tmp_path / name) for name in ("b", "a", "a", "photo.png")]
    assert [path.name for path, _ in problems] == ["broken.dcm"]


def test_a_damaged_slice_is_a_problem_and_a_note(tmp_path: Path) -> None:
    slices(tmp_path, [(0, 0, z) for z in (0, 3, 6, 9)])
    torn = tmp_path / "001.dcm"
    torn.write_bytes(torn.read_bytes()[:-7])
    series, problems = read_series([tmp_path])
    assert [path for path, _ in problems] == [torn]
    assert series[0].notes == (
        "1 file of its series cannot be read",
        "1 slice is missing, with a step of 3 mm: after slice 1",
    )
    assert series[0].step is None


def test_one_series_at_a_time(tmp_path: Path) -> None:
    slices(tmp_path, PLACES)
    slices(tmp_path, PLACES, series="2.25.3", start=10)
    problems: list[tuple[Path, str]] = []
    found = iter_series([tmp_path], problems)
    assert isinstance(found, Iterator)
    assert next(found).series_uid == "2.25.2"
    (tmp_path / "010.dcm").unlink()  # is not open yet
    assert len(next(found).scans) == 2
    assert len(problems) == 1


# One window


def test_one_stretch_for_the_whole_series(tmp_path: Path) -> None:
    def dark(ds: Dataset, k: int) -> None:
        ds.PixelData = np.array([10 + k] * 19 + [20 * (k + 1)], "<u2").tobytes()

    # values 10 to 60: slice by slice, each would reach 0 and 1
    series = only(slices(tmp_path, PLACES, edit=dark))
    assert [float(scan.pixels.max()) for scan in series.scans] == pytest.approx([0.2, 0.6, 1])
    assert [float(scan.pixels.min()) for scan in series.scans] == pytest.approx([0, 0.02, 0.04])
    assert series.scans[0].details["window"] == "minimum to maximum (10 to 60)"
    assert float(read_scan(tmp_path / "000.dcm").pixels.max()) == 1  # alone, an image has its own


def test_the_window_of_the_middle_slice_shows_all(tmp_path: Path) -> None:
    edit = setting(WindowCenter=[100, 500, 900], WindowWidth=1000, VOILUTFunction="LINEAR_EXACT")
    series = only(slices(tmp_path, PLACES, edit=edit))
    assert series.notes == (
        "the windows of its images differ; that of the middle one shows all (center 500, width 1000, LINEAR_EXACT)",
    )
    assert [float(scan.pixels[1, 1]) for scan in series.scans] == pytest.approx([0, 0.1, 0.2])


def test_the_window_of_a_profile_shows_all(tmp_path: Path) -> None:
    series = only(slices(tmp_path, PLACES, edit=setting(WindowCenter=[1, 2, 3], WindowWidth=5)), window=(150.5, 301))
    assert series.notes == ()
    assert [float(scan.pixels[1, 1]) for scan in series.scans] == pytest.approx([0, 1 / 3, 2 / 3])


# DICOMDIR


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """Write a folder with a DICOMDIR of three slices, and one slice that it does not list."""
    slices(tmp_path / "source", PLACES)
    discs = FileSet()
    for path in sorted((tmp_path / "source").iterdir()):
        ds = dcmread(path)
        ds.PatientID, ds.StudyDate, ds.StudyTime = "1", "20000101", "120000"
        discs.add(ds)
    discs.write(tmp_path / "disc")
    slices(tmp_path / "disc" / "more", [(0, 0, 9)], series="2.25.77")
    return tmp_path / "disc"


def test_a_dicomdir_is_followed(disc: Path) -> None:
    series = only(disc / "DICOMDIR")
    assert marks(series) == [0, 1, 2]
    assert {one.series_uid for one in read_series([disc])[0]} == {"2.25.2", "2.25.77"}  # a folder is all that it holds


@pytest.mark.parametrize("end", [".", ".;1", ";1"])
def test_names_as_iso_9660_writes_them_are_found(disc: Path, end: str) -> None:
    for path in [path for path in disc.rglob("*") if path.is_file() and path.name != "DICOMDIR"]:
        path.rename(path.with_name(path.name + end))
    assert marks(only(disc / "DICOMDIR")) == [0, 1, 2]


@pytest.mark.parametrize("file_id", ["DICOMDIR", ""])
def test_a_dicomdir_that_lists_nothing_says_so(disc: Path, file_id: str) -> None:
    ds = dcmread(disc / "DICOMDIR")
    for record in ds.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            record.ReferencedFileID = file_id
    ds.save_as(disc / "DICOMDIR")
    series, ((path, reason),) = read_series([disc / "DICOMDIR"])
    assert (series, path) == ([], disc / "DICOMDIR")
    assert reason == f"{path}: lists no images; name the folder that holds them instead"


def test_what_a_dicomdir_lists_and_the_disc_lacks(disc: Path) -> None:
    gone = next(path for path in sorted(disc.rglob("*")) if path.is_file() and path.name not in ("DICOMDIR", "000.dcm"))
    gone.unlink()
    series, ((path, reason),) = read_series([disc / "DICOMDIR"])
    assert len(series[0].scans) == 2
    assert path == gone
    assert "there is no such file" in reason


def test_a_dicomdir_never_leads_out_of_its_folder(disc: Path) -> None:
    (disc / "LINK").symlink_to(disc.parent / "source" / "000.dcm")
    ds = dcmread(disc / "DICOMDIR")
    outside = iter((["..", "source", "000.dcm"], ["LINK"], ["/", *(disc.parent / "source" / "000.dcm").parts[1:]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that the standard does not allow
        for record in ds.DirectoryRecordSequence:
            if "ReferencedFileID" in record:
                record.ReferencedFileID = next(outside)
        ds.save_as(disc / "DICOMDIR")
    series, problems = read_series([disc / "DICOMDIR"])
    assert series == []
    assert len(problems) == 3
    assert {reason for _, reason in problems} == {
        f"{disc / 'DICOMDIR'}: lists a file outside its folder, which is not opened"
    }


# Real slices


@pytest.mark.realdata
def test_a_real_series(data_root: Path) -> None:
    folder = data_root / "dicom" / "t1_series"
    series = only(folder)
    assert len(series.scans) == 64
    names = [Path(scan.source).name for scan in series.scans]
    assert names == sorted(names)
    assert series.step == pytest.approx(2, abs=1e-6)
    assert series.notes == ("its slices are 2 mm apart, where the header says 0.6667 mm: some are left out",)
    assert len({scan.subject for scan in series.scans}) == 1
    assert {scan.pixels.shape for scan in series.scans} == {(384, 274)}
    # one stretch, over the values of all slices
    values = np.stack([dcmread(path).pixel_array for path in sorted(folder.iterdir())]).astype(np.float64)
    shown = (values - values.min()) / (values.max() - values.min())
    np.testing.assert_allclose(np.stack([scan.pixels for scan in series.scans]), shown, atol=1e-6)
    ds = dcmread(folder / names[10])
    geometry = series.scans[10].geometry
    assert geometry is not None
    np.testing.assert_allclose(geometry.origin, ds.ImagePositionPatient, atol=1e-9)
    np.testing.assert_allclose([*geometry.along_row, *geometry.along_column], ds.ImageOrientationPatient, atol=1e-9)
    assert orientation(geometry) == "oblique, 7.7 degrees from axial"
