"""The loops: what they write, that a killed run resumes to the same weights, that two processes train together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from anogan import load_config
from anogan.config import Config
from anogan.gan import training
from anogan.gan.networks import Networks
from anogan.gan.training import TrainingEvent

CONFIG = load_config("tiny", ["training.steps=12", "training.encoder_steps=6", "training.snapshot_every=4"])


def healthy(n: int = 24) -> torch.Tensor:
    coarse = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")


def weights(networks: Networks) -> torch.Tensor:
    return torch.cat([p.flatten() for network in vars(networks).values() for p in network.parameters()])


class Killed(Exception):
    pass


def test_what_a_run_leaves_on_disk(tmp_path: Path) -> None:
    events: list[TrainingEvent] = []
    training.train(healthy(), healthy(6), CONFIG, run=tmp_path, callback=events.append)
    lines = [json.loads(line) for line in (tmp_path / "training" / "history.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["step"]) for line in lines][-1] == ("encoder", 6)
    assert {"places", "discriminator", "generator", "penalty"} <= lines[0].keys()
    names = sorted(path.name for path in (tmp_path / "training" / "snapshots").glob("*.png"))
    assert names == [
        "adversarial-000004.png",
        "adversarial-000008.png",
        "adversarial-000012.png",
        "encoder-000004.png",
        "encoder-000006.png",
    ]
    metrics = json.loads((tmp_path / "training" / "snapshots" / "encoder-000006.json").read_text())
    assert metrics["inversion error, held-out"] > 0
    assert metrics["verdict"].startswith("too early (2 of 5 snapshots); best snapshot: step ")
    progress = json.loads((tmp_path / "training" / "progress.json").read_text())
    assert [reading["step"] for reading in progress["adversarial"]["readings"]] == [4, 8, 12]
    assert progress["adversarial"]["best"] in (4, 8, 12)
    assert progress["encoder"]["steps"] == 6
    assert len(list((tmp_path / "training").glob("state-*.safetensors"))) == 1
    assert events[-1].phase == "encoder"
    assert events[-1].seconds_left == 0
    assert [str(event.verdict) for event in events if event.verdict][-1] == metrics["verdict"]
    assert [event.snapshot is not None for event in events if event.phase == "encoder" and event.step == 6] == [True]


@pytest.mark.parametrize("at", [2, 6, 12, 15])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, at: int) -> None:
    unbroken = training.train(healthy(), healthy(6), CONFIG, run=tmp_path / "unbroken")

    done = 0

    def kill(event: TrainingEvent) -> None:
        nonlocal done
        done += 1
        if event.step + (12 if event.phase == "encoder" else 0) >= at:
            raise Killed

    with pytest.raises(Killed):
        training.train(healthy(), healthy(6), CONFIG, run=tmp_path / "killed", callback=kill)
    resumed = training.train(healthy(), healthy(6), CONFIG, run=tmp_path / "killed", resume=True)
    assert torch.equal(weights(resumed), weights(unbroken))
    histories = []
    for name in ("unbroken", "killed"):
        lines = (tmp_path / name / "training" / "history.jsonl").read_text().splitlines()
        histories.append([{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines])
    assert histories[0] == histories[1]


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    training.train(healthy(), healthy(6), CONFIG, run=tmp_path)
    other = Config.model_validate({**CONFIG.model_dump(), "training": {**CONFIG.training.model_dump(), "seed": 7}})
    with pytest.raises(ValueError, match="started with other settings"):
        training.train(healthy(), healthy(6), other, run=tmp_path, resume=True)


def test_resuming_with_other_images_is_refused(tmp_path: Path) -> None:
    training.train(healthy(), healthy(6), CONFIG, run=tmp_path, data="these")
    before = {path: path.read_bytes() for path in (tmp_path / "training").rglob("*.*")}
    with pytest.raises(ValueError, match="started with other images; resume with the same, or start anew"):
        training.train(healthy(), healthy(6), CONFIG, run=tmp_path, resume=True, data="those")
    assert {path: path.read_bytes() for path in (tmp_path / "training").rglob("*.*")} == before
    training.train(healthy(), healthy(6), CONFIG, run=tmp_path, resume=True, data="these")
    state = tmp_path / "training" / "state.json"
    state.write_text(json.dumps({key: value for key, value in json.loads(state.read_text()).items() if key != "data"}))
    training.train(healthy(), healthy(6), CONFIG, run=tmp_path, resume=True, data="those")  # of before it was noted


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    training.train(healthy(), healthy(6), CONFIG, run=tmp_path)
    (state,) = (tmp_path / "training").glob("state-*.safetensors")
    data = bytearray(state.read_bytes())
    data[-3] ^= 255
    state.write_bytes(data)
    with pytest.raises(ValueError, match="altered or damaged"):
        training.train(healthy(), healthy(6), CONFIG, run=tmp_path, resume=True)


def test_the_seed_decides(tmp_path: Path) -> None:
    first, second = (training.train(healthy(), healthy(6), CONFIG) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    other = load_config("tiny", ["training.steps=12", "training.encoder_steps=6", "training.seed=1"])
    assert not torch.equal(weights(first), weights(training.train(healthy(), healthy(6), other)))


def test_divergence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anogan.gan.losses.pixel_loss", lambda logits, target: logits.mean((1, 2)) * torch.nan)
    with pytest.raises(ValueError, match="training diverged at adversarial step 1; lower training.learning_rate"):
        training.train(healthy(), healthy(6), CONFIG)


def test_a_phase_ends_with_the_weights_of_its_best_snapshot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The discriminator of step 8 is made the best one; a run that stops there has the same."""
    monkeypatch.setattr("anogan.gan.convergence.best_step", lambda readings, phase: min(8, int(readings[-1]["step"])))
    kept: list[torch.Tensor] = []

    def watch(event: TrainingEvent) -> None:
        if event.phase == "adversarial" and event.step == 8:
            kept.append(
                torch.cat([p.detach().flatten().clone() for p in trainer.averaged["discriminator"].parameters()])
            )

    trainer = training.Trainer(healthy(), healthy(6), CONFIG, None, watch, "")
    final = trainer.run(resume=False)
    assert torch.equal(torch.cat([p.flatten() for p in final.discriminator.parameters()]), kept[0])


def test_a_phase_that_gets_nowhere_is_ended_and_stays_so_when_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At step 8 of 30 it is said to get nowhere: the 12 steps in which the learning rate falls follow, no more."""
    monkeypatch.setattr("anogan.gan.convergence.should_stop", lambda readings, phase: len(readings) >= 2)
    config = load_config("tiny", ["training.steps=30", "training.encoder_steps=6", "training.snapshot_every=4"])
    stopped = training.train(healthy(), healthy(6), config, run=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "training" / "history.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in lines if line["phase"] == "adversarial") == 20
    monkeypatch.undo()
    resumed = training.train(healthy(), healthy(6), config, run=tmp_path, resume=True)
    assert torch.equal(weights(resumed), weights(stopped))


@pytest.mark.parametrize(("epochs", "steps"), [(1, 2), (3, 5), (500, 12)])
def test_few_images_end_the_training_at_the_limit_of_passes(epochs: int, steps: int) -> None:
    """24 images in batches of 16."""
    config = load_config("tiny", ["training.batch=16", "training.steps=12", f"training.epochs={epochs}"])
    assert training.Trainer(healthy(), healthy(6), config, None, None, "").totals["adversarial"] == steps


def test_the_learning_rate_rises_stays_and_falls_at_the_end_of_a_phase_wherever_that_is() -> None:
    config = load_config("tiny", ["training.steps=200", "training.learning_rate=0.001"])
    trainer = training.Trainer(healthy(), healthy(6), config, None, None, "")

    def rate(step: int) -> float:
        trainer._set_learning_rate("adversarial", step)
        return float(trainer.optimizers["places"].param_groups[0]["lr"])

    assert [rate(step) for step in (0, 24, 49, 120, 160, 200)] == pytest.approx(
        [0.00002, 0.0005, 0.001, 0.001, 0.000525, 0.00005]
    )
    trainer.totals["adversarial"] = 150  # it was said to get nowhere at step 70
    assert [rate(step) for step in (70, 110, 150)] == pytest.approx([0.001, 0.000525, 0.00005])


def test_the_average_of_a_short_run_forgets_its_first_steps() -> None:
    """The share of the newest weights is 9 / (10 + n) at first (1 - (1 + n) / (10 + n)), and 1 - decay later on."""
    update = training.trainer._average(0.9)
    for updates, share in ((1, 9 / 11), (8, 9 / 18), (1000, 0.1)):
        averaged = [torch.zeros(3)]
        update(averaged, [torch.ones(3)], torch.tensor(updates))
        torch.testing.assert_close(averaged[0], torch.full((3,), share))


def test_the_discriminator_learns_the_game_more_slowly_than_places() -> None:
    config = load_config("tiny", ["training.adversarial_rate=0.5", "training.learning_rate=0.001"])
    trainer = training.Trainer(healthy(), healthy(6), config, None, None, "")
    trainer._set_learning_rate("adversarial", 0)
    rates = {task: optimizer.param_groups[0]["lr"] for task, optimizer in trainer.optimizers.items()}
    assert rates["images"] == pytest.approx(rates["places"] / 2)
    assert rates["generator"] == rates["encoder"] == rates["places"]


def test_the_second_phase_teaches_the_generator_and_leaves_the_discriminator() -> None:
    longer = load_config("tiny", ["training.steps=12", "training.encoder_steps=9", "training.snapshot_every=4"])
    short, long = training.train(healthy(), healthy(6), CONFIG), training.train(healthy(), healthy(6), longer)
    for name, equal in (("discriminator", True), ("generator", False), ("encoder", False)):
        pairs = zip(getattr(short, name).parameters(), getattr(long, name).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == equal


SCRIPT = """
import os, sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_training import CONFIG, healthy, weights
from anogan.gan import training
torch.set_num_threads(1)
found = training.train(healthy(), healthy(6), CONFIG, run=Path(sys.argv[1]))
torch.save(weights(found), Path(sys.argv[1]) / f"weights-{os.environ['RANK']}.pt")
"""


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    """Started by torchrun, over gloo: both ranks end with the same weights, which are not those of a lone process."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"weights-{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, weights(training.train(healthy(), healthy(6), CONFIG)))
    lines = (tmp_path / "training" / "history.jsonl").read_text().splitlines()
    steps = [(line["phase"], line["step"]) for line in map(json.loads, lines)]
    assert len(steps) == len(set(steps))  # one of the two writes
