"""All objects of a result: valid, of the source's study, named without names, the same again for the same case."""

from __future__ import annotations

import datetime
import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from anogan.results.dicom import KINDS, write_derived
from anogan.scan import Series, SeriesResult

NAME = "Müller^Jürgen"


def named(ds: Dataset) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName, ds.PatientBirthDate, ds.PatientSex, ds.PatientWeight = NAME, "19500203", "M", "80"
    ds.StudyDate, ds.StudyTime, ds.StudyDescription, ds.AccessionNumber = "20260102", "101112", "Kopf", "A-9"
    ds.ReferringPhysicianName = "Weiß^Änne"


def radiograph(ds: Dataset) -> None:
    named(ds)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    ds.Modality, ds.ViewPosition, ds.PatientOrientation, ds.ImagerPixelSpacing = "CR", "PA", ["L", "F"], [0.2, 0.2]
    del ds.PixelSpacing


def capture(ds: Dataset) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds.Modality = "OT"


def case_of_kind(kind: str, make_case: Callable[..., Any], enhanced: Any) -> Any:
    if kind == "enhanced":
        return enhanced
    if kind in ("radiograph", "color"):
        return make_case(geometry=False, color=kind == "color", edit=radiograph if kind == "radiograph" else capture)
    return make_case(kind, edit=named)


@pytest.mark.parametrize("kind", ["axial", "oblique", "enhanced", "radiograph", "color", "not scored"])
def test_a_validator_finds_no_fault(
    kind: str, make_case: Callable[..., Any], enhanced_case: Any, validate: Callable[[Path], list[str]]
) -> None:
    case = case_of_kind("axial" if kind == "not scored" else kind, make_case, enhanced_case)
    if kind == "not scored":
        case.result = SeriesResult(case.series.source, "not scored", "3 slices, at least 20 are needed")
    files = case.write_files()
    assert files
    for path in files:
        assert validate(path) == [], path.name


def test_the_validator_test_can_fail(make_case: Callable[..., Any], validate: Callable[[Path], list[str]]) -> None:
    (path,) = make_case(edit=named).write_files(kinds=["seg"])
    ds = dcmread(path)
    del ds.SegmentSequence
    ds.save_as(path)
    assert any("SegmentSequence" in line for line in validate(path))


def test_patient_and_study_are_copied(make_case: Callable[..., Any]) -> None:
    written = make_case(edit=named).write()
    assert set(written) == set(KINDS)
    for ds in (ds for objects in written.values() for ds in objects):
        assert ds.PatientName == NAME
        assert (ds.PatientID, ds.PatientBirthDate, ds.PatientSex) == ("ID-77", "19500203", "M")
        assert (ds.StudyInstanceUID, ds.StudyDate, ds.StudyDescription) == ("1.2.3", "20260102", "Kopf")
        assert (ds.AccessionNumber, ds.PatientWeight) == ("A-9", 80)
        assert ds.ReferringPhysicianName == "Weiß^Änne"
        assert ds.ContentDate == datetime.date.today().strftime("%Y%m%d")
        assert ds.SeriesInstanceUID != "1.2.3.4"


def test_names_in_several_alphabets(make_case: Callable[..., Any]) -> None:
    def japanese(ds: Dataset) -> None:
        ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"

    (ds,) = make_case(edit=japanese).write(kinds=["seg"])["seg"]
    assert (ds.PatientName.alphabetic, ds.PatientName.ideographic) == ("Yamada^Tarou", "山田^太郎")


def test_everything_is_marked_as_unverified(make_case: Callable[..., Any]) -> None:
    written = make_case().write()
    for kind, objects in written.items():
        for number, ds in enumerate(sorted(objects, key=lambda ds: ds.InstanceNumber), start=1):
            assert ds.SeriesDescription.startswith("UNVERIFIED machine output: anomaly")
            assert ds.SeriesDescription.endswith("of series 1")
            assert (ds.InstanceNumber, ds.Manufacturer) == (number, "anogan")
            assert (ds.ManufacturerModelName, ds.DeviceSerialNumber) == ("brain-mri", "0123456789abcdef")
        assert {ds.SeriesNumber for ds in objects} == {191 + KINDS.index(kind)}
        assert len({ds.SeriesInstanceUID for ds in objects}) == 1
    assert written["seg"][0].ContentLabel == written["map"][0].ContentLabel == "UNVERIFIED"
    assert written["map"][0].ContentQualification == "RESEARCH"
    assert written["sr"][0].VerificationFlag == "UNVERIFIED"


def test_the_same_case_gives_the_same_uids(make_case: Callable[..., Any]) -> None:
    case = make_case()
    first = [path.name for path in case.write_files()]
    assert [path.name for path in case.write_files(out="again")] == first
    assert len(set(first)) == len(first)
    case.result = replace(case.result, flagged=False)
    assert not {path.name for path in case.write_files(out="other")} & set(first)
    case.result = replace(case.result, flagged=True)
    other = {"name": "brain-mri", "map_range": [4.0, 12.0], "hash": "another"}
    assert not {path.name for path in case.write_files(detector=other, out="third")} & set(first)


def test_files_are_named_by_kind_and_instance(make_case: Callable[..., Any]) -> None:
    for path in make_case(edit=named).write_files():
        assert re.fullmatch(r"(seg|map|sr|sc)-2\.25\.\d+\.dcm", path.name)
        assert path.name == f"{path.name.split('-')[0]}-{dcmread(path).SOPInstanceUID}.dcm"


def test_no_name_gets_into_a_log_or_an_error(make_case: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    def odd(ds: Dataset) -> None:  # values that highdicom quotes when it complains
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = (
            "Odd Secret",
            "Secret-1",
            "Secret-2",
            "SECRET",
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = make_case(geometry=False, edit=odd)
    caplog.clear()  # what pydicom said while the test itself made the source
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        case.write_files()
    assert "no parametric map is written" in caplog.text
    case.result = replace(case.result, slices=(replace(case.result.slices[0], anomaly_map=np.zeros((2, 2), "f4")),))
    with pytest.raises(ValueError, match="its map has shape") as refused:
        case.write()
    said = [caplog.text, str(refused.value), *(str(warning.message) for warning in warned)]
    assert not any("secret" in text.lower() for text in said)


def test_values_that_the_standard_forbids_are_left_empty(make_case: Callable[..., Any]) -> None:
    def odd(ds: Dataset) -> None:
        ds.PatientSex, ds.PatientBirthDate, ds.StudyTime = "W", "spring", "noon"
        ds.PatientAge, ds.PatientWeight = "42", "80"
        del ds.AccessionNumber
        del ds.PatientName

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = make_case(edit=odd).write()
    for objects in written.values():
        for ds in objects:
            assert (ds.PatientSex, ds.PatientBirthDate, ds.StudyTime, ds.AccessionNumber) == ("", "", "", "")
            assert (ds.PatientName, ds.PatientID, ds.PatientWeight) == ("", "ID-77", 80)
            assert "PatientAge" not in ds


def test_what_is_not_scored_gives_a_report_and_no_image(make_case: Callable[..., Any]) -> None:
    case = make_case()
    case.result = SeriesResult(case.series.source, "not scored", f"{case.series.source}: 5 slices are too few")
    assert [path.name.split("-")[0] for path in case.write_files()] == ["sr"]
    assert case.write_files(kinds=["seg", "map", "sc"]) == []


def test_a_cine_without_geometry_gives_report_and_overlay(make_case: Callable[..., Any]) -> None:
    def cine(ds: Dataset) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
        ds.Modality, ds.NumberOfFrames = "US", 3

    case = make_case(geometry=False, edit=cine)
    scan, result = case.series.scans[0], case.result.slices[0]
    case.series = Series(tuple(replace(scan, frame=frame, frames=3) for frame in (1, 2, 3)), "cine")
    case.result = replace(case.result, slices=(result,) * 3, top=(1, 0, 2))
    written = case.write()
    assert set(written) == {"sr", "sc"}
    assert "There is no segmentation: its frames have no place in the patient." in texts(written["sr"][0])
    assert [ds.SourceImageSequence[0].ReferencedFrameNumber for ds in ranked(written["sc"])] == [2, 1, 3]


def test_a_kind_of_source_that_highdicom_does_not_know(make_case: Callable[..., Any]) -> None:
    retired = "1.2.840.10008.5.1.4.1.1.6"  # Ultrasound Image Storage of old

    def old(ds: Dataset) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = retired

    (ds,) = make_case(geometry=False, edit=old).write(kinds=["sr"])["sr"]
    (item,) = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (retired, "1.2.3.4.1")


def test_two_slices_at_one_place_give_report_and_overlay(make_case: Callable[..., Any]) -> None:
    case = make_case()
    scans = list(case.series.scans)
    scans[1] = replace(scans[1], geometry=scans[0].geometry)
    case.series = replace(case.series, scans=tuple(scans))
    written = case.write()
    assert set(written) == {"sr", "sc"}
    assert "There is no parametric map: two of its slices lie at the same place." in texts(written["sr"][0])


def test_each_image_without_a_place_gets_a_segmentation(make_case: Callable[..., Any]) -> None:
    case = make_case(geometry=False, edit=radiograph)
    scan, result = case.series.scans[0], case.result.slices[0]
    case.series = Series((scan, replace(scan, instance_uid="1.2.3.4.9")), "chest")
    case.result = replace(case.result, slices=(result, result), top=(0, 1))
    segments = ranked(case.write(kinds=["seg"])["seg"])
    assert [ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in segments] == ["1.2.3.4.1", "1.2.3.4.9"]
    assert [ds.InstanceNumber for ds in segments] == [1, 2]


def test_a_source_without_a_frame_of_reference_shares_one(make_case: Callable[..., Any]) -> None:
    case = make_case()
    scans = [replace(scan, geometry=replace(scan.geometry, frame_of_reference_uid="")) for scan in case.series.scans]
    case.series = replace(case.series, scans=tuple(scans))
    written = case.write(kinds=["seg", "map"])
    (uid,) = {objects[0].FrameOfReferenceUID for objects in written.values()}
    assert uid.startswith("2.25.")


def texts(ds: Dataset) -> list[str]:
    return [element.value for element in ds.iterall() if element.keyword == "TextValue"]


def ranked(objects: list[Dataset]) -> list[Dataset]:
    return sorted(objects, key=lambda ds: ds.InstanceNumber)


# Refusals


def test_an_unknown_kind(make_case: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="kinds: expected some of seg, map, sr, sc, got pdf"):
        make_case().write(kinds=["pdf"])


def test_files_of_another_series(make_case: Callable[..., Any], tmp_path: Path) -> None:
    case = make_case()
    (tmp_path / "text").write_text("no DICOM")
    case.files = [case.files[0], tmp_path / "text", tmp_path / "missing"]
    with pytest.raises(ValueError, match=r"the file of instance 1\.2\.3\.4\.1 is not among the 3 files given for it"):
        case.write()
    assert not (tmp_path / "derived").exists()


def test_a_result_is_not_judged_again(make_case: Callable[..., Any]) -> None:
    case = make_case()
    path = next(path for path in case.write_files(kinds=["sc"]))
    ds = dcmread(path)
    scan = replace(case.series.scans[0], instance_uid=ds.SOPInstanceUID, series_uid=ds.SeriesInstanceUID)
    with pytest.raises(ValueError, match="own: is a result of anogan, not an image to be judged; leave it out"):
        write_derived(
            Series((scan,), "own"), [path], SeriesResult("own", "not scored"), {"map_range": [1, 2]}, case.folder
        )


def test_images_that_are_not_dicom(make_case: Callable[..., Any]) -> None:
    case = make_case()
    scans = tuple(replace(scan, instance_uid="") for scan in case.series.scans)
    with pytest.raises(ValueError, match="has no DICOM UIDs; only DICOM series can be written back"):
        write_derived(replace(case.series, scans=scans), case.files, case.result, {"map_range": [1, 2]}, case.folder)


def test_a_result_of_another_series(make_case: Callable[..., Any]) -> None:
    case = make_case()
    case.result = replace(case.result, slices=case.result.slices[1:])
    with pytest.raises(ValueError, match="has 5 slices, its result 4"):
        case.write()
