"""`anogan export`, from DICOM files to DICOM objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from anogan.detector import Detector
from anogan.io import read_scan, read_series
from anogan.io.dicom import write_dicom
from anogan.results.writing import ResultsWriter
from anogan.review import NewCase, cases_of, open_desk
from anogan.scan import SeriesResult


@pytest.fixture
def study(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two series of a study: five discs, and one slice, which the detector refuses."""
    real = Detector.inspect_series
    few = "1 slice, at least 2 are needed"
    monkeypatch.setattr(
        Detector,
        "inspect_series",
        lambda self, series: (
            real(self, series) if len(series.scans) > 1 else SeriesResult(series.source, "not scored", few)
        ),
    )
    folder = tmp_path / "study"
    for index, path in enumerate(sorted((tiny_folder / "healthy").iterdir())[:5]):
        pixels = read_scan(path).pixels
        gray = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
        write_dicom(
            folder / f"IM{index * 2 % 5}", (gray * 1000).astype(np.uint16), position=(0, 0, 2 * index),
            uids=("1.2", "1.2.1", f"1.2.1.{index + 1}"), patient_id="PRIVATE", window=(500, 1001), slice_thickness=2,
        )  # fmt: skip
    write_dicom(folder / "scout", np.zeros((48, 48), np.uint16), uids=("1.2", "1.2.2", "1.2.2.1"), patient_id="PRIVATE")
    return folder


def kinds_in(folder: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in folder.iterdir())


def test_a_study_becomes_objects_of_its_own(anogan, tiny_run: Path, study: Path, tmp_path: Path) -> None:
    done = anogan("export", tiny_run, study, "--out", tmp_path / "out")
    assert done.code == 1
    assert "1 slice, at least 2 are needed" in done.err
    assert "5 slices, score" in done.out
    assert "1 slices, not scored, 1 objects" in done.out
    kinds = kinds_in(tmp_path / "out")
    assert [kinds.count(kind) for kind in ("seg", "map", "sr")] == [1, 1, 2]
    assert kinds.count("sc") >= 1
    for path in (tmp_path / "out").iterdir():
        ds = dcmread(path)
        assert (ds.StudyInstanceUID, ds.PatientID) == ("1.2", "PRIVATE")
    assert "PRIVATE" not in done.out + done.err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    anogan("export", tiny_run, study, "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_only_the_kinds_that_are_asked_for(anogan, tiny_run: Path, study: Path, tmp_path: Path) -> None:
    anogan("export", tiny_run, study, "--out", tmp_path / "out", "--kinds", "seg,map", "--level", 3.5)
    assert kinds_in(tmp_path / "out") == ["map", "seg"]
    (path,) = (tmp_path / "out").glob("seg-*")
    assert dcmread(path).SegmentSequence[0].SegmentLabel == "UNVERIFIED: anomaly >= 3.5 SD"


def test_results_are_not_judged_again(anogan, tiny_run: Path, study: Path, tmp_path: Path) -> None:
    anogan("export", tiny_run, study, "--out", tmp_path / "out", "--kinds", "sc")
    done = anogan("export", tiny_run, tmp_path / "out", "--out", tmp_path / "more")
    assert done.code == 1
    assert "is a result of anogan, not an image to be judged; leave it out" in done.err
    assert not (tmp_path / "more").exists()


def test_wrong_usage(anogan, tiny_run: Path, study: Path, tmp_path: Path) -> None:
    assert anogan("export", tiny_run, study, "--out", tmp_path / "out", "--kinds", "pdf").code == 2
    done = anogan("export", tiny_run, study, "--out", study / "out")
    assert done.code == 1
    assert "where the results would be taken for images; write elsewhere" in done.err


@pytest.fixture
def cases(tiny_run: Path, study: Path, tmp_path: Path) -> list[NewCase]:
    """Return the study's scored series as a desk takes them in."""
    detector = Detector.load(tiny_run)
    with ResultsWriter(tmp_path / "results", detector.summary(series=True)) as writer:
        for series in read_series([study])[0]:
            writer.add_series(series, detector.inspect_series(series))
    return [case for case in cases_of(tmp_path / "results") if case.status == "scored"]


def test_what_a_reader_has_confirmed_and_signed_is_verified(
    anogan, tiny_run: Path, study: Path, cases: list[NewCase], tmp_path: Path
) -> None:
    """Before the signature, after it, and of a desk where nobody has a name."""
    database = tmp_path / "desk.db"
    desk = open_desk(database)
    desk.set_role("ida", "admin")
    desk.sign_in("ida").set_role("ana", "reader")
    ana = desk.sign_in("ana")
    (number,) = ana.add_many(cases)
    asked = ("--desk", database, "--organization", "Test Hospital", "--as", "ana", "--kinds", "sr")

    def flags(out: str) -> list[str]:
        done = anogan("export", tiny_run, study, "--out", tmp_path / out, *asked)
        assert "PRIVATE" not in done.out + done.err
        found = [dcmread(path) for path in (tmp_path / out).iterdir()]
        return sorted(ds.VerificationFlag for ds in found if ds.CompletionFlag == "COMPLETE")

    assert flags("open") == ["UNVERIFIED"]
    case = ana.lease(number)
    case = ana.decide(number, case.version, "confirm", "abnormal finding")
    assert flags("decided") == ["UNVERIFIED"]
    ana.sign(number, case.version)
    assert flags("signed") == ["VERIFIED"]
    assert "verified by ana" in anogan("export", tiny_run, study, "--out", tmp_path / "more", *asked).out
    assert anogan("export", tiny_run, study, "--out", tmp_path / "x", "--desk", database).code == 2
    refused = anogan("export", tiny_run, study, "--out", tmp_path / "x", *asked[:-4], "--as", "eve")
    assert "eve: is no member of this desk and may not export" in refused.err


def test_a_dismissed_case_stays_unverified_and_nobody_signs_for_nobody(
    anogan, tiny_run: Path, study: Path, cases: list[NewCase], tmp_path: Path
) -> None:
    for verdict, reason in (("dismiss", "artifact"), ("confirm", "abnormal finding")):
        database = tmp_path / f"{verdict}.db"
        desk = open_desk(database)
        (number,) = desk.add_many(cases)
        case = desk.lease(number)
        desk.sign(number, desk.decide(number, case.version, verdict, reason).version)
        done = anogan(
            "export", tiny_run, study, "--out", tmp_path / verdict, "--desk", database, "--organization", "Hospital"
        )
        found = list((tmp_path / verdict).glob("sr-*"))
        assert {dcmread(path).VerificationFlag for path in found} == {"UNVERIFIED"}
        assert ("was signed on a desk without members" in done.err) == (verdict == "confirm")
