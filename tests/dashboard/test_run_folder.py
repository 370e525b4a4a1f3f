"""What is read from a run folder, and what happens when it is not as it should be."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from anogan.dashboard import run_folder


def test_the_argument_wins_over_the_environment() -> None:
    environment = {"ANOGAN_RUN": "runs/b"}
    assert run_folder.chosen_run(["--run", "runs/a"], environment) == Path("runs/a")
    assert run_folder.chosen_run(["-q", "--runs", "x"], environment) == Path("runs/b")
    assert run_folder.chosen_run([], {}) is None


def test_the_work_list_is_sorted_by_p_value_then_score_and_ends_with_what_was_not_scored() -> None:
    def case(name: str, p_value: float | None, score: float | None, status: str = "scored") -> dict[str, object]:
        return {"file": name, "status": status, "p_value": p_value, "score": score}

    cases = [case("c", 0.5, 1.0), case("lost", None, None, "not scored"), case("a", 0.01, 9.0), case("b", 0.01, 7.0)]
    assert [entry["file"] for entry in run_folder.worklist_order(cases)] == ["a", "b", "c", "lost"]
    uncalibrated = [case("low", None, 1.0), case("lost", None, None, "not scored"), case("high", None, 2.0)]
    assert [entry["file"] for entry in run_folder.worklist_order(uncalibrated)] == ["high", "low", "lost"]


def test_a_torn_last_line_of_the_history_is_left_out(run: Path) -> None:
    history = run_folder.read_history(run)
    assert history.phases() == ["adversarial", "encoder"]
    assert history.unreadable == 1
    steps, values = history.losses("adversarial")["discriminator"]
    assert steps == list(range(25, 1001, 25))
    assert values[0] == pytest.approx(0.5 + math.exp(-25 / 400) / 2)
    assert set(history.losses("encoder")) == {"reconstruction", "latent"}


def test_the_time_left_follows_the_pace_of_the_phase() -> None:
    def step(phase: str, number: int, seconds: float) -> dict[str, object]:
        return {"phase": phase, "step": number, "steps": 100, "seconds": seconds}

    adversarial = step("adversarial", 100, 50.0)
    assert run_folder.History((adversarial, step("encoder", 10, 60.0))).seconds_left() is None
    history = run_folder.History((adversarial, step("encoder", 10, 60.0), step("encoder", 30, 100.0)))
    assert history.seconds_left() == pytest.approx(2.0 * 70)


def test_a_loss_that_is_not_finite_becomes_a_gap(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    lines = ['{"phase": "encoder", "step": 1, "steps": 2, "loss": Infinity}', "[1]", '{"phase": "encoder"}']
    (tmp_path / "training" / "history.jsonl").write_text("\n".join(lines), encoding="utf-8")
    history = run_folder.read_history(tmp_path)
    assert math.isnan(history.losses("encoder")["loss"][1][0])
    assert history.unreadable == 2


def test_snapshots_come_in_the_order_they_were_made(run: Path) -> None:
    folder = run / "training" / "snapshots"
    (folder / "notes.png").write_bytes(b"")
    (folder / "encoder-000250.json").write_text("{", encoding="utf-8")
    snapshots = run_folder.read_snapshots(run)
    expected = [("adversarial", 250), ("adversarial", 500), ("adversarial", 750), ("adversarial", 1000)]
    assert [(snapshot.phase, snapshot.step) for snapshot in snapshots] == [
        *expected,
        ("encoder", 250),
        ("encoder", 500),
    ]
    assert snapshots[0].metrics["diversity"] == 0.3
    assert snapshots[4].metrics == {}


def test_a_training_is_at_work_while_its_history_grows(empty_run: Path) -> None:
    history = empty_run / "training" / "history.jsonl"
    assert not run_folder.is_training(empty_run)
    history.touch()
    now = history.stat().st_mtime
    assert run_folder.is_training(empty_run, now + 5)
    assert not run_folder.is_training(empty_run, now + run_folder.RUNNING_SECONDS + 1)
    (empty_run / "detector.json").touch()
    os.utime(empty_run / "detector.json", (now + 1, now + 1))
    assert not run_folder.is_training(empty_run, now + 5)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 2, "auroc": [1, 1, 1]}'])
def test_a_damaged_evaluation_is_one_clear_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "evaluation.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"evaluation\.json: not a readable evaluation; run `anogan evaluate`"):
        run_folder.read_evaluation(tmp_path)


def test_no_evaluation_is_no_error(tmp_path: Path) -> None:
    assert run_folder.read_evaluation(tmp_path) is None


def test_an_evaluation_is_read_as_it_was_written(run: Path) -> None:
    path = run / "results" / "evaluation.json"
    assert run_folder.read_evaluation(run / "results") == json.loads(path.read_text(encoding="utf-8"))
