"""One series UID, and whose images stand under it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from anogan import io
from anogan.io.dicom import write_dicom
from anogan.results.reading import series_id

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")

UID = "1.2.826.0.1.3680043.2.1125"


def write(folder: Path, number: int, study: str = f"{UID}.1", **values: Any) -> None:
    """Write slice `number` of one series; `values` are attributes, None leaves one out."""
    path = folder / f"{number}.dcm"
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 900, (8, 8)).astype(np.uint16)
    uids = (study, f"{UID}.2", f"{UID}.3.{number}")
    write_dicom(path, pixels, uids=uids, position=(0, 0, 2.0 * number), patient_id="A-1", instance_number=number)
    ds = dcmread(path)
    for keyword, value in values.items():
        if value is None:
            ds.pop(keyword, None)
        else:
            setattr(ds, keyword, value)
    ds.save_as(path)


def read(folder: Path) -> tuple[list[int], list[str]]:
    series, problems = io.read_series([folder])
    assert len({series_id(one) for one in series}) == len(series)
    return sorted(len(one.scans) for one in series), [reason for _, reason in problems]


ANNA, BERTA = {"PatientName": "ALPHA^ANNA"}, {"PatientName": "BETA^BERTA"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"PatientID": "A-1"}, {"PatientID": "B-2"}),
        ({"PatientID": "A-1"} | ANNA, {"PatientID": "B-2"} | BERTA),
        ({"IssuerOfPatientID": "HERE"}, {"IssuerOfPatientID": "THERE"}),
    ],
)
def test_each_number_is_a_person(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    for number in range(4):
        write(tmp_path, number, **(one if number < 3 else other))
    assert read(tmp_path) == ([1, 3], [])


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (ANNA, BERTA, "2 patients' names"),
        ({"PatientBirthDate": "19700101"}, {"PatientBirthDate": "19700102"}, "2 dates of birth"),
        ({"PatientSex": "F"}, {"PatientSex": "M"}, "2 sexes"),
        ({"PatientID": "A-1"}, {"PatientID": ""}, "not all images of its series say whose they are"),
        ({"PatientID": "A-1"}, {"PatientID": None}, "not all images of its series say whose they are"),
        ({"PatientID": ""} | ANNA, {"PatientID": ""} | BERTA, "2 patients' names"),
        (ANNA, {"PatientName": "=安娜^阿尔法"}, "2 patients' names"),
        ({"PatientName": "ALPHA^ANNA=安娜"}, {"PatientName": "BETA^BERTA=安娜"}, "2 patients' names"),
        ({"PatientName": "ALPHA^ANNA^^^Jr"}, {"PatientName": "ALPHA^ANNA^^^Sr"}, "2 patients' names"),
    ],
)
def test_what_cannot_be_taken_apart_is_not_scored(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], reason: str
) -> None:
    for number in range(3):
        write(tmp_path, number, SpecificCharacterSet="ISO_IR 192", **(one if number else other))
    lengths, reasons = read(tmp_path)
    assert lengths == []
    (said,) = reasons
    assert reason in said
    assert said.endswith("correct the patient in the source, and export the series again")
    assert not {"ALPHA", "ANNA", "BETA", "19700101", "A-1"} & set(said.replace("^", " ").split())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"PatientName": "ALPHA^ANNA"}, {"PatientName": "Alpha^Anna^^ "}),
        ({"PatientName": "ALPHA^ANNA"}, {"PatientName": "ALPHA^ANNA=山田^太郎"}),
        ({"PatientName": "ALPHA^ANNA  MARIA"}, {"PatientName": "ALPHA^ANNA MARIA"}),
        ({"PatientID": "A-1 "}, {"PatientID": "A-1"}),
        ({"PatientName": "ALPHA^ANNA", "PatientSex": "F"}, {"PatientName": "", "PatientSex": None}),
        ({"PatientBirthDate": "19700101"}, {"PatientBirthDate": ""}),
        ({"PatientBirthDate": "19700101"}, {"PatientBirthDate": "1970.01.01"}),
        ({"PatientName": "ALPHA^ANNA"}, {"PatientName": "ALPHA, ANNA"}),
        ({"PatientName": "ALPHA^ANNA"}, {"PatientName": "Alpha Anna"}),
        ({"PatientName": "ALPHA^ANNA"}, {"PatientName": "ALPHA^ANNA^^Dr"}),
        ({"PatientName": "M\u00fcller^Anna"}, {"PatientName": "Mu\u0308ller^Anna"}),
        ({"PatientName": "ALPHA^ANNA"}, {"PatientName": "ＡＬＰＨＡ^ANNA"}),
        ({"PatientName": "=山田^太郎"}, {"PatientName": "Yamada^Tarou=山田^太郎"}),
    ],
)
def test_one_person_spelled_in_two_ways_is_one(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    for number in range(3):
        write(tmp_path, number, SpecificCharacterSet="ISO_IR 192", **(one if number else other))
    assert read(tmp_path) == ([3], [])


def test_one_series_uid_in_two_studies_is_two_cases(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path, number, study=f"{UID}.{10 + number % 2}")
    assert read(tmp_path) == ([2, 2], [])
    assert all("stands in 2 studies" in " ".join(one.notes) for one in io.read_series([tmp_path])[0])


def test_another_frame_of_reference_is_another_stack(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path, number, FrameOfReferenceUID=f"{UID}.{20 + number // 2}")
    assert read(tmp_path) == ([2, 2], [])


def test_blank_slices_under_one_uid_without_positions_are_no_copies(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path, number, SOPInstanceUID=f"{UID}.9", ImagePositionPatient=None, PixelData=bytes(128))
    ((one,), problems) = io.read_series([tmp_path])
    assert (len(one.scans), problems) == (4, [])
    assert "they stand in the order of their numbers" in " ".join(one.notes)


def test_what_orders_slices_without_numbers_is_said(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, number, ImagePositionPatient=None, InstanceNumber=None)
    ((one,), _) = io.read_series([tmp_path])
    assert "in the order of their files' names, for nothing in their headers orders them" in " ".join(one.notes)
    assert [Path(scan.source).name for scan in one.scans] == ["0.dcm", "1.dcm", "2.dcm"]


def test_a_file_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        for number in range(3):
            write(tmp_path / folder, number)
    ((one,), _) = io.read_series([tmp_path])
    assert len(one.scans) == 3
    assert "3 of its images are copies of others" in " ".join(one.notes)
