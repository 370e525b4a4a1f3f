"""The case view: pictures, words and the way through the list."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shown import viewer
from streamlit.testing.v1 import AppTest

from anogan.dashboard import case_view, widgets
from anogan.dashboard.viewer import outline, prepared
from anogan.dashboard.worklist import matching
from anogan.results.heatmap import layer
from anogan.results.reading import read_case
from anogan.results.writing import ResultsWriter
from anogan.scan import Result, Scan, Series, SeriesResult

Cases = Callable[[Path], list[dict[str, Any]]]


def open_case(case: str | None = None) -> AppTest:
    def script() -> None:
        from anogan.dashboard import case

        case.page()

    app = AppTest.from_function(script, default_timeout=600)
    if case is not None:
        app.query_params["case"] = case
    app.run()
    assert not app.exception
    return app


def clean(text: str) -> str:
    return text.replace("\\", "")


def picture(uri: str) -> np.ndarray:
    """Return the pixels of a picture as the browser gets it."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


def test_the_case_shows_its_pictures_its_scale_and_its_components(run: Path, cases_of: Cases) -> None:
    case = next(case for case in cases_of(run) if case["flagged"])
    app = open_case(case["case"])
    titles = [element.value for element in app.markdown]
    for title in ("Discriminator", "Nearest healthy", "Spectrum"):
        assert f"**{title}**" in titles
    shown, maps = viewer(app), read_case(run / "results", case["case"])
    assert (picture(shown["image"]) == maps["image"]).all(), "at its own resolution, every pixel"
    assert (picture(shown["healthy"]) == maps["reconstruction"]).all()
    assert (picture(shown["heat"]) == layer(maps["anomaly_map"], (0.0, 6.0))).all()
    assert shown["scale_alt"] == "Color scale from 0.0 to 6.0 healthy standard deviations"
    assert shown["heat_alt"] == f"Heat map over the image, score {case['score']:.2f}"
    alts = [image.proto.imgs[0].alt for image in app.image]
    assert len(alts) == 6
    assert all(alts)


def test_the_color_scale_is_the_same_for_every_case(run: Path, cases_of: Cases) -> None:
    one, two = (viewer(open_case(case["case"])) for case in cases_of(run)[:2])
    assert one["scale"] == two["scale"]
    assert one["heat"] != two["heat"]
    assert one["stamp"] != two["stamp"]


def test_the_outline_of_a_known_mask_is_there_to_be_drawn(run: Path, cases_of: Cases) -> None:
    case = cases_of(run)[-2]["case"]
    drawn = picture(viewer(open_case(case))["outline"])
    assert (drawn == outline(read_case(run / "results", case)["mask"])).all()
    assert drawn.any()


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
    app = AppTest.from_file(Path(__file__).parents[2] / "anogan/dashboard/router.py", default_timeout=600).run()
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
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    drawn = outline(mask)
    assert drawn.shape == (9, 9, 4)
    clear, black, white = [0, 0, 0, 0], [0, 0, 0, 255], [255] * 4
    expected = [clear, clear, black, white, clear, white, black, clear, clear]
    assert drawn[4].tolist() == expected
    assert drawn[:, 4].tolist() == expected


def test_a_large_image_keeps_every_pixel_and_its_map_is_as_fine_as_needed() -> None:
    maps = {"image": np.zeros((1100, 2200), np.uint8), "anomaly_map": np.full((1100, 2200), 2.0, np.float32)}
    shown = prepared(maps, (0.0, 6.0))
    assert picture(shown["image"]).shape == (1100, 2200)
    heat = picture(shown["heat"])
    assert heat.shape == (512, 1024, 4)
    assert (heat == layer(np.full((1, 1), 2.0), (0.0, 6.0))[0, 0]).all()


def test_windows_are_for_gray_images_alone() -> None:
    gray = prepared({"image": np.arange(256, dtype=np.uint8).reshape(16, 16)}, None)
    assert [name for name, *_ in gray["presets"]] == ["Full range", "Automatic", "Dark parts", "Bright parts"]
    assert not {"heat", "healthy", "outline", "scale"} & set(gray)
    assert prepared({"image": np.zeros((4, 4), np.uint8)}, None)["presets"][1][2] >= 1, "no window is empty"
    color = prepared({"image": np.zeros((4, 4, 3), np.uint8)}, None)
    assert (color["gray"], color["presets"]) == (False, [])


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


def test_a_series_is_scrolled_and_its_top_slices_are_named(run: Path, cases_of: Cases) -> None:
    cases_of(run)
    scans = tuple(Scan(np.full((40, 30), place / 10, np.float32), f"{place}.dcm") for place in range(5))
    slices = tuple(Result(scan.source, "scored", score=1.0, anomaly_map=np.ones((40, 30))) for scan in scans)
    summary = {"map_range": [0, 6], "threshold": 2.0, "calibration_scores": [1.0] * 19, "unit": "series"}
    result = SeriesResult("study/T1", "scored", "", 3.0, 0.05, True, slices, (3, 1, 2))
    with ResultsWriter(run / "results", summary) as writer:
        case = writer.add_series(Series(scans, "study/T1", notes=("the steps are uneven",)), result)
    app = open_case(case)
    assert [title.value for title in app.title] == ["T1"]
    captions = [clean(caption.value) for caption in app.caption]
    assert "A series of 5 slices. The most unusual is slice 4; after it come 2, 3." in captions
    assert any("None of the 19 healthy calibration series scored as high" in clean(text.value) for text in app.markdown)
    assert any("The steps are uneven." in clean(text.value) for text in app.markdown)

    key = f"slice-{case}"
    assert app.slider(key=key).value == 4
    assert set(picture(viewer(app)["image"]).ravel()) == {76}  # 0.3 * 255, rounded to even
    app.slider(key=key).set_value(1).run()
    assert set(picture(viewer(app)["image"]).ravel()) == {0}
    assert viewer(app)["heat_alt"] == "Heat map over slice 1"
    app.button(key=f"{key}-3").click().run()
    assert app.slider(key=key).value == 3
    assert set(picture(viewer(app)["image"]).ravel()) == {51}
    assert any(caption.value == "Slice 3 is number 3 of the 3 most unusual." for caption in app.caption)
    assert viewer(app)["key"] == case, "zoom and window stay as they are from slice to slice"
    assert not app.exception


@pytest.mark.parametrize(
    ("uncertainty", "words"),
    [(0.4, "could change on another try"), (0.05, "does not hang on chance"), (None, "")],
)
def test_the_spread_of_the_restarts_is_said_in_words(uncertainty: float | None, words: str) -> None:
    case = {"status": "scored", "score": 4.5, "uncertainty": uncertainty}
    said = case_view.certainty(case, {"threshold": 4.0})
    assert (words in said) and bool(said) == bool(words)


def test_the_nearest_healthy_images_are_shown_where_they_are_here(run: Path, cases_of: Cases) -> None:
    case, other = (one["case"] for one in cases_of(run)[:2])
    path = run / "results" / "results.json"
    for nearest in ({other: 0.5, "f" * 16: 0.25}, {"f" * 16: 0.25}):
        document = json.loads(path.read_text(encoding="utf-8"))
        document["cases"][0]["nearest"] = nearest
        path.write_text(json.dumps(document), encoding="utf-8")
        app = open_case(case)
        assert "Nearest healthy images" in [title.value for title in app.subheader]
        alts = [image.proto.imgs[0].alt for image in app.image]
        captions = clean(" ".join(caption.value for caption in app.caption))
        assert ("Healthy training image 1 like this one" in alts) == (other in nearest)
        assert ("50% of the places" in captions) == (other in nearest)
        assert ("are not among the cases on this machine" in captions) == (other not in nearest)
