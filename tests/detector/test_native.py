"""The second scale: a profile that judges noise scores what the networks' grid cannot show."""

import csv
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

import anogan
from anogan.assurance.comparison import compare
from anogan.assurance.selftest import measure
from anogan.data.dataset import Item, ScanSet
from anogan.detector import Detector
from anogan.detector.calibration import Calibration
from anogan.scan import Scan

SETTINGS = ["input.channels=3", "input.noise=true", "training.steps=4", "training.encoder_steps=2"]
NOISE = {"quiet": 0.01, "loud": 0.05}


def photo(seed: int, noise: float) -> np.ndarray:
    """Smooth structure of random colors, with white noise; 96 x 96, which the tiny network sees as 32 x 32."""
    generator = np.random.default_rng(seed)
    structure = cv2.resize(generator.uniform(0.3, 0.7, (6, 6, 3)), (96, 96), interpolation=cv2.INTER_CUBIC)
    return (structure + noise * generator.normal(size=structure.shape)).clip(0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 photos to train and 16 to calibrate with from each of two sites, whose cameras differ in noise."""
    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for index in range(96):
        site = ("quiet", "loud")[index % 2]
        name, split = f"{index}.png", "train" if index < 64 else "calibration"
        cv2.imwrite(str(folder / name), (photo(index, NOISE[site]) * 255).round()[..., ::-1])
        rows.append([name, "healthy", split, f"person {index}", site])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "label", "split", "subject", "site"], *rows])
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> Detector:
    config = anogan.load_config("tiny", SETTINGS)
    splits = anogan.open_dataset(folder, config, group="site")
    return Detector.train(splits.train, config).calibrate(splits.calibration, 0.1, group="site")


def test_each_site_is_judged_by_its_own_noise(detector: Detector) -> None:
    assert set(detector.native.references) == {"", "quiet", "loud"}
    for own, other in (("quiet", "loud"), ("loud", "quiet")):
        pixels = photo(200, NOISE[own])
        at_home, away = (
            detector.inspect(Scan(pixels, "photo", group=site)).components["noise"] for site in (own, other)
        )
        assert at_home < 4 < away
        elsewhere = detector.inspect(Scan(pixels, "photo", group="nowhere"))
        assert elsewhere.components["noise"] == pytest.approx(detector.native.references[""].score(pixels))


def test_the_score_is_the_larger_of_both_scales(detector: Detector) -> None:
    """Noise that vanishes on the network's grid flags a photo; its map has the photo's own shape."""
    genuine, forged = (detector.inspect(Scan(photo(201, n), "photo", group="quiet")) for n in (0.01, 0.002))
    assert forged.score == forged.components["noise"] > 5
    assert forged.flagged
    assert genuine.score >= genuine.components["noise"]
    assert not genuine.flagged
    assert forged.component_maps["noise"].shape == (96, 96)
    assert forged.anomaly_map.shape == (96, 96)


def test_the_operating_point_is_that_of_both_scales(detector: Detector, folder: Path) -> None:
    scans = anogan.open_dataset(folder, detector.config, group="site").calibration
    results = [detector.inspect(scans.read(index)) for index in range(len(scans))]
    assert detector.calibration.scores == pytest.approx(np.sort([result.score for result in results]), abs=1e-4)
    described = detector.provenance["calibration_components"]["noise"]
    assert described == pytest.approx([result.components["noise"] for result in results])


def test_the_self_test_counts_false_alarms_of_both_scales(
    detector: Detector, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SIZES", (0.3,))
    monkeypatch.setattr(measure, "CONTRASTS", (0.3,))
    too_smooth = []
    for index in range(3):
        cv2.imwrite(str(path := tmp_path / f"{index}.png"), (photo(300 + index, 0.0) * 255).round()[..., ::-1])
        too_smooth.append(Item(path, f"test {index}", 0, group="quiet"))
    splits = anogan.open_dataset(folder, detector.config, group="site")
    splits = dataclasses.replace(splits, test=ScanSet("smooth", tuple(too_smooth)))
    expected = [detector.inspect(splits.test.read(index)) for index in range(3)]
    assert all(result.score == result.components["noise"] > detector.calibration.threshold for result in expected)
    found = measure.run(detector, splits)
    assert found.false_alarms == (3, 3)
    assert any("their noise is not judged" in note for note in found.to_json()["notes"])


def test_a_comparison_says_that_what_is_planted_has_no_noise_of_its_own(detector: Detector, folder: Path) -> None:
    paths = [folder / f"{index}.png" for index in range(64, 84)]
    one = dataclasses.replace(detector, calibration=Calibration.fit(detector.calibration.scores, 0.1))
    assert any("noise of the photos says nothing" in note for note in compare(one, one, paths).notes)


def test_it_is_the_same_after_saving(detector: Detector, tmp_path: Path) -> None:
    loaded = Detector.load(detector.save(tmp_path / "run"))
    scan = Scan(photo(202, 0.01), "photo", group="loud")
    assert loaded.inspect(scan).components == pytest.approx(detector.inspect(scan).components)
    assert loaded.summary() == detector.summary()


@pytest.mark.parametrize(
    ("pixels", "shown"), [(photo(1, 0.01)[..., 0], "96 x 96 and gray"), (photo(1, 0.01)[:50], "96 x 50")]
)
def test_what_has_no_noise_to_judge_is_not_scored(detector: Detector, pixels: np.ndarray, shown: str) -> None:
    result = detector.inspect(Scan(pixels, "photo"))
    assert result.status == "not scored"
    assert result.reason == (
        f"its noise cannot be judged: the photo must be in color and at least 56 pixels wide and high; it is {shown}"
    )


def test_too_few_photos_are_one_sentence(folder: Path) -> None:
    config = anogan.load_config("tiny", SETTINGS)
    few = anogan.open_dataset(folder, config).train
    with pytest.raises(ValueError, match=r"^noise reference: 8 genuine images, at least 10 are needed$"):
        Detector.train(few.subset(range(10)), config)
