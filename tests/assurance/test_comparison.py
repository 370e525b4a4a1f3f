"""Two detectors on unlabeled images: figures by hand, what the verdict says when, and what is refused."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from anogan.assurance.comparison import Comparison, Flags, _agreement, compare
from anogan.detector import Detector
from anogan.detector.calibration import Calibration
from anogan.io import find_images
from anogan.metrics import Estimate


def flags(both: int, only_first: int, only_second: int, neither: int) -> Flags:
    pairs = [(1, 1)] * both + [(1, 0)] * only_first + [(0, 1)] * only_second + [(0, 0)] * neither
    first, second = np.array(pairs, dtype=bool).T
    return Flags.of(first, second)


def test_flags_by_hand() -> None:
    found = flags(5, 1, 9, 85)
    assert found[2:6] == (5, 1, 9, 85)
    assert (found.first.value, found.second.value) == (0.06, 0.14)
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)  # at most one of ten fair coins, both ways
    assert found.change == 1
    assert flags(5, 9, 1, 85).change == -1
    assert flags(5, 1, 6, 88).change == 0  # p = 2 * 8 / 128
    assert flags(4, 0, 0, 6).p_value == 1


@pytest.mark.parametrize(
    ("flagged", "planted", "start"),
    [
        ((5, 1, 1, 90), (40, 2, 20, 40), "B is the better one as far as can be told without labels"),
        ((5, 9, 1, 85), (40, 2, 20, 40), "B is the better one"),
        ((5, 1, 9, 85), (40, 2, 20, 40), "Look before replacing A"),
        ((5, 1, 1, 90), (40, 20, 2, 40), "Keep A: B finds fewer"),
        ((5, 1, 9, 85), (40, 3, 3, 40), "Keep A: B flags more"),
        ((5, 1, 1, 90), (40, 3, 3, 40), "No difference shown"),
        ((5, 1, 1, 90), None, "No verdict"),
    ],
)
def test_the_verdict(flagged: tuple[int, ...], planted: tuple[int, ...] | None, start: str) -> None:
    one = Estimate(1.0, 1.0, 1.0)
    found = planted and flags(*planted)
    assert Comparison((0.05, 0.05), one, one, flags(*flagged), found, {}, [], [], []).verdict.startswith(start)


def test_a_detector_against_itself_agrees_in_everything(tiny_detector: Detector, unseen_folder: Path) -> None:
    found = compare(tiny_detector, tiny_detector, find_images([unseen_folder]))
    assert found.spearman == pytest.approx((1, 1, 1))
    assert found.kendall == pytest.approx((1, 1, 1))
    assert found.flags.only_first == found.flags.only_second == 0
    assert {row["disagreement"] for row in found.cases} == {0}
    assert found.planted is not None
    assert found.planted.only_first == found.planted.only_second == 0
    assert sum(sum(kind[2:6]) for kind in found.planted_kinds.values()) == found.flags.neither
    assert found.verdict.startswith("No difference shown")
    assert compare(tiny_detector, tiny_detector, find_images([unseen_folder])).to_json() == found.to_json()


def test_a_blind_detector_is_no_upgrade(tiny_detector: Detector, unseen_folder: Path, tmp_path: Path) -> None:
    """B scores as A does, but its threshold is out of reach; one of A's cases is a torn file."""
    blind = dataclasses.replace(tiny_detector, calibration=Calibration.fit(np.arange(1e6, 1e6 + 30), 0.2))
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n")
    files = [*find_images([unseen_folder]), torn]
    found = compare(tiny_detector, blind, files)
    assert found.spearman.value == pytest.approx(1)
    assert found.flags.second.value == 0 < found.flags.only_first
    assert found.planted is not None
    assert found.planted.second.value == 0 < found.planted.first.value
    assert found.verdict.startswith("Keep A: B finds fewer of the planted anomalies (0% against")
    assert compare(blind, tiny_detector, files).planted.only_second == found.planted.only_first  # type: ignore[union-attr]
    assert [Path(row["file"]).name for row in found.not_scored] == ["torn.png"]

    found.save(tmp_path)
    assert json.loads((tmp_path / "comparison.json").read_text()) == json.loads(json.dumps(found.to_json()))
    with (tmp_path / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.cases) == len(files) - 1
    assert rows[0]["file"] == found.cases[0]["file"]


def test_cases_are_sorted_by_the_distance_of_their_ranks(tiny_detector: Detector, unseen_folder: Path) -> None:
    fusion = tiny_detector.fusion
    other = dataclasses.replace(tiny_detector, fusion=dataclasses.replace(fusion, weights=fusion.weights.flip(0)))
    files = find_images([unseen_folder])
    found = compare(tiny_detector, other, files)
    scores = {row["file"]: (row["score_a"], row["score_b"]) for row in found.cases}
    a, b = (np.argsort(np.argsort([pair[k] for pair in scores.values()])) for k in (0, 1))
    expected = np.abs(a - b) / len(files)
    assert [row["disagreement"] for row in found.cases] == pytest.approx(expected.tolist(), abs=1e-4)
    assert found.cases[0]["disagreement"] > 0
    assert found.spearman.low < found.spearman.value == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert found.kendall.value < 1


def test_different_grids_are_not_planted(tiny_detector: Detector, unseen_folder: Path) -> None:
    config = tiny_detector.config
    other = config.model_copy(update={"input": config.input.model_copy(update={"intensity": "percentile"})})
    found = compare(tiny_detector, dataclasses.replace(tiny_detector, config=other), find_images([unseen_folder]))
    assert found.planted is None
    assert "Nothing was planted: the two see the images on different grids." in str(found)


def test_each_image_has_the_threshold_of_its_group(tiny_detector: Detector, unseen_folder: Path) -> None:
    """Group low is flagged whatever it shows, group high never; of two images the group is not calibrated."""
    scores, names = np.repeat([-1e6, 1e6], 20), ["low"] * 20 + ["high"] * 20
    apart = dataclasses.replace(tiny_detector, calibration=Calibration.fit(scores, 0.1, None, names, "scanner"))
    files = find_images([unseen_folder])
    groups = ["other"] * 2 + ["low"] * 9 + ["high"] * (len(files) - 11)
    found = compare(apart, apart, files, groups=groups)
    assert (found.flags.both, found.flags.neither) == (9, len(files) - 11)
    assert {row["flagged_a"] for row in found.cases} == {True, False}
    assert sorted(row["file"] for row in found.not_scored) == sorted(str(path) for path in files[:2])
    assert found.not_scored[0]["reason"].startswith("not calibrated: scanner other is unknown")
    assert "Left out, because a group was not calibrated: 2 of the images." in found.notes
    assert found.planted is not None
    assert (found.planted.both, found.planted.neither) == (0, len(files) - 11)
    with pytest.raises(ValueError, match="the first that was not: not calibrated: the image names no scanner"):
        compare(apart, apart, files)


def test_what_is_refused(tiny_detector: Detector, unseen_folder: Path) -> None:
    files = find_images([unseen_folder / "healthy"])
    with pytest.raises(ValueError, match="run B is not calibrated; run `anogan calibrate` on it first"):
        compare(tiny_detector, dataclasses.replace(tiny_detector, calibration=None), files)
    with pytest.raises(ValueError, match="19 images were scored by both, at least 20 are needed"):
        compare(tiny_detector, tiny_detector, files[:19])
    config = tiny_detector.config
    other = config.model_copy(update={"input": config.input.model_copy(update={"window": (40.0, 400.0)})})
    with pytest.raises(ValueError, match=r"the two runs differ in input\.window"):
        compare(tiny_detector, dataclasses.replace(tiny_detector, config=other), files)


def test_a_detector_that_scores_all_alike_has_no_rank_agreement(
    tiny_detector: Detector, unseen_folder: Path, tmp_path: Path
) -> None:
    fusion = dataclasses.replace(tiny_detector.fusion, weights=torch.zeros_like(tiny_detector.fusion.weights))
    same = dataclasses.replace(tiny_detector, fusion=fusion)
    found = compare(tiny_detector, same, find_images([unseen_folder]))
    assert {row["score_b"] for row in found.cases} == {found.cases[0]["score_b"]}
    assert (found.spearman, found.kendall) == (None, None)
    assert "Rank agreement is not defined: one of the two scores all images alike." in str(found)
    found.save(tmp_path)
    written = (tmp_path / "comparison.json").read_text()
    assert json.loads(written, parse_constant=pytest.fail)["spearman"] is None


def test_agreement_where_some_draws_rank_nothing() -> None:
    """Two subjects, each with one score: a draw of one subject alone has no rank correlation and is left out."""
    scores = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 5.0], [2.0, 5.0]])
    assert _agreement(scores, ["a", "a", "b", "b"]) == (pytest.approx((1, 1, 1)), pytest.approx((1, 1, 1)))
    assert _agreement(scores * [1, 0], ["a", "a", "b", "b"]) == (None, None)
