"""Results are written whole, read back, and never name a patient."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anogan.io import read_scan, write_png
from anogan.results import writing
from anogan.results.heatmap import overlay
from anogan.results.reading import case_id, read_case, read_results
from anogan.results.writing import ResultsWriter
from anogan.review import cases_of
from anogan.scan import Result, Scan, Series, SeriesResult

SUMMARY: dict[str, Any] = {"name": "d", "hash": "ab" * 32, "threshold": 2.0, "map_range": [0.0, 6.0]}


def scored(path: Path, *, score: float = 3.5, shape: tuple[int, ...] = (200, 300)) -> tuple[Scan, Result]:
    """Write an image and make up what a detector says of it."""
    rng = np.random.default_rng(len(path.name))
    write_png(path, rng.integers(0, 256, shape).astype(np.uint8))
    scan = read_scan(path)
    maps = rng.normal(2, 1, (2, *shape[:2])).astype(np.float32)
    return scan, Result(
        scan.source,
        "scored",
        score=score,
        p_value=0.25,
        flagged=True,
        anomaly_map=maps[0],
        reconstruction=scan.pixels / 2,
        components={"residual": 1.5, "gaussian": 2.5},
        component_maps={"residual": maps[1]},
        seconds=0.5,
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    scan, result = scored(tmp_path / "a.png")
    mask = np.zeros((200, 300), bool)
    mask[5:9] = True
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        case = writer.add(scan, result, subject="p1", label=1, mask=mask)
        lost = writer.add_failure(tmp_path / "none.png", "none.png: there is no such file")
    assert case == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()[:16]
    document = read_results(tmp_path / "out")
    assert document["format"] == 1
    assert document["detector"] == SUMMARY
    assert document["cases"] == [
        {
            "case": case,
            "file": str(tmp_path / "a.png"),
            "subject": "p1",
            "label": "abnormal",
            "status": "scored",
            "reason": "",
            "score": 3.5,
            "p_value": 0.25,
            "flagged": True,
            "uncertainty": None,
            "height": 200,
            "width": 300,
            "components": {"residual": 1.5, "gaussian": 2.5},
            "seconds": 0.5,
        },
        {
            "case": lost,
            "file": str(tmp_path / "none.png"),
            "subject": "",
            "label": None,
            "status": "not scored",
            "reason": "none.png: there is no such file",
            **dict.fromkeys(("score", "p_value", "flagged", "uncertainty", "height", "width", "seconds")),
            "components": {},
        },
    ]
    arrays = read_case(tmp_path / "out", case)
    assert set(arrays) == {"image", "anomaly_map", "reconstruction", "mask", "component_residual"}
    np.testing.assert_array_equal(arrays["image"], np.asarray(Image.open(tmp_path / "a.png")))
    assert result.anomaly_map is not None
    np.testing.assert_allclose(arrays["anomaly_map"], result.anomaly_map, atol=0.005)
    np.testing.assert_allclose(arrays["reconstruction"], scan.pixels * 127.5, atol=0.51)
    np.testing.assert_array_equal(arrays["mask"], mask)
    assert arrays["image"].dtype == arrays["mask"].dtype == np.uint8


def test_pictures(tmp_path: Path) -> None:
    scan, result = scored(tmp_path / "a.png", shape=(200, 300, 3))
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        folder = tmp_path / "out" / "cases" / writer.add(scan, result)
    assert result.anomaly_map is not None
    expected = overlay(scan.pixels, result.anomaly_map, (0, 6))
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "heatmap.png")), expected)
    assert Image.open(folder / "thumbnail.png").size == (128, 85)


def test_the_table_says_the_same(tmp_path: Path) -> None:
    with ResultsWriter(tmp_path, SUMMARY) as writer:
        writer.add(*scored(tmp_path / 'comma, quote" and newline\n.png', shape=(8, 8)), label="healthy")
        writer.add_failure("none.png", "gone")
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        one, two = csv.DictReader(file)
    assert one["file"].endswith('comma, quote" and newline\n.png')
    assert (one["label"], one["score"], one["flagged"], one["component_gaussian"]) == ("healthy", "3.5", "True", "2.5")
    assert (two["status"], two["score"], two["flagged"], two["component_gaussian"]) == ("not scored", "", "", "")


def test_a_spreadsheet_runs_no_name_and_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a file is named as it was given
    with ResultsWriter(tmp_path, SUMMARY) as writer:
        writer.add(*scored(Path('=HYPERLINK("x").png'), shape=(8, 8)), label="healthy")
        writer.add_failure("@SUM(A1)", "-1 is no image")
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        one, two = csv.DictReader(file)
    assert (one["file"], two["file"], two["reason"]) == ('\'=HYPERLINK("x").png', "'@SUM(A1)", "'-1 is no image")
    assert read_results(tmp_path)["cases"][1]["file"] == "@SUM(A1)"  # JSON is for programs


def test_what_was_not_scored_has_no_folder(tmp_path: Path) -> None:
    scan, _ = scored(tmp_path / "a.png")
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        writer.add(scan, Result(scan.source, "not scored", reason="all pixels are alike"))
    (case,) = read_results(tmp_path / "out")["cases"]
    assert (case["score"], case["flagged"], case["reason"]) == (None, None, "all pixels are alike")
    assert not (tmp_path / "out" / "cases").exists()


def test_the_same_detector_adds_to_the_list_and_another_begins_anew(tmp_path: Path) -> None:
    def files() -> list[str]:
        return [Path(case["file"]).name for case in read_results(tmp_path / "out")["cases"]]

    a, b = scored(tmp_path / "a.png"), scored(tmp_path / "bb.png")
    for pair in (a, b, a):
        with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
            writer.add(*pair)
    assert files() == ["bb.png", "a.png"]
    with ResultsWriter(tmp_path / "out", SUMMARY | {"threshold": 3.0}) as writer:
        writer.add(*b)
    assert files() == ["bb.png"]


def test_an_interrupted_work_list_keeps_what_was_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        writer.add(*scored(tmp_path / "a.png"))
        raise KeyboardInterrupt
    assert len(read_results(tmp_path / "out")["cases"]) == 1


def test_on_a_full_disk_the_earlier_results_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        case = writer.add(*scored(tmp_path / "a.png"))
    good = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    pair = scored(tmp_path / "bb.png")

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", full)
        with pytest.raises(ValueError) as caught, ResultsWriter(tmp_path / "out", SUMMARY) as writer:
            writer.add(*pair)
    assert "cannot be written (No space left on device); free some space or choose another folder" in str(caught.value)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == good
    assert len(read_results(tmp_path / "out")["cases"]) == 1
    assert "image" in read_case(tmp_path / "out", case)


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    """Of two that read the list and write it back, the second one would take out what the first has put in."""
    with ResultsWriter(tmp_path, SUMMARY) as writer:
        writer.add(*scored(tmp_path / "a.png"))
        with pytest.raises(ValueError, match="results are being written there; try again when that is done"):
            ResultsWriter(tmp_path, SUMMARY)
    with ResultsWriter(tmp_path, SUMMARY) as writer:
        writer.add(*scored(tmp_path / "b.png"))
    assert len(read_results(tmp_path)["cases"]) == 2


def test_a_killed_writer_leaves_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "EVERY", 0.0)
    writer = ResultsWriter(tmp_path, SUMMARY, fdr=0.1)
    case = writer.add(*scored(tmp_path / "a.png"))
    assert [listed["case"] for listed in read_results(tmp_path)["cases"]] == [case]
    writer.close()


def test_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    scan, result = scored(tmp_path / "a.png")
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        writer.add(replace(scan, source=name), result)
        writer.add_failure(name + "2", f"{name}2: is damaged")
    assert [case["file"] for case in read_results(tmp_path / "out")["cases"]] == [name, name + "2"]
    assert "caf\\udce9.png" in (tmp_path / "out" / "results.csv").read_text(encoding="utf-8")
    cases = cases_of(tmp_path / "out")
    assert [case.title for case in cases] == ["caf\\udce9.png", "caf\\udce9.png2"]
    assert cases[1].reason == "caf\\udce9.png2: is damaged"


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = ResultsWriter(tmp_path / "out", SUMMARY)
    with pytest.raises(ValueError, match="its mask has shape"):
        writer.add(*scored(tmp_path / "a.png"), mask=np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match="label: expected 0, 1"):
        writer.add(*scored(tmp_path / "a.png"), label="odd")


def test_values_beyond_half_precision_stay_finite(tmp_path: Path) -> None:
    scan, result = scored(tmp_path / "a.png", score=1e300)
    assert result.anomaly_map is not None
    result.anomaly_map[0, 0] = 1e9
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        case = writer.add(scan, result)
    assert read_case(tmp_path / "out", case)["anomaly_map"][0, 0] == np.finfo(np.float16).max
    assert read_results(tmp_path / "out")["cases"][0]["score"] == 1e300


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 2, "detector": {}, "cases": []}',
        '{"format": 1, "detector": {}}',
        '{"format": 1, "detector": {}, "cases": [{"case": "x"}]}',
        "\udcff",
    ],
)
def test_a_damaged_work_list_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError) as caught:
        read_results(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'results.json'}: is damaged or was not written by anogan; score the images again"
    )


def test_no_work_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"results\.json: there is no such file; score images first"):
        read_results(tmp_path)


def test_damaged_maps_are_one_sentence(tmp_path: Path) -> None:
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        case = writer.add(*scored(tmp_path / "a.png", shape=(20, 20)))
    path = tmp_path / "out" / "cases" / case / "maps.npz"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    unread = 0
    for trial in range(100):
        data = bytearray(whole[: rng.integers(len(whole))] if trial % 2 else whole)
        if data:
            data[rng.integers(len(data))] ^= 0xFF
        path.write_bytes(data)
        try:
            read_case(tmp_path / "out", case)
        except ValueError as error:
            unread += 1
            assert str(error) == f"{path}: is damaged; score the image again"
    assert unread > 50
    path.unlink()
    with pytest.raises(ValueError, match="there is no such file"):
        read_case(tmp_path / "out", case)


@pytest.mark.parametrize("case", ["../../etc", "", "ABCDEF0123456789", "0" * 17])
def test_a_case_is_no_path(tmp_path: Path, case: str) -> None:
    with pytest.raises(ValueError, match="expected 16 hex digits"):
        read_case(tmp_path, case)


def test_a_case_is_named_by_content(tmp_path: Path) -> None:
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
    assert case_id(tmp_path / "a") == case_id(tmp_path / "b") != case_id(tmp_path / "c")
    assert len(case_id(tmp_path / "none")) == 16
    scan, result = scored(tmp_path / "s.png")
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        member = replace(scan, source="export.zip/s.png")
        assert writer.add(member, result, file=tmp_path / "s.png") == case_id(tmp_path / "s.png")
        assert writer.add_failure("export.zip/c.png", "", file=tmp_path / "c") == case_id(tmp_path / "c")


def test_discoveries_are_those_of_the_whole_list_and_only_when_asked_for(tmp_path: Path) -> None:
    """Two cases at p = 0.02 and 0.25, and one without: at 10 % the first is below 0.1 / 2, the second above 0.1."""
    scan, result = scored(tmp_path / "a.png", shape=(8, 8))
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        writer.add(scan, result)
    assert "discovery" not in (tmp_path / "out" / "results.csv").read_text(encoding="utf-8")
    scan, result = scored(tmp_path / "bb.png", shape=(8, 8))
    with ResultsWriter(tmp_path / "out", SUMMARY, fdr=0.1) as writer:
        writer.add(scan, replace(result, p_value=0.02))
        writer.add_failure(tmp_path / "none.png", "gone")
    document = read_results(tmp_path / "out")
    assert document["fdr"] == 0.1
    assert [case["discovery"] for case in document["cases"]] == [False, True, None]
    with (tmp_path / "out" / "results.csv").open(newline="", encoding="utf-8") as file:
        assert [row["discovery"] for row in csv.DictReader(file)] == ["False", "True", ""]
    with ResultsWriter(tmp_path / "out", SUMMARY):
        pass
    document = read_results(tmp_path / "out")
    assert "fdr" not in document
    assert not any("discovery" in case for case in document["cases"])


def test_a_case_says_its_group(tmp_path: Path) -> None:
    scan, result = scored(tmp_path / "a.png", shape=(8, 8))
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        writer.add(replace(scan, group="scanner A"), result)
    assert read_results(tmp_path / "out")["cases"][0]["group"] == "scanner A"
    with (tmp_path / "out" / "results.csv").open(newline="", encoding="utf-8") as file:
        assert [row["group"] for row in csv.DictReader(file)] == ["scanner A"]


def volume(uid: str = "1.2.3", top: tuple[int, ...] = (2, 1)) -> tuple[Series, SeriesResult]:
    """Make up four slices and what a detector says of them."""
    rng = np.random.default_rng(0)
    pixels = rng.random((4, 30, 40), np.float32)
    scans = [Scan(image, f"study/{place}.dcm", "ab12", series_uid=uid) for place, image in enumerate(pixels)]
    slices = [
        Result(scan.source, "scored", score=1.0, anomaly_map=rng.normal(3, 1, (30, 40)).astype(np.float32))
        for scan in scans
    ]
    result = SeriesResult(
        "study", "scored", "", 2.5, 0.04, True, tuple(slices), top, components={"gaussian": 1.5}, seconds=0.5
    )
    return Series(tuple(scans), "study", 1.0), result


def test_a_series_is_one_case_with_the_pictures_of_its_top_slices(tmp_path: Path) -> None:
    series, result = volume()
    with ResultsWriter(tmp_path, SUMMARY) as writer:
        case = writer.add_series(series, result)
    assert case == hashlib.sha256(b"1.2.3").hexdigest()[:16]
    (listed,) = read_results(tmp_path)["cases"]
    assert (listed["file"], listed["subject"], listed["score"], listed["flagged"]) == ("study", "ab12", 2.5, True)
    assert (listed["slices"], listed["top_slices"]) == (4, [3, 2])
    place = tmp_path / "cases" / case
    assert sorted(path.name for path in place.iterdir()) == [
        "heatmap.png", "maps.npz", "slice-0002.png", "slice-0003.png", "slices.npz", "thumbnail.png",
    ]  # fmt: skip
    assert (place / "heatmap.png").read_bytes() == (place / "slice-0003.png").read_bytes()
    top = result.slices[2].anomaly_map
    assert read_case(tmp_path, case)["anomaly_map"] == pytest.approx(top, abs=1e-2)
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        assert [(row["slices"], row["top_slices"]) for row in csv.DictReader(file)] == [("4", "3 2")]


def test_series_of_one_folder_are_cases_of_their_own_and_one_sent_again_is_the_same(tmp_path: Path) -> None:
    for uids in (("1.2.3", "1.2.4"), ("1.2.3",)):
        with ResultsWriter(tmp_path, SUMMARY) as writer:
            for uid in uids:
                case = writer.add_series(*volume(uid, top=(len(uids) - 1,)))
    cases = read_results(tmp_path)["cases"]
    assert [one["top_slices"] for one in cases] == [[2], [1]]
    assert [path.name for path in (tmp_path / "cases" / case).glob("slice-*.png")] == ["slice-0001.png"]


def test_a_series_that_was_not_scored_has_no_folder(tmp_path: Path) -> None:
    series, _ = volume()
    with ResultsWriter(tmp_path, SUMMARY) as writer:
        writer.add_series(series, SeriesResult("study", "not scored", "study: holds 4 slices"))
    (listed,) = read_results(tmp_path)["cases"]
    assert (listed["status"], listed["score"], listed["flagged"]) == ("not scored", None, None)
    assert not (tmp_path / "cases").exists()


def test_what_is_noted_of_an_image_stands_in_its_own_column(tmp_path: Path) -> None:
    scan, result = scored(tmp_path / "a.png", shape=(8, 8))
    with ResultsWriter(tmp_path / "out", SUMMARY) as writer:
        writer.add(scan, replace(result, notes=("the head nods", "it is compressed")))
    assert read_results(tmp_path / "out")["cases"][0]["notes"] == "the head nods. it is compressed."
    with (tmp_path / "out" / "results.csv").open(newline="", encoding="utf-8") as file:
        assert [row["notes"] for row in csv.DictReader(file)] == ["the head nods. it is compressed."]
