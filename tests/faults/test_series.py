"""Small DICOM series that were read wrongly: two patients in one, one UID for all slices, a disc in another case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anogan import io
from anogan.detector import Detector
from anogan.results.dicom import write_derived
from anogan.results.reading import series_id


def test_two_patients_in_one_series_are_two_cases(faults_root: Path) -> None:
    series, problems = io.read_series([faults_root / "dicom" / "patients-mixed-in-one-series"])
    assert problems == []
    assert [len(one.scans) for one in series] == [3, 3]
    assert len({one.subject for one in series}) == 2
    assert len({series_id(one) for one in series}) == 2
    for one in series:
        assert len({scan.subject for scan in one.scans}) == 1
        assert any("stands for 2 patients, who are taken apart" in note for note in one.notes)


@pytest.mark.parametrize("name", ["with-air", "all-different"])
def test_slices_that_share_a_uid_are_all_there(faults_root: Path, name: str, tmp_path: Path) -> None:
    ((one,), problems) = io.read_series([faults_root / "dicom" / "one-sop-uid-for-all-slices" / name])
    assert problems == []
    assert len(one.scans) == 6
    positions = [scan.position for scan in one.scans]
    assert np.all(np.diff(positions) > 0)  # type: ignore[arg-type]
    assert any("5 of its images have the SOP instance UID of another one" in note for note in one.notes)


def test_no_object_refers_to_one_uid_for_six_slices(faults_root: Path, tiny_detector: Detector, tmp_path: Path) -> None:
    ((one,), _) = io.read_series([faults_root / "dicom" / "one-sop-uid-for-all-slices" / "all-different"])
    result = tiny_detector.inspect_series(one)
    assert result.status == "scored"
    with pytest.raises(ValueError, match="5 of its 6 images have the SOP instance UID of another one"):
        write_derived(one, one.files, result, tiny_detector.summary(series=True), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["as-written", "lower-case", "with-dcm"])
def test_a_disc_whose_names_were_changed_is_found(faults_root: Path, name: str) -> None:
    disc = faults_root / "dicom" / "dicomdir-names-in-another-case" / name
    series, problems = io.read_series([disc / "DICOMDIR"])
    assert problems == []
    assert sum(len(one.scans) for one in series) == 3
