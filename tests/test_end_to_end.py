"""The main job as a user does it: one command after the other, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Snapshots, and with them the state to resume from, are written often enough to be killed between two of them.
SETTINGS = ["--profile", "tiny", "--set", "training.snapshot_every=4"]


# A training that waits at a step between two states, so that it is there to be killed however fast the machine is.
HELD = """
import sys
from anogan import cli
from anogan.gan.training.trainer import Trainer

step = Trainer.adversarial

def held(self):
    if self.done["adversarial"] == 6:
        print("held", flush=True)
        sys.stdin.read()
    return step(self)

Trainer.adversarial = held
cli.main(sys.argv[1:])
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "anogan", *(str(argument) for argument in arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run(*arguments: object) -> str:
    """Run one command that must succeed, and return what it printed."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_main_job_on_the_phantom(tmp_path: Path) -> None:
    data, folder = tmp_path / "phantom", tmp_path / "run"
    run("synth", data, "--subjects", 6, 4, 2, 2)
    assert list(data.rglob("*.dcm"))
    assert "DICOM" in run("info", next(data.rglob("*.dcm")))

    run("train", data, "--run", folder, *SETTINGS)
    history = [json.loads(line) for line in (folder / "training" / "history.jsonl").read_text().splitlines()]
    assert {"adversarial", "encoder"} <= {event["phase"] for event in history}
    assert list((folder / "training" / "snapshots").glob("*.png"))

    promise = run("calibrate", folder, data, "--false-alarm-rate", 0.2)
    assert "20" in promise
    summary = json.loads((folder / "detector.json").read_text())
    assert "0.2" in json.dumps(summary)

    table = run("evaluate", folder, data)
    assert "AUROC" in table
    report = json.loads((folder / "results" / "evaluation.json").read_text())
    assert report["n_healthy"] > 0
    assert report["n_abnormal"] > 0
    low, high = report["auroc"][1:]
    assert 0 <= low <= report["auroc"][0] <= high <= 1
    assert report["operating_point"]["false_alarm_rate"] == 0.2
    assert (folder / "results" / "results.csv").is_file()

    abnormal = next(case["file"] for case in report["scores"] if case["label"])
    assert "1 scored" in run("inspect", folder, abnormal, "--out", tmp_path / "one")
    (case,) = json.loads((tmp_path / "one" / "results.json").read_text())["cases"]
    (same,) = (entry for entry in report["scores"] if entry["case"] == case["case"])
    assert case["score"] == pytest.approx(same["score"], abs=1e-3)  # alone or in a batch, the score is the score
    assert (tmp_path / "one" / "cases" / case["case"] / "heatmap.png").is_file()


@pytest.mark.slow
def test_a_training_killed_and_resumed_is_the_training_that_was_not(tiny_folder: Path, tmp_path: Path) -> None:
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    run("train", tiny_folder, "--run", unbroken, *SETTINGS)

    training = [sys.executable, "-c", HELD, *command("train", tiny_folder, "--run", killed, *SETTINGS)[3:]]
    with subprocess.Popen(
        training, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert "held\n" in iter(process.stdout.readline, ""), "the training never came to the step at which it waits"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert (killed / "training" / "state.json").exists()
    assert not (killed / "detector.safetensors").exists()

    refused = subprocess.run(
        command("train", tiny_folder, "--run", killed, *SETTINGS), capture_output=True, text=True, env=environment()
    )
    assert refused.returncode == 1
    assert "add --resume to go on with it" in refused.stderr

    run("train", tiny_folder, "--run", killed, "--resume")  # the profile is in the run folder
    weights = [(folder / "detector.safetensors").read_bytes() for folder in (unbroken, killed)]
    assert weights[0] == weights[1]
