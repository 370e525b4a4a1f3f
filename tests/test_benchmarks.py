"""What the benchmarks compute beside running the methods."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from anogan.metrics import Estimate
from anogan.scan import Scan

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def accuracy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import accuracy

    yield accuracy
    for name in ("accuracy", "calibration", "datasets", "peers"):
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
    values = accuracy.resampled(sets, [good, good, poor, {1: good[1]}])
    assert np.isnan(values[:, 3, 0]).all()
    assert np.array_equal(values[:, 3, 1], values[:, 0, 1])
    values = values[:, :3].mean(2)
    assert np.array_equal(values[:, 0], values[:, 1])
    assert np.percentile(values[:, 0] - values[:, 2], 2.5) > 0
    assert 0.85 < values[:, 0].mean() < 0.97
    assert 0.4 < values[:, 2].mean() < 0.6


def test_weighted_auroc_agrees_with_scikit_learn(accuracy: Any) -> None:
    generator = np.random.default_rng(2)
    labels, scores = generator.integers(0, 2, 80), generator.normal(size=80).round(1)  # many ties
    weights = generator.integers(0, 4, (5, 80))
    expected = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(accuracy.weighted_auroc(labels, scores, weights), expected, atol=1e-12)


def test_scores_are_kept_and_read_again(accuracy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path)
    data = SimpleNamespace(name="busi", labels=np.array([0, 0, 1, 1]), subjects=list("abcd"), train=[0] * 7)
    accuracy.write(data, 3, "a method, of sorts", np.array([0.1, 0.25, 0.2, 0.123456789]), {"seconds": 5})
    run = accuracy.finished()["busi"]["a method, of sorts"][3]
    assert run["scores"] == [0.1, 0.25, 0.2, 0.12346]
    assert run["auroc"][0] == 0.5
    assert accuracy.place("busi", 3, "a method, of sorts").is_file()


def test_another_site_changes_the_cell_and_not_its_black_surroundings(accuracy: Any) -> None:
    import calibration

    pixels = np.zeros((20, 20, 3), np.float32)
    pixels[5:15, 5:15] = 0.4 + 0.2 * np.random.default_rng(0).random((10, 10, 3), dtype=np.float32)
    scan, cell = Scan(pixels, "cell"), pixels.max(axis=2) > 0
    assert np.allclose(calibration.other_site(scan, 0).pixels, pixels, atol=1e-6)
    for change in ({"contrast": 1.3}, {"noise": 0.02}, {"blur": 1.0}):
        changed = calibration.other_site(scan, 0, **change).pixels
        assert not changed[~cell].any()
        assert changed[cell].mean() == pytest.approx(pixels[cell].mean(), abs=0.01)
        wider = changed[cell].std() / pixels[cell].std()
        assert 1.28 < wider < 1.32 if "contrast" in change else wider > 1.02 if "noise" in change else wider < 0.6


def test_the_table_of_calibration_is_made_from_kept_scores(accuracy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores at the other site are one higher: its false alarms rise, and its own threshold brings them back."""
    import calibration

    monkeypatch.setattr(calibration, "SPLITS", 50)
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 400)
    scores = generator.normal(size=800) + 3 * labels
    kept = {
        "labels": labels.tolist(),
        "patients": (np.arange(800) % 40).tolist(),
        "scores": {"as it is": scores.tolist(), "brighter": (scores + 1).tolist()},
    }
    by_patient = calibration.split_real(kept)[0]
    assert by_patient["mean"] == pytest.approx(0.05, abs=0.01)
    rows = {(row["site"], row["n"], row["confidence"]): row for row in calibration.recalibrate(kept)}
    assert rows["brighter", 0, None]["mean"] > 0.15
    assert rows["brighter", 100, None]["mean"] == pytest.approx(0.05, abs=0.015)
    assert rows["brighter", 100, 0.95]["mean"] == pytest.approx(2 / 101, abs=0.01)
    assert rows["brighter", 0, None]["auroc"] == rows["as it is", 0, None]["auroc"]


def test_contamination_table_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 images the top 2, 4 and 10 % are 2, 4 and 10: ranks at the border count, those below it do not."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import contamination

    ranks = {name: {"planted": [2, 4, 5, 11], "control": [1, 3, 99, 100]} for name in (contamination.PRODUCT, "a", "b")}
    text = contamination.table([{"seed": 0, "images": 100, "ranks": ranks}])
    assert "| **anogan, cross-fitted** | 0.25 (0.25) | 0.50 (0.50) | 0.75 (0.75) | 0.50 (0.50) |" in text
    for name in ("contamination", "datasets"):
        sys.modules.pop(name, None)


def test_streams_are_ranked_as_the_monitor_ranks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from anogan.assurance.drift import Monitor

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


@pytest.fixture
def coverage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import interval_coverage

    yield interval_coverage
    sys.modules.pop("interval_coverage", None)


def test_truths_of_the_coverage_study_are_those_of_its_draws(coverage: Any) -> None:
    sample = coverage.draw(np.random.default_rng(0), 60_000, (0.85, 0.75), clustered=True)
    assert len(sample.labels) == len(sample.subjects) == 180_000
    assert sample.labels.mean() == pytest.approx(0.3)
    assert roc_auc_score(sample.labels, sample.scores) == pytest.approx(0.85, abs=0.004)
    assert roc_auc_score(sample.labels, sample.second) == pytest.approx(0.75, abs=0.004)
    assert average_precision_score(sample.labels, sample.scores) == pytest.approx(
        coverage.true_precision(0.85), abs=0.008
    )
    threshold = np.quantile(sample.scores[~sample.labels], 0.9)
    found = (sample.scores[sample.labels] > threshold).mean()
    assert found == pytest.approx(coverage.true_sensitivity(0.85, 0.9), abs=0.008)
    healthy, second = (scores[~sample.labels].reshape(-1, 3) for scores in (sample.scores, sample.second))
    assert np.corrcoef(healthy[:, 0], healthy[:, 1])[0, 1] == pytest.approx(0.5, abs=0.02)
    assert np.corrcoef(healthy[:, 0], second[:, 0])[0, 1] == pytest.approx(0.6, abs=0.02)


def test_coverage_counts_on_which_side_an_interval_missed(coverage: Any) -> None:
    given = iter([(0, 0.4, 0.6), (0, 0.6, 0.7), (0, 0.1, 0.4), (0, 0.5, 0.5)])
    case = coverage.Case("", (0.8, 0.8), False, lambda sample: Estimate(*next(given)), 0.5, ())
    found = coverage.simulate(case, 50, 4)
    assert (found["held"], found["above"], found["below"]) == (0.5, 0.25, 0.25)
    assert coverage.share(0.01, 1)["held"] == pytest.approx(0.99)  # one hit of one gives [0.025, 1]
