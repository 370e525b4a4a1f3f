"""Who is turned away: skin luminance by hand, and rates that know who is whom."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anogan.data.dataset import Item, ScanSet
from anogan.errors import Code
from anogan.evaluation import skin
from anogan.evaluation.fairness import Photo, fairness, judge_genuine, share_of_people, table
from anogan.faces import detection
from anogan.io import write_png
from anogan.metrics import binomial
from anogan.scan import Result, Scan


def test_typology_angle_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A face of one color: L* 60 and b* 10 are 45 degrees."""
    import cv2

    lab = np.full((128, 128, 3), (60, 10, 10), np.float32)
    pixels = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).clip(0, 1)
    face = detection.Face(np.zeros(4), np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2)))
    monkeypatch.setattr(detection, "align", lambda scan, size: detection.Aligned(pixels, np.eye(2, 3), face))
    assert skin.typology_angle(Scan(pixels, "a")) == pytest.approx(45, abs=0.2)
    with pytest.raises(ValueError, match="b: is gray, so the color of the skin is not known"):
        skin.typology_angle(Scan(np.ascontiguousarray(pixels[..., 0]), "b"))


def test_bands_of_skin_luminance() -> None:
    angles = {60: "very light", 55: "light", 45: "light", 30: "intermediate", 20: "tan", 0: "brown", -30: "dark"}
    assert {angle: skin.band(angle) for angle in angles} == angles


def test_rows_by_hand() -> None:
    photos = [
        Photo("a", {"sex": "female"}, 60, True, True),
        Photo("a", {"sex": "female"}, 60, True, False),
        Photo("b", {}, 0, True, False),
        Photo("c", {}, None, False, None),
    ]
    rows = {(row.attribute, row.value): row for row in fairness(photos)}
    everybody = rows["everybody", ""]
    assert (everybody.images, everybody.people, everybody.small) == (4, 3, True)
    assert everybody.bpcer is not None and everybody.bpcer.value == pytest.approx(1 / 3)
    assert everybody.not_acquired.value == 0.25
    assert rows["sex", "female"].bpcer == rows["skin luminance", "very light"].bpcer
    assert rows["sex", "not stated"].images == 2
    assert rows["ethnicity", "not stated"].images == 4
    assert rows["skin luminance", "brown"].bpcer == binomial(0, 1)
    assert rows["skin luminance", "not stated"].bpcer is None
    assert ("skin luminance", "tan") not in rows


def test_photos_of_one_person_count_once_in_the_interval() -> None:
    hits, people = [True, True, False, False] * 10, [str(index // 2) for index in range(40)]
    single = share_of_people(hits, [str(index) for index in range(40)])
    clustered = share_of_people(hits, people)
    assert single == binomial(20, 40)
    assert clustered.value == 0.5
    assert clustered.high - clustered.low > 1.3 * (single.high - single.low)
    assert share_of_people([False] * 40, people).high == binomial(0, 20).high


class Acquiring:
    """A judge that acquires a face in bright photos and flags the very bright ones."""

    calibration = None

    def inspect_many(self, scans: Iterable[Scan]) -> Iterator[Result]:
        for scan in scans:
            light = float(scan.pixels.mean())
            if light < 0.2:
                yield Result(scan.source, "not scored", reason="no face", code=Code.NO_FACE)
            else:
                yield Result(scan.source, "scored", score=light, p_value=0.5, flagged=light > 0.8)


def test_a_photo_that_cannot_be_read_is_told_and_the_others_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_color(scan: Scan) -> float:
        raise ValueError("is gray")

    monkeypatch.setattr(skin, "typology_angle", no_color)
    for name, value in (("dark", 10), ("fair", 120), ("bright", 250)):
        write_png(tmp_path / f"{name}.png", np.full((8, 8), value, np.uint8))
    (tmp_path / "torn.png").write_bytes(b"no picture")
    items = [Item(tmp_path / f"{name}.png", name, 0, groups={}) for name in ("dark", "torn", "fair", "bright")]
    genuine, unread, done = ScanSet("photos", tuple(items)), [], []
    photos = judge_genuine(Acquiring(), genuine, unread, lambda *counts: done.append(counts))
    assert [(photo.subject, photo.acquired, photo.flagged) for photo in photos] == [
        ("dark", False, None),
        ("fair", True, False),
        ("bright", True, True),
    ]
    assert [path for path, _ in unread] == [tmp_path / "torn.png"]
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(ValueError, match="torn"):
        judge_genuine(Acquiring(), genuine)
    assert "| everybody |  (few) | 3 | 3 |" in table(fairness(photos))
    assert "Not recorded in this set, so nothing is known of it: sex, ethnicity." in table(fairness(photos))


def test_the_command_is_for_faces(anogan: Any, tiny_run: Path, tiny_folder: Path) -> None:
    assert "is not for photos of faces" in anogan("fairness", tiny_run, tiny_folder).err
