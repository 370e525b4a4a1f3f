"""What the API scores enters the drift monitor, each person and photo once, and an alarm stops its decisions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from anogan.api.erasing import erase_screenings, person_of, subject_of
from anogan.api.screening import Screener
from anogan.api.tables import open_tables
from anogan.api.watch import MOST, Watch
from anogan.assurance.alarm import Alarm
from anogan.assurance.drift import Case, Monitor
from anogan.detector.calibration import Calibration
from anogan.storage.pseudonym import person_hash

from .conftest import CALIBRATION, MeanDetector, MemoryDesk, photo


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run folder with what the monitor reads of a calibrated detector."""
    described = {"calibration": CALIBRATION.to_json(), "provenance": {}}
    (tmp_path / "detector.json").write_text(json.dumps(described))
    return tmp_path


def cases(*scores: float, start: int = 0) -> list[Case]:
    return [Case(f"photo {start + number}", "", score, {}) for number, score in enumerate(scores)]


def test_what_is_counted_is_what_inspect_would_count(run: Path) -> None:
    watch, expected = Watch(run, CALIBRATION, feed=True), Monitor.open(run)
    found = cases(0.3, 0.9, 0.1)
    for case in [*found, found[0]]:
        watch.count(case, run)
    watch.flush()
    expected.add(found)
    kept = Monitor.open(run)
    assert kept.scores == expected.scores == [0.1, 0.3, 0.9]
    assert kept.total == expected.total


def calibrate_again(run: Path) -> None:
    described = {"calibration": Calibration.fit(np.arange(40) / 40, 0.05).to_json(), "provenance": {}}
    (run / "detector.json").write_text(json.dumps(described))


def test_scores_do_not_enter_the_monitor_of_another_calibration(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A version that is promoted works from the next start on; the server still judges by the one before."""
    watch = Watch(run, CALIBRATION, feed=True)
    calibrate_again(run)
    watch.count(cases(0.3)[0], run)
    watch.flush()
    assert Monitor.open(run).scores == []
    assert "1 cases are not in the drift monitor" in caplog.text
    assert "restart the server" in caplog.text


def test_many_are_counted_without_waiting_for_the_end(run: Path) -> None:
    watch = Watch(run, CALIBRATION, feed=True)
    for case in cases(*np.random.default_rng(0).uniform(0, 1, MOST - 1)):
        watch.count(case, run)
    assert not (run / "drift.json").exists()
    watch.count(Case("one more", "", 0.5, {}), run)
    assert len(Monitor.open(run).scores) == MOST


def test_a_reset_by_somebody_else_holds(run: Path) -> None:
    watch = Watch(run, CALIBRATION, feed=True)
    for case in cases(0.2, 0.4):
        watch.count(case, run)
    watch.flush()
    watch.count(cases(0.6, start=2)[0], run)
    Monitor.reset(run)
    watch.flush()
    kept = Monitor.open(run)
    assert kept.scores == [0.6]
    assert len(kept.resets) == 1


def test_a_drift_that_is_found_here_is_heeded_here(run: Path) -> None:
    watch, alarm = Watch(run, CALIBRATION, feed=True), Alarm(run, CALIBRATION)
    assert not alarm.sounds()
    for case in cases(*[0.99] * 200):
        watch.count(case, run)
    assert alarm.sounds()


def test_without_being_asked_nothing_is_counted(run: Path) -> None:
    watch = Watch(run, CALIBRATION)
    watch.count(cases(0.5)[0], run)
    watch.flush()
    assert not (run / "drift.json").exists()


def test_a_monitor_that_was_damaged_meanwhile_stops_decisions_and_no_screening(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch, alarm = Watch(run, CALIBRATION, feed=True), Alarm(run, CALIBRATION)
    watch.count(cases(0.5)[0], run)
    (run / "drift.json").write_text("{")
    watch.flush()
    assert "1 cases are not in the drift monitor" in caplog.text
    assert alarm.sounds()


def test_the_api_counts_each_applicant_and_each_photo_once(run: Path, serve: Callable[..., SimpleNamespace]) -> None:
    api = serve()
    api.screener._watch = Watch(run, CALIBRATION, feed=True)
    sent = [(photo(10), "ada"), (photo(20), "ada"), (photo(30), None), (photo(30), None), (photo(0, side=2), None)]
    for data, reference in sent:
        assert api.send(data, reference).status_code == 201
    api.stop()  # which counts what waits
    kept = Monitor.open(run)
    assert len(kept.scores) == 2
    assert kept.scores[-1] == pytest.approx(30 / 255, abs=1e-6)
    assert kept.recent[0].keys() == {"discriminator", "spectrum"}
    assert "ada" not in (run / "drift.json").read_text()


def test_who_is_erased_by_the_command_line_does_not_enter_the_monitor_later(
    run: Path, serve: Callable[..., SimpleNamespace]
) -> None:
    api = serve()
    api.screener._watch = Watch(run, CALIBRATION, feed=True)
    for value, reference in ((10, "ada"), (20, "ben")):
        assert api.send(photo(value), reference).json()["decision"] == "pass"
    assert erase_screenings(run, str(run / "desk.db"), api.store, subject_of("ada")) == (1, [])
    api.stop()  # which counts what waits
    assert Monitor.open(run).seen == {person_hash(person_of("ben", "tests"))}


def test_a_run_without_calibration_cannot_feed(tmp_path: Path) -> None:
    (tmp_path / "detector.json").write_text('{"calibration": null, "provenance": {}}')
    store = tmp_path / "store"
    with pytest.raises(ValueError, match="is not calibrated; run `anogan calibrate"):
        Screener(tmp_path, MeanDetector(), open_tables(str(tmp_path / "d.db")), store, MemoryDesk(), True)  # type: ignore[arg-type]
    Screener(tmp_path, MeanDetector(), open_tables(str(tmp_path / "d.db")), store, MemoryDesk()).close()  # type: ignore[arg-type]
