"""The accuracy study: the product beside its peers and the floors, on the same splits.

    python benchmarks/accuracy.py                        # everything that is not measured yet
    python benchmarks/accuracy.py --data malaria --seeds 0 --methods anogan
    pip install -e '.[bench]'                            # what the peers need
    python benchmarks/accuracy.py --methods peers
    python benchmarks/accuracy.py --methods ablations    # the product with one thing taken away
    python benchmarks/accuracy.py --table                # the tables of what was measured, here and in the README

Every (data, seed, method) is one file in `results/accuracy/`, written when it is done, with the scores of all test
images, so that every figure can be computed again from it; a stopped benchmark goes on where it was. Thresholds come
from healthy calibration images only, and no choice is made on the test split: what was developed with an eye on some
test images says so, and the figures of the others stand beside.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import DATASETS, ROOT, Dataset, malaria, on_grid
from peers import PEERS

import anogan
from anogan import metrics
from anogan.config import InputConfig
from anogan.data.dataset import draw_subjects
from anogan.data.transforms import mask_to_network
from anogan.detector import Detector
from anogan.detector.calibration import Calibration
from anogan.detector.fusion import COMPONENTS
from anogan.detector.reference import ROUNDED, rounded_otherwise
from anogan.gan.convergence import Verdict
from anogan.gan.inversion import residual_maps
from anogan.gan.losses import top_mean
from anogan.gan.training import Trainer, TrainingEvent
from anogan.storage import checkpoint
from anogan.storage.documents import json_text

RESULTS = ROOT / "benchmarks" / "results" / "accuracy"
RUNS = ROOT / "runs" / "accuracy"
PRODUCT = "anogan"
PIXEL_GRID = InputConfig(size=128)  # on which the maps of all methods meet the masks
SMALL = {f"malaria-{count}": count for count in (50, 100, 500)}
# The product with one thing taken away.
ABLATIONS = {
    "without diffuse fakes": ["local_fakes.diffuse=0"],
    "without a second and third blob": ["local_fakes.layers=1"],
    "without the threshold of what is visible": ["local_fakes.visible=0.02"],
    "without differentiable augmentation": [
        f"augmentation.{k}=0" for k in ("shift", "brightness", "contrast", "cutout")
    ],
    "without generated places": ["training.generated_places=0"],
    "with half the width": ["network.width=24"],
    "with the steps of before: 1800": ["training.steps=1800"],
}
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")
REPLICATES = 1000
LEAST_MM = 6.0


def load(name: str, seed: int) -> Dataset:
    return malaria(seed, SMALL[name]) if name in SMALL else DATASETS[name](seed)


def place(name: str, seed: int, method: str) -> Path:
    return RESULTS / name / f"{NOT_IN_NAMES.sub('-', method).lower()}-{seed}.json"


def write(data: Dataset, seed: int, method: str, scores: np.ndarray, figures: dict[str, Any]) -> None:
    path = place(data.name, seed, method)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "data": data.name,
        "seed": seed,
        "method": method,
        "threads": torch.get_num_threads(),
        "training images": len(data.train),
        "auroc": metrics.auroc(data.labels, scores, data.subjects),
        **figures,
        "scores": [float(f"{score:.5g}") for score in scores],
    }
    text = json_text(found, indent=1)
    head, _, tail = text.partition('"scores": [')
    path.write_text(head + '"scores": [' + " ".join(tail.split()) + "\n", encoding="utf-8")
    print(f"{data.name} {seed} {method}: AUROC {found['auroc'][0]:.4f}", figures.get("pixel", ""), flush=True)


def pixel_figures(data: Dataset, maps: np.ndarray | None) -> dict[str, Any]:
    """Return pixel AUROC and AUPRO up to 30 % false positives, all methods on one grid."""
    if data.masks is None or maps is None:
        return {}
    tally = metrics.PixelTally()
    for own, mask in zip(torch.from_numpy(maps), data.masks, strict=True):
        side = PIXEL_GRID.size
        resized = F.interpolate(own[None, None], size=(side, side), mode="bilinear", align_corners=False)
        tally.add(resized[0, 0].numpy(), mask_to_network(mask, PIXEL_GRID))
    return {"pixel": [float(tally.auroc()), float(tally.aupro())]}


def lesion_sizes(data: Dataset) -> np.ndarray:
    """Return the diameter of the circle with the area of each image's mask, in mm; 0 where it is unknown, (N,)."""
    sizes = np.zeros(len(data.test))
    for row, (scan, mask) in enumerate(zip(data.test, data.masks or [], strict=False)):
        if scan.spacing is not None:
            sizes[row] = 2 * np.sqrt(mask.sum() * scan.spacing[0] * scan.spacing[1] / np.pi)
    return sizes


class Watched(Trainer):
    """Keeps the averaged discriminator of every snapshot of the first phase; `stopping.py` judges them."""

    def _snapshot(self, phase: str, step: int) -> tuple[Path | None, Verdict]:
        if phase == "adversarial" and self.folder is not None:
            kept = checkpoint.pack("discriminator", self.averaged["discriminator"].module)
            checkpoint.write_tensors(self.folder.path.parent / "watched" / f"{step:06d}.safetensors", kept)
        return super()._snapshot(phase, step)


def measure_product(data: Dataset, seed: int, settings: list[str], method: str) -> None:
    """Train, score, and write the product's figures and those of each of its parts."""
    config = anogan.load_config(data.profile, [f"training.seed={seed}", *data.settings, *settings])
    train, test = on_grid(data.train, config.input), on_grid(data.test, config.input)
    held = draw_subjects(data.train_subjects, config.training.holdout, seed)

    def show(event: TrainingEvent) -> None:
        if event.verdict is not None:
            print(f"{data.name} {seed} {method}: {event.phase} {event.step}/{event.steps}, {event.verdict}", flush=True)

    started = time.monotonic()
    # The run folder lets a killed training go on, and `--again` fit and score without training once more.
    folder = RUNS / data.name / place(data.name, seed, method).stem
    networks = Watched(train[~held], train[held], config, folder, show).run(resume=True)
    detector = Detector.fit(networks, train[~held], train[held], config)
    fitted = round(time.monotonic() - started)
    state = json.loads((folder / "training" / "state.json").read_text(encoding="utf-8"))
    progress = json.loads((folder / "training" / "progress.json").read_text(encoding="utf-8"))
    seconds = max(fitted, round(state["seconds"]))
    maps = detector.maps(test)
    scores = maps.scores.numpy()
    figures: dict[str, Any] = {"seconds": seconds, **pixel_figures(data, maps.fused.numpy())}
    figures["weights"] = dict(zip(COMPONENTS, map(float, detector.fusion.weights), strict=True))
    if data.seen is not None:
        fresh = ~data.seen
        subjects = [name for name, kept in zip(data.subjects, fresh, strict=True) if kept]
        figures["auroc, never looked at"] = metrics.auroc(data.labels[fresh], scores[fresh], subjects)
    figures["progress"] = {phase: {k: found[k] for k in ("word", "steps", "best")} for phase, found in progress.items()}
    figures["last reading"] = progress["adversarial"]["readings"][-1]
    figures |= operating_point(data, seed, detector, scores)
    sizes = lesion_sizes(data)
    if sizes.any():
        rows = (data.labels == 0) | (sizes >= LEAST_MM)
        subjects = [name for name, kept in zip(data.subjects, rows, strict=True) if kept]
        at = metrics.sensitivity_at_specificity(data.labels[rows], scores[rows], 0.95, subjects)
        figures[f"sensitivity at 95 % specificity, lesions from {LEAST_MM:g} mm"] = at
    write(data, seed, method, scores, figures)
    if settings:
        return

    weights, healthy = detector.fusion.weights, detector._raw(train[held])
    rounded = detector._raw(rounded_otherwise(train[held][:ROUNDED]))
    for k, name in enumerate(COMPONENTS):
        own = maps.components[:, k]
        part = top_mean(own, config.scoring.top).numpy()
        write(data, seed, f"component: {name}", part, pixel_figures(data, own.numpy()))
        if 0 < weights[k] < 1:
            others = torch.where(torch.arange(len(weights)) == k, 0, weights)
            fusion = detector.fusion.weigh(others / others.sum(), healthy, rounded)
            fused = fusion.fuse(maps.components)
            image_scores = fusion.score(maps.components, fused).numpy()
            write(data, seed, f"minus: {name}", image_scores, pixel_figures(data, fused.numpy()))
    write(data, seed, "minus: diffuse score", top_mean(maps.fused, config.scoring.top).numpy(), {})
    with torch.no_grad():
        pairs = zip(test.split(64), maps.reconstruction.split(64), strict=True)
        residuals = [torch.stack(residual_maps(x, back, detector.networks.discriminator)) for x, back in pairs]
    # Schlegl et al. 2019: the mean residual in pixels plus the mean residual in discriminator features.
    classical = torch.cat(residuals, dim=1).sum(0)
    write(
        data, seed, "classical f-AnoGAN score", classical.mean((1, 2)).numpy(), pixel_figures(data, classical.numpy())
    )


def operating_point(data: Dataset, seed: int, detector: Detector, scores: np.ndarray) -> dict[str, Any]:
    """Calibrate on healthy images, and count false alarms on healthy images of other subjects.

    Without a calibration split, three quarters of the healthy test subjects calibrate and the others are counted.
    Images that calibrate take part in the AUROC, which no threshold enters.
    """
    rate = detector.config.calibration.false_alarm_rate
    untouched = data.labels == 0
    if data.calibration:
        healthy_scores = detector.maps(on_grid(data.calibration, detector.config.input)).scores.numpy()
    else:
        calibrating = untouched.copy()
        calibrating[untouched] = draw_subjects(np.array(data.subjects)[untouched].tolist(), 0.75, seed)
        healthy_scores, untouched = scores[calibrating], untouched & ~calibrating
    try:
        calibration = Calibration.fit(healthy_scores, rate)
    except ValueError as error:
        return {"not calibrated": str(error)}
    assert calibration is not None
    flagged = scores >= calibration.threshold
    count, total = int(flagged[untouched].sum()), int(untouched.sum())
    return {
        "calibration images": len(healthy_scores),
        "false alarms": [count, total, *metrics.binomial(count, total)],
        "sensitivity there": float(flagged[data.labels == 1].mean()),
    }


def measure(name: str, seed: int, methods: Iterable[str], again: bool) -> None:
    todo = [method for method in methods if again or not place(name, seed, method).is_file()]
    if not todo:
        return
    data = load(name, seed)
    for method in todo:
        if method == PRODUCT or method in ABLATIONS:
            measure_product(data, seed, ABLATIONS.get(method, []), method)
        else:
            judged = PEERS[method](data, seed)
            figures = {"seconds": round(judged.seconds), **judged.notes, **pixel_figures(data, judged.maps)}
            write(data, seed, method, judged.scores, figures)


# Tables


def finished() -> dict[str, dict[str, dict[int, dict[str, Any]]]]:
    """Return the figures measured so far: data set, method, seed."""
    found: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for path in sorted(RESULTS.glob("*/*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(run["data"], {}).setdefault(run["method"], {})[run["seed"]] = run
    return {name: found[name] for name in (*DATASETS, *SMALL) if name in found}


def resampled(sets: dict[int, Dataset], methods: list[dict[int, dict[str, Any]]]) -> np.ndarray:
    """Return bootstrap replicates of each method's AUROC at each seed, (REPLICATES, methods, seeds), NaN where not run.

    Subjects are drawn; a subject that several seeds test is drawn for all of them alike, and so for all methods: the
    differences of methods are paired.
    """
    names = sorted({subject for data in sets.values() for subject in data.subjects})
    index = {name: k for k, name in enumerate(names)}
    generator = np.random.default_rng(0)
    draws = (generator.integers(len(names), size=len(names)) for _ in range(REPLICATES))
    times = np.stack([np.bincount(drawn, minlength=len(names)) for drawn in draws])  # (REPLICATES, subjects)
    values = np.full((REPLICATES, len(methods), len(sets)), np.nan)
    for column, (seed, data) in enumerate(sets.items()):
        weights = times[:, [index[name] for name in data.subjects]]
        for k, runs in enumerate(methods):
            if seed in runs:
                values[:, k, column] = weighted_auroc(data.labels, np.asarray(runs[seed]["scores"]), weights)
    return values


def weighted_auroc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUROC of images that count `weights`, (R, N), times: (R,); ties count one half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # of each run of equal scores
    abnormal, healthy = (np.add.reduceat((weights * mine)[:, order], starts, axis=1) for mine in (labels, 1 - labels))
    below = np.cumsum(healthy, axis=1) - healthy / 2
    return (abnormal * below).sum(1) / (abnormal.sum(1) * healthy.sum(1))


def table() -> str:
    """Return all figures as Markdown."""
    lines = []
    for name, methods in finished().items():
        product = methods.get(PRODUCT)
        if product is None:
            continue
        seeds = sorted(product)
        sets = {seed: load(name, seed) for seed in seeds}
        # A method that was run with fewer seeds is compared with the product of those seeds.
        compared = {m: {seed: runs[seed] for seed in seeds if seed in runs} for m, runs in methods.items()}
        compared = {method: runs for method, runs in compared.items() if runs}
        ordered = sorted(compared, key=lambda m: -np.mean([run["auroc"][0] for run in compared[m].values()]))
        replicates = resampled(sets, [compared[method] for method in ordered])
        own = replicates[:, ordered.index(PRODUCT)]
        lines += [
            f"\n## {name}: {product[seeds[0]]['training images']} training images, seeds {seeds}\n",
            "| method | AUROC, mean [95 %] | each seed | product minus it [95 %] "
            "| pixel AUROC | AUPRO | steps | minutes |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for k, method in enumerate(ordered):
            runs = list(compared[method].values())
            values = [run["auroc"][0] for run in runs]
            low, high = np.percentile(np.nanmean(replicates[:, k], 1), (2.5, 97.5))
            gain = np.mean([product[seed]["auroc"][0] for seed in compared[method]]) - np.mean(values)
            from_, to = np.percentile(np.nanmean(own - replicates[:, k], 1), (2.5, 97.5))
            difference = "" if method == PRODUCT else f"{gain:+.3f} [{from_:+.3f}, {to:+.3f}]"
            pixel = np.mean([run["pixel"] for run in runs], axis=0) if "pixel" in runs[0] else None
            cells = ["", ""] if pixel is None else [f"{value:.3f}" for value in pixel]
            steps = "; ".join(f"{count}" for count in sorted({steps_of(run) for run in runs if "progress" in run}))
            minutes = f"{np.mean([run['seconds'] for run in runs]) / 60:.1f}" if "seconds" in runs[0] else ""
            shown = f"**{method}**" if method == PRODUCT else method
            each = ", ".join(f"{value:.3f}" for value in values)
            mean = f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]"
            lines.append(f"| {shown} | {mean} | {each} | {difference} | {' | '.join(cells)} | {steps} | {minutes} |")
        lines.append("")
        for row in product[seeds[0]]:
            values = [run[row] for run in product.values() if row in run]
            if row == "false alarms":
                each = "; ".join("{} of {} [{:.3f}, {:.3f}]".format(*v[:2], *v[3:]) for v in values)
                lines.append(f"- false alarms on untouched healthy images, calibrated at 5 %: {each}")
            elif row.startswith("sensitivity at") or row == "auroc, never looked at":
                each = "; ".join("{:.3f} [{:.3f}, {:.3f}]".format(*v) for v in values)
                lines.append(f"- {row}: mean {np.mean([v[0] for v in values]):.3f}; {each}")
            elif row == "sensitivity there":
                lines.append(f"- {row}: {'; '.join(f'{value:.3f}' for value in values)}")
            elif row == "weights":
                each = "; ".join(", ".join(f"{k} {w:.2f}" for k, w in v.items() if w) for v in values)
                lines.append(f"- weights: {each}")
    return "\n".join(lines).lstrip() + "\n"


def steps_of(run: dict[str, Any]) -> int:
    """Return for how long the first phase trained: not all rows were measured with the settings of now."""
    return int(run["progress"]["adversarial"]["steps"])


# The README's rows: title, method.
SUMMARY = {
    "**anogan**, fused score": PRODUCT,
    "its discriminator's pixel logits alone": "component: discriminator",
    "its Gaussian reference alone": "component: gaussian",
    "its neighbors alone": "component: neighbors",
    "its pixel residual alone": "component: residual",
    "its feature residual alone": "component: feature_residual",
    "classical f-AnoGAN score, same networks": "classical f-AnoGAN score",
    **{method: method for method in PEERS},
}


def summary() -> str:
    """Return the README's table: image AUROC, mean of the seeds (lowest to highest)."""
    sets = {name: methods for name, methods in finished().items() if PRODUCT in methods}

    def spread(values: list[float]) -> str:
        if len(values) < 2:
            return "".join(f"{value:.3f}" for value in values)
        return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"

    lines = ["| image AUROC | " + " | ".join(sets) + " |", "|---|" + "---|" * len(sets)]
    for title, method in SUMMARY.items():
        cells = [spread([run["auroc"][0] for run in methods.get(method, {}).values()]) for methods in sets.values()]
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    products = [methods[PRODUCT].values() for methods in sets.values()]
    for k, title in enumerate(("anogan's map, pixel AUROC", "anogan's map, AUPRO")):
        cells = [spread([run["pixel"][k] for run in runs if "pixel" in run]) for runs in products]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    for title, cell in {
        "false alarms, calibrated at 5 %": lambda run: "{} of {}".format(*run["false alarms"][:2]),
        "sensitivity there": lambda run: f"{run['sensitivity there']:.2f}",
        "steps of the first phase": lambda run: f"{steps_of(run)}",
        "minutes of training, one thread": lambda run: f"{run['seconds'] / 60:.0f}",
    }.items():
        cells = ["; ".join(cell(run) for run in runs if "false alarms" in run) for runs in products]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_tables() -> str:
    """Rewrite `accuracy.md` and the README's table from what was measured so far."""
    text = table()
    (RESULTS.parent / "accuracy.md").write_text(text, encoding="utf-8")
    readme = ROOT / "README.md"
    start, end = "<!-- accuracy table -->\n", "<!-- end of accuracy table -->"
    before, rest = readme.read_text(encoding="utf-8").split(start)
    readme.write_text(before + start + summary() + end + rest.split(end)[1], encoding="utf-8")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=[*DATASETS, *SMALL], default=[*DATASETS, *SMALL])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--methods", nargs="+", default=[PRODUCT, "peers"], help="anogan, peers, ablations, or the name of one of them"
    )
    parser.add_argument("--table", action="store_true", help="measure nothing, write the tables")
    parser.add_argument("--again", action="store_true", help="measure again what was measured")
    options = parser.parse_args()
    groups = {"peers": list(PEERS), "ablations": list(ABLATIONS)}
    methods = [m for name in options.methods for m in groups.get(name, [name])]
    if options.table:
        print(write_tables())
        return
    for seed in options.seeds:
        for name in options.data:
            measure(name, seed, [m for m in methods if m not in PEERS or name not in SMALL], options.again)


if __name__ == "__main__":
    main()
