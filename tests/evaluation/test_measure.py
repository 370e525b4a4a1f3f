"""`evaluate` with a detector whose scores are known: each image is its own anomaly map."""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from anogan.data.dataset import Item, ScanSet
from anogan.detector.calibration import Calibration
from anogan.errors import Code
from anogan.evaluation import evaluate
from anogan.metrics import binomial
from anogan.results.reading import read_results
from anogan.scan import Result, Scan
from anogan.storage.fingerprint import file_hash


class Known:
    """Scores an image by its brightest pixel; looks ahead in batches of three, as a network does."""

    def __init__(self, calibration: Calibration | None = None, refused: str = "", spread: float | None = None) -> None:
        self.calibration, self.refused, self.spread = calibration, refused, spread
        self.provenance: dict[str, Any] = {}

    def inspect_many(self, scans: Iterable[Scan]) -> Iterator[Result]:
        iterator = iter(scans)
        while batch := list(itertools.islice(iterator, 3)):
            for scan in batch:
                score = float(scan.pixels.max())
                if self.refused and self.refused in scan.source:
                    yield Result(scan.source, "not scored", reason="too small to judge")
                    continue
                yield Result(
                    scan.source,
                    "scored",
                    score=score,
                    flagged=self.calibration and self.calibration.decide(score, scan.group, self.spread).flagged,
                    anomaly_map=scan.pixels,
                    reconstruction=scan.pixels,
                    components={"residual": score, "neighbors": -score},
                    component_maps={"residual": scan.pixels, "neighbors": -scan.pixels},
                )

    def summary(self) -> dict[str, Any]:
        return {
            "name": "known",
            "profile": "known",
            "threshold": self.calibration and self.calibration.threshold,
            "false_alarm_rate": self.calibration and self.calibration.false_alarm_rate,
            "n_calibration": 0,
            "promise": "",
            "map_range": [0.0, 1.0],
            "calibration_scores": [],
            "version": "0",
            "trained": "",
            "hash": "",
        }


def image(folder: Path, name: str, spot: int) -> Path:
    """Write a dark 8 x 8 image with one 2 x 2 spot of the given gray level; every file differs."""
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2:4, 2:4] = spot
    pixels[7, 7] = len(list(folder.iterdir()))
    path = folder / name
    cv2.imwrite(str(path), pixels)
    return path


def mask_of(folder: Path, name: str) -> Path:
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2:4, 2:4] = 255
    cv2.imwrite(str(folder / name), pixels)
    return folder / name


@pytest.fixture
def split(tmp_path: Path) -> ScanSet:
    """Four healthy images (spots 51 to 204) of two subjects, three abnormal (128, 230, 255) of two, one with a mask."""
    (tmp_path / "images").mkdir()
    items = [
        Item(image(tmp_path / "images", f"h{spot}.png", spot), subject, 0)
        for spot, subject in ((51, "ann"), (102, "ann"), (153, "ben"), (204, "ben"))
    ]
    masks = {230: mask_of(tmp_path, "mask.png")}
    items += [
        Item(image(tmp_path / "images", f"a{spot}.png", spot), subject, 1, masks.get(spot))
        for spot, subject in ((128, "eve"), (230, "eve"), (255, "kim"))
    ]
    return ScanSet("test", tuple(items))


def with_item(scans: ScanSet, path: Path, label: int, mask: Path | None = None) -> ScanSet:
    return ScanSet(scans.name, (*scans.items[:2], Item(path, "odd", label, mask), *scans.items[2:]))


def test_the_figures_by_hand(split: ScanSet) -> None:
    seen: list[tuple[int, int]] = []
    report = evaluate(Known(), split, progress=lambda *state: seen.append(state))
    assert (report.n_healthy, report.n_abnormal, report.n_subjects) == (4, 3, 4)
    assert report.auroc.value == pytest.approx((2 + 4 + 4) / 12)
    # 255, 230 and 128 stand at places 1, 2 and 5 of the list
    assert report.average_precision.value == pytest.approx((1 + 1 + 3 / 5) / 3)
    assert {key: value.value for key, value in report.sensitivity_at.items()} == pytest.approx(
        {"0.90": 2 / 3, "0.95": 2 / 3, "0.99": 2 / 3}
    )
    assert report.subject_auroc is not None
    assert report.subject_auroc.value == 1.0  # each ill subject has one image above all of the healthy
    assert report.components == pytest.approx({"neighbors": 2 / 12, "residual": 10 / 12})
    assert report.operating_point is None
    assert not report.not_scored
    assert seen[0] == (0, 7)
    assert seen[-1] == (7, 7)


def test_pixel_figures_take_healthy_images_as_all_healthy_and_leave_out_the_unmasked(split: ScanSet) -> None:
    report = evaluate(Known(), split)
    # The one masked spot (230) lies above every healthy pixel, the unmasked spot of 255 among those left out.
    assert report.pixel_auroc == 1.0
    assert report.aupro == 1.0
    assert report.notes == ["Pixel figures leave out 2 abnormal images that have no mask."]
    bare = ScanSet("test", tuple(Item(item.path, item.subject, item.label) for item in split.items))
    report = evaluate(Known(), bare)
    assert report.pixel_auroc is None
    assert report.aupro is None


def test_the_operating_point_counts_what_is_flagged(split: ScanSet) -> None:
    calibration = Calibration(np.linspace(0, 0.6, 9), 0.1, threshold=0.6)  # 153 is 0.6 exactly, 204 above, 128 below
    point = evaluate(Known(calibration), split).operating_point
    assert point is not None
    assert point.counts == (2, 2, 2, 1)
    assert point.false_alarm_rate.value == 0.5
    assert point.sensitivity.value == pytest.approx(2 / 3)
    assert point.sensitivity.low == pytest.approx(0.0943, abs=1e-4)  # Clopper-Pearson, 2 of 3
    assert point.sensitivity.high == pytest.approx(0.9916, abs=1e-4)


def test_images_that_set_the_threshold_say_nothing_of_it(split: ScanSet) -> None:
    """By hand: of the false alarms 153 and 204, the latter calibrated. AUROC needs no threshold: it is as before."""
    judge = Known(Calibration(np.linspace(0, 0.6, 9), 0.1, threshold=0.6))
    judge.provenance = {"calibrations": [{"files": []}, {"files": [file_hash(split[3].path)]}]}
    report = evaluate(judge, split)
    assert report.operating_point is not None
    assert report.operating_point.counts == (2, 1, 2, 1)
    assert report.auroc.value == pytest.approx(10 / 12)
    assert "The operating point leaves out 1 images on which the threshold was set." in report.notes
    assert not any("not decided" in note for note in report.notes)


def test_what_the_detector_leaves_undecided_is_not_counted(split: ScanSet) -> None:
    """153 is 0.6 exactly, and between restarts of the inversion on both sides of it."""
    calibration = Calibration(np.linspace(0, 0.6, 9), 0.1, threshold=0.6)
    report = evaluate(Known(calibration, spread=0.05), split)
    assert report.operating_point is not None
    assert report.operating_point.counts == (2, 1, 2, 1)
    assert "The operating point leaves out 1 images that were not decided." in report.notes


def test_each_group_is_counted_at_its_own_threshold(split: ScanSet) -> None:
    """Scanner A flags from 0.45 (102 is 0.4, 153 is 0.6), scanner B from 0.9; C was not calibrated."""
    groups = dict(zip((item.path.stem for item in split), "AAABBCB", strict=True))
    grouped = ScanSet("test", tuple(replace(item, group=groups[item.path.stem]) for item in split))
    parts = {name: Calibration(np.zeros(19), 0.05, threshold) for name, threshold in (("A", 0.45), ("B", 0.9))}
    report = evaluate(Known(Calibration(np.zeros(38), 0.05, 0.5, None, "scanner", parts)), grouped)
    point = report.operating_point
    assert point is not None
    assert point.threshold is None
    assert point.counts == (1, 1, 3, 1)  # true and false positives, true and false negatives
    assert "The operating point leaves out 1 images that were not decided." in report.notes
    assert "each group's own, set for 5.0% false alarms" in str(report)
    assert report.to_json()["operating_point"]["threshold"] is None


def test_a_file_that_cannot_be_read_is_not_scored_and_never_normal(split: ScanSet, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(split.items[0].path.read_bytes()[:60])
    report = evaluate(Known(refused="h102"), with_item(split, torn, 0), out=tmp_path / "out")
    assert (report.n_healthy, report.n_abnormal) == (3, 3)
    assert [Path(row["file"]).name for row in report.not_scored] == ["h102.png", "torn.png"]
    assert report.not_scored[0]["reason"] == "too small to judge"
    assert "torn.png" in report.not_scored[1]["reason"]
    assert not {"torn.png", "h102.png"} & {Path(row["file"]).name for row in report.scores}
    assert "Not scored, and in none of the figures: 2" in str(report)
    cases = read_results(tmp_path / "out")["cases"]
    assert sorted(case["status"] for case in cases) == ["not scored"] * 2 + ["scored"] * 6


def test_labels_stay_with_their_images_past_a_bad_file(split: ScanSet, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"not an image")
    rows = evaluate(Known(), with_item(split, torn, 1)).scores
    assert len(rows) == 7
    for row in rows:
        name = Path(row["file"]).stem
        assert row["label"] == {"h": "healthy", "a": "abnormal"}[name[0]]
        assert row["score"] == pytest.approx(int(name[1:]) / 255)


def test_what_is_written_is_what_is_reported(split: ScanSet, tmp_path: Path) -> None:
    report = evaluate(Known(Calibration(np.zeros(19), 0.05, threshold=0.9)), split, out=tmp_path / "out")
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written == report.to_json()
    assert written["format"] == 1
    assert written["operating_point"]["false_alarm_rate"] == 0.05
    assert written["operating_point"]["true_positive"] == 2
    assert len(written["roc"]["threshold"]) == len(written["roc"]["sensitivity"])
    cases = {case["case"]: case for case in read_results(tmp_path / "out")["cases"]}
    assert {row["case"] for row in written["scores"]} == set(cases)
    for row in written["scores"]:
        assert cases[row["case"]]["label"] == row["label"]
        assert cases[row["case"]]["score"] == pytest.approx(row["score"])


def test_the_table_says_the_figures(split: ScanSet) -> None:
    table = str(evaluate(Known(Calibration(np.zeros(19), 0.05, threshold=0.9)), split))
    assert "4 healthy, 3 abnormal, of 4 subjects" in table
    assert "0.833 [" in table
    assert "sensitivity at 95% specificity" in table
    assert "set for 5.0% false alarms" in table


def test_one_class_alone_is_refused(split: ScanSet) -> None:
    with pytest.raises(ValueError, match="scored 4 healthy and 0 abnormal"):
        evaluate(Known(), ScanSet("test", split.items[:4]))


def test_when_nothing_is_scored_the_reason_is_said(split: ScanSet) -> None:
    with pytest.raises(ValueError, match="scored 0 healthy and 0 abnormal; the first .*: too small to judge"):
        evaluate(Known(refused=".png"), split)


def test_a_mask_that_cannot_be_used_takes_its_image_out_of_the_pixel_figures_alone(
    split: ScanSet, tmp_path: Path
) -> None:
    """The masks of 128 and 255 are cut off and of another size; that of 230 is whole."""
    torn, wrong = tmp_path / "torn.png", tmp_path / "wrong.png"
    torn.write_bytes((tmp_path / "mask.png").read_bytes()[:40])
    cv2.imwrite(str(wrong), np.eye(4, dtype=np.uint8) * 255)
    masks = {"a128": torn, "a255": wrong}
    spoiled = ScanSet("test", tuple(replace(item, mask=masks.get(item.path.stem, item.mask)) for item in split))
    whole, report = evaluate(Known(), split), evaluate(Known(), spoiled, out=tmp_path / "out")
    assert report.scores == whole.scores
    assert (report.pixel_auroc, report.aupro, report.best_dice) == (whole.pixel_auroc, whole.aupro, whole.best_dice)
    assert not report.not_scored
    assert [Path(row["file"]).stem for row in report.unusable_masks] == ["a128", "a255"]
    assert str(torn) in report.unusable_masks[0]["reason"]
    assert report.unusable_masks[1]["reason"] == (
        f"{wrong}: the mask has (4, 4) pixels and its image (8, 8); draw it on the image"
    )
    assert report.notes == ["Pixel figures leave out 2 images whose masks cannot be used."]
    lines = str(report).splitlines()
    assert lines[-2:] == [f"  {row['file']}: {row['reason']}" for row in report.unusable_masks]
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == report.to_json()
    assert not whole.unusable_masks


@pytest.mark.parametrize(("value", "words"), [(0, "nothing"), (1, "all")])
def test_an_abnormal_image_whose_mask_marks_nothing_or_all_is_left_out_and_counted(
    split: ScanSet, tmp_path: Path, value: int, words: str
) -> None:
    """Its pixels counted as healthy before, which made the figures worse without a word."""
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((8, 8), value, np.uint8))
    items = tuple(replace(item, mask=blank) if item.path.stem == "a255" else item for item in split)
    whole, report = evaluate(Known(), split), evaluate(Known(), ScanSet("test", items))
    assert (report.pixel_auroc, report.aupro) == (whole.pixel_auroc, whole.aupro)
    (row,) = report.unusable_masks
    assert row["reason"].startswith(f"{blank}: the mask marks {words} of the image;")
    assert "Pixel figures leave out 1 images whose masks cannot be used." in report.notes


def test_a_mask_of_a_healthy_image_must_be_blank(split: ScanSet, tmp_path: Path) -> None:
    blank, drawn = tmp_path / "blank.png", mask_of(tmp_path, "drawn.png")
    cv2.imwrite(str(blank), np.zeros((8, 8), np.uint8))
    masks = {"h51": blank, "h204": drawn}
    items = tuple(replace(item, mask=masks.get(item.path.stem, item.mask)) for item in split)
    (row,) = evaluate(Known(), ScanSet("test", items)).unusable_masks
    assert row["reason"] == f"{drawn}: marks a region of an image that is labeled healthy; correct one of them"
    assert row["label"] == "healthy"


class Faceless(Known):
    """Acquires no face in what is refused."""

    def inspect_many(self, scans: Iterable[Scan]) -> Iterator[Result]:
        for result in super().inspect_many(scans):
            yield result if result.status == "scored" else replace(result, reason="no face", code=Code.NO_FACE)


def test_failures_to_acquire_are_counted_by_label_and_other_faults_are_not(split: ScanSet, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"not an image")
    report = evaluate(Faceless(refused="h102"), with_item(split, torn, 0))
    assert report.failure_to_acquire == {"healthy": binomial(1, 5), "abnormal": binomial(0, 3)}
    assert report.to_json()["failure_to_acquire"]["healthy"] == list(binomial(1, 5))
    assert f"failure to acquire, healthy {binomial(1, 5)}" in " ".join(str(report).split())
    assert evaluate(Known(refused="h102"), split).failure_to_acquire == {}


def _written(split: ScanSet, out: Path, detector: Known) -> dict[str, Any]:
    evaluate(detector, split, out=out)
    return json.loads((out / "evaluation.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("spots", [(90, 90), (90, 0), (0, 255)])
@pytest.mark.parametrize("count", [(1, 1), (1, 3), (3, 1), (3, 3)])
@pytest.mark.parametrize("one_subject", [False, True])
def test_every_figure_of_a_degenerate_set_is_defined(
    tmp_path: Path, spots: tuple[int, int], count: tuple[int, int], calibrated: bool, one_subject: bool
) -> None:
    """Equal scores, perfect ones, one image or one subject of a class, with masks or none: valid JSON, no NaN."""
    (tmp_path / "images").mkdir()
    items = []
    for label in (0, 1):
        for number in range(count[label]):
            path = image(tmp_path / "images", f"{label}{number}.png", spots[label])
            mask = mask_of(tmp_path, f"m{number}.png") if label and number == 0 else None
            items.append(Item(path, str(label) if one_subject else f"{label}{number}", label, mask))
    point = Calibration.fit(np.full(30, 90 / 255), 0.2) if calibrated else None
    found = _written(ScanSet("test", tuple(items)), tmp_path / "out", Known(point))
    expected = {(90, 90): 0.5, (90, 0): 0.0, (0, 255): 1.0}[spots]
    assert found["auroc"][0] == pytest.approx(expected)
    assert found["auroc"][1] <= found["auroc"][0] <= found["auroc"][2]
    assert (found["operating_point"] is None) is not calibrated
