"""Faces: the geometry by numbers worked out by hand, the reasons of failure, and real portraits."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from anogan.config import Config, InputConfig
from anogan.data.dataset import Item, ScanSet
from anogan.faces import detection
from anogan.io import read_scan
from anogan.io.raster import write_png
from anogan.scan import Scan

UPRIGHT = (40.0, 60.0), (80.0, 60.0), (60.0, 80.0), (45.0, 100.0), (75.0, 100.0)  # eyes, nose, corners of the mouth


def detections(*people: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what the detector says of people, each (left, width of the face, distance of the eyes)."""
    boxes, landmarks = [], []
    for left, width, distance in people:
        boxes.append([left, 20, left + width, 20 + width, 0.99])
        middle = left + width / 2
        x = middle - distance / 2, middle + distance / 2, middle, middle - 10, middle + 10
        landmarks.append([*x, 50, 50, 60, 70, 70])
    return np.reshape(boxes, (-1, 5)).astype(float), np.reshape(landmarks, (-1, 10)).astype(float), 1.0


def blank() -> Scan:
    return Scan(np.full((120, 160, 3), 0.5, np.float32), "a.png")


def see(monkeypatch: pytest.MonkeyPatch, *people: tuple[float, float, float]) -> list[Scan]:
    asked: list[Scan] = []

    def detect(scan: Scan) -> tuple[np.ndarray, np.ndarray, float]:
        asked.append(scan)
        return detections(*people)

    monkeypatch.setattr(detection, "_detect", detect)
    return asked


def test_the_eyes_come_to_their_places() -> None:
    """At size 64: 16 pixels apart about the middle, at 0.45 of the height, counted between the edges of the crop."""
    for eyes in ([(40, 60), (80, 60)], [(10, 10), (11, 10)], [(100, 50), (130, 90)], [(7.5, 3), (90, -20)]):
        points = np.array(eyes, float)
        placed = points @ detection.to_crop(points, 64)[:, :2].T + detection.to_crop(points, 64)[:, 2]
        np.testing.assert_allclose(placed + 0.5, [[24, 28.8], [40, 28.8]], atol=1e-9)


def test_the_matrix_turns_and_scales_and_never_mirrors() -> None:
    matrix = detection.to_crop(
        np.array([[100, 50], [100, 82]], float), 64
    )  # the eyes below each other, 32 pixels apart
    np.testing.assert_allclose(matrix[:, :2], [[0, 0.5], [-0.5, 0]], atol=1e-9)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_a_finer_crop_is_the_same_crop_in_smaller_cells() -> None:
    eyes = np.array([[33, 40], [71, 44]], float)
    np.testing.assert_allclose(
        detection.resized(detection.to_crop(eyes, 64), 3), detection.to_crop(eyes, 192), atol=1e-9
    )


def test_a_cell_is_the_mean_of_what_it_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eyes 64 pixels apart at a size of 64 make cells of 4 x 4; their corner lies on a corner of pixels."""
    pixels = np.random.default_rng(0).random((300, 300)).astype(np.float32)
    scan = Scan(pixels, "a.png")
    eyes = np.array([[117.5, 139.7], [181.5, 139.7]])  # 24 * 4 from the left: the crop begins at column 22
    monkeypatch.setitem(detection._found, scan, detection.Face(np.zeros(4), eyes, eyes[0], eyes))
    crop = detection.align(scan, 64)
    expected = pixels[25:281, 22:278].reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert crop.pixels.shape == (64, 64, 3)
    np.testing.assert_allclose(crop.pixels[..., 0], expected, atol=1e-3)
    np.testing.assert_allclose(crop.matrix, [[0.25, 0, (0.5 - 22) / 4 - 0.5], [0, 0.25, (0.5 - 25) / 4 - 0.5]])


def test_beyond_the_photo_its_edge_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, (5, 100, 45))
    np.testing.assert_allclose(detection.align(blank(), 64).pixels, 0.5, atol=1e-6)


def test_a_face_is_looked_for_once_and_forgotten_with_its_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = see(monkeypatch, (20, 100, 45))
    scan = blank()
    assert detection.find(scan) is detection.align(scan, 32).face is detection.align(scan, 64).face
    assert len(asked) == 1
    gc.collect()  # those of other tests
    known = len(detection._found)
    asked.clear()
    del scan
    gc.collect()
    assert len(detection._found) == known - 1


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        ([], "no face was found; it must be upright and seen from the front"),
        ([(0, 60, 25), (80, 60, 25)], "two faces were found; there must be one"),
        ([(0, 60, 25), (80, 60, 25), (40, 20, 9)], "3 faces were found; there must be one"),
        ([(20, 40, 18)], "the face is too small: 18 pixels from eye to eye, at least 20 are needed"),
        ([(20, 100, 20)], "the eyes were not both found; the face must be seen from the front"),
    ],
)
def test_why_a_face_was_not_acquired(
    monkeypatch: pytest.MonkeyPatch, people: list[tuple[float, float, float]], reason: str
) -> None:
    see(monkeypatch, *people)
    with pytest.raises(ValueError) as failure:
        detection.find(blank())
    assert str(failure.value) == f"failure to acquire: {reason}"


def test_a_small_face_beside_the_large_one_is_no_second_person(monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, (130, 19, 9), (20, 60, 27))
    assert detection.find(blank()).eye_distance == pytest.approx(27)


@pytest.mark.parametrize("shape", [(200, 200), (1, 1), (1, 4000), (300, 300, 3), (13, 700, 3)])
@pytest.mark.parametrize("noise", [False, True])
def test_images_without_a_face_have_none(shape: tuple[int, ...], noise: bool) -> None:
    pixels = np.random.default_rng(0).random(shape) if noise else np.full(shape, 0.5)
    with pytest.raises(ValueError, match=r"^failure to acquire: no face"):
        detection.find(Scan(pixels.astype(np.float32), "a.png"))


def test_a_data_set_goes_on_past_what_is_not_acquired(tmp_path: Path) -> None:
    write_png(tmp_path / "wall.png", np.full((90, 90, 3), 200, np.uint8))
    scans = ScanSet("walls", (Item(tmp_path / "wall.png", "wall", 0),))
    images, kept, problems = scans.load(Config(input=InputConfig(channels=3, size=32, align="face")))
    assert images.shape == (0, 3, 32, 32)
    assert not kept
    assert [path.name for path, _ in problems] == ["wall.png"]
    assert problems[0][1].startswith(detection.FAILURE)


def portraits(data_root: Path) -> list[Path]:
    return sorted((data_root / "faces_frll" / "genuine").glob("neutral_front_0*.jpg"))[:12:3]


@pytest.mark.realdata
def test_eyes_lie_where_people_have_marked_them(data_root: Path) -> None:
    for path in portraits(data_root):
        name = path.stem.removeprefix("neutral_front_")
        lines = (data_root / "faces_frll" / "landmarks" / f"{name}.tem").read_text().splitlines()[1:3]
        truth = np.array([[float(value) for value in line.split()] for line in lines]) * 640 / 1350
        error = np.linalg.norm(detection.find(read_scan(path)).eyes - truth, axis=1).max()
        assert error < 0.1 * np.linalg.norm(truth[1] - truth[0]), path.name


@pytest.mark.realdata
def test_a_larger_portrait_gives_the_same_crop_and_two_people_none(data_root: Path) -> None:
    scan = read_scan(portraits(data_root)[0])
    larger = Scan(scan.pixels.repeat(3, axis=0).repeat(3, axis=1), "larger.png")
    one, other = detection.align(scan, 64), detection.align(larger, 64)
    assert other.face.eye_distance == pytest.approx(3 * one.face.eye_distance, rel=0.03)
    assert np.abs(one.pixels - other.pixels).mean() < 0.02
    with pytest.raises(ValueError, match="two faces"):
        detection.find(Scan(np.concatenate([scan.pixels, scan.pixels], axis=1), "two.png"))
    with pytest.raises(ValueError, match="too small"):
        detection.find(Scan(np.ascontiguousarray(scan.pixels[::6, ::6]), "small.png"))
