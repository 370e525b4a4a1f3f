"""The evaluation page: counts that can be checked by hand, and a threshold that moves them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest


def start() -> AppTest:
    def script() -> None:
        from anogan.dashboard import evaluation

        evaluation.page()

    app = AppTest.from_function(script, default_timeout=600).run()
    assert not app.exception
    return app


def read(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "results" / "evaluation.json").read_text(encoding="utf-8")))


def counts(app: AppTest) -> list[int]:
    """Return true positives, false negatives, false positives, true negatives as the table shows them."""
    table = next(element.proto.body for element in app.get("html") if "confusion" in element.proto.body)
    return [int(number) for number in re.findall(r"<b>(\d+)</b>", table)]


def test_the_page_opens_at_the_calibrated_threshold_with_the_given_intervals(run: Path) -> None:
    point = read(run)["operating_point"]
    app = start()
    expected = [point[name] for name in ("true_positive", "false_negative", "false_positive", "true_negative")]
    assert counts(app) == expected
    value, low, high = point["sensitivity"]
    table = app.table[0].value.to_string()
    assert f"{value:.3f} ({low:.3f} to {high:.3f})" in table
    assert "calibrated threshold" in " ".join(caption.value for caption in app.caption)


def test_the_slider_moves_the_confusion_table_and_the_button_moves_it_back(run: Path) -> None:
    data = read(run)
    app = start()
    slider = app.slider(key="threshold")
    at_start = counts(app)
    slider.set_value(slider.min).run()
    assert counts(app) == [data["n_abnormal"], 0, data["n_healthy"], 0]
    app.slider(key="threshold").set_value(slider.max).run()
    assert counts(app) == [0, data["n_abnormal"], 0, data["n_healthy"]]
    next(button for button in app.button if button.label.startswith("Back to")).click().run()
    assert not app.exception
    assert counts(app) == at_start


def test_the_work_load_of_a_day_by_hand(run: Path) -> None:
    """Of 200 images 10 are abnormal; the fixture gives each rate limits one tenth away."""
    point = read(run)["operating_point"]
    sensitivity, alarms = point["sensitivity"][0], point["realized"][0]
    app = start()
    app.number_input(key="images_per_day").set_value(200)
    app.number_input(key="prevalence").set_value(5.0).run()
    assert not app.exception
    table = dict(app.table[1].value.to_numpy().tolist())
    found, false = 10 * sensitivity, 190 * alarms
    assert table["Flagged per day"].startswith(f"{found + false:.1f} (")
    assert table["of them false alarms"].startswith(f"{false:.1f} (")
    assert table["Missed per day"].startswith(f"{10 - found:.1f} (")
    assert table["PPV: of the flagged, abnormal"].startswith(f"{found / (found + false):.3f} (")


def test_the_slider_says_which_command_would_set_its_threshold(run: Path) -> None:
    """It changes no file; the command's rate is one more than the calibration scores above, of 100."""
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    scores = json.loads((run / "results" / "results.json").read_text())["detector"]["calibration_scores"]
    app = start()
    assert not app.code
    app.slider(key="threshold").set_value(app.slider(key="threshold").max).run()
    assert not app.exception
    threshold = app.slider(key="threshold").value
    rate = (1 + sum(score >= threshold for score in scores)) / 100
    assert app.code[0].value == f"anogan calibrate {run.as_posix()} DATA --false-alarm-rate {rate:g}"
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == files
    app.slider(key="threshold").set_value(app.slider(key="threshold").min).run()
    assert (not app.code) == (min(scores) >= app.slider(key="threshold").value)


def test_missed_cases_are_listed_at_a_high_threshold(run: Path) -> None:
    app = start()
    app.slider(key="threshold").set_value(app.slider(key="threshold").max).run()
    assert f"Missed ({read(run)['n_abnormal']})" in [element.value for element in app.subheader]


def test_what_was_not_scored_is_named(run: Path) -> None:
    app = start()
    assert "torn.png" in app.warning[0].value.replace("\\", "")


def test_an_uncalibrated_evaluation_still_has_a_slider(run: Path) -> None:
    data = read(run) | {"operating_point": None, "pixel_auroc": None, "aupro": None}
    (run / "results" / "evaluation.json").write_text(json.dumps(data), encoding="utf-8")
    app = start()
    assert sum(counts(app)) == len(data["scores"])
    assert not [button for button in app.button if button.label.startswith("Back to")]


def test_notes_and_the_auroc_by_subject_are_shown_when_there_are_any(run: Path) -> None:
    data = read(run) | {"notes": ["Two images had no mask."], "subject_auroc": [0.75, 0.5, 0.9]}
    (run / "results" / "evaluation.json").write_text(json.dumps(data), encoding="utf-8")
    app = start()
    assert "Two images had no mask." in [caption.value for caption in app.caption]
    assert "(0.500 to 0.900)" in next(
        element.proto.body for element in app.get("html") if "AUROC" in element.proto.body
    )


def test_only_healthy_images_give_no_curve_but_words(run: Path) -> None:
    data = read(run)
    data["scores"] = [entry for entry in data["scores"] if entry["label"] == "healthy"]
    data["auroc"] = data["average_precision"] = [None, None, None]
    (run / "results" / "evaluation.json").write_text(json.dumps(data), encoding="utf-8")
    app = start()
    assert "only one kind" in app.info[0].value


def test_not_evaluated_yet(empty_run: Path) -> None:
    app = start()
    assert app.subheader[0].value == "Not evaluated yet"
    assert app.code[0].value == f"anogan evaluate {empty_run.as_posix()} DATA"


def test_a_damaged_evaluation_is_one_sentence(run: Path) -> None:
    (run / "results" / "evaluation.json").write_text("{", encoding="utf-8")
    app = start()
    assert len(app.error) == 1
    assert "not a readable evaluation" in app.error[0].value.replace("\\", "")
