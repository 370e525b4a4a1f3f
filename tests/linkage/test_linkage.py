"""Links between submissions: what is linked, what is kept, and what is forgotten."""

import dataclasses
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from anogan import cli
from anogan.detector import Detector
from anogan.faces import detection
from anogan.io import read_scan, write_png
from anogan.linkage import Code, Link, Linkage, Prints, Thresholds, features_of, in_words, make_prints
from anogan.linkage.prints import METHOD, distances, person
from anogan.scan import Scan

EYES = np.array([[70.0, 80.0], [110.0, 80.0]])


def words(text: str) -> np.ndarray:
    """Return bits written as 0 and 1, one word of 64 for each part."""
    return np.array([int(part, 2) for part in text.split()], np.uint64)


def scene(seed: int, shape: tuple[int, int] = (200, 180)) -> np.ndarray:
    """Return a colored texture, (H, W, 3)."""
    coarse = np.random.default_rng(seed).random((8, 8, 3)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR)


def portrait(place: int, who: int) -> Scan:
    """Return the texture `who` in the outline of a person before the texture `place`."""
    inside = person((200, 180), EYES)[..., None]
    return Scan(np.where(inside, scene(1000 + who), scene(place)), f"{place}-{who}")


@pytest.fixture
def eyes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every portrait's eyes be found where they were put; what is called "document" has none."""

    def find(scan: Scan) -> detection.Face:
        if scan.source == "document":
            raise ValueError("failure to acquire: no face was found")
        return detection.Face(np.array([50.0, 50, 130, 150]), EYES, EYES.mean(0), EYES)

    monkeypatch.setattr(detection, "find", find)


def test_distances_by_hand() -> None:
    one = Code(words("1100 1"), words("1111 0"))
    bits = np.stack([words("1100 0"), words("1000 1"), words("0011 1"), words("1111 1")])
    mask = np.stack([words("1111 1"), words("1111 1"), words("1111 1"), words("0000 1")])
    np.testing.assert_allclose(distances(one, bits, mask, "face"), [0, 0.25, 1, 0.5])
    half = np.stack([words("1100 0")] * 2), np.stack([words("1000 0"), words("1001 0")])
    expected = [0.5 - 0.5 * np.sqrt(1 / 4), 0.5 - 0.5 * np.sqrt(2 / 4)]  # few valid bits say little
    np.testing.assert_allclose(distances(one, *half, "face"), expected, rtol=1e-6)
    blind = Code(words("0 0"), words("0 0"))
    np.testing.assert_array_equal(distances(blind, bits, mask, "face"), 0.5)


@pytest.mark.usefixtures("eyes")
def test_what_two_photos_share_has_its_name() -> None:
    with Linkage.open() as linkage:
        linkage.add("first", portrait(1, 1))
        linkage.add("copy", Scan((portrait(1, 1).pixels * 0.9).astype(np.float32), "copy"))
        linkage.add("mirror", Scan(np.ascontiguousarray(portrait(1, 1).pixels[:, ::-1]), "mirror"))
        linkage.add("same place", portrait(1, 2))
        linkage.add("stranger", portrait(3, 3))
        found = {link.other: link for link in linkage.links("first")}
        assert linkage.links("stranger") == []
        mirrored = {link.other: link.what for link in linkage.links("mirror")}
    assert set(found) == {"copy", "mirror", "same place"}
    assert (found["copy"].what, found["copy"].words) == ("photo", "the same photo")
    assert found["mirror"].what == mirrored["first"] == "photo"
    assert found["same place"].what == "background"
    assert found["same place"].words == "the same background behind another face"


@pytest.mark.usefixtures("eyes")
def test_a_plain_background_links_nobody_and_a_document_is_compared_whole() -> None:
    plain = [
        dataclasses.replace(scan, pixels=np.where(person((200, 180), EYES)[..., None], scan.pixels, np.float32(0.8)))
        for scan in (portrait(1, 1), portrait(1, 2))
    ]
    document = Scan(scene(7), "document")
    with Linkage.open() as linkage:
        for key, scan in enumerate([*plain, document, document]):
            linkage.add(str(key), scan)
        assert "background" not in {link.what for link in linkage.links("0")}
        assert [(link.other, link.what, link.distance) for link in linkage.links("3")] == [("2", "photo", 0.0)]


def test_blank_sheets_are_like_nothing() -> None:
    sheets = [Scan(np.full((80, 60, 3), gray, np.float32), "document") for gray in (0.2, 0.5, 0.5)]
    with Linkage.open() as linkage:
        for key, scan in enumerate(sheets):
            linkage.add(str(key), scan)
        assert [linkage.links(key) for key in "012"] == [[], [], []]


@pytest.mark.usefixtures("eyes")
def test_another_process_adds_replaces_and_erases(tmp_path: Path) -> None:
    path = tmp_path / "links.sqlite"
    with Linkage.open(path) as here, Linkage.open(path) as there:
        for key in "abc":
            here.add(key, portrait(1, 1))
        assert [link.other for link in here.links("a")] == ["b", "c"]
        there.add("d", portrait(1, 1))
        there.add("b", portrait(5, 5))  # the same key again
        assert [link.other for link in here.links("a")] == ["c", "d"]
        assert there.erase("c") and not there.erase("c")
        assert [link.other for link in here.links("a")] == ["d"]
        assert len(here) == 3
        assert "d" in here and "c" not in here
        with pytest.raises(ValueError, match="no submission c is kept here; add it first"):
            here.links("c")


@pytest.mark.usefixtures("eyes")
def test_nothing_of_what_was_erased_stays_in_the_files(tmp_path: Path) -> None:
    prints = make_prints(portrait(2, 2))
    code = prints.codes["photo"].bits.tobytes()
    with Linkage.open(tmp_path / "links.sqlite") as linkage:
        linkage.add_prints({"one": make_prints(portrait(1, 1)), "secret-key": prints})
        assert any(code in file.read_bytes() for file in tmp_path.iterdir())
        linkage.erase("secret-key")
        for file in tmp_path.iterdir():
            assert code not in file.read_bytes() and b"secret-key" not in file.read_bytes(), file
    assert (tmp_path / "links.sqlite").stat().st_mode & 0o077 == 0


def test_files_that_do_not_serve_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, only some words that are long enough\n" * 40)
    with pytest.raises(ValueError, match="text: cannot be opened as a linkage database .file is not a database"):
        Linkage.open(tmp_path / "text")
    with Linkage.open(tmp_path / "old") as linkage, linkage._engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA user_version = {METHOD + 1}")
    with pytest.raises(ValueError, match="holds prints of method 2, not 1; make them again from the photos"):
        Linkage.open(tmp_path / "old")


def test_features_link_as_a_face_and_keep_their_signs_alone(tiny_detector: Detector) -> None:
    pixels = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    scan, mirror = Scan(pixels, "document"), Scan(np.ascontiguousarray(pixels[:, ::-1]), "document")
    features, mirrored = features_of(tiny_detector, scan), features_of(tiny_detector, mirror)
    assert features.shape == (2, 64 * 16)
    np.testing.assert_allclose(features, mirrored[::-1], atol=1e-4)
    with Linkage.open(thresholds=Thresholds(0.0, 0.0, 0.0, 0.1)) as linkage:
        linkage.add("a", scan, features)
        linkage.add("b", mirror, mirrored)
        assert [(link.other, link.what) for link in linkage.links("a")] == [("b", "face")]
        with pytest.raises(ValueError, match="features of two detectors do not compare; keep a database for each"):
            linkage.add("short", scan, features[:, :64])
        assert len(linkage) == 2


def test_thresholds_let_the_asked_share_of_pairs_through() -> None:
    generator = np.random.default_rng(0)
    full = np.full(4, 2**64 - 1, np.uint64)
    codes = [Code(generator.integers(0, 2**63, 4).astype(np.uint64), full) for _ in range(60)]
    prints = [Prints({"photo": code}, {"photo": code}) for code in codes]
    people = [str(index // 2) for index in range(60)]
    found = Thresholds.measure(prints, people, rate=0.01)
    apart = [
        distances(codes[i], codes[j].bits[None], full[None], "photo")[0]
        for i in range(60)
        for j in range(i)
        if people[i] != people[j]
    ]
    assert 0 < np.mean(np.array(apart) < found.photo) <= 0.01
    assert found.face == found.background == found.features == 0
    with pytest.raises(
        ValueError, match="1740 pairs of photos of different people are too few for one false link in 10000"
    ):
        Thresholds.measure(prints, people)
    with pytest.raises(ValueError, match="threshold of face: expected a number in .0, 0.5., got 0.7"):
        Thresholds(face=0.7)


def test_links_in_words() -> None:
    links = [Link(str(index), "background", 0.1, "") for index in range(4)] + [Link("x", "face", 0.1, "")]
    assert in_words(links) == [
        "this face was seen in 1 other application",
        "this background was seen in 4 other applications",
    ]
    assert in_words([]) == []


def test_the_command_names_files_and_remembers_across_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, later, database = tmp_path / "photos", tmp_path / "later.png", tmp_path / "links.sqlite"
    folder.mkdir()
    picture = (scene(1) * 255).astype(np.uint8)
    write_png(folder / "a.png", picture)
    write_png(folder / "b.png", picture)
    write_png(folder / "c.png", (scene(2) * 255).astype(np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(SystemExit, match="1 file not looked at"):
        cli.main(["link", str(folder), "--database", str(database)])
    said = capsys.readouterr().out
    assert f"{folder / 'b.png'}: is the same file as {folder / 'a.png'}" in said
    assert "0 of 2 photos are linked with others; 2 submissions were looked through" in said
    assert "2 photos show no single face" in said
    write_png(later, (scene(1) * 254).astype(np.uint8))
    with pytest.raises(SystemExit, match="0"):
        cli.main(["link", str(later), "--database", str(database)])
    said = capsys.readouterr().out
    assert f"{later}: this photo was seen in 1 other application" in said
    assert re.search(r"submission [0-9a-f]{16}: the same photo \(0\.\d\d\)", said), said
    assert b"a.png" not in database.read_bytes()


@pytest.mark.realdata
def test_a_real_photo_is_found_again_cut_and_mirrored(data_root: Path) -> None:
    paths = sorted((data_root / "faces_frll" / "genuine").glob("neutral*"))[:3]
    if len(paths) < 3:
        pytest.skip("faces_frll is missing")
    scans = [read_scan(path) for path in paths]
    cut = np.ascontiguousarray(scans[0].pixels[30:, -30:0:-1])
    with Linkage.open() as linkage:
        for key, scan in enumerate(scans):
            linkage.add(str(key), scan)
        linkage.add("cut", Scan(cut, "cut"))
        assert linkage.links("cut")[0].other == "0"
