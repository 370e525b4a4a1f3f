"""What an earlier version has written is read, and judged as it was: three small runs of revision 3470a72."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from anogan.assurance.drift import Monitor
from anogan.assurance.selftest import verdict
from anogan.dashboard.run_folder import read_evaluation
from anogan.data.seen import Seen
from anogan.detector import Detector
from anogan.io import iter_series, read_scan
from anogan.results.reading import read_results

INSTALLED = Path(__file__).parent / "installed"
# Networks see four images at once since then, which changes the sixth decimal; another processor may change as much.
NEAR = {"rel": 1e-4, "abs": 1e-4}


def told(run: str) -> list[dict[str, Any]]:
    cases = json.loads((INSTALLED / run / "results" / "results.json").read_text())["cases"]
    assert cases
    return list(cases)


@pytest.mark.parametrize("run", ["gray", "color"])
def test_images_are_scored_and_decided_as_before(run: str) -> None:
    detector, cases = Detector.load(INSTALLED / run), told(run)
    assert {True, False} == {case["flagged"] for case in cases}, "a test that could not fail"
    scans = [read_scan(INSTALLED / case["file"]) for case in cases]
    for result, case in zip(detector.inspect_many(scans), cases, strict=True):
        assert result.score == pytest.approx(case["score"], **NEAR)
        assert (result.p_value, result.flagged) == (pytest.approx(case["p_value"]), case["flagged"])
        assert result.components == pytest.approx(case["components"], **NEAR)


def test_series_are_scored_and_decided_as_before() -> None:
    detector, cases = Detector.load(INSTALLED / "series"), told("series")
    problems: list[tuple[Path, str]] = []
    found = {
        Path(series.source).name: detector.inspect_series(series)
        for series in iter_series([INSTALLED / "heads"], problems, detector.config.input.window)
    }
    assert not problems
    assert {True, False} == {case["flagged"] for case in cases}
    for case in cases:
        result = found[Path(case["file"]).name]
        assert result.score == pytest.approx(case["score"], **NEAR)
        assert (result.p_value, result.flagged) == (pytest.approx(case["p_value"]), case["flagged"])
        assert [place + 1 for place in result.top] == case["top_slices"]


def test_a_detector_that_is_read_and_saved_again_says_the_same(tmp_path: Path) -> None:
    for run in ("gray", "color", "series"):
        old = Detector.load(INSTALLED / run)
        old.save(tmp_path / run)
        new = Detector.load(tmp_path / run)
        assert new.summary() == old.summary()
        first, second = (one.calibration or one.series_calibration for one in (old, new))
        assert first is not None and second is not None
        assert (second.to_json(), new.provenance) == (first.to_json(), old.provenance)


def test_every_record_of_before_is_read() -> None:
    gray = INSTALLED / "gray"
    results = read_results(gray / "results")
    assert [case["case"] for case in results["cases"]] == [case["case"] for case in told("gray")]
    evaluation = read_evaluation(gray / "results")
    assert evaluation is not None and 0 <= evaluation["auroc"][0] <= 1
    assert len(Monitor.open(gray).scores) == len(told("gray"))
    assert verdict.mark(gray).startswith("This detector failed its self-test: ")
    assert not Seen.of(Detector.load(gray).provenance).known  # it kept no looks, and says so


def test_the_commands_work_with_a_run_of_before(anogan: Any, tmp_path: Path) -> None:
    run = tmp_path / "gray"
    shutil.copytree(INSTALLED / "gray", run)
    before = {case["file"]: case["score"] for case in told("gray")}
    done = anogan("inspect", run, INSTALLED / "new-gray", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    after = {f"new-gray/{Path(case['file']).name}": case["score"] for case in read_results(tmp_path / "out")["cases"]}
    assert after == pytest.approx(before, **NEAR)
    assert anogan("drift", run).code == 0
