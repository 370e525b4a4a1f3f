"""The training page: progress, curves and the timeline."""

from __future__ import annotations

import json
import os
from pathlib import Path

from streamlit.testing.v1 import AppTest


def start() -> AppTest:
    def script() -> None:
        from anogan.dashboard import training

        training.page()

    app = AppTest.from_function(script, default_timeout=600).run()
    assert not app.exception
    return app


def badges(app: AppTest) -> str:
    return " ".join(str(element.value) for element in app.markdown)


def finish(run: Path) -> None:
    """Make the detector newer than the history, as at the end of a training."""
    later = (run / "training" / "history.jsonl").stat().st_mtime + 10
    os.utime(run / "detector.json", (later, later))


def test_a_finished_training_shows_curves_and_the_last_snapshot(run: Path) -> None:
    finish(run)
    app = start()
    assert "Finished" in badges(app)
    assert app.image[0].proto.imgs[0].alt == "Sample images at encoder 500"
    assert len(app.get("plotly_chart")) == 3  # the signals, the losses and the timeline
    assert "sharpness" in app.table[0].value.to_string()


def test_where_the_training_is_going_and_which_snapshot_is_kept(run: Path) -> None:
    finish(run)
    app = start()
    assert "Improving" in badges(app)
    assert "AUROC on unseen kinds of fakes, KID." in badges(app)
    assert app.expander[0].label == "Signals on held-out healthy images; best snapshot: step 900"
    assert app.get("plotly_chart")[0].proto.alt == (
        "Signals; last values: AUROC on unseen kinds of fakes 0.9, KID 0.001"
    )


def test_the_timeline_marks_the_snapshot_that_is_kept(run: Path) -> None:
    finish(run)
    app = start()
    assert app.get("plotly_chart")[-1].proto.alt == (
        "Timeline of 6 snapshots; kept: step 900 of adversarial; on view: encoder 500"
    )
    assert "Kept by the detector" not in badges(app)
    path = run / "training" / "progress.json"
    found = json.loads(path.read_text())
    found["adversarial"]["best"] = 750
    path.write_text(json.dumps(found))
    app.select_slider[0].set_value("adversarial 750").run()
    assert not app.exception
    assert "Kept by the detector" in badges(app)
    path.unlink()
    assert "kept: not chosen yet" in start().get("plotly_chart")[-1].proto.alt


def test_damaged_progress_is_left_out(run: Path) -> None:
    finish(run)
    (run / "training" / "progress.json").write_text('{"adversarial": {"word": 3}}')
    assert "Improving" not in badges(start())


def test_the_timeline_goes_back_to_an_earlier_snapshot(run: Path) -> None:
    finish(run)
    app = start()
    before = app.image[0].proto.imgs[0].url
    app.select_slider[0].set_value("adversarial 250").run()
    assert not app.exception
    assert app.image[0].proto.imgs[0].alt == "Sample images at adversarial 250"
    assert app.image[0].proto.imgs[0].url != before


def test_the_other_phase_has_its_own_losses(run: Path) -> None:
    finish(run)
    app = start()
    app.segmented_control[0].set_value("encoder").run()
    assert not app.exception
    assert "reconstruction" in app.get("plotly_chart")[1].proto.alt


def test_a_training_at_work_says_how_long_it_takes(run: Path) -> None:
    (run / "detector.json").unlink()
    history = run / "training" / "history.jsonl"
    line = {"phase": "adversarial", "step": 10, "steps": 120, "seconds": 30.0, "generator": 0.7}
    later = line | {"step": 30, "seconds": 90.0}  # 3 s a step, 90 steps to go
    history.write_text(json.dumps(line) + "\n" + json.dumps(later), encoding="utf-8")
    app = start()
    assert "Training" in badges(app)
    assert app.get("progress")[0].proto.text == (
        "Generator and discriminator: step 30 of 120, about 4 min left in this phase"
    )
    assert app.get("progress")[0].proto.value == 25


def test_a_training_that_was_killed_says_how_to_go_on(run: Path) -> None:
    (run / "detector.json").unlink()
    os.utime(run / "training" / "history.jsonl", (1, 1))
    app = start()
    assert "Stopped before the end" in badges(app)
    assert "--resume" in app.get("progress")[0].proto.text


def test_a_damaged_snapshot_is_a_word_not_a_crash(run: Path) -> None:
    finish(run)
    (run / "training" / "snapshots" / "encoder-000500.png").write_bytes(b"\x89PNG torn")
    app = start()
    assert "picture damaged" in [caption.value for caption in app.caption]


def test_no_training_yet(empty_run: Path) -> None:
    app = start()
    assert app.subheader[0].value == "No training recorded"
