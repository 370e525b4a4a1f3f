"""The sheet of a case: what stands on it, what is withheld, what cannot break out of its place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from desks import new

from anogan.results.writing import ResultsWriter
from anogan.review import Desk, Policy, cases_of
from anogan.review.sheet import sheet, write_sheet
from anogan.scan import Result, Scan

SUMMARY = {
    "name": "brain",
    "hash": "f" * 64,
    "map_range": [0.0, 6.0],
    "threshold": 4.0,
    "calibration_scores": [1.0, 2.0, 5.0],
    "promise": "At most 5 % are flagged.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return results of one flagged image of 1200 x 6 pixels."""
    pixels = np.full((1200, 6), 0.5, np.float32)
    result = Result(
        *("a.png", "scored", "", 4.25, 0.5, True, 0.125),
        anomaly_map=np.full((1200, 6), 3.0, np.float32),
        reconstruction=pixels,
        notes=("the background is uneven",),
    )
    with ResultsWriter(tmp_path / "results", SUMMARY) as writer:
        writer.add(Scan(pixels, "a.png"), result, subject="ab12", label=1)
    return tmp_path / "results"


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL))


def pictures(page: str) -> list[str]:
    return re.findall(r'<figure><img src="data:image/png;base64,[^"]+" alt="([^"]+)"', page)


def test_a_signed_case_on_paper(desk: Desk, folder: Path, tmp_path: Path) -> None:
    desk.add_many(cases_of(folder))
    desk.lease(1)
    decided = desk.decide(1, 1, "confirm", "other", "<b>look</b> & see")
    desk.sign(1, decided.version)
    write_sheet(desk, 1, tmp_path / "case.html")
    page = (tmp_path / "case.html").read_text(encoding="utf-8")
    said = words(page)
    for part in (
        *("Case 1 · image · ab12 · came 2027-01-15 08:00 UTC", "Flagged", "Score 4.25", "Threshold 4.00"),
        *("p-value 0.500", "Healthy scores as high or higher 1 of 3", "Spread between restarts 0.12"),
        *("At most 5 % are flagged.", "The background is uneven.", "Signed by local, 2027-01-15 08:00 UTC: confirm."),
        *("f" * 64, desk.case(1).threshold, "≤ 0.0", "≥ 6.0", "Decision support, not a diagnosis."),
    ):
        assert part in said, part
    assert "other: &lt;b&gt;look&lt;/b&gt; &amp; see" in page
    assert pictures(page) == [
        *("The image as it was read", "Heat map over the image", "The nearest image the model of health can draw"),
    ]
    assert not re.findall(r'(?:src|href)="(?!data:)', page), "it needs nothing beside it"
    assert str(tmp_path) not in page
    assert "abnormal" not in said, "the answer that a data set holds is not on it"
    row = desk.log(size=99)[-2]  # the last one is that of desk.case
    assert (row.action, row.case, row.details) == ("exported", 1, {"cases": 1})


def test_a_blind_case_gives_no_judgment(desk: Desk, folder: Path) -> None:
    desk.add_many(cases_of(folder))
    desk.set_policy(Policy(blind_first=True))
    page = sheet(desk, 1)
    assert "Withheld until this reader's first decision." in words(page).replace("&#39;", "'")
    assert pictures(page) == ["The image as it was read"]
    for part in ("4.25", "Threshold 4", "p-value", "Flagged", "uneven", "At most", "Color scale"):
        assert part not in page
    assert "Not signed. State: open." in words(page).replace("  ", " ")


def test_the_threshold_is_that_of_the_group_or_there_is_none(desk: Desk, tmp_path: Path) -> None:
    pixels = np.full((6, 6), 0.5, np.float32)
    groups = {"a": SUMMARY | {"threshold": 7.0, "promise": "Of a: 5 %."}}
    with ResultsWriter(tmp_path, SUMMARY | {"groups": groups}) as writer:
        for group in "ab":
            result = Result(f"{group}.png", "scored", "", 4.25, anomaly_map=pixels)
            writer.add(Scan(pixels, f"{group}.png", group=group), result)
    first, second = (words(sheet(desk, id)) for id in desk.add_many(cases_of(tmp_path)))
    assert "Threshold 7.00" in first
    assert "Of a: 5 %." in first
    assert "Score 4.25" in second
    assert "Threshold" not in second
    assert "At most" not in second


def test_what_was_not_scored_and_what_has_no_pictures(desk: Desk) -> None:
    desk.add_many([new(1, p_value=None), new(2, folder="/not/here")])
    assert "Not scored , so nothing is known about it: no face" in words(sheet(desk, 1))
    page = sheet(desk, 2)
    assert "The pictures are not on this machine." in page
    assert "Score 0.50" in words(page)
    assert "/not/here" not in page


def test_faults(desk: Desk, team: dict[str, Desk], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="case 9: there is none; it may have been erased"):
        sheet(team["ana"], 9)
    with pytest.raises(ValueError, match=r"case.pdf: expected a name that ends in .html"):
        write_sheet(team["ana"], 1, tmp_path / "case.pdf")
    with pytest.raises(ValueError, match="must sign in to export"):
        sheet(desk, 1)
