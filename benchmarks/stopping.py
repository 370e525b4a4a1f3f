"""When to stop, and which snapshot to keep: what `anogan.gan.convergence` chose, beside what the test labels say.

    python benchmarks/accuracy.py --methods anogan  # trains, and keeps the discriminator of every snapshot
    python benchmarks/stopping.py                   # malaria, pneumonia and busi, three seeds, then the table
    python benchmarks/stopping.py --data busi --seeds 0

Every snapshot's discriminator scores the test images by its own verdict of places, the part that the snapshot is chosen
by; the other parts of the score would each have to be fitted again. Four choices are compared: the snapshot of
`anogan.gan.convergence`, the last one before the training ended itself, the one with the lowest KID, and the best one,
which nobody can know.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accuracy import PRODUCT, RUNS, place
from datasets import DATASETS, ROOT, on_grid

import anogan
from anogan import metrics
from anogan.data.dataset import draw_subjects
from anogan.detector.fusion import COMPONENTS, Fusion
from anogan.gan import convergence
from anogan.gan.blur import gaussian_blur
from anogan.gan.convergence import Reading
from anogan.gan.networks import Discriminator, Networks
from anogan.storage import checkpoint
from anogan.storage.documents import json_text

RESULTS = ROOT / "benchmarks" / "results" / "stopping"
SETS = ("malaria", "pneumonia", "busi")
PHASE = "adversarial"


def measure(name: str, seed: int) -> dict[str, Any]:
    data = DATASETS[name](seed)
    folder = RUNS / name / place(name, seed, PRODUCT).stem
    if not (folder / "watched").is_dir():
        raise SystemExit(f"{folder}: not trained yet; run accuracy.py --methods anogan first")
    config = anogan.load_config(data.profile, [f"training.seed={seed}", *data.settings])
    images, test = on_grid(data.train, config.input), on_grid(data.test, config.input)
    held = draw_subjects(data.train_subjects, config.training.holdout, seed)
    discriminator = Networks.build(config).discriminator
    truth = []
    for path in sorted((folder / "watched").glob("*.safetensors")):
        checkpoint.unpack("discriminator", checkpoint.read_tensors(path), discriminator, path)
        scores = verdicts(discriminator, images[held], test, config.scoring.top)
        truth.append(metrics.auroc(data.labels, scores).value)
        print(f"{name} {seed}: step {int(path.stem)}, AUROC {truth[-1]:.4f}", flush=True)
    readings = checkpoint.read_json(folder / "training" / "progress.json")[PHASE]["readings"]
    return {"data": name, "seed": seed, "auroc": truth, "readings": readings}


@torch.no_grad()
def verdicts(discriminator: Discriminator, healthy: torch.Tensor, test: torch.Tensor, top: float) -> np.ndarray:
    """Return the image scores of the discriminator alone, standardized on held-out healthy images, (N,)."""

    def raw(images: torch.Tensor) -> torch.Tensor:
        maps = [gaussian_blur(F.softplus(discriminator(batch).pixels), 1.0) for batch in images.split(64)]
        return torch.stack([torch.cat(maps)] + [torch.zeros(len(images), *images.shape[2:])] * (len(COMPONENTS) - 1), 1)

    alone = torch.eye(len(COMPONENTS))[0]
    fusion = dataclasses.replace(Fusion.even(), top=top).weigh(alone, raw(healthy))
    maps = raw(test)  # one component alone has no other to be brought to one scale with
    return fusion.score(maps, fusion.fuse(maps)).numpy()


def choices(readings: list[Reading], truth: list[float]) -> dict[str, tuple[int, float]]:
    """Return the step and the true AUROC of each choice."""
    steps = [int(reading["step"]) for reading in readings]
    chosen = steps.index(convergence.best_step(readings, PHASE))
    lowest_kid = int(np.argmin([reading["KID"] for reading in readings]))
    rows = {"chosen": chosen, "last": len(steps) - 1, "lowest KID": lowest_kid, "best": int(np.argmax(truth))}
    return {name: (steps[row], truth[row]) for name, row in rows.items()}


def table() -> str:
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    lines = [
        "| set, seed | chosen: step, AUROC | last | lowest KID | best | chosen minus best |",
        "|---|---|---|---|---|---|",
    ]
    gaps = []
    for run in runs:
        found = choices(run["readings"], run["auroc"])
        gaps.append([found[name][1] - found["best"][1] for name in ("chosen", "last", "lowest KID")])
        cells = [f"{step}, {value:.3f}" for step, value in (found[n] for n in ("chosen", "last", "lowest KID", "best"))]
        lines.append(f"| {run['data']}, {run['seed']} | {' | '.join(cells)} | {gaps[-1][0]:+.3f} |")
    if gaps:
        chosen, last, kid = np.mean(gaps, axis=0)
        lines.append(f"\nMean distance from the best: chosen {chosen:+.4f}, last {last:+.4f}, lowest KID {kid:+.4f}.")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name in options.data:
            path = RESULTS / f"{name}-{seed}.json"
            if not path.is_file():
                path.write_text(json_text(measure(name, seed), indent=1) + "\n", encoding="utf-8")
    (RESULTS.parent / "stopping.md").write_text(table(), encoding="utf-8")
    print(table())


if __name__ == "__main__":
    main()
