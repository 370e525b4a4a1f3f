"""What a reader sees once the calibration no longer holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from streamlit.testing.v1 import AppTest

from anogan.assurance import drift
from anogan.assurance.drift import Monitor
from anogan.dashboard import case_view, widgets, worklist

APP = Path(__file__).parents[2] / "anogan" / "dashboard" / "router.py"
OPEN = {"status": "scored", "score": 5.0, "p_value": 0.2, "flagged": None, "reason": drift.PAUSED, "file": "a.png"}


def alarm(run: Path) -> None:
    described = {"calibration": {"false_alarm_rate": 0.05, "scores": [1.0, 2.0, 3.0]}, "provenance": {}}
    (run / "detector.json").write_text(json.dumps(described))
    monitor = Monitor(np.array([1.0, 2.0, 3.0]))
    monitor.alarm = (12, "2026-01-02")
    monitor.save(run)


def banners(run: Path) -> list[str]:
    app = AppTest.from_file(APP, default_timeout=600).run()
    assert not app.exception
    return [element.value.replace("\\", "") for element in app.error]


def test_every_page_says_that_the_calibration_no_longer_holds(run: Path) -> None:
    assert banners(run) == []
    alarm(run)
    (banner,) = banners(run)
    assert banner.startswith("**The calibration no longer holds: since case 12 (2026-01-02)")
    assert banner.endswith(f"`anogan drift {run.as_posix()}`")
    Monitor.reset(run)
    assert banners(run) == []


def test_a_monitor_that_cannot_be_read_is_said_too(run: Path) -> None:
    alarm(run)
    (run / "drift.json").write_text("{")
    (banner,) = banners(run)
    assert "drift.json: damaged; restore it, or start anew" in banner


def test_a_case_that_is_not_decided_is_neither_flagged_nor_not_flagged() -> None:
    assert widgets.verdict(OPEN)[0] == "Not decided"
    assert widgets.verdict(OPEN | {"p_value": None})[0] == "Not calibrated"
    assert worklist.matching([OPEN], "Not flagged") == worklist.matching([OPEN], "Flagged") == []
    assert worklist.matching([OPEN], "Not decided") == [OPEN]
    words = case_view.judgment(OPEN, {"threshold": 4.0, "calibration_scores": [1.0, 2.0, 3.0, 9.0]})
    assert words.startswith(
        "The score 5.00 reaches the threshold 4.00, and nothing was decided: the calibration no longer holds, "
        "see `anogan drift`. 1 of the 4 healthy"
    )
