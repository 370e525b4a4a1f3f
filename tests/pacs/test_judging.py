"""The whole way with a real detector: storescu -> `anogan listen` -> derived objects in Orthanc, the same again."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from clinic import Orthanc, answers, listening, settings, storescu, uid, wait_for, write_study
from pydicom import dcmread

from anogan.config import load_config
from anogan.io.dicom import write_dicom
from anogan.pacs import open_node
from anogan.pacs.queue import Queue


def write_discs(folder: Path, slices: int = 5) -> str:
    """Write a series that the detector of `tiny_run` can score, and return the UID of its study."""
    row, column = np.mgrid[:48, :48]
    disc = 800 * ((row - 24) ** 2 + (column - 24) ** 2 < 400)
    for number in range(slices):
        noise = np.random.default_rng(number).integers(0, 100, (48, 48))
        write_dicom(
            folder / f"{number}.dcm",
            (disc + noise).astype(np.uint16),
            uids=(uid("discs"), uid("discs series"), uid(f"discs {number}")),
            position=(0, 0, 2.0 * number),
            patient_id="secret",
            instance_number=number + 1,
        )
    return uid("discs")


def test_the_command_listens_scores_sends_and_stops(
    orthanc: Orthanc, our_port: int, tiny_run: Path, tmp_path: Path
) -> None:
    study, store, toml = write_discs(tmp_path / "sent"), tmp_path / "store", tmp_path / "pacs.toml"
    chosen = settings(our_port, nodes=orthanc.nodes(), results="pacs")
    toml.write_text(tomli_w.dumps(chosen.model_dump(mode="json", exclude_none=True)))
    command = [sys.executable, "-m", "anogan", "listen", str(tiny_run), "--settings", str(toml), "--store", str(store)]
    with (tmp_path / "said").open("wb") as said:
        listener = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        wait_for(lambda: answers(our_port))
        storescu(our_port, tmp_path / "sent")
        queue = Queue(store / "queue.db")
        wait_for(lambda: [entry.state for entry in queue.entries()] == ["sent"])
        queue.close()
        listener.send_signal(signal.SIGTERM)
        assert listener.wait(60) == 0
    finally:
        listener.kill()
        listener.wait()
    assert "secret" not in (tmp_path / "said").read_text()
    made = {ds.SOPInstanceUID: ds for ds in map(dcmread, store.glob("studies/*/results/*"))}
    assert {ds.Modality for ds in made.values()} >= {"SEG", "SR"}
    for way in ("pacs", "web"):
        again = {ds.SOPInstanceUID: ds for ds in map(dcmread, open_node(chosen, way).fetch(study, tmp_path / way))}
        assert again == made


@pytest.mark.realdata
@pytest.mark.slow
def test_a_real_series_with_a_planted_lesion_comes_back(
    orthanc: Orthanc, our_port: int, tiny_run: Path, data_root: Path, tmp_path: Path
) -> None:
    from anogan.detector import Detector
    from anogan.io import read_series
    from anogan.pacs.judging import judge_with

    sent = tmp_path / "sent"
    sent.mkdir()
    sources = sorted((data_root / "dicom" / "t1_series").iterdir())[:24]
    row, column = np.mgrid[:384, :274]
    for number, path in enumerate(sources):
        ds = dcmread(path)
        ball = (row - 200) ** 2 + (column - 150) ** 2 + (3 * (number - 12)) ** 2 < 15**2
        ds.PixelData = np.where(ball, 4000, ds.pixel_array).astype(ds.pixel_array.dtype).tobytes()
        ds.save_as(sent / path.name)
    chosen = settings(our_port, nodes=orthanc.nodes(), results="pacs")
    detector = Detector.load(tiny_run)
    with listening(chosen, tmp_path / "store", judge_with(tiny_run, detector)):
        storescu(our_port, sent)
        queue = Queue(tmp_path / "store" / "queue.db")
        wait_for(lambda: [entry.state for entry in queue.entries()] == ["sent"])
        queue.close()

    study = dcmread(sources[0]).StudyInstanceUID
    found = {ds.SOPClassUID.name: ds for ds in map(dcmread, open_node(chosen, "web").fetch(study, tmp_path / "back"))}
    assert {ds.StudyInstanceUID for ds in found.values()} == {study}
    assert "Comprehensive 3D SR Storage" in found
    (series,), _ = read_series([sent])
    result = detector.inspect_series(series)
    instances = {scan.instance_uid for scan in series.scans}
    (referenced,) = found["Segmentation Storage"].ReferencedSeriesSequence
    assert {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence} == instances
    stored = found["Parametric Map Storage"]
    values = np.frombuffer(stored.FloatPixelData, "<f4").reshape(-1, 384, 274)
    places = {
        tuple(np.round(np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float), 2)): image
        for frame, image in zip(stored.PerFrameFunctionalGroupsSequence, values, strict=True)
    }
    for scan, judged in zip(series.scans, result.slices, strict=True):
        assert scan.geometry is not None
        np.testing.assert_array_equal(places[tuple(np.round(scan.geometry.origin, 2))], judged.anomaly_map)


def test_a_study_of_which_nothing_is_scored_says_why(tmp_path: Path) -> None:
    from anogan.pacs.judging import judge_with
    from anogan.scan import SeriesResult

    class Strict:
        config, calibration = load_config("tiny"), None

        def summary(self, series: bool) -> dict[str, Any]:
            return {}

        def inspect_series(self, series: Any) -> SeriesResult:
            return SeriesResult(series.source, "not scored", reason="the modality is MR, and this profile takes CT")

    write_study(tmp_path / "objects", "one")
    judge = judge_with(tmp_path, Strict())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="^the modality is MR, and this profile takes CT$"):
        judge(tmp_path / "objects")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return the objects of a study, where a store has them."""
    objects = tmp_path / "store" / "studies" / ("a" * 16) / "objects"
    write_discs(objects)
    (objects.parent / "work").mkdir()
    return objects


def test_each_series_is_a_case_of_the_desk_with_its_pictures(study: Path, tiny_run: Path, tmp_path: Path) -> None:
    from anogan.detector import Detector
    from anogan.pacs.judging import judge_with
    from anogan.results.reading import read_case
    from anogan.review import open_desk
    from anogan.review.arrivals import judge_of

    detector, desk = Detector.load(tiny_run), open_desk(tmp_path / "desk.db")
    judge = judge_with(tiny_run, detector, desk, tmp_path / "store" / "desk")
    files = judge(study)
    assert {path.parent for path in files} == {study.parent / "work"}
    (case,) = desk.page().cases
    assert (case.kind, case.status, case.state, case.title) == ("series", "scored", "open", "MR series, 5 slices")
    assert (case.detector, case.threshold) == judge_of(detector.summary(series=True))
    folder = Path(case.folder)
    assert folder.parents[2] == tmp_path / "store" / "desk"
    assert read_case(folder.parent.parent, folder.name)["anomaly_map"].shape == (48, 48)
    assert desk.image(case.id).shape == (48, 48)
    text = "".join(path.read_text() for path in folder.parent.parent.glob("results.*"))
    assert "secret" not in text + case.key + case.subject + case.title + case.folder

    judge(study)  # a killed listener judges again
    assert desk.counts() == {"open": 1}
    later = study / "later.dcm"
    pixels = np.random.default_rng(9).integers(0, 100, (48, 48)).astype(np.uint16)
    uids = (uid("discs"), uid("discs series"), uid("discs 9"))
    write_dicom(later, pixels, uids=uids, position=(0, 0, 10.0), patient_id="secret", instance_number=6)
    judge(study)  # with a slice that nobody has looked at
    assert sorted(case.title for case in desk.page().cases) == ["MR series, 5 slices", "MR series, 6 slices"]


def test_an_alarm_holds_until_the_listener_has_the_new_calibration(study: Path, tiny_run: Path, tmp_path: Path) -> None:
    import dataclasses
    import shutil

    from anogan.assurance.drift import PAUSED, Case, Monitor
    from anogan.detector import Detector
    from anogan.detector.calibration import Calibration
    from anogan.pacs.judging import judge_with
    from anogan.review import open_desk

    run, store = tmp_path / "run", tmp_path / "store"
    shutil.copytree(tiny_run, run)
    low, high = (Calibration.fit(np.linspace(*ends, 40), 0.05) for ends in ((0, 50), (900, 1400)))
    loaded = dataclasses.replace(Detector.load(run), calibration=low, series_calibration=low)
    loaded.save(run)
    monitor = Monitor.open(run)
    monitor.add(Case(f"case {number}", "", 1000.0 + number, {}) for number in range(300))
    monitor.save(run)
    assert monitor.alarm is not None
    desk = open_desk(tmp_path / "desk.db")
    judge = judge_with(run, loaded, desk, store / "desk")
    again = dataclasses.replace(loaded, calibration=high, series_calibration=high)
    again.save(run)
    Monitor.open(run).save(run)  # as the next inspection does
    judge(study)
    (case,) = desk.page().cases
    assert (case.flagged, case.reason) == (None, PAUSED)
    desk.close()
    desk = open_desk(tmp_path / "other.db")
    judge_with(run, again, desk, store / "other")(study)  # a new start
    (case,) = desk.page().cases
    assert case.flagged is False


def test_a_series_that_is_not_scored_is_a_case_too(study: Path, tiny_run: Path, tmp_path: Path) -> None:
    from anogan.detector import Detector
    from anogan.pacs.judging import judge_with
    from anogan.review import open_desk
    from anogan.scan import SeriesResult

    class Strict(Detector):
        def inspect_series(self, series: Any) -> SeriesResult:
            return SeriesResult(series.source, "not scored", reason="the modality is MR, and this profile takes CT")

    loaded = Detector.load(tiny_run)
    desk = open_desk(tmp_path / "desk.db")
    judge = judge_with(tiny_run, Strict(**vars(loaded)), desk, tmp_path / "store" / "desk")
    with pytest.raises(ValueError, match="the modality is MR"):
        judge(study)
    (case,) = desk.page().cases
    assert (case.status, case.reason) == ("not scored", "the modality is MR, and this profile takes CT")
    assert case.flagged is None
    assert case.folder == ""


def test_a_series_whose_objects_cannot_be_written_keeps_none_from_the_desk(
    study: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anogan.detector import Detector
    from anogan.pacs import judging
    from anogan.review import open_desk

    row, column = np.mgrid[:48, :48]
    disc = (800 * ((row - 24) ** 2 + (column - 24) ** 2 < 400)).astype(np.uint16)
    for number in range(5):
        uids = (uid("discs"), uid("second series"), uid(f"second {number}"))
        write_dicom(study / f"second-{number}.dcm", disc, uids=uids, position=(0, 0, 2.0 * number), patient_id="secret")
    real, calls = judging.write_derived, []

    def fails_first(*given: Any) -> list[Path]:
        calls.append(given)
        if len(calls) == 1:
            raise ValueError("first: its result cannot be written as DICOM")
        return real(*given)

    monkeypatch.setattr(judging, "write_derived", fails_first)
    desk = open_desk(tmp_path / "desk.db")
    judge = judging.judge_with(tiny_run, Detector.load(tiny_run), desk, tmp_path / "store" / "desk")
    with pytest.raises(ValueError, match="^first: its result cannot be written as DICOM$"):
        judge(study)
    assert len(calls) == 2
    assert [case.status for case in desk.page().cases] == ["scored", "scored"]
    assert judge(study)  # the retry
    assert desk.counts() == {"open": 2}


def test_erasing_a_person_reaches_the_pictures_of_a_listener(
    anogan, study: Path, tiny_run: Path, tmp_path: Path
) -> None:
    import shutil

    from anogan.detector import Detector
    from anogan.pacs.judging import judge_with
    from anogan.review import open_desk

    run, store = tmp_path / "run", tmp_path / "store"
    shutil.copytree(tiny_run, run)
    desk = open_desk(tmp_path / "desk.db")
    judge_with(run, Detector.load(run), desk, store / "desk")(study)
    subject = desk.page().cases[0].subject
    assert list(store.glob("desk/*/cases/*"))
    done = anogan("erase", run, subject, "--store", store)
    assert "erased: 1 case in" in done.out
    assert not list(store.glob("desk/*/cases/*"))
    assert subject not in "".join(path.read_text() for path in store.glob("desk/*/results.*"))


@pytest.mark.parametrize("moment", ["inspecting", "writing"])
def test_a_person_erased_while_a_study_is_judged_does_not_come_back(
    moment: str, anogan, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as pictures nor as a case, and although the objects of the result cannot be written either."""
    import shutil

    from anogan.detector import Detector
    from anogan.pacs import judging
    from anogan.pacs.header import read_header
    from anogan.pacs.listener import Listener
    from anogan.review import open_desk

    run, store = tmp_path / "run", tmp_path / "store"
    shutil.copytree(tiny_run, run)
    desk, loaded, said = open_desk(tmp_path / "desk.db"), Detector.load(run), []

    def erase(series: Any) -> None:
        said.append(anogan("erase", run, series.subject, "--store", store).out)
        desk.erase(series.subject)

    class Erased(Detector):
        def inspect_series(self, series: Any) -> Any:
            if moment == "inspecting":
                erase(series)
            return loaded.inspect_series(series)

    def unwritable(series: Any, *_: Any) -> None:
        if moment == "writing":
            erase(series)
        raise ValueError("its result cannot be written as DICOM")

    monkeypatch.setattr(judging, "write_derived", unwritable)
    judge = judging.judge_with(run, Erased(**vars(loaded)), desk, store / "desk")
    listener = Listener(settings(11112), store, judge)
    listener.store.open()
    write_discs(tmp_path / "sent")
    for path in (tmp_path / "sent").iterdir():
        arrived = listener.store.incoming / path.name
        listener.keep(path.rename(arrived), read_header(arrived))
    listener.store.queue.close_quiet(0)
    job = listener.store.queue.take()
    assert job is not None
    listener.judge_one(job)
    listener.store.close()
    assert "erased: 1 study in" in said[0]
    assert not [*store.glob("studies/*"), *store.glob("desk/*/cases/*")]
    assert desk.page().cases == ()


def test_a_deletion_waits_for_what_is_being_put_on_the_desk(
    study: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from filelock import FileLock, Timeout

    from anogan.detector import Detector
    from anogan.pacs import store as place
    from anogan.pacs.judging import judge_with
    from anogan.review import open_desk

    store, desk = place.Store(tmp_path / "store"), open_desk(tmp_path / "desk.db")
    store.place = lambda _: study.parent  # type: ignore[method-assign]
    deletion = threading.Thread(target=store._delete, args=(lambda: ["a study"],))
    asked, lock, order = threading.Event(), place._deletions, []

    def telling(folder: Path) -> FileLock:
        if threading.current_thread() is deletion:
            asked.set()
        return lock(folder)

    monkeypatch.setattr(place, "_deletions", telling)
    monkeypatch.setattr(store.queue, "forget", lambda _: order.append("deleted"))

    class Desk:
        def add(self, case: Any) -> int:
            with pytest.raises(Timeout):  # nobody else gets it now
                lock(tmp_path / "store").acquire(timeout=0)
            deletion.start()
            assert asked.wait(600)
            number = desk.add(case)
            order.append("put on the desk")
            return number

    judge = judge_with(tiny_run, Detector.load(tiny_run), Desk(), tmp_path / "store" / "desk")  # type: ignore[arg-type]
    with contextlib.suppress(ValueError):  # the deletion may come before the results and take their folder
        judge(study)
    deletion.join()
    assert order == ["put on the desk", "deleted"]
    assert desk.counts() == {"open": 1}
    assert not study.exists()
