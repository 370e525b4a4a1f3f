"""The alarm of a calibration in memory is heeded, whatever becomes of its run on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anogan.assurance.alarm import Alarm
from anogan.assurance.drift import Case, Monitor
from anogan.detector.calibration import Calibration

CALIBRATION = Calibration.fit(np.arange(100) / 100, 0.05)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run folder with what the monitor reads of a calibrated detector."""
    described = {"calibration": CALIBRATION.to_json(), "provenance": {}}
    (tmp_path / "detector.json").write_text(json.dumps(described))
    return tmp_path


def calibrate_again(run: Path) -> None:
    described = {"calibration": Calibration.fit(np.arange(40) / 40, 0.05).to_json(), "provenance": {}}
    (run / "detector.json").write_text(json.dumps(described))


def cases(*scores: float) -> list[Case]:
    return [Case(f"photo {number}", "", score, {}) for number, score in enumerate(scores)]


def drifted(run: Path) -> None:
    with Monitor.change(run) as monitor:
        monitor.add(cases(*[0.99] * 200))
        monitor.save(run)


def test_an_alarm_that_comes_while_the_monitor_is_read_is_heeded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def alarm_of(folder: Path, *_: object) -> bool:
        there = (folder / "drift.json").exists()
        (folder / "drift.json").write_text("{}")
        return there

    monkeypatch.setattr("anogan.assurance.drift.alarm_of", alarm_of)
    assert Alarm(run, CALIBRATION).sounds()


def test_calibrating_again_ends_no_alarm_about_the_calibration_that_still_decides_here(run: Path) -> None:
    alarm = Alarm(run, CALIBRATION)
    drifted(run)
    assert alarm.sounds()
    before = (run / "detector.json").read_bytes()
    calibrate_again(run)
    assert alarm.sounds()
    Monitor.open(run).save(run)  # as the next inspection does
    assert alarm.sounds()
    (run / "drift.json").unlink()
    assert alarm.sounds()
    assert alarm.warning() == "the calibration no longer holds, see `anogan drift`"
    assert not Alarm(run, Calibration.fit(np.arange(40) / 40, 0.05)).sounds()  # a new start
    (run / "detector.json").write_bytes(before)
    Monitor.reset(run)
    assert not alarm.sounds()
    assert alarm.warning() == ""


def test_without_an_alarm_a_server_goes_on_after_a_promotion(run: Path) -> None:
    alarm = Alarm(run, CALIBRATION)
    calibrate_again(run)
    monitor = Monitor.open(run)
    monitor.add(cases(*[50.0] * 200))
    monitor.save(run)
    assert monitor.alarm is not None
    assert not alarm.sounds()
    (run / "drift.json").write_text("{")
    assert alarm.sounds()
    monitor.save(run)
    assert not alarm.sounds()


def test_the_words_of_an_alarm_and_of_a_damaged_monitor(run: Path) -> None:
    alarm = Alarm(run, CALIBRATION)
    assert alarm.warning() == ""
    drifted(run)
    assert alarm.warning().startswith("the calibration no longer holds: since case ")
    (run / "drift.json").write_text("{")
    assert str(run / "drift.json") in alarm.warning()


def test_what_is_damaged_at_the_start_is_said_at_once(run: Path) -> None:
    (run / "drift.json").write_text("{")
    with pytest.raises(ValueError, match="drift.json"):
        Alarm(run, CALIBRATION)
