"""No line of a manifest is lost to the way it is written, and no file is in two places by a link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from anogan.data.listing import read_listing
from anogan.io.files import find_images, survey

GOOD = "0.png,healthy,x\n"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('1.png,healthy,"5 inch\n2.png,healthy,x\n', "is not CSV .*close its quotes"),  # took in the line behind it
        ("1.png,healthy,x,y\n", "line 3: has 4 cells for 3 columns"),
        ("a" * 300 + ".png,healthy,x\n", "line 3: the file .* is missing"),
    ],
)
def test_line_that_cannot_be_told_is_refused(tmp_path: Path, lines: str, why: str) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG")
    (tmp_path / "manifest.csv").write_text("file,label,notes\n" + GOOD + lines)
    with pytest.raises(ValueError, match=why):
        read_listing(tmp_path)


def test_empty_cells_behind_the_last_column_pass(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"\x89PNG")
    (tmp_path / "manifest.csv").write_text("file,label,notes\n0.png,healthy,x,,\n")
    assert len(read_listing(tmp_path).entries) == 1


def test_split_that_is_a_link_to_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "good").mkdir(parents=True)
    (tmp_path / "train" / "good" / "0.png").write_bytes(b"\x89PNG")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(ValueError, match="is the same file as .*by a link"):
        read_listing(tmp_path)


def listed(folder: Path, text: str | bytes, name: str = "manifest.csv") -> Path:
    for number in range(3):
        (folder / f"{number}.png").write_bytes(b"\x89PNG")
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file;label\n0.png;healthy\n", "manifest.csv line 1: parts its columns by ';'; save it with commas"),
        ("file\tlabel\n0.png\thealthy\n", "manifest.csv line 1: parts its columns by .*save it with commas"),
        ("file,label\n0.png,healthy\n".encode("utf-16"), "is not a CSV file in UTF-8"),
        ("file,label,mask\n0.png,healthy,\n1.png,abnormal,./1.png\n", "line 3: names '1.png' as its own mask"),
        ("file,label\n0.png,healthy\n1\0.png,healthy\n", "line 3: holds a null character; save it as CSV in UTF-8"),
        ('file,label,"a\nb",a b\n0.png,healthy,x,y\n', "line 1: has two columns a b, which may say"),
        ("file,label\n0.png,healthy\n".encode("utf-16-le"), "line 1: holds a null character"),
        ('file,label\n0.png,healthy\n"1\n.png",healthy\n', r"line 4: the file '.*1\\n.png' is missing$"),
    ],
)
def test_manifest_that_would_be_misread_is_refused(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_listing(listed(tmp_path, text))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_lose_no_line(tmp_path: Path, end: str, start: str) -> None:
    text = start + end.join(["FILE, Label", '0.png,"healthy"', "", "1.png,NORMAL", "2.png,Abnormal"])
    assert [entry.label for entry in read_listing(listed(tmp_path, text)).entries] == [0, 0, 1]


def test_columns_that_are_not_read_are_said(tmp_path: Path) -> None:
    listing = read_listing(listed(tmp_path, "file,label,Set,site\n0.png,healthy,test,A\n"))
    assert listing.notes == (f"columns of {tmp_path / 'manifest.csv'} that are not read: set",)


def test_the_case_of_the_manifests_name_does_not_matter(tmp_path: Path) -> None:
    listed(tmp_path, "file,label\n0.png,healthy\n", "Manifest.CSV")
    assert len(read_listing(tmp_path).entries) == 1
    listed(tmp_path, "file,label\n1.png,healthy\n")
    with pytest.raises(ValueError, match="lies beside manifest.csv, which may say different things; keep one"):
        read_listing(tmp_path)


def pictures(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"\x89PNG" + str(folder / name).encode())


@pytest.mark.parametrize("name", ["Masks", "MASK", "ground_truth", "Ground Truth", "ground-truth"])
def test_masks_are_masks_for_every_reader(tmp_path: Path, name: str) -> None:
    pictures(tmp_path / "healthy", "0.png")
    pictures(tmp_path / "abnormal", "1.png")
    pictures(tmp_path / name, "1.png")
    assert [path.parent.name for path in find_images([tmp_path])] == ["abnormal", "healthy"]
    assert [entry.mask for entry in read_listing(tmp_path).entries if entry.label] == [tmp_path / name / "1.png"]


@pytest.mark.parametrize("name", ["benign (1)_mask.png", "benign (1)_mask_1.png", "benign (1)-seg.png"])
def test_a_mask_beside_its_image_is_no_image(tmp_path: Path, name: str) -> None:
    pictures(tmp_path / "normal", "normal (1).png", "face_mask.png")  # a mask of nothing here
    pictures(tmp_path / "benign", "benign (1).png", name)
    with pytest.raises(ValueError, match=r"seems to be the mask of benign \(1\) beside it; move it"):
        read_listing(tmp_path)


def test_an_empty_class_is_said(tmp_path: Path) -> None:
    pictures(tmp_path / "healthy", "0.png")
    (tmp_path / "abnormal").mkdir()
    assert read_listing(tmp_path).notes == (f"{tmp_path / 'abnormal'} holds no image",)


@pytest.mark.parametrize("name", ["no_crack", "Non-Defective", "without lesion", "not sick", "crack-free"])
def test_a_name_that_denies_is_no_kind_of_abnormal(tmp_path: Path, name: str) -> None:
    pictures(tmp_path / "train" / "good", "0.png")
    pictures(tmp_path / "test" / name, "1.png")
    with pytest.raises(ValueError, match="may hold healthy or abnormal images; rename it to healthy or abnormal"):
        read_listing(tmp_path)


def test_the_brain_tumors_of_kaggle(tmp_path: Path) -> None:
    for split in ("Training", "Testing"):
        for kind in ("glioma", "notumor"):
            pictures(tmp_path / split / kind, f"{split}-{kind}.jpg")
    found = {(entry.split, entry.label, entry.groups.get("species", "")) for entry in read_listing(tmp_path).entries}
    assert found == {("train", 0, ""), ("test", 0, ""), ("test", 1, "glioma")}


def test_a_folder_that_cannot_be_looked_into_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "healthy" / "locked", "0.png")
    pictures(tmp_path / "healthy", "1.png")
    scan = os.scandir

    def locked(place: str) -> Iterator[os.DirEntry[str]]:
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied", place)
        return scan(place)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(ValueError, match=r"locked: cannot be looked into \(Permission denied\)"):
        find_images([tmp_path])


def test_one_walk_finds_images_and_the_rest(tmp_path: Path) -> None:
    pictures(tmp_path, "0.png")
    (tmp_path / "a.txt").write_text("a")
    assert survey([tmp_path, tmp_path]) == ([tmp_path / "0.png"], "1 .txt")


def test_views_and_masks_of_mvtec_3d_are_no_images_of_one_kind(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for view in ("rgb", "xyz"):
            pictures(tmp_path / split / "good" / view, "0.png", "1.png")
    with pytest.raises(ValueError, match="holds several views of each image, in rgb, xyz; copy"):
        read_listing(tmp_path)


@pytest.mark.parametrize("name", ["gt", "masks"])
def test_masks_within_a_folder_that_says_what_it_shows_are_said(tmp_path: Path, name: str) -> None:
    pictures(tmp_path / "normal", "0.png")
    pictures(tmp_path / "COVID" / "images", "a.png")
    pictures(tmp_path / "COVID" / name, "a.png")
    listing = read_listing(tmp_path)
    assert [entry.path.name for entry in listing.entries if entry.label] == ["a.png"]
    assert any("are not used; a data set's own lie in" in note and name in note for note in listing.notes)


@pytest.mark.parametrize(
    ("home", "inside"), [("cells", "uninfected"), ("healthy", "tumor"), ("pneumonia", "normal"), ("healthy", "bad")]
)
def test_a_folder_that_says_the_contrary_of_its_own_is_refused(tmp_path: Path, home: str, inside: str) -> None:
    pictures(tmp_path / "normal", "0.png")
    pictures(tmp_path / home / inside, "1.png")
    with pytest.raises(ValueError, match=f"{inside}: says .* within a folder that is taken for"):
        read_listing(tmp_path)


def test_subjects_may_be_numbered_from_0(tmp_path: Path) -> None:
    for home in ("healthy", "abnormal"):
        for subject in "01":
            pictures(tmp_path / home / subject, f"{home}.png")
    assert len(read_listing(tmp_path).entries) == 4


@pytest.mark.parametrize("below", ["train/good", "train/ok", "normal", "Data/Images/Normal"])
def test_the_root_of_several_data_sets_is_refused_and_one_is_named(tmp_path: Path, below: str) -> None:
    for name in ("bottle", "cable"):
        pictures(tmp_path / name / below, "0.png")
    with pytest.raises(ValueError, match=r"data sets lie in it, in bottle.*, cable.*; name one, as .*bottle"):
        read_listing(tmp_path)
