"""The place of a score among the healthy ones: what the drawing says, and where its lines stand."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from anogan.dashboard.case_chart import BINS, among_healthy

HEALTHY = [1.0, 1.0, 1.0, 2.0]
SVG = dict[str, list[ElementTree.Element]]


def drawn(*arguments: object) -> SVG:
    root = ElementTree.fromstring(among_healthy(*arguments))  # type: ignore[arg-type]
    return {tag: list(root.iter(tag)) for tag in ("svg", "rect", "title", "text", "polyline")}


def across(line: ElementTree.Element) -> float:
    first, second = (float(point.split(",")[0]) for point in line.attrib["points"].split())
    assert first == second, "upright"
    return first


def test_each_bar_counts_the_healthy_scores_within_it() -> None:
    parts = drawn(HEALTHY, 3.0, 5.0, "images", "words")
    assert [title.text for title in parts["title"]] == [
        "score 1.00 to 1.10: 3 of 4 healthy images",
        "score 2.00 to 2.10: 1 of 4 healthy images",
    ]
    tall, low = (float(bar.attrib["height"]) for bar in parts["rect"])
    assert tall == pytest.approx(3 * low, abs=0.2)


def test_threshold_and_case_stand_where_their_scores_do() -> None:
    parts = drawn(HEALTHY, 3.0, 5.0, "images", "words")
    threshold, case = (across(line) for line in parts["polyline"])
    first, second = (float(bar.attrib["x"]) for bar in parts["rect"])
    unit = second - first  # scores 1 and 2
    assert (threshold - first, case - first) == (pytest.approx(2 * unit, abs=0.2), pytest.approx(4 * unit, abs=0.2))
    assert {"threshold 3.00", "this case 5.00"} <= {text.text for text in parts["text"]}


@pytest.mark.parametrize(("threshold", "score"), [(None, 2.0), (math.nan, 2.0), (1.5, math.inf)])
def test_what_is_not_known_has_no_line(threshold: float | None, score: float) -> None:
    assert len(drawn(HEALTHY, threshold, score, "images", "words")["polyline"]) == 1


def test_equal_scores_and_words_with_signs_of_their_own_are_drawn() -> None:
    parts = drawn([1.0], None, 1.0, "images <b>", 'p < "0.1"')
    assert parts["svg"][0].attrib["aria-label"] == 'p < "0.1"'
    assert [title.text for title in parts["title"]] == ["score 1.00 to 2.00: 1 of 1 healthy images <b>"]
    assert len(re.findall("<rect", among_healthy(HEALTHY * BINS, None, 1.0, "images", ""))) == 2
