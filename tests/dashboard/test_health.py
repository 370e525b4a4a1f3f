"""The page of what runs here: every part that answers, and every part that does not."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from desks import new
from streamlit.testing.v1 import AppTest

from anogan.assurance.drift import Monitor
from anogan.dashboard import health
from anogan.io.dicom.persons import Person
from anogan.pacs.header import Header
from anogan.pacs.queue import Queue
from anogan.review import open_desk


def start(reader: str = "local") -> AppTest:
    def script() -> None:
        from anogan.dashboard import health

        health.page()

    app = AppTest.from_function(script, default_timeout=600).run()
    if reader != "local":
        app.text_input(key="desk_reader").set_value(reader).run()
    assert not app.exception
    return app


def facts(app: AppTest) -> dict[str, str]:
    return {name: value for table in app.table for name, value in table.value.to_numpy().tolist()}


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


@pytest.fixture
def alone(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ANOGAN_DESK", "ANOGAN_STORE"):
        monkeypatch.delenv(name, raising=False)
    return run


def test_a_run_alone_shows_versions_devices_and_room(alone: Path) -> None:
    app = start()
    shown = facts(app)
    assert {"anogan", "python", "torch", "git revision", "processor cores", "accelerators"} <= shown.keys()
    assert shown["Free on the disk of the run folder"].endswith("B")
    files = sum(path.stat().st_size for path in alone.rglob("*") if path.is_file())
    assert shown["Files of the run"] == health.size(files)
    assert "Nothing counted yet" in words(app)
    assert "without a review desk" in words(app)
    assert "No listener named" in words(app)


def test_the_drift_monitor_is_told_in_numbers(alone: Path) -> None:
    described = {"calibration": {"false_alarm_rate": 0.05, "scores": [1.0, 2.0, 3.0]}, "provenance": {}}
    (alone / "detector.json").write_text(json.dumps(described))
    monitor = Monitor(np.array([1.0, 2.0, 3.0]), total=2.5, highest=4.0)
    monitor.save(alone)
    app = start()
    assert facts(app)["Evidence against the calibration"] == "2.5, at its highest 4"
    assert facts(app)["Alarm"] == "at 100"
    assert "The calibration holds as far as these cases tell" in words(app)
    monitor.alarm = (12, "2026-01-02")
    monitor.save(alone)
    app = start()
    assert facts(app)["Alarm"] == "at case 12, 2026-01-02"
    assert "The calibration no longer holds" in words(app)
    (alone / "drift.json").write_text("{")
    assert "drift.json: damaged" in words(start())


def test_the_listener_is_counted_by_state(alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOGAN_STORE", str(tmp_path))
    assert "holds no queue; name the --store of `anogan listen` in ANOGAN_STORE" in words(start())
    queue = Queue(tmp_path / "queue.db", clock=lambda: 1_800_000_000.0)
    for study in ("1.2", "1.3"):
        queue.add(Header(f"{study}.1", study, f"{study}.4", "1.4", Person("pseudonym"), "digest", 100, False))
    assert "No study has failed" in words(app := start())
    assert facts(app)["Studies"] == facts(app)["Receiving"] == "2"
    assert facts(app)["Last change"] == "2027-01-15 08:00 UTC"
    queue.close_quiet(0)
    job = queue.take()
    assert job is not None
    queue.not_scored(job, "torn")
    queue.close()
    app = start()
    assert "1 failed" in words(app)
    assert (facts(app)["Complete"], facts(app)["Failed"]) == ("1", "1")


def test_the_desk_answers_and_says_what_came_last(alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "desk.db"
    monkeypatch.setenv("ANOGAN_DESK", str(path))
    assert "there is no such file" in words(start())
    desk = open_desk(path, clock=lambda: 1_800_000_000.0)
    app = start()
    assert "The database answers, and its tables are up to date" in words(app)
    assert "No case has come yet." in words(app)
    desk.add_many([new(1, 0.5), new(2, 0.5)])
    assert facts(start())["Last image"] == "2027-01-15 08:00 UTC, 2 in all"
    desk.set_role("ida", "admin")
    assert "Last image" not in facts(start())
    assert "Last image" in facts(start("ida"))
    desk.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE review_version SET version_num = '0000'")
    connection.close()
    assert "The tables are of revision 0000, not " in words(start())
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database" * 100)
    monkeypatch.setenv("ANOGAN_DESK", str(damaged))
    assert "cannot be reached" in words(start())


def test_a_disk_that_is_nearly_full_is_said(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=100, free=4))
    assert "Nearly full: the disk of the run folder" in words(start())
