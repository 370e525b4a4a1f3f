"""What training has seen comes back in another format, and is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import anogan
from anogan.data.dataset import Item, ScanSet, Splits
from anogan.data.seen import NEAR, SEEN, Seen, look, looks, middle
from anogan.data.transforms import to_network
from anogan.detector import Detector
from anogan.privacy.erasure import forget


@pytest.fixture(scope="module")
def splits(tiny_detector: Detector, tiny_folder: Path) -> Splits:
    return anogan.open_dataset(tiny_folder, tiny_detector.config)


def seen_by(detector: Detector, path: Path) -> tuple[bool, bool]:
    seen = Seen.of(detector.provenance)
    return seen.by_file(path), seen.by_look(to_network(anogan.read_scan(path), detector.config.input))


def test_what_trained_and_what_was_held_back_is_known(tiny_detector: Detector, splits: Splits) -> None:
    assert {seen_by(tiny_detector, item.path) for item in splits.train} == {(True, True)}
    others = [*splits.calibration, *splits.test]
    assert {seen_by(tiny_detector, item.path) for item in others} == {(False, False)}


@pytest.mark.parametrize("kind", ["jpg", "tif", "smaller", "darker", "cropped"])
def test_a_copy_is_known_in_another_format(tiny_detector: Detector, splits: Splits, tmp_path: Path, kind: str) -> None:
    known = 0
    for number, item in enumerate(splits.train):
        pixels = cv2.imread(str(item.path), cv2.IMREAD_UNCHANGED)
        path = tmp_path / f"{number}.{kind if len(kind) == 3 else 'png'}"
        if kind == "smaller":
            pixels = cv2.resize(pixels, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
        if kind == "cropped":  # by 2 % on each side
            pixels = pixels[1:-1, 1:-1]
        cv2.imwrite(str(path), (pixels * (0.8 if kind == "darker" else 1)).astype(np.uint8))
        by_file, by_look = seen_by(tiny_detector, path)
        assert not by_file
        known += by_look
    assert known >= len(splits.train) * (0.5 if kind == "smaller" else 0.9)  # of 48 pixels of noise, little is left


@pytest.mark.parametrize("turn", range(8))
def test_a_copy_is_known_turned_and_mirrored(tiny_detector: Detector, splits: Splits, turn: int) -> None:
    seen, grid = Seen.of(tiny_detector.provenance), tiny_detector.config.input
    image = to_network(splits.train.read(0), grid)
    image = image[:, :, ::-1] if turn >= 4 else image
    assert seen.by_look(np.rot90(image, turn, (1, 2)))
    assert not any(seen.by_look(to_network(splits.calibration.read(k), grid)) for k in range(len(splits.calibration)))


def test_exact_pixels_have_the_same_look() -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32)).astype(np.float32)
    assert (look(image) != look(image.copy())).sum() == 0
    assert (look(image) != look(-image)).sum() > 10 * NEAR


@pytest.mark.parametrize("turn", range(8))
def test_the_middle_of_a_turned_image_is_among_the_turns_of_the_other(turn: int) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32)).astype(np.float32)
    turned = np.rot90(image[:, :, ::-1] if turn >= 4 else image, turn, (1, 2))
    assert min((row != middle(image)[0]).sum() for row in middle(turned)) == 0
    assert sorted(map(bytes, np.packbits(middle(turned), axis=1))) == sorted(
        map(bytes, np.packbits(middle(image), axis=1))
    )


def test_the_middle_of_a_photo_is_known_without_its_border() -> None:
    """Smooth noise, 200 pixels wide, less 1 to 3 % on each side; and none of its company is taken for it."""
    drawn = np.random.default_rng(1).uniform(0, 1, (20, 200, 200))
    photos = [cv2.normalize(cv2.GaussianBlur(one, None, 6), None, -1, 1, cv2.NORM_MINMAX) for one in drawn]

    def on_grid(photo: np.ndarray) -> np.ndarray:
        return cv2.resize(photo, (128, 128), interpolation=cv2.INTER_AREA)[None].astype(np.float32)

    def noted(photo: np.ndarray) -> dict[str, object]:
        return looks(on_grid(photo)[None], np.empty((0, 1, 128, 128), np.float32))

    for number, photo in enumerate(photos):
        seen = Seen.of(noted(photo))
        assert all(seen.by_look(on_grid(photo[cut:-cut, cut:-cut])) for cut in (2, 4, 6))
        assert not any(seen.by_look(on_grid(other)) for other in photos[:number] + photos[number + 1 :])


def test_looks_that_an_older_detector_noted_are_known(tiny_detector: Detector, splits: Splits) -> None:
    """They were half as long: of the whole image alone."""
    older = {name: [text[:64] for text in texts] for name, texts in tiny_detector.provenance["looks"].items()}
    seen = Seen.of({"looks": older})
    assert len(seen.middles) == 0
    assert seen.by_look(to_network(splits.train.read(0), tiny_detector.config.input))


def test_copies_do_not_calibrate(tiny_detector: Detector, splits: Splits, tmp_path: Path) -> None:
    items = list(splits.calibration)
    copy = tmp_path / "copy.tif"
    cv2.imwrite(str(copy), cv2.imread(str(splits.train[0].path), cv2.IMREAD_UNCHANGED))
    left_out: list[tuple[Path, str]] = []
    more = ScanSet("more", (*items, Item(copy, "copy", 0)))
    calibrated = tiny_detector.calibrate(more, 0.2, left_out=left_out)
    assert left_out == [(copy, SEEN)]
    assert calibrated.provenance["calibrations"][-1]["images"] == len(items)
    with pytest.raises(ValueError, match=r"more: 1 of its scans are copies of training images, as .*copy.tif"):
        tiny_detector.calibrate(more, 0.2)
    held = next(item for item in splits.train if item.path not in set(_order(tiny_detector, splits)))
    with pytest.raises(ValueError, match="more: 1 of its scans were used in training"):
        tiny_detector.calibrate(ScanSet("more", (*items, held)), 0.2, left_out=[])


def _order(detector: Detector, splits: Splits) -> list[Path]:
    """Return the files that trained, without those that were held back."""
    from anogan.storage.fingerprint import file_hash

    return [item.path for item in splits.train if file_hash(item.path) in detector.provenance["files"]]


def test_a_detector_of_before_knows_files_alone(tiny_detector: Detector, splits: Splits) -> None:
    older = {key: value for key, value in tiny_detector.provenance.items() if key not in ("looks", "held_files")}
    seen = Seen.of(older)
    assert not seen.known
    assert seen.by_file(_order(tiny_detector, splits)[0])
    assert Seen.of({}).known


def test_an_erased_person_leaves_no_look(tiny_detector: Detector, splits: Splits) -> None:
    subject = splits.train[0].subject
    after, note = forget(tiny_detector, subject)
    assert note is not None
    before, left = (
        [text for part in one.provenance["looks"].values() for text in part if text] for one in (tiny_detector, after)
    )
    assert len(before) - len(left) == note["images"] + note["held_out_images"] > 0
