"""The pages of the review desk as readers meet them: queue, blind decision, two readers, sign-off, export."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from shown import desk_pages, viewer
from streamlit.testing.v1 import AppTest

from anogan.dashboard import desk as review
from anogan.dashboard import desk_queue
from anogan.results.reading import read_case, read_results
from anogan.results.writing import ResultsWriter, write_one
from anogan.review import REASONS, Desk, NewCase, Policy, Query, cases_of, open_desk
from anogan.scan import Result, Scan, Series, SeriesResult

APP = Path(__file__).parents[2] / "anogan" / "dashboard" / "router.py"


pytestmark = pytest.mark.usefixtures("run")


@pytest.fixture
def filled(desk: Desk, run: Path) -> Desk:
    """Return the desk with the scored cases of the run."""
    desk.add_many([case for case in cases_of(run / "results") if case.status == "scored"])
    return desk


def new(number: int, subject: str = "", p_value: float = 0.5) -> NewCase:
    """Return a made-up case without pictures."""
    return NewCase(
        key=f"key-{number}",
        kind="image",
        subject=subject,
        title=f"image {number}",
        detector="brain 01",
        status="scored",
        reason="",
        score=1 - p_value,
        p_value=p_value,
        flagged=p_value <= 0.05,
        folder="",
    )


def start(reader: str = "local") -> AppTest:
    app = AppTest.from_function(desk_pages, default_timeout=600).run()
    assert not app.exception
    if reader != "local":
        step(app.text_input(key="desk_reader").set_value(reader))
    return app


def step(element) -> AppTest:
    app: AppTest = element.run()
    assert not app.exception
    return app


def take(reader: str = "local") -> AppTest:
    return step(start(reader).button(key="take").click())


def choose(app: AppTest, verdict: str, reason: str) -> AppTest:
    """Choose a verdict and a reason, and record nothing."""
    step(app.button(key=f"verdict-{verdict}").click())
    return step(app.button(key=f"reason-{REASONS[verdict].index(reason) + 1}").click())  # type: ignore[index]


def decide(app: AppTest, verdict: str = "dismiss", reason: str = "artifact") -> AppTest:
    return step(choose(app, verdict, reason).button(key="record").click())


def words(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.warning, app.error, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def alts(app: AppTest) -> list[str]:
    return [value for name, value in viewer(app).items() if name.endswith("_alt") and viewer(app).get(name[:-4])]


def titles(app: AppTest) -> list[str]:
    rows = [one.value.splitlines()[1] for one in app.markdown if one.value.startswith("- ")]
    return [row.strip("-* ").replace("\\", "") for row in rows]


def kinds(app: AppTest) -> dict[str, str]:
    """Return which of the buttons for verdicts and reasons stand out."""
    return {one.key: one.proto.type for one in app.button if one.key.startswith(("verdict-", "reason-"))}


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def team(desk: Desk) -> Desk:
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    for user in ("ana", "ben"):
        admin.set_role(user, "reader")
    admin.set_role("uwe", "auditor")
    return admin


def test_an_empty_desk_says_what_brings_cases(desk: Desk) -> None:
    app = start()
    assert app.subheader[0].value == "No case waits"
    assert app.code[0].value == "anogan inspect runs/NAME IMAGES... --desk DATABASE"
    assert words(app).count("Decision support, not a diagnosis.") == 1
    step(app.button(key="take").click())
    assert app.info[0].value == "No case under these filters waits for you."


def test_the_router_shows_the_desk_only_where_one_is_named(filled: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"desk", "desk case"} <= set(AppTest.from_file(APP, default_timeout=600).run().session_state["pages"])
    monkeypatch.delenv("ANOGAN_DESK")
    assert "desk" not in AppTest.from_file(APP, default_timeout=600).run().session_state["pages"]
    assert start().subheader[0].value == "No review desk"


def test_a_desk_that_cannot_be_opened_is_one_sentence(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOGAN_DESK", "mysql://somebody:secret@host/desk")
    app = start()
    assert "a desk needs SQLite (a path) or postgresql://..., not mysql" in words(app)
    assert "secret" not in words(app)


def test_the_queue_is_ordered_filtered_and_counted_by_state(desk: Desk) -> None:
    desk.add_many([new(1, p_value=0.9), new(2, p_value=0.01), new(3, p_value=0.5)])
    app = start()
    assert titles(app) == ["image 2", "image 3", "image 1"]
    assert "**3** open" in words(app)
    step(app.selectbox(key="desk_order").set_value("age"))
    assert titles(app) == ["image 1", "image 2", "image 3"]
    step(app.selectbox(key="desk_flagged").set_value("Flagged"))
    assert titles(app) == ["image 2"]
    step(app.selectbox(key="desk_kind").set_value("series"))
    assert app.info[0].value == "No case under these filters waits."


def test_a_case_is_found_by_its_number_its_pseudonym_or_who_read_it(desk: Desk) -> None:
    desk.add_many([new(1, "ab12"), new(2, "ab34"), new(3, "cd56")])
    held = desk.lease(3)
    desk.decide(3, held.version, "dismiss", "artifact")
    app = start()
    for words, found in (
        ("ab", ["image 1", "image 2"]),
        (" #2 ", ["image 2"]),
        ("1", ["image 1"]),
        ("key-2", ["image 2"]),
    ):
        step(app.text_input(key="desk_search").set_value(words))
        assert titles(app) == found
    step(app.text_input(key="desk_search").set_value("zz"))
    assert app.info[0].value == "No case under these filters waits."
    step(app.text_input(key="desk_search").set_value(""))
    step(app.selectbox(key="desk_state").set_value("All"))
    step(app.text_input(key="desk_read_by").set_value("local"))
    assert titles(app) == ["image 3"]


def test_pages_follow_each_other_without_a_gap_while_cases_go(desk: Desk) -> None:
    length = desk_queue.PAGE_LENGTH
    desk.add_many([new(number, p_value=number / 100) for number in range(length + 3)])
    app = start()
    first = titles(app)
    assert len(first) == length
    assert app.button(key="desk-back").disabled
    case = desk.take()  # the first goes, and an offset would now skip one
    assert case is not None
    desk.decide(case.id, case.version, "dismiss", "artifact")
    step(app.button(key="desk-on").click())
    assert titles(app) == [f"image {length + number}" for number in range(3)]
    assert app.button(key="desk-on").disabled
    step(app.button(key="desk-back").click())
    assert titles(app) == [*first[1:], f"image {length}"]
    step(app.button(key="desk-on").click())
    step(app.selectbox(key="desk_order").set_value("age"))
    assert "Page 1" in words(app), "another order begins anew"


def test_a_decided_case_leaves_the_queue_and_can_be_signed(filled: Desk) -> None:
    app = start()
    first = titles(app)[0]
    step(app.button(key="open-0").click())
    assert app.title[0].value.replace("\\", "") == first
    id = int(app.query_params["case"])
    assert filled.case(id).reader == "local"
    decide(app, "confirm", "abnormal finding")
    assert "Confirm" in words(app)
    step(app.button(key="sign").click())
    assert filled.case(id).signed_by == "local"
    assert not {"sign", "reopen", "record"} & keys(app)
    step(app.button(key="back").click())
    assert first not in titles(app)
    assert "**1** signed" in words(app)


def test_who_has_only_decided_blind_is_offered_no_signature(desk: Desk) -> None:
    desk.set_role("ida", "admin")
    admin = desk.sign_in("ida")
    for user in ("ana", "ben"):
        admin.set_role(user, "reader")
    admin.set_policy(Policy(blind_first=True))
    id = admin.add(new(1))
    ana, ben = desk.sign_in("ana"), desk.sign_in("ben")
    ana.decide(id, ana.lease(id).version, "confirm", "manipulation")
    ana.release(id)
    for _ in range(2):
        ben.decide(id, ben.lease(id).version, "dismiss", "artifact")
    for user, may in (("ana", False), ("ben", True)):
        app = start(user)
        step(app.selectbox(key="desk_state").set_value("decided"))
        step(app.button(key="open-0").click())
        assert int(app.query_params["case"]) == id
        assert ("sign" in keys(app)) is may


def test_nothing_is_chosen_beforehand(filled: Desk) -> None:
    app = take()
    assert kinds(app) == {"verdict-confirm": "secondary", "verdict-dismiss": "secondary", "verdict-unsure": "secondary"}
    assert "record" not in keys(app)
    step(app.button(key="verdict-dismiss").click())
    assert kinds(app)["verdict-dismiss"] == "primary"
    assert {kind for key, kind in kinds(app).items() if key.startswith("reason")} == {"secondary"}
    assert app.button(key="record").disabled
    step(app.button(key="reason-2").click())
    assert not app.button(key="record").disabled
    step(app.button(key="verdict-confirm").click())
    assert app.button(key="record").disabled, "a reason belongs to its verdict"
    decide(app, "dismiss", "other")
    assert "text: is empty; say in words what the other reason is" in app.error[0].value.replace("\\", "")
    assert filled.counts(Query(state="decided")) == {}
    assert kinds(app)["reason-5"] == "primary", "a refused decision stays as it was chosen"


def test_every_step_of_a_reading_has_its_key(filled: Desk) -> None:
    app = take()
    step(app.button(key="verdict-dismiss").click())
    shortcuts = {button.key: button.proto.shortcut for button in app.button}
    assert shortcuts["back"] == "b"
    assert [shortcuts[f"verdict-{name}"] for name in ("confirm", "dismiss", "unsure")] == ["a", "d", "u"]
    assert [shortcuts[f"reason-{place}"] for place in range(1, 6)] == ["1", "2", "3", "4", "5"]
    assert shortcuts["record"] == "ctrl+enter"
    decide(app)
    assert {button.key: button.proto.shortcut for button in app.button} == {
        **{"back": "b", "previous": "p", "next": "n", "sign": "s", "reopen": "o", "take": "t"}
    }


def test_next_and_previous_walk_through_the_list_and_give_cases_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = 2
    monkeypatch.setattr(desk_queue, "PAGE_LENGTH", length)
    desk.add_many([new(number, p_value=number / 100) for number in range(length + 2)])
    app = step(start().button(key="open-0").click())
    assert app.button(key="previous").disabled
    first = int(app.query_params["case"])
    step(app.button(key="next").click())
    second = int(app.query_params["case"])
    assert app.title[0].value == "image 1"
    assert (desk.case(first).reader, desk.case(second).reader) == ("", "local")
    step(app.button(key="previous").click())
    assert int(app.query_params["case"]) == first
    for _ in range(length + 1):  # past the end of the page that was listed
        step(app.button(key="next").click())
    assert app.title[0].value == f"image {length + 1}"
    assert app.button(key="next").disabled


def test_on_a_blind_desk_score_and_map_come_after_the_first_decision(filled: Desk, run: Path) -> None:
    filled.set_policy(Policy(blind_first=True))
    app = start()
    assert "desk_flagged" not in {box.key for box in app.selectbox}
    assert "Withheld" in words(app)
    step(app.button(key="take").click())
    id = int(app.query_params["case"])
    title = app.title[0].value.replace("\\", "")
    case = next(case for case in read_results(run / "results")["cases"] if Path(case["file"]).name == title)
    assert alts(app) == ["The image as it was read"]
    assert "Score and heat map come after your first decision." in words(app)
    assert "The score" not in words(app)
    assert "p =" not in words(app)
    assert f"{case['score']:.2f}" not in words(app)

    decide(app)
    assert any(alt.startswith("Heat map over the image") for alt in alts(app))
    assert f"The score {case['score']:.2f}" in words(app)
    assert "before the score was shown" in words(app)
    assert set(kinds(app).values()) == {"secondary"}
    assert filled.case(id).state == "open"

    decide(app, "confirm", "abnormal finding")
    assert filled.case(id).state == "decided"
    assert [decision.blind for decision in filled.decisions(id)] == [True, False]


def test_the_answer_that_a_data_set_holds_is_not_shown_to_who_decides(filled: Desk, run: Path) -> None:
    cases = read_results(run / "results")["cases"]
    labels = {str(case["label"]) for case in cases if case["status"] == "scored"}
    assert labels == {"healthy", "abnormal"}
    app = take()
    shown = {str(value) for table in app.table for value in table.value.to_numpy().ravel()}
    assert "p-value" in shown
    assert not labels & shown
    assert "outline" not in viewer(app), "no mask can be outlined"


def test_a_blind_series_is_scrolled_without_its_maps(desk: Desk, run: Path) -> None:
    scans = tuple(Scan(np.full((40, 30), place / 10, np.float32), f"{place}.dcm") for place in range(5))
    slices = tuple(Result(scan.source, "scored", score=1.0, anomaly_map=np.ones((40, 30))) for scan in scans)
    summary = {"map_range": [0, 6], "threshold": 2.0, "calibration_scores": [1.0] * 19, "unit": "series"}
    with ResultsWriter(run / "volumes", summary) as writer:
        writer.add_series(
            Series(scans, "study/T1"), SeriesResult("study/T1", "scored", "", 3.0, 0.05, True, slices, (0, 1))
        )
    desk.add_many(cases_of(run / "volumes"))
    desk.set_policy(Policy(blind_first=True))
    app = take()
    assert alts(app) == ["The image as it was read"]
    (slider,) = app.slider
    assert slider.value == 3, "the middle, and not where the detector points to"
    assert not [key for key in keys(app) if key.startswith("slice-")]
    saw = len([row for row in desk.log(size=100) if row.action == "saw"])
    step(slider.set_value(5))
    assert len([row for row in desk.log(size=100) if row.action == "saw"]) == saw
    decide(app)
    (slider,) = app.slider
    assert slider.value == 1
    assert "heat" in viewer(app)


def test_the_scores_of_a_subject_become_a_chart_once_there_are_two(desk: Desk) -> None:
    desk.add_many([new(1, "subject-7", 0.1), new(2, "subject-7", 0.3), new(3, "subject-8")])
    app = start()
    step(app.text_input(key="desk_search").set_value("#2"))
    step(app.button(key="open-0").click())
    assert len(app.get("plotly_chart")) == 1
    desk.set_policy(Policy(blind_first=True))
    app = start()
    step(app.text_input(key="desk_search").set_value("#2"))
    step(app.button(key="open-0").click())
    assert not app.get("plotly_chart"), "the scores wait for the blind decision"


def test_earlier_cases_of_the_subject_are_listed_and_their_p_values_wait_for_the_blind_decision(desk: Desk) -> None:
    desk.add_many([new(1, "subject-7", 0.123), new(2, "subject-7"), new(3, "subject-8")])
    first = desk.lease(1)
    desk.decide(1, first.version, "dismiss", "artifact")
    desk.set_policy(Policy(blind_first=True))
    app = take()
    assert app.query_params["case"] == "2"
    assert "image 1 · decided: dismiss" in words(app)
    assert "0.123" not in words(app)
    decide(app)
    assert "p = 0.123" in words(app)
    assert "image 3" not in words(app)


def test_who_comes_second_is_told_who_reads_the_case(filled: Desk) -> None:
    team(filled)
    app, other = take("ana"), start("ben")
    assert "read by ana" in words(other)
    step(other.button(key="open-0").click())
    assert "is being read by ana until" in other.warning[0].value.replace("\\", "")
    assert not kinds(other)
    step(app.button(key="back").click())
    assert "read by ana" not in words(app), "the way back gives the case back"


def test_a_decision_that_comes_too_late_is_a_sentence_and_the_case_is_shown_as_it_is(filled: Desk) -> None:
    admin = team(filled)
    admin.set_policy(Policy(lease=1))
    app = choose(take("ana"), "confirm", "abnormal finding")
    id = int(app.query_params["case"])
    ben = open_desk(review.database(), "ben", clock=lambda: time.time() + 60)  # ana's lease has run out
    held = ben.lease(id)
    ben.decide(id, held.version, "dismiss", "artifact")
    ben.close()
    step(app.button(key="record").click())
    assert app.error[0].value.replace("\\", "").startswith(f"case {id}: has changed since it was opened (version 2")
    assert "Decided: dismiss" in words(app)
    assert not kinds(app)
    assert "sign" not in keys(app), "who has not read it does not sign it"
    assert [decision.reader for decision in admin.decisions(id)] == ["ben"]


def test_roles_decide_what_is_offered_and_a_stranger_is_refused(filled: Desk) -> None:
    team(filled)
    assert "this desk has members, so you must sign in to see cases" in words(start())
    assert "eve: is no member of this desk" in words(start("eve"))
    app = start("uwe")
    assert "take" not in keys(app)
    step(app.button(key="open-0").click())
    assert not kinds(app)
    assert filled.sign_in("uwe").case(int(app.query_params["case"])).reader == ""


def test_what_was_not_scored_is_decided_by_eye_and_never_called_normal(desk: Desk, run: Path) -> None:
    desk.add_many([case for case in cases_of(run / "results") if case.status == "not scored"])
    app = take()
    assert "was not scored, so nothing is known about it" in words(app)
    assert "the PNG ends too early" in words(app)
    assert "has no pictures" in words(app)
    assert "normal" not in words(app).lower()
    decide(app, "unsure", "poor quality")
    assert desk.case(1).state == "arbitration"


@pytest.mark.parametrize("case", ["99", "99999999999999999999", "../..", "-1", "²"])
def test_a_case_that_is_not_there_is_a_sentence(filled: Desk, case: str) -> None:
    app = step(start().button(key="take").click())
    app.query_params["case"] = case
    step(app)
    assert f"case {case}: there is none" in words(app) or app.subheader[0].value == "No case open"


def test_clicks_on_a_case_do_not_fill_the_log(filled: Desk) -> None:
    app = take()
    before = len(filled.log(size=1000))
    choose(app, "dismiss", "artifact")
    step(app.button(key="verdict-unsure").click())
    assert len(filled.log(size=1000)) == before


def test_results_made_anew_show_no_map_that_belongs_to_another_detector(filled: Desk, run: Path) -> None:
    path = run / "results" / "results.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["detector"]["hash"] = "f" * 64
    path.write_text(json.dumps(document), encoding="utf-8")
    app = take()
    assert alts(app) == ["The image as it was read"]
    assert "or was made anew since" in words(app)


def test_the_export_holds_what_the_page_shows(desk: Desk) -> None:
    desk.add_many([new(1), new(10)])
    held = desk.lease(1)
    desk.decide(1, held.version, "dismiss", "other", "a hair")
    query = Query(search="key-1", order="age")
    (row,) = csv.DictReader(io.StringIO(review.exported(desk, Query(number=1), "csv")))
    assert (row["key"], row["verdict"], row["decision_text"]) == ("key-1", "dismiss", "a hair")
    assert [case["key"] for case in json.loads(review.exported(desk, query, "json"))["cases"]] == ["key-1", "key-10"]
    app = start()
    assert [button.label for button in app.download_button] == ["Export CSV", "Export JSON"]


def test_a_screening_is_shown_with_its_map(desk: Desk, run: Path, tmp_path: Path) -> None:
    """As `anogan serve` leaves it: one folder each, with a list of that case alone."""
    found = read_results(run / "results")
    entry = next(case for case in found["cases"] if case["flagged"])
    folder = tmp_path / "screenings" / "cases" / ("5" * 16)
    shutil.copytree(run / "results" / "cases" / entry["case"], folder)
    maps = read_case(folder.parent.parent, folder.name)
    scan = Scan(maps["image"].astype(np.float32) / 255, "photo")
    parts = {name: entry[name] for name in ("score", "p_value", "flagged", "components", "seconds")}
    write_one(folder, found["detector"], folder.name, scan, Result("photo", "scored", **parts))
    desk.add(
        dataclasses.replace(
            new(1, p_value=entry["p_value"]),
            key="screening 5",
            kind="screening",
            folder=str(folder),
            title="screening 5",
        )
    )
    app = take()
    assert "made anew since" not in words(app)
    assert "heat" in viewer(app)
    assert desk.case(1).state == "open"
