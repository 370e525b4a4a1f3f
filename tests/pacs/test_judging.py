"""The whole way with a real detector: storescu -> `anogan listen` -> derived objects in Orthanc, the same again."""

from __future__ import annotations

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
        wait_for(lambda: answers(our_port), 120)
        storescu(our_port, tmp_path / "sent")
        queue = Queue(store / "queue.db")
        wait_for(lambda: [entry.state for entry in queue.entries()] == ["sent"], 120)
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
        wait_for(lambda: [entry.state for entry in queue.entries()] == ["sent"], 300)
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
    from anogan.series import SeriesResult

    class Strict:
        config = load_config("tiny")

        def summary(self, series: bool) -> dict[str, Any]:
            return {}

        def inspect_series(self, series: Any) -> SeriesResult:
            return SeriesResult(series.source, "not scored", reason="the modality is MR, and this profile takes CT")

    write_study(tmp_path / "objects", "one")
    judge = judge_with(tmp_path, Strict())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="^the modality is MR, and this profile takes CT$"):
        judge(tmp_path / "objects")
