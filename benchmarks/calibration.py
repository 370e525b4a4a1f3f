"""What calibration promises, and what comes of it: by simulation, on a real set, and at a site that images otherwise.

    python benchmarks/accuracy.py --data malaria --seeds 0 --methods anogan  # trains the detector that is calibrated
    python benchmarks/calibration.py          # scores what is not scored yet (minutes), then the table
    python benchmarks/calibration.py --runs FOLDER  # where accuracy.py has left its runs

The scores of every healthy and abnormal validation image, as they are and as each other site images them, are kept in
`results/calibration.json` with the number of the patient, so that the table can be made again from it alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from accuracy import PRODUCT, RUNS, place
from datasets import ROOT, Dataset, malaria, on_grid

import anogan
from anogan import metrics
from anogan.data.dataset import draw_subjects
from anogan.detector import Detector
from anogan.detector.calibration import Calibration, images_needed, rank
from anogan.gan.training import train
from anogan.metrics.discovery import discoveries
from anogan.scan import Scan
from anogan.storage.documents import json_text

RESULTS = ROOT / "benchmarks" / "results"
DRAWS = 10_000
SPLITS = 2000
SIZES = (59, 100, 299, 1000)
RATES = (0.05, 0.01)
KINDS = {"on average": None, "with 95 % confidence": 0.95}


# What another site does to an image


def other_site(scan: Scan, index: int, contrast: float = 1.0, noise: float = 0.0, blur: float = 0.0) -> Scan:
    """Return a cell as another camera would have taken it before it was cut out: its black surroundings stay black."""
    cell = (scan.pixels > 0).any(axis=2, keepdims=True)
    pixels = scan.pixels
    if blur:  # of the cell alone: the black around it is not light
        weight = cv2.GaussianBlur(cell.astype(np.float32), (0, 0), blur)[..., None]
        pixels = cv2.GaussianBlur(pixels * cell, (0, 0), blur) / np.maximum(weight, 1e-6)
    middle = pixels[cell[..., 0]].mean(axis=0)
    pixels = middle + contrast * (pixels - middle)
    pixels = pixels + noise * np.random.default_rng(index).normal(size=pixels.shape)
    return replace(scan, pixels=(pixels.clip(0, 1) * cell).astype(np.float32))


SITES: dict[str, dict[str, float]] = {
    "as it is": {},
    "contrast x 1.3": {"contrast": 1.3},
    "noise of 2 %": {"noise": 0.02},
    "blur of 1 pixel": {"blur": 1.0},
    "all three": {"contrast": 1.3, "noise": 0.02, "blur": 1.0},
    "noise of 6 %": {"noise": 0.06},
    "contrast x 1.6, noise of 6 %, blur of 2 pixels": {"contrast": 1.6, "noise": 0.06, "blur": 2.0},
}


def score(runs: Path, scores: dict[str, list[float]], seed: int = 0) -> dict[str, Any]:
    """Return the scores of the malaria validation images at every site; `scores` has some of them already."""
    data = malaria(seed)
    folder = runs / data.name / place(data.name, seed, PRODUCT).stem
    if not (folder / "training").is_dir():
        raise SystemExit(f"{folder}: not trained yet; run accuracy.py --data malaria --seeds {seed} --methods anogan")
    started = time.process_time()
    detector = rebuilt(data, seed, folder)
    for site in SITES.keys() - scores.keys():
        change = SITES[site]
        scans = [other_site(scan, index, **change) for index, scan in enumerate(data.test)]
        found = detector.maps(on_grid(scans, detector.config.input)).scores.numpy()
        scores[site] = [float(f"{value:.5g}") for value in found]
        print(f"{site}: scored after {time.process_time() - started:.0f} s of processor time", flush=True)
    patients = {name: number for number, name in enumerate(sorted(set(data.subjects)))}
    return {
        "detector": f"{data.name}, seed {seed}",
        "labels": data.labels.tolist(),
        "patients": [patients[name] for name in data.subjects],
        "scores": {site: scores[site] for site in SITES},
    }


def rebuilt(data: Dataset, seed: int, folder: Path) -> Detector:
    config = anogan.load_config(data.profile, [f"training.seed={seed}", *data.settings])
    images = on_grid(data.train, config.input)
    held = draw_subjects(data.train_subjects, config.training.holdout, seed)
    networks = train(images[~held], images[held], config, run=folder, resume=True)
    return Detector.fit(networks, images[~held], images[held], config)


# Simulation


def simulate_promises() -> list[dict[str, Any]]:
    """Calibrate on uniform scores, of which the false-alarm rate of a calibration set is known without a test."""
    rows = []
    for n in SIZES:
        for rate in RATES:
            for kind, confidence in KINDS.items():
                row: dict[str, Any] = {"n": n, "rate": rate, "kind": kind, "rank": rank(n, rate, confidence)}
                if row["rank"]:
                    generator = np.random.default_rng([n, round(1000 * rate)])
                    realized = np.array(
                        [1 - Calibration.fit(generator.random(n), rate, confidence).threshold for _ in range(DRAWS)]
                    )
                    row |= {"mean": float(realized.mean()), "kept": float((realized <= rate).mean())}
                rows.append(row)
    return rows


def simulate_discoveries() -> list[dict[str, Any]]:
    """Work lists of normal scores, of which some are moved by 3 standard deviations; one calibration set each."""
    rows = []
    for n, cases, abnormal in ((100, 50, 5), (1000, 50, 5), (1000, 50, 0), (1000, 200, 10)):
        generator = np.random.default_rng([n, cases, abnormal])
        wrong, found, empty = np.zeros(DRAWS), np.zeros(DRAWS), 0
        for draw in range(DRAWS):
            healthy = np.sort(generator.normal(size=n))
            scores = generator.normal(size=cases)
            scores[:abnormal] += 3
            p_values = (1 + n - np.searchsorted(healthy, scores)) / (n + 1)  # Calibration.p_value, all at once
            selected = np.array(discoveries(p_values.tolist(), 0.1))
            wrong[draw] = selected[abnormal:].sum() / max(selected.sum(), 1)
            found[draw] = selected[:abnormal].mean() if abnormal else np.nan
            empty += not selected.any()
        power = float(found.mean()) if abnormal else None
        rows.append({"n": n, "cases": cases, "abnormal": abnormal, "fdr": float(wrong.mean()), "found": power})
    return rows


# On real images


def halves(kept: dict[str, Any], by: str) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Return what draws the indices of two halves of the healthy images, by patient or by image."""
    healthy = np.flatnonzero(np.array(kept["labels"]) == 0)
    names = np.array(kept["patients"])[healthy].tolist() if by == "patient" else healthy.tolist()

    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        inside = draw_subjects(names, 0.5, seed)
        return healthy[inside], healthy[~inside]

    return draw


def split_real(kept: dict[str, Any]) -> list[dict[str, Any]]:
    """Calibrate on one half, count false alarms on the other."""
    scores, rows = np.array(kept["scores"]["as it is"]), []
    for by in ("patient", "image"):
        draw = halves(kept, by)
        for kind, confidence in KINDS.items():
            realized = []
            for seed in range(SPLITS):
                inside, outside = draw(seed)
                threshold = Calibration.fit(scores[inside], 0.05, confidence).threshold
                realized.append(np.mean(scores[outside] >= threshold))
            rows.append({"by": by, "kind": kind, "rate": 0.05, **spread(realized)})
    return rows


def spread(realized: list[float]) -> dict[str, float]:
    values = np.array(realized)
    low, high = np.percentile(values, (2.5, 97.5))
    return {
        "mean": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "kept": float((values <= 0.05).mean()),
    }


def recalibrate(kept: dict[str, Any]) -> list[dict[str, Any]]:
    """Count false alarms at each site with the home's threshold, and with one from n healthy images of the site."""
    labels = np.array(kept["labels"])
    home, rows = np.array(kept["scores"]["as it is"]), []
    draw = halves(kept, "patient")
    plans = [("home", 0, None), *(("site", n, None) for n in (20, 50, 100)), ("site", 100, 0.95)]
    for site, values in kept["scores"].items():
        scores = np.array(values)
        auroc = metrics.auroc(labels, scores, kept["patients"])
        for source, n, confidence in plans:
            realized, caught = [], []
            for seed in range(SPLITS):
                inside, outside = draw(seed)
                if source == "home":
                    healthy = home[inside]
                else:
                    healthy = scores[np.random.default_rng(seed).permutation(inside)[:n]]
                threshold = Calibration.fit(healthy, 0.05, confidence).threshold
                realized.append(np.mean(scores[outside] >= threshold))
                caught.append(np.mean(scores[labels == 1] >= threshold))
            rows.append(
                {
                    "site": site,
                    "auroc": list(auroc),
                    "threshold of": source,
                    "n": n,
                    "confidence": confidence,
                    **spread(realized),
                    "sensitivity": float(np.mean(caught)),
                }
            )
    return rows


# The table


def table(found: dict[str, Any]) -> str:
    lines = [
        "# Calibration: what is promised, and what comes of it\n",
        f"## Simulation, {DRAWS:,} calibration sets each\n",
        "The threshold lies just above the score of the given rank, counted from the highest. The promise of the first "
        "kind is about the mean, that of the second about the share of sets that keep the rate, which must be 95 %.\n",
        "| healthy images | rate promised | kind | rank | mean rate | share of sets that keep it |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["promises"]:
        start = f"| {row['n']} | {row['rate']:.0%} | {row['kind']} |"
        if row["rank"]:
            lines.append(f"{start} {row['rank']} | {row['mean']:.2%} | {row['kept']:.1%} |")
        else:
            needed = images_needed(row["rate"], KINDS[row["kind"]])
            lines.append(f"{start} refused | at least {needed} are needed | |")
    lines += [
        f"\n## Benjamini and Hochberg over a work list at 10 %, {DRAWS:,} lists each\n",
        "Abnormal scores lie 3 healthy standard deviations higher. False discovery rate: at most 10 % is promised.\n",
        "| healthy images | cases | abnormal | false discovery rate | abnormal cases found |",
        "|---|---|---|---|---|",
    ]
    for row in found["discoveries"]:
        power = "" if row["found"] is None else f"{row['found']:.1%}"
        lines.append(f"| {row['n']} | {row['cases']} | {row['abnormal']} | {row['fdr']:.1%} | {power} |")
    kept = found["kept"]
    healthy = np.array(kept["labels"]) == 0
    patients = len(set(np.array(kept["patients"])[healthy].tolist()))
    lines += [
        f"\n## Real images: {healthy.sum()} healthy cells of {patients} patients (malaria), {SPLITS:,} splits each\n",
        "One half calibrates for 5 %, false alarms are counted on the other. That half is small, so its count varies "
        "too, even where the promise is kept.\n",
        "| halves drawn by | promise of 5 % | mean rate [95 % of splits] | splits that count at most 5 % |",
        "|---|---|---|---|",
    ]
    for row in found["splits"]:
        lines.append(
            f"| {row['by']} | {row['kind']} | {row['mean']:.1%} [{row['low']:.1%}, {row['high']:.1%}] "
            f"| {row['kept']:.0%} |"
        )
    lines.append(
        "\nThe mean is kept either way. With confidence: drawn by image the promise is kept about as often as it "
        "should be; drawn by patient it is not, for the cells of one patient are alike and only ten patients calibrate."
    )
    lines += [
        f"\n## Another site, and its own threshold from n healthy images: {SPLITS:,} splits by patient each\n",
        "The same cells, as another camera would have taken them. Nothing is trained again; images of the site's "
        "healthy patients set the threshold for 5 %, those of its other healthy patients are counted. Ten patients "
        "calibrate, so single splits vary more than n images of as many patients would.\n",
        "| site | AUROC [95 %] | threshold from | false alarms, mean [95 % of splits] | sensitivity |",
        "|---|---|---|---|---|",
    ]
    for row in found["sites"]:
        first = row["threshold of"] == "home"
        source = "home, half of its patients" if first else f"{row['n']} images of the site"
        source += f", {row['confidence']:.0%} confidence" if row["confidence"] else ""
        name, auroc = (row["site"], "{:.3f} [{:.3f}, {:.3f}]".format(*row["auroc"])) if first else ("", "")
        rates = f"{row['mean']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
        lines.append(f"| {name} | {auroc} | {source} | {rates} | {row['sensitivity']:.1%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where accuracy.py has left its runs")
    parser.add_argument("--again", action="store_true", help="score again what was scored")
    options = parser.parse_args()
    path = RESULTS / "calibration.json"
    done = path.is_file() and not options.again
    kept = json.loads(path.read_text(encoding="utf-8"))["kept"] if done else {"scores": {}}
    if SITES.keys() - kept["scores"].keys():
        kept = score(options.runs, kept["scores"])
        write(path, {"kept": kept})
    found = {"kept": kept, "promises": simulate_promises(), "discoveries": simulate_discoveries()}
    found |= {"splits": split_real(kept), "sites": recalibrate(kept)}
    write(path, found)
    (RESULTS / "calibration.md").write_text(table(found), encoding="utf-8")
    print(table(found))


def write(path: Path, found: dict[str, Any]) -> None:
    """Write a line for each row and each list of scores."""
    kept = ",\n".join(f'  "{key}": {json_text(value)}' for key, value in found["kept"].items() if key != "scores")
    scores = ",\n".join(f'   "{site}": {json_text(values)}' for site, values in found["kept"]["scores"].items())
    parts = [f' "kept": {{\n{kept},\n  "scores": {{\n{scores}\n  }}\n }}']
    for key, rows in found.items():
        if key != "kept":
            parts.append(f' "{key}": [\n' + ",\n".join(f"  {json_text(row)}" for row in rows) + "\n ]")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
