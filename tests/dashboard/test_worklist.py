"""The work list as a reader meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from anogan.dashboard.worklist import PAGE_LENGTH

APP = Path(__file__).parents[2] / "anogan" / "dashboard" / "router.py"


def start() -> AppTest:
    app = AppTest.from_file(APP, default_timeout=600).run()
    assert not app.exception
    return app


def text_of(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.warning, app.error, app.info, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def names(app: AppTest) -> list[str]:
    """Return the file names in the rows of the list, top to bottom."""
    shown = [element.value.splitlines()[0] for element in app.markdown if element.value.startswith("**")]
    return [name.strip("* ").replace("\\", "") for name in shown if name.strip("* ").endswith("png")]


def test_cases_stand_in_the_order_of_their_p_values(
    run: Path, cases_of: Callable[[Path], list[dict[str, Any]]]
) -> None:
    app = start()
    scored = [case for case in cases_of(run) if case["status"] == "scored"]
    ordered = sorted(scored, key=lambda case: (case["p_value"], -case["score"]))
    assert names(app) == [Path(case["file"]).name for case in ordered]


def test_a_file_that_was_not_scored_is_named_at_the_top_and_never_called_normal(run: Path) -> None:
    app = start()
    assert "1 file was not scored" in app.warning[0].value
    assert "the PNG ends too early" in app.warning[0].value.replace("\\", "")
    app.segmented_control(key="filter").set_value("Not scored").run()
    assert names(app) == ["torn.png"]
    assert "normal" not in text_of(app).lower()


def test_the_filter_counts_and_keeps_only_flagged_cases(
    run: Path, cases_of: Callable[[Path], list[dict[str, Any]]]
) -> None:
    app = start()
    flagged = [case for case in cases_of(run) if case["flagged"]]
    assert f"Flagged ({len(flagged)})" in app.segmented_control(key="filter").options
    app.segmented_control(key="filter").set_value("Flagged").run()
    assert sorted(names(app)) == sorted(Path(case["file"]).name for case in flagged)


def test_the_search_finds_a_subject(run: Path) -> None:
    app = start()
    app.text_input(key="search").set_value("SUBJECT-03").run()
    assert names(app) == ["healthy_[03].png"]
    app.text_input(key="search").set_value("nobody").run()
    assert app.info[0].value == "No case matches."


def test_a_click_opens_the_case_by_its_hash(run: Path, cases_of: Callable[[Path], list[dict[str, Any]]]) -> None:
    app = start()
    first = names(app)[0]
    app.button(key="open-0").click().run()
    assert not app.exception
    assert app.title[0].value.replace("\\", "") == first
    case = next(case for case in cases_of(run) if case["file"].endswith(first))
    assert app.query_params == {"case": case["case"]}


def test_a_long_list_is_shown_page_by_page(run: Path) -> None:
    path = run / "results" / "results.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["cases"] = [document["cases"][0] | {"file": f"{index:03d}.png"} for index in range(PAGE_LENGTH + 3)]
    path.write_text(json.dumps(document), encoding="utf-8")
    app = start()
    assert len(names(app)) == PAGE_LENGTH
    app.button(key="page-on").click().run()
    assert names(app) == [f"{index:03d}.png" for index in range(PAGE_LENGTH, PAGE_LENGTH + 3)]
    assert app.button(key="page-on").disabled


def test_without_calibration_nothing_is_flagged_and_the_page_says_so(run: Path) -> None:
    path = run / "results" / "results.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["detector"] |= {"threshold": None, "calibration_scores": [], "n_calibration": 0, "promise": ""}
    for case in document["cases"]:
        case |= {"p_value": None, "flagged": None}
    path.write_text(json.dumps(document), encoding="utf-8")
    app = start()
    assert "not calibrated" in app.warning[0].value
    assert "Flagged (0)" in app.segmented_control(key="filter").options


def test_decision_support_is_said_once(run: Path) -> None:
    assert text_of(start()).count("Decision support, not a diagnosis.") == 1


def test_a_run_without_results_says_what_to_do(empty_run: Path) -> None:
    app = start()
    assert app.subheader[0].value == "No cases yet"
    assert app.code[0].value == f"anogan inspect {empty_run.as_posix()} IMAGES..."


def test_damaged_results_are_one_sentence(run: Path) -> None:
    (run / "results" / "results.json").write_text('{"format": 1, "cases": [', encoding="utf-8")
    app = start()
    assert len(app.error) == 1
    assert "results.json" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize(
    ("name", "words"), [("missing", "There is no run folder"), ("", "is not a run folder: it holds no detector")]
)
def test_a_wrong_run_folder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setenv("ANOGAN_RUN", str(tmp_path / name))
    assert words in start().error[0].value.replace("\\", "")


def test_without_a_run_the_page_shows_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANOGAN_RUN", raising=False)
    app = start()
    assert app.code[0].value == "anogan dashboard runs/NAME"
