"""Folders and manifests become splits by subject, or one sentence that says why not."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from anogan.config import Config, GateConfig, InputConfig
from anogan.data.dataset import Item, ScanSet, Splits, open_dataset, open_healthy
from anogan.io import find_images, write_png
from anogan.io.dicom import write_dicom

CONFIG = Config(input=InputConfig(size=32))


def images(folder: Path, names: Iterable[object], value: int = 100) -> None:
    for name in names:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, np.full((8, 6), value, np.uint8))
        with path.open("ab") as file:  # behind the picture, so that no two files are the same
            file.write(str(path).encode())


def manifest(folder: Path, *lines: str, header: str = "file,split,label,subject") -> Path:
    (folder / "manifest.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def subjects(splits: Splits) -> list[set[str]]:
    return [set(part.subjects) for part in (splits.train, splits.calibration, splits.test)]


def check_disjoint(splits: Splits) -> None:
    train, calibration, test = subjects(splits)
    assert not train & calibration
    assert not train & test
    assert not calibration & test
    assert not splits.train.labels.any()
    assert not splits.calibration.labels.any()


def refused(folder: Path) -> str:
    with pytest.raises(ValueError) as caught:
        open_dataset(folder, CONFIG)
    sentence = str(caught.value)
    assert sentence.startswith(str(folder))
    assert "\n" not in sentence
    return sentence


# Folders


def test_healthy_subjects_are_split_and_the_abnormal_are_in_the_test(tmp_path: Path) -> None:
    images(tmp_path / "healthy", range(50))
    images(tmp_path / "abnormal", range(100, 107))
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert [len(part) for part in (splits.train, splits.calibration, splits.test)] == [30, 10, 17]
    assert splits.test.labels.sum() == 7
    again = open_dataset(tmp_path, CONFIG)
    assert again == splits
    assert open_dataset(tmp_path, CONFIG, seed=1) != splits


def test_a_folder_below_healthy_is_a_subject(tmp_path: Path) -> None:
    images(tmp_path / "normal", (f"p{person:02d}/scan/{k}" for person in range(10) for k in range(4)))
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert [len(names) for names in subjects(splits)] == [6, 2, 2]
    assert [len(part) for part in (splits.train, splits.calibration, splits.test)] == [24, 8, 8]


def test_a_subject_with_an_abnormal_image_is_in_the_test_with_all_images(tmp_path: Path) -> None:
    images(tmp_path / "healthy", (f"p{person:02d}/{k}" for person in range(20) for k in range(2)))
    images(tmp_path / "abnormal", ["p03/lesion"])
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert splits.test.subjects.count("p03") == 3
    assert splits.test.labels.sum() == 1


def test_split_folders(tmp_path: Path) -> None:
    images(tmp_path / "train" / "healthy", range(20))
    images(tmp_path / "val" / "healthy", range(5))  # the same numbers: a file's name is no person across splits
    images(tmp_path / "val" / "abnormal", range(3))
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert [len(part) for part in (splits.train, splits.calibration, splits.test)] == [16, 4, 8]
    images(tmp_path / "calibration" / "healthy", range(7))
    again = open_dataset(tmp_path, CONFIG)
    assert [len(part) for part in (again.train, again.calibration, again.test)] == [20, 7, 8]


def test_dicom_files_of_one_person_stay_together(tmp_path: Path) -> None:
    (tmp_path / "healthy").mkdir()
    for number in range(30):
        write_dicom(
            tmp_path / "healthy" / f"IM{number:04d}", np.ones((4, 4), np.uint16), patient_id=f"person {number // 3}"
        )
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert [len(names) for names in subjects(splits)] == [6, 2, 2]
    assert "person" not in "".join(splits.train.subjects)


def test_the_window_of_the_profile_shows_every_image(tmp_path: Path) -> None:
    for person in range(25):
        path = tmp_path / "healthy" / f"{person}.dcm"
        write_dicom(path, np.array([[0, 50, 100, 4000]], np.uint16), patient_id=f"P{person}", window=(2000, 4001))
    config = Config(input=InputConfig(size=32, window=(50.5, 101)))
    splits = open_dataset(tmp_path, config)
    rest, _ = splits.train.split_by_subject(0.5, 0)
    for part in (rest, splits.calibration[:1], splits.test, open_healthy(tmp_path, window=config.input.window)):
        np.testing.assert_allclose(part.read(0).pixels, [[0, 0.5, 1, 1]], atol=1e-6)
    assert open_healthy(tmp_path).read(0).pixels[0, 1] == pytest.approx(50 / 4000, abs=1e-3)


def test_masks_are_found_by_place_and_name(tmp_path: Path) -> None:
    images(tmp_path / "healthy", range(20))
    images(tmp_path / "abnormal", ["p1/100", "101"])
    for name, value in (("p1/100", 255), ("101", 1)):
        mask = np.zeros((8, 6), np.uint8)
        mask[2:4, 1] = value
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(tmp_path / "masks" / f"{name}.png", mask)
    test = open_dataset(tmp_path, CONFIG).test
    for index in np.flatnonzero(test.labels):
        drawn = test.read_mask(index)
        assert drawn is not None
        assert drawn.dtype == bool
        assert np.argwhere(drawn).tolist() == [[2, 1], [3, 1]]
    assert test.read_mask(int(np.flatnonzero(test.labels == 0)[0])) is None
    (tmp_path / "masks" / "101.png").unlink()
    assert "101.png: has no mask 101.png" in refused(tmp_path)


@pytest.mark.parametrize(
    ("healthy", "sentence"),
    [(5, "holds 5 images of healthy subjects"), (12, "8 healthy images are left to train on, at least 10")],
)
def test_too_few_images(tmp_path: Path, healthy: int, sentence: str) -> None:
    images(tmp_path / "healthy", range(healthy))
    assert sentence in refused(tmp_path)


def test_five_training_images(tmp_path: Path) -> None:
    images(tmp_path / "train" / "healthy", range(5))
    images(tmp_path / "calibration" / "healthy", range(5))
    assert "5 healthy images are left to train on, at least 10 are needed" in refused(tmp_path)


def test_one_subject_cannot_be_split(tmp_path: Path) -> None:
    images(tmp_path / "healthy" / "p1", range(40))
    assert "1 subjects; to train, calibrate and test, at least 3 are needed" in refused(tmp_path)


def test_no_healthy_images(tmp_path: Path) -> None:
    assert "is empty; put images into" in refused(tmp_path)
    images(tmp_path / "abnormal", range(20))
    assert "has no healthy images" in refused(tmp_path)
    (tmp_path / "healthy").mkdir()
    assert "has no healthy images" in refused(tmp_path)


def test_an_abnormal_image_in_the_training_split(tmp_path: Path) -> None:
    images(tmp_path / "train" / "healthy", range(20))
    images(tmp_path / "train" / "abnormal", ["x"])
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert [item.path.name for item in splits.test] == ["x.png"]
    assert splits.notes == ("1 abnormal images below train are in the test; nothing is trained on them",)


def test_a_subject_in_two_splits(tmp_path: Path) -> None:
    images(tmp_path / "train" / "healthy", (f"p{k}/1" for k in range(20)))
    images(tmp_path / "test" / "healthy", ["p7/2"])
    assert "subject p7 is in the test and the train split; keep each person in one" in refused(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    assert "there is no such folder or manifest" in refused(tmp_path / "none")


# Manifests


def test_a_manifest_says_it_all(tmp_path: Path) -> None:
    images(tmp_path, [*range(20), "lesion", "mask"])
    lines = [f"{k}.png,train,Healthy,p{k // 2},,seen twice" for k in range(16)]
    lines += [f"{k}.png,calib,normal,p{k // 2},,\n" for k in range(16, 18)]  # empty lines do not matter
    lines += ["18.png,val,0,p9,,", "19.png,test,Bona_Fide,p9,,", "lesion.png,test,1,p9,mask.png,"]
    manifest(tmp_path, *lines, header="\ufefffile,Split,label,patient,mask,remark")
    for path in (tmp_path, tmp_path / "manifest.csv"):
        splits = open_dataset(path, CONFIG)
        check_disjoint(splits)
        assert [len(part) for part in (splits.train, splits.calibration, splits.test)] == [16, 2, 3]
        assert subjects(splits)[1:] == [{"p8"}, {"p9"}]
        assert splits.test.items[-1] == Item(tmp_path / "lesion.png", "p9", 1, tmp_path / "mask.png")


def test_only_columns_known_to_be_groups_are_read(tmp_path: Path) -> None:
    images(tmp_path, [*range(20), "attack"])
    lines = [f"{k}.png,healthy,Ada Lovelace,A,," for k in range(20)]
    manifest(
        tmp_path, *lines, "attack.png,abnormal,Ada Lovelace, B ,print,", header="file,label,name,Scanner,attack,sex"
    )
    test = open_dataset(tmp_path, CONFIG).test
    assert test.items[-1].groups == {"scanner": "B", "species": "print"}
    assert {str(item.groups) for item in test.items[:-1]} == {"{'scanner': 'A'}"}
    assert len(set(test.items)) == len(test.items)  # an item can still be a key


GOOD = [f"{k}.png,train,healthy,p{k}" for k in range(20)]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("x.png,train,healthy,p", "line 22: the file {folder}/x.png is missing"),
        ("../0.png,train,healthy,p", "line 22: the file '../0.png' lies outside"),
        ("a/../../0.png,train,healthy,p", "lies outside"),
        ("/etc/hostname,train,healthy,p", "lies outside"),
        (",train,healthy,p", "line 22: names no file; write its path, which begins at {folder}"),
        ("y.png,train,odd,p", "line 22: unknown label 'odd'; expected healthy or abnormal"),
        ("y.png,train", "line 22: unknown label ''"),
        ("y.png,holiday,healthy,p", "line 22: unknown split 'holiday'"),
        ("y.png,,healthy,p", "y.png has no split, others have"),
        ("y.png,train,abnormal,p", "is abnormal and in the train split"),
        ("y.png,calibration,abnormal,p", "is abnormal and in the calibration split"),
        ("y.png,test,healthy,p3", "subject p3 is in the train and the test split"),
    ],
)
def test_a_bad_line(tmp_path: Path, line: str, sentence: str) -> None:
    images(tmp_path, [*range(20), "y"])
    manifest(tmp_path, *GOOD, line)
    assert sentence.format(folder=tmp_path) in refused(tmp_path)


def test_a_line_that_ends_before_its_file(tmp_path: Path) -> None:
    images(tmp_path, range(20))
    manifest(tmp_path, *(f"healthy,{k}.png" for k in range(20)), "healthy", header="label,file")
    expected = f"{tmp_path / 'manifest.csv'} line 22: names no file; write its path, which begins at {tmp_path}"
    assert refused(tmp_path) == expected


def test_a_missing_mask(tmp_path: Path) -> None:
    images(tmp_path, range(20))
    manifest(tmp_path, "0.png,abnormal,none.png", header="file,label,mask")
    assert f"the mask {tmp_path / 'none.png'} is missing" in refused(tmp_path)


def test_a_manifest_that_is_none(tmp_path: Path) -> None:
    assert "has no column label" in refused(manifest(tmp_path, header="file,split"))
    assert "names no healthy image" in refused(manifest(tmp_path))
    (tmp_path / "manifest.csv").write_bytes(b"file,label\n\xff\xfe,healthy\n")
    assert "is not a CSV file in UTF-8" in refused(tmp_path)
    (tmp_path / "manifest.csv").write_bytes(b"")
    assert "has no column file or label" in refused(tmp_path)


# Sets


def numbered(count: int, each: int = 1) -> ScanSet:
    return ScanSet("set", tuple(Item(Path(f"{k}.png"), f"p{k // each}", 0) for k in range(count)))


@pytest.mark.parametrize(("fraction", "expected"), [(0.25, 2), (0.01, 1), (0.99, 7)])
def test_a_split_takes_whole_subjects(fraction: float, expected: int) -> None:
    whole = numbered(24, each=3)
    rest, part = whole.split_by_subject(fraction, seed=3)
    assert len(set(part.subjects)) == expected
    assert len(part) == 3 * expected
    assert not set(part.subjects) & set(rest.subjects)
    assert sorted([*rest, *part], key=whole.items.index) == list(whole)
    assert list(part) == sorted(part, key=whole.items.index)
    assert whole.split_by_subject(fraction, seed=3) == (rest, part)


def test_what_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="has 1 subjects"):
        numbered(5, each=5).split_by_subject(0.5, 0)
    with pytest.raises(ValueError, match="fraction"):
        numbered(5).split_by_subject(1.0, 0)


def test_a_set_is_a_sequence() -> None:
    whole = numbered(5)
    assert len(whole) == 5
    assert whole[1].subject == "p1"
    assert whole[1:3] == whole.subset([1, 2])
    assert whole.labels.tolist() == [0] * 5


def test_loading_goes_on_past_what_cannot_be_read(tmp_path: Path) -> None:
    for value in (0, 1, 2):
        images(tmp_path, [value], value=value * 51)
    shutil.copy(tmp_path / "1.png", tmp_path / "torn.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "1.png").read_bytes()[:50])
    names = ("0", "torn", "1", "none", "2")
    scans = ScanSet("set", tuple(Item(tmp_path / f"{name}.png", f"p{name}", 0) for name in names))
    seen: list[tuple[int, int]] = []
    arrays, kept, problems = scans.load(CONFIG, progress=lambda done, total: seen.append((done, total)))
    assert arrays.shape == (3, 1, 32, 32)
    assert arrays.dtype == np.float32
    np.testing.assert_allclose(arrays.mean(axis=(1, 2, 3)), [-1, -0.6, -0.2], atol=1e-5)
    assert kept == [0, 2, 4]
    assert [path.name for path, _ in problems] == ["torn.png", "none.png"]
    assert "cut off" in problems[0][1]
    assert seen == [(k, 5) for k in range(1, 6)]
    assert scans.read(2).subject == "p1"


def test_what_the_gate_refuses_is_not_loaded_and_the_reason_is_said(tmp_path: Path) -> None:
    images(tmp_path, ["photo"])
    write_png(tmp_path / "scout.png", np.full((4, 9), 100, np.uint8))
    scans = ScanSet("set", tuple(Item(tmp_path / f"{name}.png", name, 0) for name in ("scout", "photo")))
    arrays, kept, problems = scans.load(CONFIG.model_copy(update={"gate": GateConfig(smallest_side=6)}))
    assert arrays.shape == (1, 1, 32, 32)
    assert kept == [1]
    reason = f"{tmp_path / 'scout.png'}: has 4 x 9 pixels; profile custom accepts sides of 6 or more"
    assert problems == [(tmp_path / "scout.png", reason)]


def scanners(folder: Path, split: str = "") -> Path:
    """Write a manifest of 20 images of ten subjects; the first ten images are scanner A's."""
    images(folder, range(20))
    rows = [f"{k}.png,healthy,{split},p{k // 2},{'A' if k < 10 else 'B'}" for k in range(20)]
    return manifest(folder, *rows, header="file,label,split,subject,Scanner")


def test_a_column_says_each_images_group(tmp_path: Path) -> None:
    splits = open_dataset(scanners(tmp_path), CONFIG, group="scanner")
    for part in (splits.train, splits.calibration, splits.test):
        assert [item.group for item in part] == ["A" if int(item.path.stem) < 10 else "B" for item in part]
        assert part.read(0).group == part[0].group
    assert not any(item.group for item in open_dataset(tmp_path, CONFIG).train)


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no column site; it has file, label, split, subject, scanner$"):
        open_dataset(scanners(tmp_path / "a"), CONFIG, group="site")
    images(tmp_path / "b" / "healthy", range(20))
    with pytest.raises(ValueError, match=r"b: has no manifest\.csv with a column site; write one that says each"):
        open_dataset(tmp_path / "b", CONFIG, group="site")


def test_another_site_calibrates_on_all_its_healthy_images(tmp_path: Path) -> None:
    images(tmp_path / "a" / "healthy", range(3))
    images(tmp_path / "a" / "healthy" / "p7", ["x"])
    images(tmp_path / "a" / "abnormal" / "p7", ["y"])  # an ill person's healthy image is left out
    assert [item.path.stem for item in open_healthy(tmp_path / "a")] == ["0", "1", "2"]
    assert {item.group for item in open_healthy(scanners(tmp_path / "b"), "scanner")} == {"A", "B"}


def test_another_site_keeps_to_its_calibration_split(tmp_path: Path) -> None:
    images(tmp_path / "calibration" / "healthy", range(3))
    images(tmp_path / "test" / "healthy", range(5))
    assert len(open_healthy(tmp_path)) == 3
    with pytest.raises(ValueError, match="holds no healthy images to calibrate on; add some, or mark the calibration"):
        open_healthy(scanners(tmp_path / "other", split="test"))


# Real data


@pytest.mark.realdata
def test_malaria(data_root: Path) -> None:
    splits = open_dataset(data_root / "malaria" / "manifest.csv", CONFIG)
    check_disjoint(splits)
    assert len(splits.train) + len(splits.calibration) == 2400
    assert len(splits.test) == 800
    assert splits.test.labels.sum() == 400
    arrays, kept, problems = splits.test[::40].load(Config(input=InputConfig(channels=3, size=64)))
    assert arrays.shape == (20, 3, 64, 64)
    assert not problems
    assert arrays[:, :, 0, 0].max() < -0.9  # cells on black


@pytest.mark.realdata
def test_ultrasound(data_root: Path) -> None:
    splits = open_dataset(data_root / "busi", CONFIG)
    check_disjoint(splits)
    assert len(splits.train) + len(splits.calibration) + len(splits.test) == 772
    assert splits.test.labels.sum() == 642
    for index in np.flatnonzero(splits.test.labels)[::60]:
        drawn = splits.test.read_mask(index)
        assert drawn is not None
        assert drawn.shape == splits.test.read(index).pixels.shape[:2]
        assert 0.001 < drawn.mean() < 0.9


# Layouts of others, and what must not vanish


def test_numbers_begin_anew_in_each_folder(tmp_path: Path) -> None:
    """000.png is healthy and another 000.png is abnormal: two subjects, unless something says that they are one."""
    images(tmp_path / "healthy", [f"{k:03d}" for k in range(50)])
    images(tmp_path / "abnormal", [f"{k:03d}" for k in range(20)])
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert [len(part) for part in (splits.train, splits.calibration, splits.test)] == [30, 10, 30]
    assert len(open_healthy(tmp_path)) == 50


def test_one_subject_across_classes_where_something_says_so(tmp_path: Path) -> None:
    images(tmp_path, [f"h{k}" for k in range(20)] + ["a"])
    lines = [f"h{k}.png,healthy,p{k}" for k in range(20)]
    manifest(tmp_path, *lines, "a.png,abnormal,p3", header="file,label,patient")
    assert open_dataset(tmp_path, CONFIG).test.subjects.count("p3") == 2


def test_the_layout_of_mvtec(tmp_path: Path) -> None:
    images(tmp_path / "train" / "good", [f"{k:03d}" for k in range(20)])
    images(tmp_path / "test" / "good", [f"{k:03d}" for k in range(4)])
    for species in ("crack", "broken_large"):
        images(tmp_path / "test" / species, [f"{k:03d}" for k in range(3)])
        images(tmp_path / "ground_truth" / species, [f"{k:03d}_mask" for k in range(3)], 255)
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert len(splits.train) + len(splits.calibration) == 20
    assert splits.test.labels.tolist().count(1) == 6
    found = {(item.groups["species"], item.mask.parent.name) for item in splits.test if item.mask}
    assert found == {("crack", "crack"), ("broken_large", "broken_large")}
    assert splits.notes == ()
    assert all("ground_truth" not in str(path) for path in find_images([tmp_path]))


def test_the_layout_of_kaggle(tmp_path: Path) -> None:
    for split, count in (("train", 20), ("val", 2), ("test", 5)):
        images(tmp_path / split / "NORMAL", [f"{split}{k}" for k in range(count)])
        images(tmp_path / split / "PNEUMONIA", [f"{split}-sick{k}" for k in range(count)])
    splits = open_dataset(tmp_path, CONFIG)
    check_disjoint(splits)
    assert len(splits.train) + len(splits.calibration) == 20
    assert (splits.test.labels == 1).sum() == 27
    assert "20 abnormal images below train are in the test; nothing is trained on them" in splits.notes


def test_a_folder_of_another_name_beside_healthy_is_a_kind_of_abnormal(tmp_path: Path) -> None:
    images(tmp_path / "healthy", range(20))
    images(tmp_path / "abnormal", ["a", "b"])
    images(tmp_path / "glioma", ["c", "d", "e"])
    images(tmp_path, ["loose"])
    (tmp_path / "healthy" / "notes.txt").write_text("x")
    splits = open_dataset(tmp_path, CONFIG)
    assert [item.groups.get("species", "") for item in splits.test if item.label] == ["", "", *["glioma"] * 3]
    assert splits.notes == (
        f"1 images in {tmp_path} itself are in no folder that says what they show; left out",
        "no images, and passed over: 1 .txt",
    )


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    images(tmp_path / "elsewhere", range(12))
    (tmp_path / "data" / "healthy").mkdir(parents=True)
    (tmp_path / "data" / "healthy" / "scans").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "data")
    assert len(find_images([tmp_path / "data"])) == 12
    (tmp_path / "data" / "healthy" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert len(find_images([tmp_path / "data"])) == 13, "a broken link is found, and whoever reads it says so"


def test_an_empty_file_does_not_refuse_the_set(tmp_path: Path) -> None:
    images(tmp_path / "healthy", range(40))
    (tmp_path / "healthy" / "7.png").write_bytes(b"")
    splits = open_dataset(tmp_path, CONFIG)
    whole = ScanSet("all", (*splits.train, *splits.calibration, *splits.test))
    _, kept, problems = whole.load(CONFIG)
    assert (len(kept), [path.name for path, _ in problems]) == (39, ["7.png"])


def test_a_file_that_is_healthy_and_abnormal(tmp_path: Path) -> None:
    images(tmp_path / "healthy", range(20))
    (tmp_path / "abnormal").mkdir()
    shutil.copy(tmp_path / "healthy" / "3.png", tmp_path / "abnormal" / "x.png")
    assert f"x.png: is abnormal, and {tmp_path / 'healthy' / '3.png'} is the same file and healthy" in refused(tmp_path)


def test_a_manifest_that_says_something_twice(tmp_path: Path) -> None:
    images(tmp_path, range(20))
    lines = [f"{k}.png,healthy" for k in range(20)]
    manifest(tmp_path, *lines, "./3.png,abnormal", header="file,label")
    assert refused(tmp_path).endswith("line 22: names './3.png' again, which line 5 names; keep one of the lines")
    manifest(tmp_path, *(f"{line},abnormal" for line in lines), header="file,label, Label ")
    assert refused(tmp_path).endswith("line 1: has two columns label, which may say different things; keep one")
