import dataclasses
import json
import math
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import anogan
from anogan import cli
from anogan.assurance.selftest import chart, measure
from anogan.assurance.selftest.measure import CONTRASTS, FAMILIES, SIZES, Cell, SelfTest, anomalies
from anogan.assurance.selftest.verdict import fingerprint, mark
from anogan.config import LocalFakesConfig, load_config
from anogan.data.dataset import Item, ScanSet, Splits
from anogan.detector import Detector
from anogan.detector.calibration import Calibration
from anogan.io import write_png
from anogan.metrics import binomial


def smooth_images(n: int = 24, channels: int = 1, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, 12, 12, generator=generator) * 0.8 - 0.4
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


def outcome(found: int = 20, made: int = 20, alarms: tuple[int, int] = (5, 100), allowed: float = 0.1) -> SelfTest:
    cells = [
        Cell(family, size, contrast, made, found, binomial(found, made) if made else None)
        for family in FAMILIES
        for size in SIZES
        for contrast in CONTRASTS
    ]
    return SelfTest(tuple(cells), (1.0, 2.0, 3.0, 4.0), alarms, allowed, made)


@pytest.fixture
def splits(tiny_folder: Path, tiny_detector: Detector) -> Splits:
    return anogan.open_dataset(tiny_folder, tiny_detector.config)


@pytest.mark.parametrize("contrast", [0.05, 0.2])
@pytest.mark.parametrize("size", [0.12, 0.3])
@pytest.mark.parametrize("channels", [1, 3])
def test_anomalies_have_the_size_and_the_contrast_asked_for(channels: int, size: float, contrast: float) -> None:
    torch.manual_seed(0)
    x = smooth_images(channels=channels)
    images, made = anomalies(x, LocalFakesConfig(), ("intensity", "fill", "streaks"), size, contrast)
    assert made.float().mean() > 0.8
    assert torch.equal(images[~made], x[~made])
    change = (images - x).abs().mean(1)[made]  # (M, 64, 64) in units of [-1, 1]
    strong = change > 0.5 * contrast
    area = strong.sum((1, 2)) / (math.pi / 4 * (64 * size) ** 2)
    assert area.min() > 0.35
    assert area.max() < 2.5
    assert 0.6 < area.median() < 1.6
    inside = (change * strong).sum((1, 2)) / strong.sum((1, 2)) / 2
    assert (inside > 0.55 * contrast).all()
    assert inside.median() == pytest.approx(contrast, rel=0.2)


def test_nothing_is_put_on_black() -> None:
    axis = torch.linspace(-1, 1, 64)
    disc = axis[:, None] ** 2 + axis**2 < 0.4
    x = torch.where(disc, smooth_images(), torch.tensor(-1.0))
    images, made = anomalies(x, LocalFakesConfig(cut_out=True), ("intensity",), 0.12, 0.2)
    assert made.any()
    assert torch.equal(images.masked_select(~disc), x.masked_select(~disc))
    assert not anomalies(torch.full_like(x, -1), LocalFakesConfig(), ("intensity",), 0.12, 0.2)[1].any()


def test_what_cannot_have_the_contrast_is_not_made() -> None:
    flat = torch.full((6, 1, 32, 32), 0.25)
    images, made = anomalies(flat, LocalFakesConfig(), ("mosaic",), 0.2, 0.2)
    assert not made.any()
    assert torch.equal(images, flat)


def test_passing_takes_enough_images_to_show_it() -> None:
    assert outcome(17, 17).reasons() == []  # the exact interval of 17 of 17 begins at 0.805, that of 16 of 16 at 0.794
    few = outcome(16, 16).reasons()
    assert [reason.split(",")[0] for reason in few] == [
        "of 16 anomalies of taught kinds",
        "of 16 anomalies of never taught kinds",
    ]
    assert few[0].endswith("16 were found, which shows a sensitivity of 0.79 where 0.80 is asked for")
    assert len(outcome(0, 0).reasons()) == 2


def test_only_false_alarms_beyond_chance_fail() -> None:
    assert outcome(alarms=(15, 100), allowed=0.1).reasons() == []
    (reason,) = outcome(alarms=(30, 100), allowed=0.1).reasons()
    assert reason.startswith("30 of 100 healthy images were flagged, 0.300 [0.212, 0.400], where at most 0.100")
    (reason,) = outcome(alarms=(0, 0)).reasons()
    assert reason == "false alarms were not measured, because the test split has no healthy image"


def test_a_blind_and_a_nervous_detector_fail(
    tiny_detector: Detector, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SIZES", SIZES[-1:])
    monkeypatch.setattr(measure, "CONTRASTS", CONTRASTS[-1:])
    monkeypatch.setattr(measure, "LEAST_SENSITIVITY", 0.5)  # all of 8 show 0.63
    n_healthy = int((splits.test.labels == 0).sum())
    blind = measure.run(dataclasses.replace(tiny_detector, calibration=Calibration.fit(np.full(20, 1e9), 0.1)), splits)
    assert [cell.found for cell in blind.cells] == [0, 0]
    assert all(0 < cell.made <= blind.n_images == len(splits.calibration) for cell in blind.cells)
    assert blind.false_alarms == (0, n_healthy)
    assert len(blind.reasons()) == 2
    assert blind.millimeters is None  # PNG
    nervous = measure.run(
        dataclasses.replace(tiny_detector, calibration=Calibration.fit(np.full(20, -1e9), 0.1)), splits
    )
    assert [cell.found for cell in nervous.cells] == [cell.made for cell in nervous.cells]
    assert nervous.false_alarms == (n_healthy, n_healthy)
    (reason,) = nervous.reasons()
    assert "healthy images were flagged" in reason


def test_each_image_has_the_threshold_of_its_group(
    tiny_detector: Detector, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Group low is flagged whatever it shows, group high never; of one image in each split the group is unknown."""
    monkeypatch.setattr(measure, "SIZES", SIZES[-1:])
    monkeypatch.setattr(measure, "CONTRASTS", CONTRASTS[-1:])

    def grouped(scans: ScanSet) -> ScanSet:
        names = ["other", "low", "low"] + ["high"] * len(scans)
        healthy = iter(names)
        items = [item if item.label else dataclasses.replace(item, group=next(healthy)) for item in scans]
        return dataclasses.replace(scans, items=tuple(items))

    parts = Splits(splits.train, grouped(splits.calibration), grouped(splits.test))
    scores, names = np.repeat([-1e9, 1e9], [40, 20]), ["low"] * 40 + ["high"] * 20
    point = Calibration.fit(scores, 0.1, None, names, "scanner")
    test = measure.run(dataclasses.replace(tiny_detector, calibration=point), parts)
    assert test.n_images == len(splits.calibration) - 1
    assert test.false_alarms == (2, int((splits.test.labels == 0).sum()) - 1)
    assert [cell.found for cell in test.cells] == [2, 2]
    assert test.allowed == point.groups["high"].bound() > point.groups["low"].bound()
    assert test.to_json()["notes"][-1] == "Left out, because their group is not calibrated: 2 images."
    with pytest.raises(ValueError, match="none of its images is of a scanner that is calibrated"):
        measure.run(dataclasses.replace(tiny_detector, calibration=point), splits)


def test_what_the_gate_refuses_is_no_healthy_image(
    tiny_detector: Detector, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SIZES", SIZES[-1:])
    monkeypatch.setattr(measure, "CONTRASTS", CONTRASTS[-1:])
    write_png(tmp_path / "scout.png", np.random.default_rng(0).integers(0, 255, (24, 24)).astype(np.uint8))
    scout = Item(tmp_path / "scout.png", "scout", 0)
    mixed = Splits(*(ScanSet(part.name, (scout, *part)) for part in (splits.train, splits.calibration, splits.test)))
    gated = dataclasses.replace(tiny_detector, config=load_config("tiny", ["gate.smallest_side=40"]))
    test = measure.run(gated, mixed)
    assert test.n_images == len(splits.calibration)
    assert test.false_alarms[1] == int((splits.test.labels == 0).sum())


def test_without_an_operating_point_there_is_no_test(tiny_detector: Detector, splits: Splits) -> None:
    with pytest.raises(ValueError, match="not calibrated; run `anogan calibrate` first"):
        measure.run(dataclasses.replace(tiny_detector, calibration=None), splits)


def test_a_detector_whose_scores_are_not_finite_is_not_called_quiet(tiny_detector: Detector, splits: Splits) -> None:
    fusion = dataclasses.replace(tiny_detector.fusion, weights=tiny_detector.fusion.weights * float("nan"))
    with pytest.raises(ValueError, match="a score is not finite; the model is damaged, train it again"):
        measure.run(dataclasses.replace(tiny_detector, fusion=fusion), splits)


def test_the_chart_shows_every_count() -> None:
    test = outcome(19, 24)
    cells = (test.cells[0]._replace(made=0, found=0, sensitivity=None), *test.cells[1:])
    drawn = SelfTest(cells, test.millimeters, test.false_alarms, test.allowed, 24).to_json()
    root = ElementTree.fromstring(chart.draw(drawn))
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("19 of 24") == len(test.cells) - 1
    assert words.count("none made") == 1
    assert words.count("4.0 mm") == 2
    assert "Self-test FAILED: share of synthetic anomalies found" in words
    assert "Self-test passed: share of synthetic anomalies found" in chart.draw(outcome().to_json())


def test_a_mark_is_for_the_detector_that_was_tested(tmp_path: Path) -> None:
    assert mark(tmp_path) == ""
    (tmp_path / "detector.json").write_text("{}")

    def write(test: SelfTest) -> None:
        found = test.to_json() | {"detector": fingerprint(tmp_path)}
        (tmp_path / "selftest.json").write_text(json.dumps(found))

    write(outcome())
    assert mark(tmp_path) == ""
    write(outcome(alarms=(0, 0)))
    assert mark(tmp_path).startswith("This detector failed its self-test: false alarms were not measured")
    (tmp_path / "detector.json").write_text('{"calibration": "another"}')
    assert mark(tmp_path) == "The detector was changed after its self-test; run `anogan selftest` again."
    (tmp_path / "selftest.json").write_text('{"passed": true')
    assert "not a readable self-test" in mark(tmp_path)


def test_a_detector_that_fails_is_marked_where_its_results_are_shown(
    tiny_run: Path,
    tiny_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "SIZES", SIZES[-1:])
    monkeypatch.setattr(measure, "CONTRASTS", CONTRASTS[-1:])
    run = shutil.copytree(tiny_run, tmp_path / "run")
    with pytest.raises(SystemExit, match="anogan: This detector failed its self-test: of "):  # 8 images show too little
        cli.main(["selftest", str(run), str(tiny_folder)])
    assert "healthy test images" in capsys.readouterr().out
    assert json.loads((run / "selftest.json").read_text())["passed"] is False
    ElementTree.parse(run / "selftest.svg")
    with pytest.raises(SystemExit):
        cli.main(["inspect", str(run), str(next((tiny_folder / "healthy").glob("*.png")))])
    assert "warning: This detector failed its self-test: of " in capsys.readouterr().err
