"""Quality: measures of faces drawn by rules, the gate's words, and real portraits made worse."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from anogan.cli import main
from anogan.config import QualityConfig, load_config
from anogan.data import gate
from anogan.faces import detection, quality
from anogan.io import read_scan, write_png
from anogan.scan import Scan

SIDE = quality.SIZE
EYES = np.array([[95.5, 114.7], [159.5, 114.7]])  # where they lie in the aligned crop: the crop is the scan


def put(pixels: np.ndarray, nose: tuple[float, float] = (127.5, 149.3), eyes: np.ndarray = EYES) -> Scan:
    """Return a scan whose face is known."""
    scan = Scan(np.ascontiguousarray(pixels, np.float32), "a.png")
    detection._found[scan] = detection.Face(np.zeros(4), eyes, np.array(nose, float), eyes + (0, 70))
    return scan


def measured(scan: Scan) -> dict[str, float]:
    return dict(quality.assess(scan, detection.align(scan, SIDE)).measures)


def noise(seed: int = 0) -> np.ndarray:
    return np.repeat(np.random.default_rng(seed).uniform(0.3, 0.7, (SIDE, SIDE, 1)), 3, axis=2)


def test_a_face_from_the_front_has_cosines_of_one() -> None:
    found = measured(put(noise()))
    assert found["inter_eye_distance"] == 64
    for angle in ("pose_yaw", "pose_pitch", "pose_roll"):
        assert found[angle] == pytest.approx(1, abs=1e-4)


def test_the_nose_tells_yaw_and_pitch_and_the_eyes_roll() -> None:
    found = measured(put(noise(), nose=(127.5 + 32, 149.3)))  # aside by half an eye distance: 45 degrees
    assert found["pose_yaw"] == pytest.approx(0.5**0.5, abs=1e-3)
    found = measured(put(noise(), nose=(127.5, 149.3 + 16)))  # the sine is 1/2: 30 degrees
    assert found["pose_pitch"] == pytest.approx(0.75**0.5, abs=1e-2)
    turned = np.array([[95.5, 114.7], [151.0, 146.7]])  # 30 degrees
    assert measured(put(noise(), eyes=turned))["pose_roll"] == pytest.approx(0.75**0.5, abs=1e-3)


def test_blur_takes_sharpness_and_nothing_else_does() -> None:
    sharp = measured(put(noise()))["sharpness"]
    assert measured(put(cv2.GaussianBlur(noise(), (0, 0), 2)))["sharpness"] < sharp / 4
    assert measured(put(noise() * 0.5))["sharpness"] == pytest.approx(sharp, rel=1e-3)


def test_exposure_is_the_share_that_is_neither_black_nor_white() -> None:
    pixels = noise()
    assert measured(put(pixels))["exposure"] == 1
    pixels[:, :128] = 0.05
    assert measured(put(pixels))["exposure"] == pytest.approx(0.5, abs=0.01)
    pixels[:, 128:] = 1
    assert measured(put(pixels))["exposure"] == 0


def test_halves_that_share_no_luminance_are_not_lit_alike() -> None:
    pixels = noise()
    assert measured(put(pixels))["illumination_uniformity"] > 0.9
    pixels[:, 128:] -= 0.3
    assert 0.1 < measured(put(pixels))["illumination_uniformity"] < 0.4
    pixels[:, :128] = 0.9
    assert measured(put(pixels))["illumination_uniformity"] == 0


def test_a_background_of_one_color_is_uniform_also_if_its_sides_differ() -> None:
    pixels = noise()
    pixels[:80, :30], pixels[:80, -30:] = 0.2, 0.9
    assert measured(put(pixels))["background_uniformity"] == pytest.approx(1, abs=1e-3)
    pixels[:40, :30] = 0.4  # half of one side is lighter by 0.2: a standard deviation of nearly 0.1
    assert measured(put(pixels))["background_uniformity"] == pytest.approx(np.exp(-1), abs=0.01)


def test_blocks_of_eight_are_compression_and_of_seven_are_not() -> None:
    def blocks(side: int) -> np.ndarray:
        small = np.random.default_rng(0).random((SIDE // side + 1,) * 2)
        return np.repeat(np.kron(small, np.ones((side, side)))[:SIDE, :SIDE, None], 3, axis=2)

    assert measured(put(blocks(8)))["compression"] == 0
    assert measured(put(blocks(7)))["compression"] > 0.8
    assert measured(put(np.full((SIDE, SIDE, 3), 0.5)))["compression"] == 1


def test_what_is_refused_is_not_judged_and_what_is_noted_is() -> None:
    scan = put(noise(), nose=(127.5 + 32, 149.3))
    limits = QualityConfig(pose_yaw=0.9, inter_eye_distance=90, refuse=("inter_eye_distance",))
    words = (
        "quality: the eyes are too close to each other: 64 pixels, at least 90 are needed "
        "(inter eye distance 64, least 90)"
    )
    with pytest.raises(ValueError) as refused:
        quality.check(scan, limits)
    assert str(refused.value) == words
    noted = quality.check(scan, limits.model_copy(update={"refuse": ()}))
    assert noted[1] == "the head is turned to a side (pose yaw 0.707, least 0.9)"
    assert quality.check(scan, QualityConfig()) == ()


def test_only_profiles_that_align_faces_look_at_their_quality() -> None:
    wall = Scan(np.full((90, 90, 3), 0.5, np.float32), "wall.png")
    assert gate.check(wall, load_config("tiny")) == ()
    with pytest.raises(ValueError, match=r"^failure to acquire: no face"):
        gate.check(wall, load_config("id-photo"))


def test_the_command_lists_each_image_with_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, pixels in (("accepted", noise()), ("refused", noise() * 0 + 1), ("none", noise())):
        write_png(tmp_path / f"{name}.png", (pixels * 255).astype(np.uint8))
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")

    def find(scan: Scan) -> detection.Face:
        if "none" in scan.source:
            raise ValueError("failure to acquire: no face was found; it must be upright")
        return detection.Face(np.zeros(4), EYES, np.array([127.5, 149.3]), EYES + (0, 70))

    monkeypatch.setattr(detection, "find", find)
    with pytest.raises(SystemExit, match="1 file could not be read"):
        main(["quality", str(tmp_path), "--out", str(tmp_path / "quality.csv")])
    assert f"{tmp_path / 'quality.csv'} lists 4 images" in capsys.readouterr().out
    with (tmp_path / "quality.csv").open(newline="") as file:
        rows = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "accepted": "accepted", "refused": "refused", "none": "failure to acquire", "torn": "unreadable",
    }  # fmt: skip
    assert rows["none"]["reason"] == "no face was found; it must be upright"
    assert "the face is too dark or too bright" in rows["refused"]["reason"]
    assert (rows["accepted"]["inter_eye_distance"], rows["none"]["sharpness"]) == ("64.0", "")
    monkeypatch.delenv("ANOGAN_OFIQ", raising=False)
    with pytest.raises(SystemExit, match=r"^anogan: OFIQ: \$ANOGAN_OFIQ names no command; set it, for example to"):
        main(["quality", str(tmp_path), "--ofiq"])


@pytest.mark.realdata
def test_portraits_pass_and_what_is_made_of_them_does_not(data_root: Path) -> None:
    limits = load_config("id-photo").quality
    scan = read_scan(data_root / "faces_frll" / "genuine" / "neutral_front_001_03.jpg")
    assert quality.check(scan, limits) == ()
    blurred = Scan(cv2.GaussianBlur(scan.pixels, (0, 0), 3), "blurred.png")
    with pytest.raises(ValueError, match=r"^quality: it is blurred \(sharpness 0\.\d+, least "):
        quality.check(blurred, limits)
    turned = cv2.warpAffine(scan.pixels, cv2.getRotationMatrix2D((320, 320), 20, 1), (640, 640), borderMode=1)
    assert [note.split(" (")[0] for note in quality.check(Scan(turned.clip(0, 1), "turned.png"), limits)] == [
        "the head is tilted to a shoulder"
    ]
