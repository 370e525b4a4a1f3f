"""What an export holds, read again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from desks import new

from anogan.review import Desk, Query, export


@pytest.fixture
def decided(desk: Desk) -> Desk:
    desk.add_many([new(1, p_value=0.01, folder="/secret/place"), new(2), new(3, p_value=None)])
    desk.lease(1)
    desk.decide(1, 1, "unsure", "other", '=HYPERLINK("x"), "quoted"\nÅ')
    desk.lease(1)
    desk.sign(1, desk.decide(1, 2, "confirm", "manipulation").version)
    return desk


def test_csv(decided: Desk, tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    assert export(decided, path, Query(order="age")) == 3
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    assert [(row["id"], row["decision_verdict"]) for row in rows] == [
        ("1", "unsure"),
        ("1", "confirm"),
        ("2", ""),
        ("3", ""),
    ]
    assert rows[0]["decision_text"] == '\'=HYPERLINK("x"), "quoted"\nÅ', "a spreadsheet does not run it"
    assert (rows[1]["state"], rows[1]["verdict"], rows[1]["signed_by"], rows[1]["p_value"]) == (
        *("signed", "confirm", "local", "0.01"),
    )
    assert (rows[3]["status"], rows[3]["reason"], rows[3]["score"]) == ("not scored", "no face", "")
    assert "/secret/place" not in path.read_text()
    assert decided.log(after=0, size=99)[-1].details == {"cases": 3}


def test_json(decided: Desk, tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    assert export(decided, path, Query(state="signed")) == 1
    (case,) = json.loads(path.read_text(encoding="utf-8"))["cases"]
    assert (case["id"], case["p_value"], case["flagged"], case["signed"]) == (
        1,
        0.01,
        True,
        "2027-01-15T08:00:00.000+00:00",
    )
    assert [decision["verdict"] for decision in case["decisions"]] == ["unsure", "confirm"]
    assert case["decisions"][0]["text"] == '=HYPERLINK("x"), "quoted"\nÅ'
    assert "folder" not in case


def test_more_than_a_page(desk: Desk, tmp_path: Path) -> None:
    desk.add_many([new(number) for number in range(1001)])
    assert export(desk, tmp_path / "all.json") == 1001


def test_other_names_are_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cases.xlsx: expected a name that ends in .csv or .json"):
        export(desk, tmp_path / "cases.xlsx")
