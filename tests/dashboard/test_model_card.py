"""The model card as a page: that of the run's very detector."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from anogan.detector import Detector
from anogan.evaluation.cards import model_card


def start() -> AppTest:
    def script() -> None:
        from anogan.dashboard import model_card

        model_card.page()

    app = AppTest.from_function(script, default_timeout=600).run()
    assert not app.exception
    return app


def facts(app: AppTest) -> dict[str, str]:
    tables = [table.value.to_numpy().tolist() for table in app.table]
    return {row[0]: row[1] for table in tables for row in table}


def test_no_detector_yet(empty_run: Path) -> None:
    app = start()
    assert app.subheader[0].value == "No detector yet"


@pytest.fixture
def trained(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    monkeypatch.setenv("ANOGAN_RUN", str(copy))
    return copy


def test_the_card_of_a_detector(trained: Path, tiny_detector: Detector) -> None:
    card = model_card(tiny_detector)
    app = start()
    shown = facts(app)
    assert shown["Hash of the model"] == card["hash"]
    assert shown["SHA-256 of its training files"] == card["data_sha256"]
    assert shown["Trained"].startswith(f"{card['trained'][:10]}, on {card['images']} images")
    assert "a decision without a reader" in shown["Not for"]
    assert shown["training.steps"] == "60"
    text = " ".join(str(element.value) for element in (*app.markdown, *app.caption)).replace("\\", "")
    assert card["promise"] in text
    assert "Not evaluated yet." in text


def test_figures_of_another_detector_are_not_shown(trained: Path, tiny_detector: Detector) -> None:
    evaluation = {
        "format": 1, "auroc": [0.9, 0.8, 0.95], "average_precision": [0.9, 0.8, 0.95], "roc": {}, "scores": [],
        "n_healthy": 5, "n_abnormal": 4, "operating_point": None, "model_card": {"hash": "0" * 16},
    }  # fmt: skip
    (trained / "results").mkdir(exist_ok=True)
    (trained / "results" / "evaluation.json").write_text(json.dumps(evaluation))
    app = start()
    assert "is of another detector" in app.warning[0].value
    assert "AUROC" not in facts(app)
    evaluation["model_card"] = {"hash": model_card(tiny_detector)["hash"]}
    (trained / "results" / "evaluation.json").write_text(json.dumps(evaluation))
    assert facts(start())["AUROC"] == "0.900 (0.800 to 0.950)"


def test_a_damaged_detector_is_one_sentence(trained: Path) -> None:
    (trained / "detector.json").write_text("{")
    app = start()
    assert len(app.error) == 1
