"""Contamination of the healthy training folder: how many mislabeled images are in the first part of the list.

    python benchmarks/contamination.py          # seeds 0, 1, 2: trains once for each, then the table
    python benchmarks/contamination.py --seeds 0 --count 300 --steps 150  # a trial: prints, writes nothing
    python benchmarks/contamination.py --table  # the table of what was measured

Among the 2400 healthy training cells of malaria 50 parasitized ones are planted, 2 % of all, and as a control 50
healthy ones of the same patients: patients are new to the folder, and a list that found strangers rather than parasites
would hold as many of these. The training split has no parasitized cells, so both are drawn from the validation split; a
detector trained here is not used in any other table. It is trained on the contaminated folder, held-out part included.

Every method gives each image of the folder a score. "Cross-fitted" ones are scored with a reference that was fitted to
other subjects' images (`anogan contamination`), "as trained" ones with the detector's own, which saw the image.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from datasets import DATA, ROOT, _read, _rows, on_grid
from sklearn.neighbors import NearestNeighbors

import anogan
from anogan import metrics
from anogan.assurance.contamination import cross_fit
from anogan.config import InputConfig
from anogan.data.dataset import Item, draw_subjects
from anogan.detector import Detector
from anogan.detector.fusion import COMPONENTS, component_scores
from anogan.scan import Scan
from anogan.storage.documents import json_text

RESULTS = ROOT / "benchmarks" / "results" / "contamination"
RUNS = ROOT / "runs" / "contamination"
PLANTED = 1 / 48  # of the healthy images; with as many controls, 2 % of the folder
SHARES = (0.02, 0.04, 0.1)
PRODUCT = "anogan, cross-fitted"
HEALTHY, PLANT, CONTROL = 0, 1, 2


def folder(seed: int, count: int | None) -> tuple[list[Scan], list[str], np.ndarray]:
    """Return the scans of the contaminated folder, their subjects, and what each is, (N,)."""
    generator = np.random.default_rng(seed)
    rows = _rows("malaria")
    healthy = [row for row in rows if row["split"] == "train"]
    if count is not None:
        healthy = [healthy[index] for index in generator.permutation(len(healthy))[:count]]
    many = round(PLANTED * len(healthy))
    abnormal = [row for row in rows if row["label"] == "abnormal"]
    planted = [abnormal[index] for index in generator.permutation(len(abnormal))[:many]]
    patients = {row["patient"] for row in planted}
    like = [r for r in rows if r["split"] == "val" and r["label"] == "healthy" and r["patient"] in patients]
    control = [like[index] for index in generator.permutation(len(like))[:many]]
    parts = {HEALTHY: healthy, PLANT: planted, CONTROL: control}
    chosen = [row for part in parts.values() for row in part]
    kinds = np.repeat(list(parts), [len(part) for part in parts.values()])
    scans = _read([Item(DATA / "malaria" / row["file"], row["patient"], 0) for row in chosen])
    return scans, [row["patient"] for row in chosen], kinds


def scores(
    detector: Detector, x: torch.Tensor, scans: list[Scan], subjects: list[str], kinds: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the score of every image by every method, (N,) each."""
    found: dict[str, np.ndarray] = {}

    def keep(rows: np.ndarray, judge: Detector, suffix: str) -> None:
        for part in np.array_split(rows, -(-len(rows) // 64)):
            maps = judge.maps(x[part])
            values = {f"anogan, {suffix}": maps.scores}
            for name, own in zip(COMPONENTS, component_scores(maps.components).T, strict=True):
                values[f"{name}, {suffix}"] = own
            for name, own in values.items():
                found.setdefault(name, np.empty(len(x)))[part] = own.numpy()

    for rows, without in cross_fit(detector, x, subjects):
        keep(rows, without, "cross-fitted")
    keep(np.arange(len(x)), detector, "as trained")
    for name in ("discriminator", "residual", "feature_residual"):  # know no reference
        del found[f"{name}, as trained"]
    return found | floors(scans, subjects, kinds)


def floors(scans: list[Scan], subjects: list[str], kinds: np.ndarray) -> dict[str, np.ndarray]:
    """Return the distance to the nearest image of another subject in 16 x 16 pixels, and the best single statistic."""
    small = F.avg_pool2d(on_grid(scans, InputConfig(channels=3, size=32)), 2).flatten(1).numpy()
    names = np.array(subjects)
    nearest = np.empty(len(scans))
    for subject in np.unique(names):
        own = names == subject
        nearest[own] = NearestNeighbors(n_neighbors=1).fit(small[~own]).kneighbors(small[own])[0].ravel()
    gray = on_grid(scans, InputConfig(size=64)).squeeze(1).numpy()
    sharpness = np.array([cv2.Laplacian(image, cv2.CV_32F).var() for image in gray])
    values = {"mean": gray.mean((1, 2)), "standard deviation": gray.std((1, 2)), "Laplacian variance": sharpness}
    tried = [sign * value for value in values.values() for sign in (-1, 1)]
    best = max(tried, key=lambda value: metrics.auroc(kinds == PLANT, value).value)
    return {"raw pixels, 1-NN in other subjects": nearest, "best single statistic (chosen on the truth)": best}


def measure(seed: int, count: int | None, steps: int | None) -> dict[str, Any]:
    """Train on the contaminated folder and return the place of every planted image and control in each list."""
    scans, subjects, kinds = folder(seed, count)
    settings = [f"training.seed={seed}"]
    if steps is not None:
        settings += [f"training.steps={steps}", f"training.encoder_steps={max(1, steps // 4)}"]
    config = anogan.load_config("blood-smear", settings)
    x = on_grid(scans, config.input)
    held = draw_subjects(subjects, config.training.holdout, seed)
    whole = count is None and steps is None
    run = RUNS / str(seed) if whole else None  # a killed training goes on
    detector = Detector.train_images(x[~held], x[held], config, run=run, resume=whole)
    ranks = {}
    for name, values in scores(detector, x, scans, subjects, kinds).items():
        rank = np.empty(len(values), dtype=int)
        rank[np.argsort(-values, kind="stable")] = np.arange(1, len(values) + 1)
        ranks[name] = {
            "planted": sorted(rank[kinds == PLANT].tolist()),
            "control": sorted(rank[kinds == CONTROL].tolist()),
        }
    weights = dict(zip(COMPONENTS, map(float, detector.fusion.weights), strict=True))
    of_held = {kind: int((held & (kinds == code)).sum()) for kind, code in (("planted", PLANT), ("control", CONTROL))}
    return {"seed": seed, "images": len(x), "held out": of_held, "weights": weights, "ranks": ranks}


def table(runs: list[dict[str, Any]]) -> str:
    """Return the share of the planted images, and of the controls, within the first part of the list."""
    head = [f"in the top {share:.0%}" for share in SHARES]
    images = sorted({run["images"] for run in runs})
    planted = [len(run["ranks"][PRODUCT]["planted"]) for run in runs]
    lines = [
        f"# Mislabeled images in the list of `anogan contamination`\n\nFolders of {images} images, seeds "
        f"{[run['seed'] for run in runs]}, with {planted} parasitized cells among them and as many healthy controls of "
        "the same patients. Share of the planted ones found, mean of the seeds (each), then of the controls at 4 %.\n",
        f"| score | {' | '.join(head)} | controls in the top 4 % |",
        "|---|" + "---|" * (len(SHARES) + 1),
    ]

    def shares(name: str, kind: str, share: float) -> list[float]:
        return [float((np.array(r["ranks"][name][kind]) <= np.ceil(share * r["images"])).mean()) for r in runs]

    names = list(runs[0]["ranks"])
    floor = names[-2:]
    order = sorted(names, key=lambda name: (name in floor, -np.mean(shares(name, "planted", 0.04))))
    for name in order:
        cells = []
        for kind, share in [*(("planted", share) for share in SHARES), ("control", 0.04)]:
            each = shares(name, kind, share)
            cells.append(f"{np.mean(each):.2f} ({', '.join(f'{value:.2f}' for value in each)})")
        lines.append(f"| {f'**{name}**' if name == PRODUCT else name} | {' | '.join(cells)} |")
    lines.append(f"| random order | {' | '.join(f'{share:.2f}' for share in (*SHARES, 0.04))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of the training, for a trial; the profile's without it")
    parser.add_argument("--count", type=int, help="healthy images, for a trial; all without it")
    parser.add_argument("--table", action="store_true", help="measure nothing, write the table")
    options = parser.parse_args()
    if options.steps is not None or options.count is not None:
        print(table([measure(seed, options.count, options.steps) for seed in options.seeds]))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in [] if options.table else options.seeds:
        path = RESULTS / f"{seed}.json"
        if not path.is_file():
            path.write_text(json_text(measure(seed, None, None)) + "\n", encoding="utf-8")
    text = table([json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))])
    (RESULTS.parent / "contamination.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
