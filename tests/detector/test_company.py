"""A score is that of its image: alone, in any list, by any door; and what is all alike is refused."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import anogan
from anogan import io
from anogan.assurance import contamination
from anogan.assurance.selftest import measure
from anogan.config import Config
from anogan.data.dataset import Item, ScanSet
from anogan.data.synthetic import write_tiny
from anogan.detector import Detector
from anogan.detector.fusion import Fusion
from anogan.detector.reference import EIGHT_BITS, PositionGaussian, make_projection, refuse_uniform, rounded_otherwise
from anogan.io.dicom import write_dicom
from anogan.pacs.judging import judge_with
from anogan.scan import Scan, Series


@pytest.fixture(scope="module")
def scans(tiny_folder: Path) -> list[Scan]:
    paths = sorted((tiny_folder / "healthy").iterdir())[:7] + sorted((tiny_folder / "abnormal").iterdir())[:4]
    return [io.read_scan(path) for path in paths]


@pytest.fixture(scope="module", params=["as it is", "inverted with restarts"])
def detector(request: pytest.FixtureRequest, tiny_detector: Detector) -> Detector:
    if request.param == "as it is":
        return tiny_detector
    changed = Config.model_validate(
        tiny_detector.config.model_dump() | {"inversion": {"steps": 4, "restarts": 2, "patience": 1}}
    )
    return dataclasses.replace(tiny_detector, config=changed)


@given(cuts=st.sets(st.integers(1, 10)), seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_any_partition_of_any_list_gives_the_same(
    detector: Detector, scans: list[Scan], cuts: set[int], seed: int
) -> None:
    expected = {scan.source: detector.inspect(scan) for scan in scans}
    drawn = random.Random(seed).sample(scans, len(scans))
    edges = [0, *sorted(cuts), len(drawn)]
    for low, high in zip(edges, edges[1:], strict=False):
        for scan, found in zip(drawn[low:high], detector.inspect_many(drawn[low:high]), strict=True):
            alone = expected[scan.source]
            assert found.score == pytest.approx(alone.score, abs=1e-6)
            assert (found.flagged, found.p_value) == (alone.flagged, alone.p_value)
            assert found.uncertainty == pytest.approx(alone.uncertainty, abs=1e-6)
            np.testing.assert_allclose(found.anomaly_map, alone.anomaly_map, atol=1e-5)


def test_the_image_that_set_the_threshold_reaches_it_again(tiny_detector: Detector, tiny_folder: Path) -> None:
    splits = anogan.open_dataset(tiny_folder, tiny_detector.config)
    assert tiny_detector.calibration is not None
    scored = [tiny_detector.inspect(splits.calibration.read(index)) for index in range(len(splits.calibration))]
    assert sorted(result.score for result in scored) == pytest.approx(
        sorted(tiny_detector.calibration.scores), abs=1e-9
    )


def test_a_slice_of_a_series_has_the_score_of_its_image(tiny_detector: Detector, scans: list[Scan]) -> None:
    for some in (scans[:3], scans):
        found = tiny_detector.inspect_series(Series(tuple(some), "volume")).slices
        assert [one.score for one in found] == pytest.approx(
            [tiny_detector.inspect(scan).score for scan in some], abs=1e-6
        )


def test_one_file_and_a_folder_say_the_same(
    anogan: Callable[..., Any], tiny_run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    files = sorted((tiny_folder / "abnormal").iterdir())[:5]
    scores: list[dict[str, float]] = []
    for number, paths in enumerate((files, *([path] for path in files))):
        assert anogan("inspect", tiny_run, *paths, "--out", tmp_path / str(number)).code == 0
        cases = json.loads((tmp_path / str(number) / "results.json").read_text())["cases"]
        scores.append({case["file"]: case["score"] for case in cases})
    together, *alone = scores
    for one in alone:
        for file, score in one.items():
            assert score == pytest.approx(together[file], abs=1e-6)


def test_the_listener_says_what_inspect_says(tiny_run: Path, tiny_detector: Detector, tmp_path: Path) -> None:
    """A study of two series, and each by itself."""
    for name, seed in (("a", 1), ("b", 2)):
        for number in range(3):
            noise = np.random.default_rng(10 * seed + number).integers(0, 900, (48, 48)).astype(np.uint16)
            place = tmp_path / "study" / "objects" / f"{name}{number}.dcm"
            uids = ("1.2.3", f"1.2.3.{seed}", f"1.2.3.{seed}.{number}")
            position = (0.0, 0.0, float(number))
            write_dicom(place, noise, uids=uids, position=position, patient_id="x", instance_number=number + 1)
    heard: list[float] = []

    class Listening(Detector):
        def inspect_series(self, series: Series) -> Any:
            found = super().inspect_series(series)
            heard.append(found.score)
            return found

    listening = Listening(**{field.name: getattr(tiny_detector, field.name) for field in dataclasses.fields(Detector)})
    judge_with(tiny_run, listening)(tmp_path / "study" / "objects")
    own = [
        tiny_detector.inspect_series(io.read_series(sorted((tmp_path / "study" / "objects").glob(f"{name}*")))[0][0])
        for name in "ab"
    ]
    assert heard == pytest.approx([one.score for one in own], abs=1e-6)


def test_the_patience_of_one_image_is_not_that_of_its_company() -> None:
    """By hand: image 0 gets worse at once and ends; image 1 gets better for ever, and image 0 later, too late."""
    from anogan.gan.inversion import invert

    course = {0: [1.0, 2.0, 3.0, 0.5, 0.1], 1: [1.0, 0.9, 0.8, 0.7, 0.6]}
    config = Config.model_validate({"name": "x", "inversion": {"steps": 4, "patience": 2}}).inversion

    def best(images: list[int]) -> list[float]:
        seen: list[torch.Tensor] = []
        step = iter(range(9))

        def objective(x: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
            number = next(step)
            return made.flatten(1).sum(1) * 0 + torch.tensor([course[image][number] for image in images])

        x = torch.zeros(len(images), 1, 2, 2)
        invert(
            x, torch.nn.Identity(), torch.nn.Flatten(), objective, config, lambda _, scores: seen.append(scores.clone())
        )
        return seen[-1].tolist()

    assert best([0]) == [1.0]
    assert best([0, 1]) == pytest.approx([1.0, 0.6])


# What is all alike


def test_images_that_8_bits_could_hardly_tell_apart_are_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 1, 16, 16, generator=generator).repeat(12, 1, 1, 1) * 2 - 1
    with pytest.raises(ValueError, match=r"the images \(12\) differ by less than one step of 8 bits"):
        refuse_uniform(images, "the images")
    with pytest.raises(ValueError, match="differ by less than one step"):
        refuse_uniform(rounded_otherwise(images) * 0.5 + images * 0.5, "the images")
    refuse_uniform(images + 6 * EIGHT_BITS * torch.rand(images.shape, generator=generator), "the images")


@pytest.mark.parametrize("repeated", ["training", "held back"])
def test_repeated_frames_are_refused_before_the_training(repeated: str) -> None:
    config = anogan.load_config("tiny")
    size = config.input.size
    varied = torch.rand(20, config.input.channels, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    images, held = (varied[:1].repeat(20, 1, 1, 1), varied) if repeated == "training" else (varied, varied[:4] * 0)
    with pytest.raises(ValueError, match=f"{repeated}.*differ by less than one step of 8 bits.*add images that differ"):
        Detector.train_images(images, held, config)


def test_one_image_many_times_does_not_calibrate(tiny_detector: Detector, unseen_folder: Path, tmp_path: Path) -> None:
    """Forty names of one file would promise what forty images do; one image alone promises little, and that is said."""
    file = min((unseen_folder / "healthy").iterdir()).read_bytes()
    items = [Item(tmp_path / f"{number}.png", f"{number}", 0) for number in range(40)]
    for item in items:
        item.path.write_bytes(file)
    with pytest.raises(ValueError, match=r"the calibration images \(40\) differ by less than one step of 8 bits"):
        tiny_detector.calibrate(ScanSet("repeated", tuple(items)), 0.1)
    with pytest.raises(ValueError, match="cannot give a false-alarm rate of 0.1"):
        tiny_detector.calibrate(ScanSet("one", tuple(items[:1])), 0.1)


def test_no_direction_is_steadier_than_rounding_leaves_it() -> None:
    """By hand: constant features and a rounding of deviation 2 give distances in units of 2."""
    constant = torch.ones(5, 3, 2, 2)
    gaussian = PositionGaussian.fit(constant, 2 * torch.ones(4, 3, 2, 2))
    assert gaussian.distance(constant + 1).flatten().tolist() == pytest.approx([3**0.5 / 2] * 20)
    projection = make_projection([constant], [2 * torch.ones(4, 3, 2, 2)], 0)
    loud = make_projection([constant * torch.arange(5.0)[:, None, None, None]], [constant * 0], 0)
    assert projection.isfinite().all()
    ratio = (loud / projection).flatten()
    assert ratio.tolist() == pytest.approx([(12 / 7.5) ** 0.5] * len(ratio))  # 3 channels of 2 ** 2, of variance 2.5


def test_no_component_is_steadier_than_rounding_leaves_it() -> None:
    """By hand: healthy maps are all 5; rounded otherwise they are 5.5: the deviation is half a unit, not nothing."""
    healthy = torch.full((6, 6, 8, 8), 5.0)
    fakes = [healthy + 1]
    fusion = Fusion.fit(healthy, healthy[:3] + 0.5, fakes, 0.01)
    assert fusion.scale.tolist() == pytest.approx([0.5] * 6)
    assert fusion.spread.tolist() == pytest.approx([1.0, 1.0])
    standardized = fusion.standardize(healthy + 1)
    assert fusion.score(standardized, fusion.fuse(standardized)).tolist() == pytest.approx([2.0] * 6)
    never = Fusion.fit(healthy, healthy, fakes, 0.01)  # not even by rounding: any divisor is as good
    assert never.scale.tolist() == [1.0] * 6


# The caller's random numbers


def test_nothing_touches_the_random_numbers_of_the_caller(
    tiny_folder: Path, tmp_path: Path, random_state: Callable[[], object]
) -> None:
    config = anogan.load_config("tiny", ["training.steps=4", "training.encoder_steps=2", "training.snapshot_every=2"])
    splits = anogan.open_dataset(tiny_folder, config)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        before = random_state()
        detector = Detector.train(splits.train, config).calibrate(splits.calibration, false_alarm_rate=0.2)
        found = [result.score for result in detector.inspect_many(splits.test.read(index) for index in range(6))]
        anogan.evaluate(detector, splits.test, out=tmp_path / str(seed))
        contamination.check(detector, splits.train)
        measure.run(detector, splits)
        series = Series(tuple(dataclasses.replace(splits.test.read(k), subject="x") for k in range(4)), "volume")
        detector.calibrate_series([series], false_alarm_rate=0.5).inspect_series(series)
        assert random_state() == before
        results.append(found)
    assert results[0] == results[1]


def test_of_few_images_more_than_one_is_held_back(tmp_path: Path) -> None:
    """24 healthy images: 14 train, and a tenth of them would be one, of which there is no deviation."""
    write_tiny(tmp_path, n_healthy=24, n_abnormal=1, size=32, seed=0)
    config = anogan.load_config("tiny", ["training.steps=2", "training.encoder_steps=2", "training.holdout=0.1"])
    detector = Detector.train(anogan.open_dataset(tmp_path, config).train, config)
    assert (detector.provenance["images"], detector.provenance["holdout_images"]) == (12, 2)
