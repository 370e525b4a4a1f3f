"""The case view: pictures, words and the way through the list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from anogan.dashboard import case_view, widgets
from anogan.dashboard.worklist import matching
from anogan.io.results import ResultsWriter
from anogan.scan import Result, Scan
from anogan.series import Series, SeriesResult

Cases = Callable[[Path], list[dict[str, Any]]]


def open_case(case: str | None = None) -> AppTest:
    def script() -> None:
        from anogan.dashboard import case

        case.page()

    app = AppTest.from_function(script, default_timeout=30)
    if case is not None:
        app.query_params["case"] = case
    app.run()
    assert not app.exception
    return app


def clean(text: str) -> str:
    return text.replace("\\", "")


def test_the_case_shows_its_pictures_its_scale_and_its_components(run: Path, cases_of: Cases) -> None:
    case = next(case for case in cases_of(run) if case["flagged"])
    app = open_case(case["case"])
    titles = [element.value for element in app.markdown]
    for title in ("Image", "Heat map", "Healthy counterpart", "Discriminator", "Nearest healthy", "Spectrum"):
        assert f"**{title}**" in titles
    alts = [image.proto.imgs[0].alt for image in app.image]
    assert alts[0] == "Color scale from 0.0 to 6.0 healthy standard deviations"
    assert len(alts) == 1 + 3 + 6
    assert all(alts)


def test_the_color_scale_is_the_same_for_every_case(run: Path, cases_of: Cases) -> None:
    first, second = (case["case"] for case in cases_of(run)[:2])
    one, two = open_case(first), open_case(second)
    assert one.image[0].proto.imgs[0].url == two.image[0].proto.imgs[0].url
    assert one.image[1].proto.imgs[0].url != two.image[1].proto.imgs[0].url


def test_the_opacity_slider_changes_the_heat_map_and_nothing_else(run: Path, cases_of: Cases) -> None:
    app = open_case(cases_of(run)[-2]["case"])
    before = [image.proto.imgs[0].url for image in app.image]
    app.slider(key="opacity").set_value(0).run()
    after = [image.proto.imgs[0].url for image in app.image]
    assert [index for index, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [2]


def test_the_outline_of_a_known_mask_is_drawn_on_request(run: Path, cases_of: Cases) -> None:
    app = open_case(cases_of(run)[-2]["case"])
    before = app.image[1].proto.imgs[0].url
    app.toggle(key="outline").set_value(True).run()
    assert app.image[1].proto.imgs[0].url != before


def test_a_case_that_was_not_scored_says_why_and_shows_no_map(run: Path, cases_of: Cases) -> None:
    app = open_case(cases_of(run)[-1]["case"])
    words = clean(" ".join(str(element.value) for element in app.markdown))
    assert "was not scored, so nothing is known about it" in words
    assert "the PNG ends too early" in words
    assert "neither flagged nor cleared" in " ".join(caption.value for caption in app.caption)
    assert len(app.image) == 0


@pytest.mark.parametrize("wanted", ["0" * 16, "../../..", "<script>"])
def test_a_case_that_is_not_in_the_list_is_refused(run: Path, wanted: str) -> None:
    app = open_case(wanted)
    assert app.subheader[0].value == "No such case"


def test_without_a_case_in_the_address_the_first_of_the_list_is_shown(run: Path, cases_of: Cases) -> None:
    scored = [case for case in cases_of(run) if case["status"] == "scored"]
    first = min(scored, key=lambda case: (case["p_value"], -case["score"]))
    app = open_case()
    assert clean(app.title[0].value) == Path(first["file"]).name
    buttons = {button.label: button for button in app.button}
    assert buttons["Previous"].disabled
    assert not buttons["Next"].disabled


def test_next_opens_the_second_case_of_the_list(run: Path, cases_of: Cases) -> None:
    scored = [case for case in cases_of(run) if case["status"] == "scored"]
    second = sorted(scored, key=lambda case: (case["p_value"], -case["score"]))[1]
    app = AppTest.from_file(Path(__file__).parents[2] / "app.py", default_timeout=30).run()
    app.button(key="open-0").click().run()
    next(button for button in app.button if button.label == "Next").click().run()
    assert not app.exception
    assert app.query_params == {"case": second["case"]}


def test_damaged_maps_leave_the_words_and_one_error(run: Path, cases_of: Cases) -> None:
    case = cases_of(run)[0]
    (run / "results" / "cases" / case["case"] / "maps.npz").write_bytes(b"PK torn")
    app = open_case(case["case"])
    assert len(app.error) == 1
    assert "maps.npz: is damaged" in clean(app.error[0].value)
    assert "so this case is" in clean(" ".join(str(element.value) for element in app.markdown))


SUMMARY = {"threshold": 4.0, "calibration_scores": [1.0, 2.0, 3.0, 4.0, 5.0]}


def test_the_judgment_counts_the_healthy_images_above() -> None:
    case = {"status": "scored", "score": 4.0, "p_value": 0.5, "flagged": True}
    words = case_view.judgment(case, SUMMARY)
    assert words == (
        "The score 4.00 reaches the threshold 4.00, so this case is flagged. "
        "2 of the 5 healthy calibration images scored as high or higher: p = 0.500."
    )


def test_the_judgment_says_that_p_cannot_go_lower() -> None:
    case = {"status": "scored", "score": 9.0, "p_value": 1 / 6, "flagged": True}
    words = case_view.judgment(case, SUMMARY)
    assert "None of the 5 healthy calibration images scored as high: p = 0.167" in words
    assert words.endswith("5 images cannot give a smaller one than 1 / 6.")


def test_the_judgment_without_calibration_claims_nothing() -> None:
    case = {"status": "scored", "score": 9.0, "p_value": None, "flagged": None}
    assert "no p-value and no threshold" in case_view.judgment(case, {"threshold": None})


def test_the_outline_surrounds_the_mask_and_keeps_its_inside() -> None:
    image, mask = np.full((9, 9), 100, np.uint8), np.zeros((9, 9), bool)
    mask[4, 4] = True
    drawn = case_view.outline(image, mask)
    assert drawn.shape == (9, 9, 3)
    assert drawn[4, 4].tolist() == [100] * 3
    assert [drawn[4, column, 0] for column in range(9)] == [100, 100, 0, 255, 100, 255, 0, 100, 100]
    assert [drawn[row, 4, 0] for row in range(9)] == [100, 100, 0, 255, 100, 255, 0, 100, 100]


def test_a_case_is_judged_by_its_own_group() -> None:
    summary = {"threshold": 9.0, "calibration_scores": [1.0, 9.0]}
    summary["groups"] = {"A": {"threshold": 4.0, "calibration_scores": [1.0, 2.0, 3.0]}}
    case = {"status": "scored", "score": 5.0, "p_value": 0.25, "flagged": True, "group": "A"}
    assert "reaches the threshold 4.00" in case_view.judgment(case, summary)
    assert "None of the 3 healthy calibration images" in case_view.judgment(case, summary)
    unknown = {**case, "p_value": None, "flagged": None, "group": "C", "reason": "not calibrated: scanner C is unknown"}
    words = case_view.judgment(unknown, summary)
    assert words == "The score is 5.00, and nothing was decided: not calibrated: scanner C is unknown."
    assert widgets.verdict(unknown)[0] == "Not calibrated"


def test_a_score_near_the_threshold_is_for_a_person() -> None:
    case = {"status": "scored", "score": 3.9, "p_value": 0.25, "flagged": None, "reason": "review by hand"}
    words = case_view.judgment(case, {"threshold": 4.0, "calibration_scores": [1.0, 2.0, 3.0]})
    assert "stays below the threshold 4.00, and nothing was decided: review by hand." in words
    assert widgets.verdict(case)[0] == "Not decided"
    assert matching([{**case, "file": "a.png"}], "Not flagged") == []
    assert len(matching([{**case, "file": "a.png"}], "Not decided")) == 1


def test_a_series_shows_its_top_slice_and_names_the_others(run: Path, cases_of: Cases) -> None:
    cases_of(run)
    scans = tuple(Scan(np.full((40, 30), place / 10, np.float32), f"{place}.dcm") for place in range(5))
    slices = tuple(Result(scan.source, "scored", score=1.0, anomaly_map=np.ones((40, 30))) for scan in scans)
    summary = {"map_range": [0, 6], "threshold": 2.0, "calibration_scores": [1.0] * 19, "unit": "series"}
    result = SeriesResult("study/T1", "scored", "", 3.0, 0.05, True, slices, (3, 1, 2))
    with ResultsWriter(run / "results", summary) as writer:
        case = writer.add_series(Series(scans, "study/T1"), result)
    app = open_case(case)
    assert [title.value for title in app.title] == ["T1"]
    captions = [clean(caption.value) for caption in app.caption]
    assert "A series of 5 slices. Shown is slice 4, the most unusual; after it come 2, 3." in captions
    assert any("None of the 19 healthy calibration series scored as high" in clean(text.value) for text in app.markdown)
