"""Judging one's own file: what is shown, what is refused, what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from shown import viewer
from streamlit.testing.v1 import AppTest

from anogan.config import load_config
from anogan.dashboard import upload
from anogan.scan import Result, Scan

PIXELS = np.arange(48 * 40, dtype=np.float64).reshape(48, 40) % 256
PNG = cv2.imencode(".png", PIXELS.astype(np.uint8))[1].tobytes()


class StandIn:
    """A detector whose answer is known: one bright spot, flagged."""

    seen: list[Scan]
    config, calibration = load_config("tiny"), None

    def __init__(self) -> None:
        self.seen = []

    def inspect(self, scan: Scan) -> Result:
        self.seen.append(scan)
        heat = np.zeros(scan.pixels.shape[:2], np.float32)
        heat[10:14, 10:14] = 5
        return Result(
            source=scan.source,
            status="scored",
            reason="",
            score=5.0,
            p_value=0.25,
            flagged=True,
            uncertainty=None,
            anomaly_map=heat,
            reconstruction=scan.pixels,
            components={"residual": 5.0},
            component_maps={"residual": heat},
            seconds=0.1,
        )

    def summary(self) -> dict[str, Any]:
        scores = [1.0, 2.0, 3.0]
        return {"name": "tiny", "threshold": 3.0, "calibration_scores": scores, "map_range": [0.0, 6.0], "promise": ""}


@pytest.fixture
def detector(run: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    (run / "detector.safetensors").write_bytes(b"weights")
    stand_in = StandIn()
    monkeypatch.setattr(upload, "load_detector", lambda run, file_hash: stand_in)
    return stand_in


def start() -> AppTest:
    def script() -> None:
        from anogan.dashboard import upload

        upload.page()

    app = AppTest.from_function(script, default_timeout=600).run()
    assert not app.exception
    return app


def test_a_file_is_judged_and_shown_by_the_case_view(detector: StandIn) -> None:
    app = start()
    app.file_uploader(key="upload").set_value(("my_scan.png", PNG, "image/png")).run()
    assert not app.exception
    assert app.subheader[0].value.replace("\\", "") == "my_scan.png"
    words = " ".join(str(element.value) for element in app.markdown)
    assert "None of the 3 healthy calibration images scored as high" in words.replace("\\", "")
    assert len(app.image) == 1
    assert {"image", "heat", "healthy"} <= set(viewer(app))
    assert detector.seen[0].pixels.shape == (48, 40)


def test_another_run_of_the_page_does_not_judge_again(detector: StandIn) -> None:
    app = start()
    app.file_uploader(key="upload").set_value(("my_scan.png", PNG, "image/png")).run()
    app.run()
    app.run()
    assert len(detector.seen) == 1


@pytest.mark.parametrize("content", [b"just words", PNG[: len(PNG) // 2], b""], ids=["text", "torn", "empty"])
def test_a_file_that_is_no_image_is_one_sentence_without_the_server_s_paths(detector: StandIn, content: bytes) -> None:
    app = start()
    app.file_uploader(key="upload").set_value(("notes.png", content, "image/png")).run()
    assert not app.exception
    assert len(app.error) == 1
    message = app.error[0].value.replace("\\", "")
    assert "notes.png" in message
    assert "anogan-" not in message
    assert detector.seen == []


def test_nothing_of_an_upload_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload.tempfile, "tempdir", str(tmp_path))
    scan = upload.scan_of("../../name.png", PNG)
    np.testing.assert_allclose(np.squeeze(scan.pixels), PIXELS.astype(np.uint8) / 255, atol=1e-6)
    assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.parent.parent.glob("name.png")) == []


def test_without_a_detector_the_page_says_what_to_do(empty_run: Path) -> None:
    app = start()
    assert app.subheader[0].value == "No detector yet"
    assert len(app.file_uploader) == 0


def test_the_hash_follows_the_files(run: Path) -> None:
    before = upload.file_hash(run)
    (run / "detector.safetensors").write_bytes(b"other weights")
    assert upload.file_hash(run) != before


def test_bytes_of_rounds_and_clips() -> None:
    values = np.array([[-0.1, 0.0, 0.5, 1.0, 1.2]], np.float32)
    assert upload.bytes_of(values).tolist() == [[0, 0, 128, 255, 255]]
