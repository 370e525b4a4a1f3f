"""What the benchmarks compute beside running the methods."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anogan.scan import Scan

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def accuracy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import accuracy

    yield accuracy
    for name in ("accuracy", "datasets", "peers"):
        sys.modules.pop(name, None)


def test_near_duplicates_share_a_group(accuracy: Any) -> None:
    generator = np.random.default_rng(0)
    first, second = (generator.random((40, 50)).astype(np.float32) for _ in range(2))
    nearly = (first + 0.02 * generator.random((40, 50)).astype(np.float32)).clip(0, 1)
    found = sys.modules["datasets"].near_duplicates([Scan(x, "x") for x in (first, second, nearly)])
    assert found[0] == found[2] != found[1]


def test_paired_bootstrap(accuracy: Any) -> None:
    """A method against itself never differs; the spread of a mean of AUROC over subjects is that of the subjects."""
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1], 60)
    subjects = [str(row // 2) for row in range(120)]  # two images of everybody
    sets = {seed: SimpleNamespace(labels=labels, subjects=subjects) for seed in (0, 1)}
    good, poor = (
        {seed: {"scores": (labels * gap + generator.normal(size=120)).tolist()} for seed in (0, 1)} for gap in (2, 0)
    )
    values = accuracy.resampled(sets, [good, good, poor])
    assert np.array_equal(values[:, 0], values[:, 1])
    assert np.percentile(values[:, 0] - values[:, 2], 2.5) > 0
    assert 0.85 < values[:, 0].mean() < 0.97
    assert 0.4 < values[:, 2].mean() < 0.6


def test_scores_are_kept_and_read_again(accuracy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path)
    data = SimpleNamespace(name="busi", labels=np.array([0, 0, 1, 1]), subjects=list("abcd"), train=[0] * 7)
    accuracy.write(data, 3, "a method, of sorts", np.array([0.1, 0.25, 0.2, 0.123456789]), {"seconds": 5})
    run = accuracy.finished()["busi"]["a method, of sorts"][3]
    assert run["scores"] == [0.1, 0.25, 0.2, 0.12346]
    assert run["auroc"][0] == 0.5
    assert accuracy.place("busi", 3, "a method, of sorts").is_file()


def test_streams_are_ranked_as_the_monitor_ranks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from anogan.drift import Monitor

    monkeypatch.syspath_prepend(str(FOLDER))
    import drift

    sys.modules.pop("drift")
    generator = np.random.default_rng(0)
    calibration, cases = generator.normal(size=30).round(1), generator.normal(size=120).round(1)  # many ties
    monitor, expected = Monitor(calibration), []
    chances = np.random.default_rng(1).random(120)
    for score, chance in zip(cases, chances, strict=True):
        expected.append(monitor.p_value(score, chance))
        monitor.scores = sorted([*monitor.scores, score])
    found = drift.smoothed_p_values(calibration, cases, np.random.default_rng(1))
    np.testing.assert_allclose(found, expected)
