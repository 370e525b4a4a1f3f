import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from anogan.config import load_config
from anogan.data.synthetic import draw_portrait, tiny_images, write_phantom, write_portraits, write_tiny
from anogan.faces import detection, quality
from anogan.io import read_scan
from anogan.scan import Scan


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_mask(folder: Path, row: dict[str, str]) -> np.ndarray:
    return cv2.imread(str(folder / row["mask"]), cv2.IMREAD_UNCHANGED) > 0


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "phantom"
    seen: list[tuple[int, int]] = []
    written = write_phantom(folder, subjects=(2, 1, 1, 6), progress=lambda *state: seen.append(state))
    assert written == folder / "manifest.csv"
    assert seen == [(n, 10) for n in range(1, 11)]
    return folder


def test_subjects_are_split_and_only_the_test_holds_lesions(phantom: Path) -> None:
    rows = manifest(phantom)
    splits = {row["subject"]: row["split"] for row in rows}
    assert list(splits.values()) == ["train"] * 2 + ["calibration"] + ["test"] * 7
    assert len(rows) == 50
    assert all((phantom / row["file"]).is_file() for row in rows)
    ill = {row["subject"] for row in rows if row["label"] == "abnormal"}
    assert ill == {f"sub-{n:03d}" for n in range(5, 11)}


def test_a_series_is_what_its_header_says(phantom: Path) -> None:
    scans = [read_scan(phantom / "sub-001" / f"IM000{n}.dcm") for n in range(1, 6)]
    assert {scan.pixels.shape for scan in scans} == {(192, 160)}
    assert {scan.spacing for scan in scans} == {(1.0, 1.0)}
    assert {scan.modality for scan in scans} == {"MR"}
    assert np.diff([scan.position for scan in scans]) == pytest.approx(8.0)
    assert len({scan.series_uid for scan in scans}) == 1
    assert len({scan.instance_uid for scan in scans}) == 5
    other = read_scan(phantom / "sub-002" / "IM0001.dcm")
    assert other.series_uid != scans[0].series_uid
    assert other.subject != scans[0].subject


def test_the_image_cuts_no_head(tmp_path: Path) -> None:
    """A head that the border cuts is odd, and nothing but the phantom's field of view made it so."""
    write_phantom(tmp_path / "heads", subjects=(12, 0, 0, 0), seed=100)
    for path in sorted((tmp_path / "heads").glob("sub-*/*.dcm")):
        pixels = read_scan(path).pixels
        border = pixels[[0, -1]].max(), pixels[:, [0, -1]].max()
        assert max(border) < 1e-3, path


def test_thin_slices_hold_more_of_a_lesion(tmp_path: Path) -> None:
    write_phantom(tmp_path / "thin", subjects=(0, 0, 0, 1), slices=12, size=(128, 128), spacing=2.0)
    scans = [read_scan(path) for path in sorted((tmp_path / "thin" / "sub-001").iterdir())]
    assert np.diff([scan.position for scan in scans]) == pytest.approx(2.0)
    ill = [row["label"] == "abnormal" for row in manifest(tmp_path / "thin")]
    assert sum(ill) >= 4  # 18 mm at least
    assert np.diff(np.flatnonzero(ill)).max() == 1  # one lesion
    # Neighbors of 2 mm are nearly the same anatomy; brain tissue changes more over 12 mm.
    near, far = (np.abs(scans[6].pixels - scans[k].pixels).mean() for k in (7, 0))
    assert near < 0.75 * far


def test_a_lesion_has_the_size_the_manifest_says(phantom: Path) -> None:
    rows = manifest(phantom)
    for row in rows:
        assert (row["label"] == "abnormal") == bool(row["mask"]) == bool(row["lesion_mm"])
        if row["mask"]:
            mask = read_mask(phantom, row)
            scan = read_scan(phantom / row["file"])
            assert mask.shape == scan.pixels.shape
            assert 2 * np.sqrt(mask.sum() / np.pi) == pytest.approx(float(row["lesion_mm"]), abs=0.06)
            assert 6 <= float(row["lesion_mm"]) <= 42
            assert (scan.pixels[mask] > 0).mean() > 0.98  # inside the brain


def test_a_lesion_is_brighter_or_darker_than_its_surroundings_as_the_manifest_says(phantom: Path) -> None:
    rows = manifest(phantom)
    levels = []
    for row in rows:
        if row["mask"] and abs(float(row["lesion_contrast"])) > 0.2:
            pixels, mask = read_scan(phantom / row["file"]).pixels, read_mask(phantom, row)
            ring = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))).astype(bool) & ~mask
            levels.append((float(row["lesion_contrast"]), pixels[mask].mean() / pixels[ring].mean() - 1))
    assert len(levels) >= 3
    for planted, seen in levels:
        assert np.sign(planted) == np.sign(seen)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    counts = (1, 0, 0, 1)
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_phantom(tmp_path / name, subjects=counts, slices=2, size=(96, 80), seed=seed)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) >= 6
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    first = Path("sub-001/IM0001.dcm")
    assert (tmp_path / "a" / first).read_bytes() != (tmp_path / "c" / first).read_bytes()


def test_no_statistic_of_the_whole_image_finds_the_lesions(tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    write_phantom(tmp_path / "phantom", subjects=(0, 0, 20, 30), slices=3)
    rows = manifest(tmp_path / "phantom")
    labels = [row["label"] == "abnormal" for row in rows]
    images = [read_scan(tmp_path / "phantom" / row["file"]).pixels for row in rows]
    for statistic in (np.mean, np.std, np.max, lambda image: cv2.Laplacian(image, cv2.CV_32F).var()):
        assert 0.3 < roc_auc_score(labels, [statistic(image) for image in images]) < 0.7


def test_an_interrupted_phantom_leaves_no_folder_and_the_next_call_starts_over(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    options = {"subjects": (3, 0, 0, 0), "slices": 1, "size": (64, 64)}
    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "phantom", progress=interrupt, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    (tmp_path / ".phantom.part" / "sub-009").mkdir(parents=True)  # as a killed call leaves it
    write_phantom(tmp_path / "phantom", **options)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["phantom"]
    assert len(manifest(tmp_path / "phantom")) == 3


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something already"):
        write_phantom(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(ValueError, match="slices >= 1"):
        write_phantom(tmp_path / "new", slices=0)


def test_tiny_images_hold_a_blob_where_the_mask_is() -> None:
    images, masks, labels = tiny_images(5, 6, size=48, seed=1)
    assert images.shape == masks.shape == (11, 48, 48)
    assert images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    assert labels.tolist() == [0] * 5 + [1] * 6
    assert (masks.any(axis=(1, 2)) == labels.astype(bool)).all()
    for image, mask in zip(images[5:], masks[5:], strict=True):
        ring = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7))).astype(bool) & ~mask
        assert abs(image[mask].mean() - image[ring].mean()) > 0.08
    assert (tiny_images(5, 6, size=48, seed=1)[0] == images).all()


def test_write_tiny_makes_a_folder_of_images(tmp_path: Path) -> None:
    write_tiny(tmp_path, 3, 2, size=32)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    assert names == [
        "abnormal/0003.png",
        "abnormal/0004.png",
        "healthy/0000.png",
        "healthy/0001.png",
        "healthy/0002.png",
        "masks/0003.png",
        "masks/0004.png",
    ]
    images, masks, _ = tiny_images(3, 2, size=32)
    assert np.abs(read_scan(tmp_path / "abnormal/0003.png").pixels - images[3]).max() < 0.5 / 255 + 1e-6
    assert (cv2.imread(str(tmp_path / "masks/0003.png"), cv2.IMREAD_UNCHANGED) == masks[3] * 255).all()


def test_the_face_of_a_drawn_portrait_is_found_and_good_enough() -> None:
    limits = load_config("id-photo").quality
    for who in range(4):
        scan = Scan(draw_portrait(who), "drawn")
        found = quality.assess(scan, detection.align(scan, quality.SIZE), limits)
        assert (found.refused, found.noted) == ((), ())


def test_a_person_keeps_the_face_and_a_place_its_pattern() -> None:
    first, same, elsewhere = draw_portrait(1, 0, 7), draw_portrait(1, 0, 7), draw_portrait(1, 0, 8)
    np.testing.assert_array_equal(first, same)
    center = np.s_[110:150, 110:146]
    np.testing.assert_allclose(first[center], elsewhere[center], atol=1e-6)
    assert np.abs(first[:40] - elsewhere[:40]).mean() > 0.02
    assert np.abs(first[:40] - draw_portrait(2, 0, 7)[:40]).mean() < 0.1


def test_portraits_are_split_by_person_and_only_test_people_are_attacked(tmp_path: Path) -> None:
    manifest_path = write_portraits(tmp_path / "a", people=(3, 2, 1), size=64)
    rows = manifest(tmp_path / "a")
    assert manifest_path == tmp_path / "a" / "manifest.csv"
    genuine = [row for row in rows if row["label"] == "healthy"]
    assert [row["split"] for row in genuine] == ["train"] * 3 + ["calibration"] * 2 + ["test"]
    assert len({row["subject"] for row in genuine}) == 6
    attacks = [row for row in rows if row["label"] == "abnormal"]
    assert [row["species"] for row in attacks] == ["splice", "occlusion", "smoothing"]
    assert {row["subject"] for row in attacks} == {genuine[-1]["subject"]}
    host = read_scan(tmp_path / "a" / genuine[-1]["file"]).pixels
    for row in attacks:
        assert read_scan(tmp_path / "a" / row["file"]).pixels.shape == host.shape == (64, 64, 3)
        assert np.abs(read_scan(tmp_path / "a" / row["file"]).pixels - host).max() > 0.02
    write_portraits(tmp_path / "b", people=(3, 2, 1), size=64)
    for row in rows:
        assert (tmp_path / "a" / row["file"]).read_bytes() == (tmp_path / "b" / row["file"]).read_bytes()
