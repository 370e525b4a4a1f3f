import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import anogan
from anogan.config import QualityConfig
from anogan.data.dataset import Item, ScanSet, Splits
from anogan.data.seen import SEEN
from anogan.data.synthetic import tiny_images
from anogan.data.transforms import to_network
from anogan.detector import Detector
from anogan.detector.fusion import COMPONENT_TOP, COMPONENTS
from anogan.faces import detection
from anogan.gan.losses import top_mean
from anogan.io import write_png
from anogan.scan import Scan, Series
from anogan.storage.fingerprint import file_hash

RESIDUALS = ("residual", "feature_residual")
# Weights with which the score depends on the inversion: the fit may leave the residuals out of the fused map, and where
# the discriminator has a weight, its whole map may be the odder of the two things.
INVERTED = torch.tensor([0.5 * (name in RESIDUALS) for name in COMPONENTS])


@pytest.fixture(scope="module")
def tiny_splits(tiny_folder: Path, tiny_detector: Detector) -> Splits:
    """The splits that the tiny detector was trained and calibrated on."""
    return anogan.open_dataset(tiny_folder, tiny_detector.config)


def test_a_planted_anomaly_scores_higher_and_lights_up_in_its_place(tiny_detector: Detector, tiny_splits) -> None:
    test = tiny_splits.test
    abnormal = [index for index in range(len(test)) if test.labels[index]]
    results = list(tiny_detector.inspect_many(test.read(index) for index in range(len(test))))
    scores = np.array([result.score for result in results])
    assert scores[test.labels == 1].mean() > scores[test.labels == 0].mean() + 1
    inside, outside = [], []
    for index in abnormal:
        mask = test.read_mask(index)
        inside.append(results[index].anomaly_map[mask].mean())
        outside.append(results[index].anomaly_map[~mask].mean())
    assert np.mean(inside) > np.mean(outside) + 1


def test_a_result_lies_on_the_scans_own_grid(tiny_detector: Detector) -> None:
    rng = np.random.default_rng(0)
    gray = Scan(rng.random((50, 71), dtype=np.float32), "gray")
    color = Scan(rng.random((40, 33, 3), dtype=np.float32), "color")
    for scan in (gray, color):
        result = tiny_detector.inspect(scan)
        assert result.status == "scored"
        assert result.anomaly_map.shape == scan.pixels.shape[:2]
        assert result.reconstruction.shape == scan.pixels.shape[:2]  # a gray profile draws in gray
        assert set(result.components) == set(COMPONENTS) == set(result.component_maps)
        assert all(m.shape == scan.pixels.shape[:2] for m in result.component_maps.values())
        assert result.p_value == tiny_detector.calibration.p_value(result.score)
        assert result.flagged == (result.score >= tiny_detector.calibration.threshold)


def test_a_score_does_not_depend_on_its_company(tiny_detector: Detector, tiny_splits) -> None:
    scans = [tiny_splits.test.read(index) for index in range(5)]
    together = [result.score for result in tiny_detector.inspect_many(scans)]
    alone = [tiny_detector.inspect(scan).score for scan in scans]
    in_pairs = [result.score for result in tiny_detector.inspect_many(scans, batch=2)]
    assert together == pytest.approx(alone, abs=1e-3)
    assert together == pytest.approx(in_pairs, abs=1e-3)


def test_saved_and_loaded_it_gives_the_same_scores(tiny_detector: Detector, tiny_splits, tmp_path: Path) -> None:
    folder = tiny_detector.save(tmp_path / "run")
    elsewhere = shutil.copytree(folder, tmp_path / "another machine" / "run")
    loaded = Detector.load(elsewhere)
    scans = [tiny_splits.test.read(index) for index in range(4)]
    before = [result.score for result in tiny_detector.inspect_many(scans)]
    assert [result.score for result in loaded.inspect_many(scans)] == pytest.approx(before, abs=1e-6)
    assert loaded.summary() == tiny_detector.summary()
    assert loaded.config == tiny_detector.config
    assert loaded.calibration.threshold == tiny_detector.calibration.threshold


def test_calibrate_returns_a_new_detector(tiny_detector: Detector, tiny_splits) -> None:
    threshold = tiny_detector.calibration.threshold
    stricter = tiny_detector.calibrate(tiny_splits.calibration, 0.3)
    assert stricter.calibration.false_alarm_rate == 0.3
    assert stricter.calibration.threshold <= threshold
    assert tiny_detector.calibration.threshold == threshold


def test_each_group_is_calibrated_by_itself_and_kept(tiny_detector: Detector, tiny_splits, tmp_path: Path) -> None:
    items = [
        dataclasses.replace(item, group="AB"[index % 2])
        for index, item in enumerate([*tiny_splits.calibration, *tiny_splits.test])
        if not item.label
    ]
    grouped = tiny_detector.calibrate(ScanSet("two scanners", tuple(items)), 0.2, confidence=0.5, group="scanner")
    loaded = Detector.load(grouped.save(tmp_path / "run"))
    assert loaded.summary() == grouped.summary()
    assert loaded.calibration.column == "scanner"
    scan = tiny_splits.test.read(0)
    for group in "AB":
        result = loaded.inspect(dataclasses.replace(scan, group=group))
        assert result.p_value == loaded.calibration.groups[group].p_value(result.score)
    for group, words in (("C", "scanner C is unknown; calibrated were A, B"), ("", "the image names no scanner")):
        result = loaded.inspect(dataclasses.replace(scan, group=group))
        assert (result.status, result.p_value, result.flagged) == ("scored", None, None)
        assert words in result.reason


def test_calibration_leaves_its_trace_and_the_networks_alone(tiny_detector: Detector, tiny_splits) -> None:
    again = tiny_detector.calibrate(tiny_splits.calibration, 0.3)
    assert again.summary()["hash"] == tiny_detector.summary()["hash"]
    assert again.provenance["trained"] == tiny_detector.provenance["trained"]
    first, second = again.provenance["calibrations"]
    assert [first] == tiny_detector.provenance["calibrations"]
    assert second["images"] == len(tiny_splits.calibration)
    assert second["data"] == first["data"]
    assert not any(item.path.name in json.dumps(second) for item in tiny_splits.calibration)


def test_a_run_from_before_there_were_kinds_of_promise_is_read(tiny_detector: Detector, tmp_path: Path) -> None:
    run = tiny_detector.save(tmp_path)
    described = json.loads((run / "detector.json").read_text())
    described["calibration"] = {key: described["calibration"][key] for key in ("false_alarm_rate", "scores")}
    del described["provenance"]["calibrations"]
    (run / "detector.json").write_text(json.dumps(described))
    assert Detector.load(run).summary() == tiny_detector.summary()


def test_training_scans_may_not_calibrate(tiny_detector: Detector, tiny_splits) -> None:
    with pytest.raises(ValueError, match="were used in training; calibrate on others"):
        tiny_detector.calibrate(tiny_splits.train)


def test_abnormal_scans_neither_train_nor_calibrate(tiny_detector: Detector, tiny_splits) -> None:
    with pytest.raises(ValueError, match="holds abnormal scans; training takes healthy ones only"):
        Detector.train(tiny_splits.test, tiny_detector.config)
    with pytest.raises(ValueError, match="holds abnormal scans; calibration takes healthy ones only"):
        tiny_detector.calibrate(tiny_splits.test)


def test_unreadable_scans_are_counted_not_hidden(tiny_splits, tiny_detector: Detector, tmp_path: Path) -> None:
    items = list(tiny_splits.calibration.items)
    for item in items:
        shutil.copy(item.path, tmp_path / item.path.name)
    broken = tmp_path / items[0].path.name
    broken.write_bytes(broken.read_bytes()[:40])
    moved = tuple(dataclasses.replace(item, path=tmp_path / item.path.name) for item in items)
    left_out: list[tuple[Path, str]] = []
    calibrated = tiny_detector.calibrate(ScanSet("calibration", moved), 0.3, left_out=left_out)
    assert len(calibrated.calibration.scores) == len(items) - 1
    assert [path for path, _ in left_out] == [broken]
    assert "damaged" in left_out[0][1]


def broken_training(folder: Path, tiny_splits: Splits, broken: int) -> ScanSet:
    """Copy the training images, the first so many cut off."""
    for index, item in enumerate(tiny_splits.train):
        content = item.path.read_bytes()
        (folder / item.path.name).write_bytes(content[:40] if index < broken else content)
    return ScanSet(
        "train", tuple(dataclasses.replace(item, path=folder / item.path.name) for item in tiny_splits.train)
    )


def test_training_counts_what_was_read_and_hands_out_the_rest(tiny_splits: Splits, tmp_path: Path) -> None:
    scans = broken_training(tmp_path, tiny_splits, 4)
    left_out: list[tuple[Path, str]] = []
    config = anogan.load_config("tiny", ["training.steps=2", "training.encoder_steps=2"])
    origin = Detector.train(scans, config, left_out=left_out).provenance
    assert sorted(path for path, _ in left_out) == sorted(item.path for item in scans[:4])
    assert all("damaged" in reason for _, reason in left_out)
    assert origin["images"] + origin["holdout_images"] == len(scans) - 4
    assert origin["subjects"] == origin["images"]  # one image each


def test_what_was_read_must_be_enough_to_train_on(tiny_splits: Splits, tmp_path: Path) -> None:
    scans = broken_training(tmp_path, tiny_splits, len(tiny_splits.train) - 9)
    with pytest.raises(
        ValueError, match=r"^train(, held back)?: \d usable images, .* were left out, the first: [^:]+: is damaged"
    ):
        Detector.train(scans, anogan.load_config("tiny"))


def test_what_the_gate_refuses_does_not_move_the_threshold(
    tiny_splits, tiny_detector: Detector, tmp_path: Path
) -> None:
    gated = anogan.load_config("tiny", ["gate.smallest_side=40"])
    detector = dataclasses.replace(tiny_detector, config=gated)
    rng = np.random.default_rng(0)
    scouts = [Item(tmp_path / f"{name}.png", name, 0) for name in ("scout-1", "scout-2", "scout-3")]
    for item in scouts:
        write_png(item.path, rng.integers(0, 255, (24, 24)).astype(np.uint8))
    mixed = ScanSet("calibration", (*scouts, *tiny_splits.calibration))
    calibrated = detector.calibrate(mixed, 0.2)
    np.testing.assert_allclose(calibrated.calibration.scores, tiny_detector.calibration.scores, rtol=1e-4)
    assert calibrated.provenance["calibrations"][-1]["images"] == len(tiny_splits.calibration)


def test_refinement_lowers_the_residual_score_and_gives_an_uncertainty(tiny_detector: Detector, tiny_splits) -> None:
    config = anogan.load_config("tiny", ["inversion.steps=10", "inversion.restarts=3"])
    even = dataclasses.replace(tiny_detector, fusion=dataclasses.replace(tiny_detector.fusion, weights=INVERTED))
    refined = dataclasses.replace(even, config=config)
    scan = tiny_splits.test.read(0)
    plain, better = even.inspect(scan), refined.inspect(scan)
    assert plain.uncertainty is None
    assert better.uncertainty is not None
    assert better.uncertainty > 0
    alone = dataclasses.replace(refined.fusion, weights=torch.eye(len(COMPONENTS))[0])
    assert dataclasses.replace(refined, fusion=alone).inspect(scan).uncertainty == 0  # the residuals have no part in it
    image = torch.from_numpy(to_network(scan, config.input))[None]
    rows = [COMPONENTS.index(name) for name in RESIDUALS]
    before, after = (top_mean(each.maps(image).components[:, rows].mean(1), COMPONENT_TOP) for each in (even, refined))
    assert after <= before + 1e-4


def test_a_score_that_varies_across_the_threshold_is_for_a_person(tiny_detector: Detector, tiny_splits) -> None:
    config = anogan.load_config("tiny", ["inversion.restarts=3"])
    even = dataclasses.replace(tiny_detector.fusion, weights=INVERTED)
    varying = dataclasses.replace(tiny_detector, config=config, fusion=even)
    scan = tiny_splits.test.read(0)
    first = varying.inspect(scan)
    near = dataclasses.replace(
        tiny_detector.calibration, threshold=first.score + first.uncertainty / 2, scores=np.zeros(19)
    )
    result = dataclasses.replace(varying, calibration=near).inspect(scan)
    assert result.flagged is None
    assert result.p_value is not None
    assert result.reason.startswith("review by hand: the score")
    far = dataclasses.replace(near, threshold=first.score + 2 * first.uncertainty)
    assert dataclasses.replace(varying, calibration=far).inspect(scan).flagged is False


@pytest.fixture(scope="module")
def heads() -> list[Series]:
    """Eleven healthy series of six slices, and one with an anomaly in slices 2 and 3."""
    images, _, _ = tiny_images(72, 0, size=48, seed=5)
    images[-4:-2, 14:24, 20:30] = 1
    slices = [
        tuple(Scan(pixels, f"{head}/{place}.dcm", subject=f"s{head}") for place, pixels in enumerate(volume))
        for head, volume in enumerate(images.reshape(12, 6, 48, 48))
    ]
    return [Series(scans, f"head {head}", 3.0) for head, scans in enumerate(slices)]


def test_a_series_scores_as_its_slices_do(tiny_detector: Detector, heads: list[Series]) -> None:
    result = tiny_detector.inspect_series(dataclasses.replace(heads[0], step=None))
    alone = list(tiny_detector.inspect_many(heads[0].scans))
    assert [one.score for one in result.slices] == pytest.approx([one.score for one in alone], abs=1e-3)
    assert result.score == pytest.approx(max(one.score for one in result.slices))
    assert result.slices[0].anomaly_map == pytest.approx(alone[0].anomaly_map, abs=1e-2)


def test_an_anomaly_is_found_in_its_slices(tiny_detector: Detector, heads: list[Series]) -> None:
    results = [tiny_detector.inspect_series(head) for head in heads]
    assert results[-1].score > max(result.score for result in results[:-1])
    assert results[-1].top[0] in (2, 3)


def test_without_a_calibration_on_series_nothing_is_decided(tiny_detector: Detector, heads: list[Series]) -> None:
    result = tiny_detector.inspect_series(heads[0])
    assert (result.status, result.p_value, result.flagged) == ("scored", None, None)
    assert result.reason.startswith("not calibrated for series: run `anogan calibrate RUN DATA --series`")
    assert tiny_detector.summary(series=True)["threshold"] is None


def test_series_are_calibrated_by_themselves_and_kept(
    tiny_detector: Detector, heads: list[Series], tmp_path: Path
) -> None:
    calibrated = tiny_detector.calibrate_series(iter(heads[:9]), 0.1)
    loaded = Detector.load(calibrated.save(tmp_path / "run"))
    assert loaded.summary() == tiny_detector.summary()  # the operating point of images is as it was
    assert loaded.summary(series=True) == calibrated.summary(series=True)
    assert loaded.summary(series=True)["promise"].startswith("With 9 healthy calibration series, at most 10.0% of")
    assert loaded.provenance["series_calibrations"][0]["series"] == 9
    scores = sorted(loaded.inspect_series(head).score for head in heads[:9])
    assert scores == pytest.approx(loaded.series_calibration.scores.tolist(), abs=1e-4)
    odd = loaded.inspect_series(heads[-1])
    assert (odd.p_value, odd.flagged, odd.reason) == (0.1, True, "")
    assert loaded.inspect_series(heads[9]).p_value == loaded.series_calibration.p_value(
        loaded.inspect_series(heads[9]).score
    )


def test_a_run_from_before_there_were_series_is_read(tiny_detector: Detector, tmp_path: Path) -> None:
    run = tiny_detector.save(tmp_path)
    described = json.loads((run / "detector.json").read_text())
    del described["series_calibration"]
    (run / "detector.json").write_text(json.dumps(described))
    assert Detector.load(run).series_calibration is None


def test_series_that_may_not_calibrate(tiny_detector: Detector, heads: list[Series], tiny_splits) -> None:
    with pytest.raises(ValueError, match="^head 0: is a second series of its subject; calibrate on one of each$"):
        tiny_detector.calibrate_series([heads[0], heads[0]])
    with pytest.raises(ValueError, match="^calibration: 2 healthy series cannot give a false-alarm rate of 0.05; at"):
        tiny_detector.calibrate_series(heads[:2], 0.05)
    slices = (dataclasses.replace(tiny_splits.train.read(index), subject="one") for index in (0, 1))
    trained = Series(tuple(slices), "trained")
    with pytest.raises(ValueError, match="^trained: 2 of its files were used in training; calibrate on others$"):
        tiny_detector.calibrate_series([trained])
    gated = dataclasses.replace(tiny_detector, config=anogan.load_config("tiny", ["gate.least_slices=20"]))
    with pytest.raises(ValueError, match="; 1 were not scored, the first: head 0: holds 6 slices; profile tiny takes"):
        gated.calibrate_series(heads[:1])


def test_series_that_cannot_be_scored_are_handed_out(tiny_detector: Detector, heads: list[Series]) -> None:
    gated = dataclasses.replace(tiny_detector, config=anogan.load_config("tiny", ["gate.least_slices=6"]))
    short = dataclasses.replace(heads[9], scans=heads[9].scans[:3])
    left_out: list[tuple[Path, str]] = []
    calibrated = gated.calibrate_series([*heads[:9], short], 0.1, left_out=left_out)
    assert len(calibrated.series_calibration.scores) == 9
    assert left_out == [(Path("head 9"), "head 9: holds 3 slices; profile tiny takes at least 6")]


def test_series_that_hold_copies_of_training_images_are_left_out(
    tiny_detector: Detector, heads: list[Series], tiny_splits
) -> None:
    """Of six slices three have trained, as files that are no more; of another only two, as slices of air may."""
    copies = [dataclasses.replace(tiny_splits.train.read(k), source="gone.dcm", subject="s9") for k in range(3)]
    left_out: list[tuple[Path, str]] = []
    mixed = [dataclasses.replace(heads[9], scans=(*copies[:n], *heads[9].scans[n:]), source=f"{n}") for n in (3, 2)]
    calibrated = tiny_detector.calibrate_series([*heads[:9], *mixed], 0.1, left_out=left_out)
    assert left_out == [(Path("3"), SEEN)]
    assert len(calibrated.series_calibration.scores) == 10


def test_what_the_gate_refuses_is_not_scored(tiny_detector: Detector, heads: list[Series]) -> None:
    gated = dataclasses.replace(
        tiny_detector, config=anogan.load_config("tiny", ["gate.least_slices=7", 'gate.modalities=["MR"]'])
    )
    scans = heads[0].scans[:3]
    mixed = [scans[0], dataclasses.replace(scans[1], modality="CT"), dataclasses.replace(scans[2], modality="MR")]
    results = list(gated.inspect_many(mixed))
    assert [result.status for result in results] == ["scored", "not scored", "scored"]
    assert results[1].reason == "0/1.dcm: its modality is CT; profile tiny accepts MR"
    series = gated.inspect_series(heads[0])
    assert (series.status, series.flagged, series.slices) == ("not scored", None, ())
    assert series.reason == "head 0: holds 6 slices; profile tiny takes at least 7"


@pytest.mark.parametrize("weighted", [True, False])
def test_the_uncertainty_is_how_much_the_score_varies_between_restarts(
    tiny_detector: Detector, tiny_splits: Splits, weighted: bool
) -> None:
    weights = INVERTED if weighted else torch.eye(len(COMPONENTS))[0]
    fusion = dataclasses.replace(tiny_detector.fusion, weights=weights)
    config = anogan.load_config("tiny", ["inversion.restarts=3"])
    varying = dataclasses.replace(tiny_detector, config=config, fusion=fusion)
    images = torch.from_numpy(tiny_splits.calibration.load(config)[0])
    scores = []
    for offset in (0, *0.5 * torch.randn(2, 8, generator=torch.Generator().manual_seed(0))):
        encoder = Moved(tiny_detector.networks.encoder, offset)
        networks = dataclasses.replace(tiny_detector.networks, encoder=encoder)
        scores.append(dataclasses.replace(tiny_detector, fusion=fusion, networks=networks).maps(images).scores)
    expected = torch.stack(scores).std(0)
    assert bool((expected > 0).any()) is weighted
    torch.testing.assert_close(varying.maps(images).spread, expected, rtol=1e-3, atol=1e-4)


class Moved(torch.nn.Module):
    """An encoder whose guess is moved."""

    def __init__(self, encoder: torch.nn.Module, offset: torch.Tensor | float) -> None:
        super().__init__()
        self.encoder, self.offset = encoder, offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder(x) + self.offset


def test_a_series_whose_score_varies_across_the_threshold_is_for_a_person(
    tiny_detector: Detector, heads: list[Series]
) -> None:
    config = anogan.load_config("tiny", ["inversion.restarts=3"])
    varying = dataclasses.replace(
        tiny_detector, config=config, fusion=dataclasses.replace(tiny_detector.fusion, weights=INVERTED)
    )
    first = varying.inspect_series(heads[0])
    spread = first.slices[first.top[0]].uncertainty
    near = dataclasses.replace(tiny_detector.calibration, threshold=first.score + spread / 2, scores=np.zeros(19))
    result = dataclasses.replace(varying, series_calibration=near).inspect_series(heads[0])
    assert result.flagged is None
    assert result.reason.startswith("review by hand: the score")


def break_weights(run: Path) -> None:
    (run / "detector.safetensors").unlink()


def alter_weights(run: Path) -> None:
    path = run / "detector.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def alter_profile(run: Path) -> None:
    path = run / "profile.toml"
    path.write_text(path.read_text().replace("latent = 8", "latent = 9"))


def lose_profile(run: Path) -> None:
    (run / "profile.toml").unlink()


def newer_format(run: Path) -> None:
    path = run / "detector.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "format": 99}))


def cut_description(run: Path) -> None:
    path = run / "detector.json"
    path.write_text(path.read_text()[:100])


def spoil_groups(run: Path) -> None:
    path = run / "detector.json"
    described = json.loads(path.read_text())
    described["calibration"] = {"false_alarm_rate": 0.2, "column": "scanner", "groups": ["A"]}
    path.write_text(json.dumps(described))


def lose_key(run: Path) -> None:
    path = run / "detector.json"
    described = json.loads(path.read_text())
    del described["map_range"]
    path.write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (break_weights, r"detector\.safetensors: cannot be read"),
        (alter_weights, r"detector\.safetensors: altered or damaged"),
        (alter_profile, r"profile\.toml: missing or altered since training"),
        (lose_profile, r"profile\.toml: missing or altered since training"),
        (newer_format, r"written by another version of anogan \(format 99\)"),
        (cut_description, r"detector\.json: damaged"),
        (lose_key, "damaged run folder"),
        (spoil_groups, "damaged run folder"),
    ],
)
def test_a_damaged_run_folder_is_refused(tiny_detector: Detector, tmp_path: Path, harm, sentence: str) -> None:
    run = tiny_detector.save(tmp_path / "run")
    harm(run)
    with pytest.raises(ValueError, match=sentence) as raised:
        Detector.load(run)
    assert "\n" not in str(raised.value)


def test_a_detector_outlives_settings_that_came_after_it(tiny_detector: Detector, tmp_path: Path) -> None:
    run = tiny_detector.save(tmp_path)
    profile, described = run / "profile.toml", json.loads((run / "detector.json").read_text())
    kept = "".join(line for line in profile.read_text().splitlines(True) if not line.startswith("adversarial_rate"))
    profile.write_text(kept)
    described["profile_sha256"] = hashlib.sha256(kept.encode()).hexdigest()
    (run / "detector.json").write_text(json.dumps(described))
    assert Detector.load(run).config == tiny_detector.config


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a run folder of anogan"):
        Detector.load(tmp_path)
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "state.json").write_text("{}")
    with pytest.raises(ValueError, match="training was interrupted; finish it with --resume"):
        Detector.load(tmp_path)


def test_provenance_names_no_file(tiny_detector: Detector, tiny_splits) -> None:
    text = json.dumps(tiny_detector.provenance)
    assert tiny_detector.provenance["images"] > 0
    assert len(tiny_detector.provenance["data"]) == 64
    assert not any(item.path.name in text for item in tiny_splits.train.items)


def test_a_face_is_judged_where_it_lies_and_an_image_without_one_is_not(
    tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligned = tiny_detector.config.input.model_copy(update={"align": "face"})
    limits = QualityConfig(pose_roll=0.99)
    config = tiny_detector.config.model_copy(update={"input": aligned, "quality": limits})
    detector = dataclasses.replace(tiny_detector, config=config)
    photo = Scan(np.random.default_rng(0).random((150, 200, 3), dtype=np.float32), "photo.png")
    wall = Scan(np.full((90, 90), 0.5, np.float32), "wall.png")
    landmarks = np.array([[80, 110, 98, 85, 112, 60, 70, 80, 95, 100]], float)  # x of eyes, nose, mouth; then y
    found = {photo: (np.array([[60, 30, 130, 120, 0.99]]), landmarks, 1.0)}
    nothing = np.empty((0, 5)), np.empty((0, 10)), 1.0
    monkeypatch.setattr(detection, "_detect", lambda scan: found.get(scan, nothing))
    judged, other = detector.inspect_many([photo, wall])
    assert judged.status == "scored"
    assert judged.notes == ("the head is tilted to a shoulder (pose roll 0.949, least 0.99)",)
    assert judged.anomaly_map is not None
    assert judged.anomaly_map.shape == (150, 200)
    assert judged.anomaly_map[85, 95] != 0  # on the cheek
    assert np.all(judged.anomaly_map[:, 185:] == 0)
    assert (other.status, other.flagged) == ("not scored", None)
    assert other.reason == "failure to acquire: no face was found; it must be upright and seen from the front"


def test_the_healthy_images_nearest_to_a_training_image_hold_itself(tiny_detector: Detector, tiny_folder: Path) -> None:
    origin, order = tiny_detector.reference.bank.origin, tiny_detector.provenance["order"]
    assert origin is not None
    assert sorted(order) == tiny_detector.provenance["files"]
    paths = {file_hash(path): path for path in tiny_folder.rglob("*.png")}
    own = order[int(origin.mode().values)]  # the image that gave the bank most of its patches
    nearest = tiny_detector.inspect(anogan.read_scan(paths[own])).nearest
    assert own in nearest
    assert list(nearest.values()) == sorted(nearest.values(), reverse=True)
    assert 0 < sum(nearest.values()) <= 1 + 1e-9
    assert len(nearest) <= 3
    assert next(tiny_detector.inspect_many([anogan.read_scan(paths[own])])).nearest == {}, "only where it is asked for"
    older = {name: value for name, value in tiny_detector.provenance.items() if name != "order"}
    assert dataclasses.replace(tiny_detector, provenance=older).inspect(anogan.read_scan(paths[own])).nearest == {}
