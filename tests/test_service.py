"""Each door judges through the service: an alarm of the drift monitor stops its flags, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anogan.assurance.drift import PAUSED, Case, Monitor
from anogan.detector import Detector
from anogan.detector.calibration import Calibration
from anogan.errors import Code
from anogan.results.reading import read_results
from anogan.results.writing import ResultsWriter
from anogan.scan import Outcome, Result, Scan
from anogan.service import Inspector, put_on_desk

ROOT = Path(__file__).parents[1]
STRICT = Calibration.fit(np.linspace(-9e9, -8e9, 40), 0.05)  # whatever is scored lies above it


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """Return a run whose detector flags everything."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    strict = dataclasses.replace(Detector.load(folder), calibration=STRICT, series_calibration=STRICT)
    strict.save(folder)
    return folder


@pytest.fixture
def image(tiny_folder: Path) -> Path:
    """Return a healthy image."""
    return min((tiny_folder / "healthy").rglob("*.png"))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return the objects of a study of one series, where the listener's store has them."""
    from anogan.data.synthetic import tiny_images
    from anogan.io.dicom import write_dicom

    objects = tmp_path / "store" / "studies" / ("a" * 16) / "objects"
    for place, pixels in enumerate(tiny_images(4, 0, size=48, seed=9)[0]):
        objects.mkdir(parents=True, exist_ok=True)
        write_dicom(
            objects / f"{place}.dcm",
            (pixels * 4000).astype("uint16"),
            position=(0, 0, 3.0 * place),
            uids=("1.2", "1.2.1", f"1.2.1.{place}"),
            patient_id="someone",
            window=(2000, 4000),
        )
    (objects.parent / "work").mkdir()
    return objects


def sound(run: Path) -> None:
    """Let the drift monitor of the run's calibration find a drift."""
    with Monitor.change(run) as monitor:
        monitor.add(Case(f"case {number}", "", 1000.0 + number, {}) for number in range(300))
        monitor.save(run)
    assert monitor.alarm is not None


Door = Callable[..., tuple[list[bool | None], list[str]]]
"""Judges, and returns the flags and the reasons that it gives."""


def listed(results: Path) -> tuple[list[bool | None], list[str]]:
    cases = read_results(results)["cases"]
    return [case["flagged"] for case in cases], [case["reason"] for case in cases]


def by_inspect(run: Path, image: Path, study: Path, anogan: Any, out: Path) -> tuple[list[bool | None], list[str]]:
    assert anogan("inspect", run, image, "--out", out).code == 0
    return listed(out)


def by_inspect_series(run: Path, image: Path, study: Path, anogan: Any, out: Path) -> Any:
    assert anogan("inspect", run, study, "--series", "--out", out).code == 0
    return listed(out)


def by_export(run: Path, image: Path, study: Path, anogan: Any, out: Path) -> Any:
    """The verdict is read from the structured report, as a PACS would."""
    from pydicom import dcmread

    done = anogan("export", run, study, "--out", out, "--kinds", "sr")
    assert done.code == 0, done.err
    (report,) = (dcmread(path) for path in out.rglob("*.dcm"))
    text = report.to_json()
    assert ("Not decided" in text) != ("Flagged: the score" in text)
    return [None if "Not decided" in text else True], [PAUSED if PAUSED in text else ""]


def by_upload(run: Path, image: Path, study: Path, anogan: Any, out: Path) -> Any:
    from anogan.dashboard import upload

    case = upload.judge(run, image.name, image.read_bytes())["case"]
    return [case["flagged"]], [case["reason"]]


def by_listener(run: Path, image: Path, study: Path, anogan: Any, out: Path) -> Any:
    from anogan.pacs.judging import judge_with
    from anogan.review import open_desk

    desk = open_desk(out.with_suffix(".db"))
    judge_with(run, Detector.load(run), desk, out)(study)
    cases = desk.page().cases
    desk.close()
    return [case.flagged for case in cases], [case.reason for case in cases]


def by_api(run: Path, image: Path, study: Path, anogan: Any, out: Path) -> Any:
    from starlette.testclient import TestClient

    from anogan.api.app import Settings, create_app
    from anogan.api.keys import Keys
    from anogan.api.screening import Screener
    from anogan.api.tables import open_tables
    from anogan.review import open_desk

    database = str(out.with_suffix(".db"))
    open_desk(database).close()
    engine, desk = open_tables(database), open_desk(database)
    keys = Keys(engine)
    screener = Screener(run, Detector.load(run), engine, out, desk)
    with TestClient(create_app(screener, keys, Settings(hosts=("testserver",), wait=0.0))) as client:
        headers = {"Authorization": f"Bearer {keys.create('tests')}"}
        answer = client.post(
            "/v1/screenings", files={"image": ("photo.png", image.read_bytes())}, headers=headers
        ).json()
    cases = desk.page().cases
    assert answer["decision"] == ("not decided" if cases[0].flagged is None else "review")
    desk.close()
    return [case.flagged for case in cases], [case.reason for case in cases]


DOORS: list[Door] = [by_inspect, by_inspect_series, by_export, by_upload, by_listener, by_api]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_an_alarm_stops_the_flags_of_each_door(
    door: Door, run: Path, image: Path, study: Path, anogan: Any, tmp_path: Path
) -> None:
    flags, reasons = door(run, image, study, anogan, tmp_path / "quiet")
    assert flags == [True]
    assert PAUSED not in reasons[0]
    sound(run)
    flags, reasons = door(run, image, study, anogan, tmp_path / "paused")
    assert flags == [None]
    assert PAUSED in reasons[0]


def test_nothing_else_takes_a_decision_away_for_an_alarm() -> None:
    own = {"service.py", "assurance/alarm.py", "assurance/drift.py"}
    users = {
        str(path.relative_to(ROOT / "anogan"))
        for path in (ROOT / "anogan").rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in ("drift.PAUSED", "alarm_of(", "Alarm("))
    }
    assert users == own


def test_what_was_not_compared_with_the_calibration_keeps_its_reason(run: Path) -> None:
    class Given(Detector):
        def inspect_many(self, scans: Any, batch: int = 32, examples: bool = False) -> Any:
            yield Result("a", "not scored", reason="torn")
            yield Result("b", "scored", "no site", 1.0, code=Code.GROUP)
            yield Result("c", "scored", "it varies", 1.0, 0.04, code=Code.SPREAD)
            yield Result("d", "scored", "", 1.0, 0.5, False)

    sound(run)
    given = Given(**vars(Detector.load(run)))
    found = list(Inspector(run, given).inspect_many([]))
    assert [(one.outcome, one.reason, one.code) for one in found] == [
        (Outcome.NOT_SCORED, "torn", Code.OTHER),
        (Outcome.NOT_CALIBRATED, "no site", Code.GROUP),
        (Outcome.UNDECIDED, PAUSED, Code.PAUSED),
        (Outcome.UNDECIDED, PAUSED, Code.PAUSED),
    ]


def test_an_alarm_of_its_own_cases_takes_back_what_was_written(run: Path, image: Path, tmp_path: Path) -> None:
    inspector = Inspector(run)
    scan = Scan(np.full((48, 48), 0.5, np.float32), str(image))
    with ResultsWriter(tmp_path / "out", inspector.detector.summary()) as writer:
        result = Result(str(image), "scored", "", 5.0, 0.02, True, anomaly_map=np.zeros((48, 48), np.float32))
        writer.add(scan, result)
        assert inspector.settle(writer, [result])[0].outcome is Outcome.FLAGGED
        assert inspector.count(Case(f"case {number}", "", 1000.0 + number, {}) for number in range(300))
        (settled,) = inspector.settle(writer, [result])
    assert (settled.outcome, settled.code) == (Outcome.UNDECIDED, Code.PAUSED)
    assert listed(tmp_path / "out") == ([None], [PAUSED])
    assert put_on_desk(tmp_path / "out", str(tmp_path / "desk.db")) == 1


def test_nothing_is_counted_for_another_calibration(run: Path) -> None:
    inspector = Inspector(run)
    other = dataclasses.replace(inspector.detector, calibration=Calibration.fit(np.arange(40.0), 0.05))
    other.save(run)
    assert not inspector.count([Case("case", "", 1.0, {})])
    assert not (run / "drift.json").exists() or json.loads((run / "drift.json").read_text())["scores"] == []
