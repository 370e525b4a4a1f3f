"""The report as a reader gets it: one file, true to evaluation.json, and nobody's name in it."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from anogan.data.dataset import Splits, open_dataset
from anogan.data.seen import SEEN
from anogan.evaluation import evaluate, write_report
from anogan.evaluation.page import _percent
from anogan.evaluation.pictures import worst

if TYPE_CHECKING:
    from anogan.detector import Detector

EVIL = "<script>alert(1)</script>"
EVIL_FILE = "Lovelace <img src=x onerror=alert(1)>.png"
LINKS = {"src", "href", "action", "data", "poster", "srcset", "xlink:href", "formaction"}


class Page(HTMLParser):
    """The elements, the words and the <data> numbers of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[float, str]] = []
        self.words = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.elements[-1] if self.elements else ("", {})
        if tag != "style":
            self.words += data
        if tag == "data" and len(self.numbers) < sum(tag == "data" for tag, _ in self.elements):
            self.numbers.append((float(attributes["value"] or "nan"), data))


def numbers_in(value: Any) -> set[float]:
    if isinstance(value, dict):
        return set().union(*map(numbers_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(numbers_in, value))
    return {float(value)} if isinstance(value, int | float) else set()


@pytest.fixture(scope="module")
def full(
    tiny_detector: Detector, unseen_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Return the results folder of a data set with groups, species, masks, a torn file and wicked names."""
    data, out = tmp_path_factory.mktemp("Byron"), tmp_path_factory.mktemp("results")
    shutil.copytree(unseen_folder, data, dirs_exist_ok=True)
    healthy, ill = (sorted((data / name).glob("*.png")) for name in ("healthy", "abnormal"))
    healthy[-1].rename(healthy[-1].with_name(EVIL_FILE))
    healthy[-1] = healthy[-1].with_name(EVIL_FILE)
    torn = data / "healthy" / "Lovelace torn.png"
    torn.write_bytes(healthy[0].read_bytes()[:90])
    rows = [
        [
            path,
            "healthy",
            ("train", "calibration", "test")[min(k // 15, 2)],
            f"Lovelace {k}",
            "",
            EVIL if k % 2 else "A",
            "",
        ]
        for k, path in enumerate(healthy)
    ]
    rows += [
        [path, "abnormal", "test", f"Byron {k // 2}", data / "masks" / path.name, "A", f"{EVIL[:8]}print"]
        for k, path in enumerate(ill)
    ]
    rows.append([torn, "healthy", "test", "Lovelace torn", "", "", ""])
    with (data / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "split", "patient", "mask", "scanner", "attack", "name"])
        for path, *cells, mask, scanner, species in rows:
            writer.writerow(
                [path.relative_to(data), *cells, mask and mask.relative_to(data), scanner, species, "Lovelace"]
            )
    scans = open_dataset(data, tiny_detector.config)
    point = tiny_detector.calibration
    assert point is not None
    # One that makes mistakes, however well it was trained.
    hasty = dataclasses.replace(tiny_detector, calibration=dataclasses.replace(point, threshold=point.scores.min()))
    report = evaluate(hasty, scans.test, out=out)
    write_report(out, report, hasty, scans, name="ward & lab", prevalences=[0.02, 0.3])
    return out, json.loads((out / "evaluation.json").read_text(encoding="utf-8"))


def test_the_file_needs_nothing_else(full: tuple[Path, dict[str, Any]]) -> None:
    page = Page(full[0] / "report.html")
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        for name in LINKS & set(attributes):
            assert (attributes[name] or "").startswith("data:image/png;base64,"), (tag, name)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"https?:|url\(|@import", page.source)
    assert ("meta", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in [
        (tag, attributes.get("content")) for tag, attributes in page.elements
    ]


def test_what_users_wrote_is_text_and_no_markup(full: tuple[Path, dict[str, Any]]) -> None:
    page = Page(full[0] / "report.html")
    assert page.words.count(EVIL) == 2  # in the data card and in the table of groups
    assert "&lt;script&gt;print" in page.source
    assert "ward & lab" in page.words


def test_nobody_is_named(full: tuple[Path, dict[str, Any]]) -> None:
    source = (full[0] / "report.html").read_text(encoding="utf-8")
    assert not re.search("lovelace|byron", source, re.IGNORECASE)
    assert "1 healthy: " in source  # the torn file is told of, by its reason
    assert not re.search("lovelace|byron", (full[0] / "evaluation.csv").read_text(encoding="utf-8"), re.IGNORECASE)


def test_every_number_is_that_of_evaluation_json(full: tuple[Path, dict[str, Any]]) -> None:
    page, found = Page(full[0] / "report.html"), full[1]
    known = numbers_in(found)
    assert len(page.numbers) > 60
    for value, words in page.numbers:
        assert value in known, words
        shown = float(re.sub(r"[\s%]", "", words.replace("\N{MINUS SIGN}", "-")))
        assert min(abs(shown - value), abs(shown / 100 - value)) <= 0.0005 + 1e-12, words
    told = {value for value, _ in page.numbers}
    point, worth = found["operating_point"], found["predictive_values"]
    assert {*found["auroc"], *found["average_precision"], *point["realized"], *point["sensitivity"]} <= told
    assert {value for row in worth for value in (*row["ppv"], *row["npv"])} <= told
    assert {value for row in found["floors"] for value in row["auroc"]} <= told
    assert f"{point['true_positive']} of {found['n_abnormal']}" in page.words
    assert found["model_card"]["promise"] in page.words


def test_predictive_values_by_hand(full: tuple[Path, dict[str, Any]]) -> None:
    point = full[1]["operating_point"]
    found, false = point["sensitivity"][0], point["realized"][0]
    for row, prevalence in zip(full[1]["predictive_values"], (0.02, 0.3), strict=True):
        assert row["prevalence"] == prevalence
        right, healthy = found * prevalence, (1 - false) * (1 - prevalence)
        assert row["ppv"][0] == pytest.approx(right / (right + false * (1 - prevalence)))
        assert row["npv"][0] == pytest.approx(healthy / (healthy + (1 - found) * prevalence))
        assert all(low <= value <= high for value, low, high in (row["ppv"], row["npv"]))


def test_the_cards_say_what_was_measured(full: tuple[Path, dict[str, Any]]) -> None:
    found = full[1]
    card = found["data_card"]
    assert [list(split.values())[1:] for split in card["splits"]] == [[15, 0, 15], [15, 0, 15], [11, 12, 17]]
    assert card["groups"]["scanner"] == {"A": 17, EVIL: 5, "not stated": 1}
    assert [(row["label"], row["n"]) for row in card["not_scored"]] == [("healthy", 1)]
    assert card["duplicates"] == 0
    assert card["seen_in_training"] == 0
    assert "Not the whole test." not in Page(full[0] / "report.html").words
    assert {"name": "input.size", "value": 32, "default": False} in found["model_card"]["settings"]
    assert len(found["model_card"]["hash"]) == 16


def test_all_pictures_have_words(full: tuple[Path, dict[str, Any]]) -> None:
    elements = Page(full[0] / "report.html").elements
    pictures = [attributes for tag, attributes in elements if tag == "img"]
    assert len(pictures) > 2
    assert all(attributes["alt"] for attributes in pictures)
    drawings = [attributes for tag, attributes in elements if tag == "svg"]
    assert len(drawings) == 7
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawings)


def test_the_table_holds_the_figures(full: tuple[Path, dict[str, Any]]) -> None:
    with (full[0] / "evaluation.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["figure"]: row for row in csv.DictReader(file)}
    assert [float(rows["auroc"][key]) for key in ("value", "low", "high")] == full[1]["auroc"]
    assert float(rows["threshold"]["value"]) == full[1]["operating_point"]["threshold"]
    assert float(rows["n_abnormal, scanner A"]["value"]) == 12


def test_mistakes_are_shown_worst_first(full: tuple[Path, dict[str, Any]]) -> None:
    out, found = full
    scores = {row["case"]: row for row in found["scores"]}
    middle = sorted(row["score"] for row in scores.values())[len(scores) // 2]
    decided = [row | {"flagged": row["score"] >= middle} for row in found["scores"]]
    shown = worst(found | {"operating_point": {"threshold": middle}, "scores": decided}, out)
    for name, label, sign in (("misses", "abnormal", 1), ("false_alarms", "healthy", -1)):
        wrong = [
            row["score"]
            for row in scores.values()
            if row["label"] == label and (row["score"] < middle) == (label == "abnormal")
        ]
        assert [pair["score"] for pair in shown[name]] == sorted(wrong, key=lambda score: sign * score)[:6]
        assert all(scores[pair["case"]]["score"] == pair["score"] for pair in shown[name])
        assert {pair["marked"] for pair in shown[name]} <= {label == "abnormal"}
    everyone = worst(found | {"operating_point": None}, out)
    assert [len(pairs) for pairs in everyone.values()] == [6, 6]


def test_what_is_not_there_is_said(tiny_detector: Detector, tiny_folder: Path, tmp_path: Path) -> None:
    scans = open_dataset(tiny_folder, tiny_detector.config)
    bare = dataclasses.replace(
        scans.test, items=tuple(dataclasses.replace(item, mask=None) for item in scans.test.items)
    )
    detector = dataclasses.replace(tiny_detector, calibration=None)
    report = evaluate(detector, bare, out=tmp_path)
    write_report(tmp_path, report, detector, Splits(scans.train, scans.calibration, bare))
    page = Page(tmp_path / "report.html")
    for words in ("Not calibrated.", "no masks", "Not examined: the data set has no manifest", "every test image was"):
        assert words in page.words
    for words in ("APCER", "PPV", "None", "nan", "outlined", "Undefined"):
        assert words not in page.words
    found = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert (found["predictive_values"], found["decision_curves"], found["attacks"]) == ([], [], None)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0.0"),
        (1.0, "100.0"),
        (0.001, "0.1"),
        (0.5, "50.0"),
        (0.9996, "99.96"),
        (0.00002, "0.002"),
        (0.0994, "9.9"),
    ],
)
def test_nearly_all_and_nearly_none_do_not_read_as_that(share: float, words: str) -> None:
    assert _percent(share) == f"{words}\N{NO-BREAK SPACE}%"


def test_a_prevalence_that_is_none_is_refused(tiny_detector: Detector, tiny_folder: Path, tmp_path: Path) -> None:
    scans = open_dataset(tiny_folder, tiny_detector.config)
    report = evaluate(tiny_detector, scans.test, out=tmp_path)
    with pytest.raises(ValueError, match="prevalence: expected a number between 0 and 1, got 1$"):
        write_report(tmp_path, report, tiny_detector, scans, prevalences=[0.1, 1])
    assert not (tmp_path / "report.html").exists()


def test_what_training_has_seen_is_set_aside_and_counted(
    tiny_detector: Detector, tiny_folder: Path, tmp_path: Path
) -> None:
    """A folder that grew draws its split anew; then some training images are among the test images."""
    shutil.copytree(tiny_folder, tmp_path / "data")
    config = tiny_detector.config.model_copy(
        update={"training": tiny_detector.config.training.model_copy(update={"seed": 7})}
    )
    scans = open_dataset(tmp_path / "data", config)
    before = open_dataset(tiny_folder, tiny_detector.config).train
    known = {item.path.name for item in before}
    copies = sum(item.path.name in known for item in scans.test if not item.label)
    assert copies > 0
    report = evaluate(tiny_detector, scans.test, out=tmp_path / "out")
    assert [row["reason"] for row in report.not_scored] == [SEEN] * copies
    assert report.n_healthy == sum(not item.label for item in scans.test) - copies
    write_report(tmp_path / "out", report, tiny_detector, scans, name="grown")
    assert f"{copies} test images, or copies of them, were seen in training and are set aside" in " ".join(
        (tmp_path / "out" / "report.html").read_text().split()
    )
