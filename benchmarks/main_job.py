"""The main job, measured: train on healthy images, score unseen ones, beside the floors.

    python benchmarks/main_job.py                       # all sets, seeds 0 1 2, then the table
    python benchmarks/main_job.py --data malaria --seeds 0
    python benchmarks/main_job.py --table               # the table of what was measured so far

Every (data, seed) run is written to `benchmarks/results/main_job/` when it is done, so that a stopped benchmark goes
on where it was. `benchmarks/results/main_job.md` is the table, and the README has its main rows. The real sets are
looked for in `$ANOGAN_DATA`, else in `../shared/data`; the phantom is written by `anogan synth`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

import anogan
from anogan import metrics
from anogan.config import Config
from anogan.dataset import Item, ScanSet
from anogan.detector import REFERENCE_IMAGES, Detector
from anogan.inversion import residual_maps
from anogan.networks import Networks
from anogan.reference import Reference
from anogan.scan import Scan
from anogan.scoring import COMPONENTS, smooth, top_mean
from anogan.synthetic import write_phantom
from anogan.training import TrainingEvent
from anogan.transforms import mask_to_network, to_network

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ANOGAN_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "benchmarks" / "results" / "main_job"


@dataclass(frozen=True, eq=False)
class Job:
    """One data set on the network's grid; healthy labels are 0."""

    config: Config
    train: torch.Tensor  # (N, C, S, S)
    train_subjects: list[str]
    calibration: torch.Tensor
    test: torch.Tensor
    labels: np.ndarray
    subjects: list[str]
    masks: np.ndarray | None  # (N, S, S) bool
    seen: np.ndarray | None = None  # (N,) bool: test images that were looked at while the method was developed


def malaria(seed: int) -> Job:
    """Patients of the training split train; about 300 healthy images of validation patients calibrate.

    The method was developed with an eye on half of the validation patients (by a hash of their name); the figures of
    the other half stand beside those of all.
    """
    config = anogan.load_config("blood-smear", [f"training.seed={seed}"])
    with open(DATA / "malaria" / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def scans(chosen: list[dict[str, str]], name: str) -> ScanSet:
        items = [Item(DATA / "malaria" / r["file"], r["patient"], int(r["label"] == "abnormal")) for r in chosen]
        return ScanSet(name, tuple(items))

    train = scans([r for r in rows if r["split"] == "train"], "train")
    test = scans([r for r in rows if r["split"] == "val"], "val")
    # Calibration images take part in the AUROC, as the target figure asks for all of val; the false alarms are counted
    # on healthy images of other patients only.
    images = test.load(config.input)[0]
    return Job(
        config,
        torch.from_numpy(train.load(config.input)[0]),
        train.subjects,
        torch.empty(0),
        torch.from_numpy(images),
        test.labels,
        test.subjects,
        None,
        seen=np.array([int(hashlib.md5(name.encode()).hexdigest(), 16) % 2 == 0 for name in test.subjects]),
    )


def phantom(seed: int) -> Job:
    """The demo's data; another seed is another cohort of subjects."""
    config = anogan.load_config("brain-mri", [f"training.seed={seed}"])
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder) / "phantom", seed=seed)
        splits = anogan.open_dataset(Path(folder) / "phantom", config)
        test = splits.test
        masks = [
            np.zeros((config.input.size,) * 2, bool)
            if (mask := test.read_mask(index)) is None
            else mask_to_network(mask, config.input)
            for index in range(len(test))
        ]
        return Job(
            config,
            torch.from_numpy(splits.train.load(config.input)[0]),
            splits.train.subjects,
            torch.from_numpy(splits.calibration.load(config.input)[0]),
            torch.from_numpy(test.load(config.input)[0]),
            test.labels,
            test.subjects,
            np.stack(masks),
        )


def pneumonia(seed: int) -> Job:
    """Label 0 of the training split trains, of the validation split calibrates; the test split is scored."""
    config = anogan.load_config("chest-xray", ["input.size=32", f"training.seed={seed}"])
    with np.load(DATA / "pneumoniamnist" / "pneumoniamnist.npz", allow_pickle=False) as file:
        splits = {name: (file[f"{name}_images"], file[f"{name}_labels"].ravel()) for name in ("train", "val", "test")}

    def grid(images: np.ndarray) -> torch.Tensor:
        scans = [Scan(image.astype(np.float32) / 255, "pneumoniamnist") for image in images]
        return torch.from_numpy(np.stack([to_network(scan, config.input) for scan in scans]))

    (train, train_labels), (val, val_labels), (test, labels) = (splits[name] for name in ("train", "val", "test"))
    # The set has no patient identifiers: every image counts as a subject.
    healthy = train[train_labels == 0]
    return Job(
        config,
        grid(healthy),
        [str(index) for index in range(len(healthy))],
        grid(val[val_labels == 0]),
        grid(test),
        labels.astype(int),
        [str(index) for index in range(len(test))],
        None,
    )


JOBS: dict[str, Callable[[int], Job]] = {"malaria": malaria, "phantom": phantom, "pneumonia": pneumonia}


# Floors: what a detector that has learned nothing scores


def nearest_pixels(train: torch.Tensor, test: torch.Tensor) -> np.ndarray:
    """Return the distance to the nearest training image in raw pixels, at a quarter of the side, (N,)."""
    small = [torch.nn.functional.adaptive_avg_pool2d(x, 16).flatten(1).numpy() for x in (train, test)]
    return NearestNeighbors(n_neighbors=1).fit(small[0]).kneighbors(small[1])[0].ravel()


def statistics(images: torch.Tensor) -> dict[str, np.ndarray]:
    """Return one-number summaries of each image; each is tried in both directions."""
    gray = images.mean(1).numpy()
    sharpness = np.array([cv2.Laplacian(image, cv2.CV_32F).var() for image in gray])
    values = {"mean": gray.mean((1, 2)), "standard deviation": gray.std((1, 2)), "Laplacian variance": sharpness}
    return {f"{sign}{name}": (1 if sign == "+" else -1) * value for name, value in values.items() for sign in "+-"}


@torch.no_grad()
def random_weights(job: Job, train: torch.Tensor) -> dict[str, np.ndarray]:
    """Return the image scores of the healthy reference in the features of an untrained discriminator, each (N,)."""
    config = job.config
    torch.manual_seed(config.training.seed)
    discriminator = Networks.build(config).discriminator

    def features(images: torch.Tensor) -> list[torch.Tensor]:
        parts = [discriminator.features(batch) for batch in images.split(64)]
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    size = config.input.size
    chosen = train[torch.randperm(len(train))[:REFERENCE_IMAGES]]
    reference = Reference.fit(features(chosen), size // 4, config.scoring.bank, config.training.seed)
    maps = reference.distances(features(job.test), size)
    scores = (top_mean(smooth(m, 1.0), config.scoring.top).numpy() for m in maps)
    return dict(zip(("gaussian", "neighbors"), scores, strict=True))


def split_by_subject(subjects: list[str], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of two groups that share no subject; the second holds about `share` of the images."""
    names = np.array(subjects)
    order = np.random.default_rng(seed).permutation(np.unique(names))
    part, counted = [], 0
    for name in order:
        if counted >= share * len(names):
            break
        part.append(name)
        counted += int((names == name).sum())
    inside = np.isin(names, part)
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def measure(name: str, seed: int) -> dict[str, object]:
    """Train, score and compare; return the figures."""
    job = JOBS[name](seed)
    config, labels = job.config, job.labels

    def show(event: TrainingEvent) -> None:
        if event.step % 500 == 0 or event.step == event.steps:
            print(f"{name} seed {seed}: {event.phase} {event.step}/{event.steps}", flush=True)

    rest, held = split_by_subject(job.train_subjects, config.training.holdout, seed)
    started = time.monotonic()
    detector = Detector.train_images(job.train[rest], job.train[held], config, callback=show)
    seconds = time.monotonic() - started
    maps = detector.maps(job.test)
    scores = maps.scores.numpy()
    figures: dict[str, object] = {"data": name, "seed": seed, "training seconds": round(seconds)}
    figures["threads"] = torch.get_num_threads()
    figures["fused"] = metrics.auroc(labels, scores, job.subjects)
    figures["fused, by image"] = metrics.auroc(labels, scores)
    if job.seen is not None:
        fresh = ~job.seen
        subjects = [name for name, kept in zip(job.subjects, fresh, strict=True) if kept]
        figures["fused, patients never looked at"] = metrics.auroc(labels[fresh], scores[fresh], subjects)
    for k, component in enumerate(COMPONENTS):
        own = top_mean(maps.components[:, k], config.scoring.top).numpy()
        figures[f"component: {component}"] = metrics.auroc(labels, own)
    figures["weights"] = dict(zip(COMPONENTS, map(float, detector.fusion.weights), strict=True))

    with torch.no_grad():
        pairs = zip(job.test.split(64), maps.reconstruction.split(64), strict=True)
        residuals = [torch.stack(residual_maps(x, back, detector.networks.discriminator)) for x, back in pairs]
    # Schlegl et al. 2019: the mean residual in pixels plus the mean residual in discriminator features.
    classical = torch.cat(residuals, dim=1).mean((2, 3)).sum(0)
    figures["classical f-AnoGAN score"] = metrics.auroc(labels, classical.numpy())
    figures["raw pixels, 1-NN"] = metrics.auroc(labels, nearest_pixels(job.train, job.test))
    tried = {key: metrics.auroc(labels, value) for key, value in statistics(job.test).items()}
    best = max(tried, key=lambda key: tried[key].value)
    figures["best single statistic"], figures["which statistic"] = tried[best], best
    for component, own in random_weights(job, job.train[rest]).items():
        figures[f"random weights: {component}"] = metrics.auroc(labels, own)

    if job.masks is not None:
        tally = metrics.PixelTally()
        for fused, mask in zip(maps.fused.numpy(), job.masks, strict=True):
            tally.add(fused, mask)
        figures["pixel"] = [float(tally.auroc()), float(tally.aupro())]

    rate = config.calibration.false_alarm_rate
    if len(job.calibration):
        calibrated = detector.calibrate_scores(detector.maps(job.calibration).scores.numpy(), rate)
        untouched = labels == 0
    else:
        healthy = np.flatnonzero(labels == 0)
        rows = split_by_subject([job.subjects[row] for row in healthy], 0.75, seed)
        calibrated = detector.calibrate_scores(scores[healthy[rows[1]]], rate)
        untouched = np.zeros(len(labels), bool)
        untouched[healthy[rows[0]]] = True
    assert calibrated.calibration is not None
    flagged = scores >= calibrated.calibration.threshold
    count, total = int(flagged[untouched].sum()), int(untouched.sum())
    figures["calibration images"] = len(calibrated.calibration.scores)
    figures["false alarms"] = [count, total, *metrics.binomial(count, total)]
    figures["sensitivity"] = float(flagged[labels == 1].mean())
    return figures


def finished() -> dict[str, list[dict[str, Any]]]:
    """Return the figures of the runs measured so far, by data set."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    return {name: of_set for name in JOBS if (of_set := [run for run in runs if run["data"] == name])}


def table() -> str:
    """Return the figures of all finished runs as Markdown: mean of the seeds, and each seed's value."""
    lines = []
    for name, of_set in finished().items():
        seeds = ", ".join(str(run["seed"]) for run in of_set)
        slowest = max(of_set, key=lambda run: run["training seconds"])
        minutes, threads = slowest["training seconds"] / 60, slowest["threads"]
        lines += [
            f"\n**{name}** (seeds {seeds}; longest training {minutes:.1f} minutes; threads: {threads})\n",
            "| | mean AUROC | each seed, 95 % interval |",
            "|---|---|---|",
        ]
        for row, first in of_set[0].items():
            if not (isinstance(first, list) and len(first) == 3):
                continue
            values = [run[row] for run in of_set]
            mean = np.mean([value[0] for value in values])
            each = "; ".join(f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in values)
            lines.append(f"| {row} | {mean:.3f} | {each} |")
        if "pixel" in of_set[0]:
            for k, row in enumerate(("pixel AUROC", "AUPRO up to 30 % false positives")):
                values = [run["pixel"][k] for run in of_set]
                lines.append(f"| {row} | {np.mean(values):.3f} | {'; '.join(f'{value:.3f}' for value in values)} |")
        alarms = "; ".join(
            f"{c} of {n} [{low:.3f}, {high:.3f}]" for c, n, _, low, high in (run["false alarms"] for run in of_set)
        )
        rate = np.mean([run["false alarms"][2] for run in of_set])
        lines.append(f"| realized false alarms, calibrated at 5 % | {rate:.3f} | {alarms} |")
        sensitivity = [run["sensitivity"] for run in of_set]
        lines.append(
            f"| sensitivity there | {np.mean(sensitivity):.3f} | {'; '.join(f'{value:.3f}' for value in sensitivity)} |"
        )
    return "\n".join(lines) + "\n"


# The README's rows, and the figures they show.
SUMMARY = {
    "fused score, image AUROC": "fused",
    "of which patients never looked at": "fused, patients never looked at",
    "discriminator's pixel logits": "component: discriminator",
    "pixel residual": "component: residual",
    "feature residual": "component: feature_residual",
    "Gaussian in its features": "component: gaussian",
    "nearest neighbors in its features": "component: neighbors",
    "classical f-AnoGAN score": "classical f-AnoGAN score",
    "floor: raw pixels, 1-NN": "raw pixels, 1-NN",
    "floor: best single statistic": "best single statistic",
    "floor: random weights, Gaussian": "random weights: gaussian",
    "floor: random weights, neighbors": "random weights: neighbors",
}


def summary() -> str:
    """Return the README's table: the mean of the seeds, and the lowest and highest of them."""
    sets = finished()

    def spread(values: list[float]) -> str:
        return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else ""

    lines = [
        "| AUROC: mean of the seeds (lowest to highest) | " + " | ".join(sets) + " |",
        "|---|" + "---|" * len(sets),
    ]
    for title, row in SUMMARY.items():
        cells = [spread([run[row][0] for run in of_set if row in run]) for of_set in sets.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    pixels = [spread([run["pixel"][0] for run in of_set if "pixel" in run]) for of_set in sets.values()]
    lines.append("| fused map, pixel AUROC | " + " | ".join(pixels) + " |")
    for title, cell in {
        "false alarms, calibrated at 5 %": lambda run: "{} of {}".format(*run["false alarms"][:2]),
        "sensitivity there": lambda run: f"{run['sensitivity']:.2f}",
        "minutes of training (threads)": lambda run: f"{run['training seconds'] / 60:.1f} ({run['threads']})",
    }.items():
        lines.append(f"| {title} | " + " | ".join("; ".join(map(cell, of_set)) for of_set in sets.values()) + " |")
    return "\n".join(lines) + "\n"


def write_tables() -> None:
    """Rewrite `main_job.md` and the README's table from the runs measured so far."""
    (RESULTS.parent / "main_job.md").write_text(table(), encoding="utf-8")
    readme = ROOT / "README.md"
    start, end = "<!-- main_job table -->\n", "<!-- end of main_job table -->"
    before, rest = readme.read_text(encoding="utf-8").split(start)
    readme.write_text(before + start + summary() + end + rest.split(end)[1], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="only rewrite the table")
    parser.add_argument("--again", action="store_true", help="measure again what was measured")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not options.table:
        for name in options.data:
            for seed in options.seeds:
                path = RESULTS / f"{name}-{seed}.json"
                if path.is_file() and not options.again:
                    continue
                figures = measure(name, seed)
                path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
                print(json.dumps(figures), flush=True)
    write_tables()
    print(table())


if __name__ == "__main__":
    main()
