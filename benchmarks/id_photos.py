"""ID photos: every species of attack against the product, its second scale and the floors, on the same images.

    python benchmarks/id_photos.py                       # floors and noise reference, seeds 0 to 2; makes the images
    python benchmarks/id_photos.py --train               # the product too: 15 minutes of training a seed, resumable
    python benchmarks/id_photos.py --table               # the table of what was measured, results/id_photos.md

Every (method, seed) is one file in `results/id_photos/`, written when it is done, with the scores of all calibration
and test images, so that every figure can be computed again from it. Test people are in neither training nor
calibration; thresholds come from genuine photos of the calibration people, each site its own. What a method does not
score (no face found, say) does not pass: it counts as flagged, genuine photos as well as attacks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import attacks
import cv2
import numpy as np
from accuracy import resampled
from datasets import ROOT

import anogan
from anogan import metrics
from anogan.data.dataset import ScanSet, Splits
from anogan.detector import Detector
from anogan.detector.calibration import Calibration
from anogan.detector.noise import NoiseReference
from anogan.storage.checkpoint import write_text
from anogan.storage.documents import json_text

RESULTS = ROOT / "benchmarks" / "results" / "id_photos"
RUNS = ROOT / "runs" / "id_photos"
PROFILE = "id-photo"
PRODUCT, ALIGNED, FLOORS, NOISE = "anogan", "aligned scale", "floors", "noise"
BPCER = 0.05
# Which species are reported as one: the figure to reach, and beyond (issue 6).
GROUPS: dict[str, tuple[tuple[str, ...], float, float]] = {
    "splice, swap, inpaint, combined morph": (("splice", "swap", "inpaint", "combined morph"), 0.85, 0.95),
    "global and complete morph": (("global morph", "complete morph"), 0.95, 0.99),
    "print, screen recapture": (("print", "screen"), 0.93, 0.99),
    "occlusion, non-face": (("occlusion", "non-face"), 0.98, 1.0),
    "StyleGAN faces": ((attacks.STYLEGAN,), 0.75, 0.9),
}


def images(seed: int) -> Splits:
    """Return the seed's images, made where they are missing."""
    folder = RUNS / f"images-{seed}"
    attacks.write(folder, seed)
    return anogan.open_dataset(folder, anogan.load_config(PROFILE), group="site")


def judged(splits: Splits) -> ScanSet:
    """Return what is scored: the calibration images, then the test images."""
    return ScanSet("calibration and test", (*splits.calibration.items, *splits.test.items))


# Floors: statistics of the gray picture, each read as too high, too low, or too far from the genuine calibration mean


def blockiness(gray: np.ndarray) -> float:
    """Return how much larger steps across the borders of JPEG's 8 x 8 blocks are than other steps."""
    ratios = []
    for axis in (0, 1):
        steps = np.abs(np.diff(gray, axis=axis)).mean(axis=1 - axis)
        border = np.arange(len(steps)) % 8 == 7
        ratios.append(steps[border].mean() / (steps[~border].mean() + 1e-9))
    return float(np.mean(ratios))


def high_frequencies(gray: np.ndarray) -> float:
    """Return the share of the spectrum's energy beyond half of the Nyquist frequency."""
    energy = np.abs(np.fft.rfft2(gray - gray.mean())) ** 2
    rows, columns = np.fft.fftfreq(gray.shape[0])[:, None], np.fft.rfftfreq(gray.shape[1])
    return float(energy[np.hypot(rows, columns) > 0.25].sum() / (energy.sum() + 1e-9))


STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda gray: float(gray.mean()),
    "standard deviation": lambda gray: float(gray.std()),
    "variance of the Laplacian": lambda gray: float(cv2.Laplacian(gray, cv2.CV_32F).var()),
    "high frequencies": high_frequencies,
    "blockiness": blockiness,
}


def measure_floors(seed: int) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {name: [] for name in STATISTICS}
    scans = judged(images(seed))
    for index in range(len(scans)):
        gray = cv2.cvtColor(scans.read(index).pixels, cv2.COLOR_RGB2GRAY)
        for name, statistic in STATISTICS.items():
            found[name].append(statistic(gray))
    return found


def readings(values: np.ndarray, calibrating: np.ndarray) -> dict[str, np.ndarray]:
    """Return a statistic's scores, whichever way it is odd."""
    return {"high": values, "low": -values, "two-sided": np.abs(values - values[calibrating].mean())}


# The product


def product(seed: int) -> Detector:
    """Train the product and calibrate each site, or read what stands in its run folder."""
    run = RUNS / f"{PROFILE}-{seed}"
    if not (run / "detector.json").is_file():
        splits = images(seed)
        config = anogan.load_config(PROFILE, [f"training.seed={seed}"])
        detector = Detector.train(splits.train, config, run=run, resume=True)
        detector.calibrate(splits.calibration, BPCER, group="site").save(run)
    return Detector.load(run)


def measure_product(seed: int) -> dict[str, list[float | None]]:
    return _scored(PRODUCT, product(seed), seed)


def measure_aligned(seed: int) -> dict[str, list[float | None]]:
    """Measure the product without its second scale: what the networks and their reference see of the aligned face."""
    return _scored(ALIGNED, replace(product(seed), native=None), seed)


def _scored(name: str, detector: Detector, seed: int) -> dict[str, list[float | None]]:
    """Return the scores, and those of each component; None for what is not scored."""
    scans = judged(images(seed))
    rows = []
    for result in detector.inspect_many(map(scans.read, range(len(scans)))):  # one by one, for the sake of the maps
        own = result.components if result.status == "scored" else {}
        rows.append({f"{name}: {part}": score for part, score in own.items()})
        rows[-1][name] = result.score if result.status == "scored" else None
    return {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}


# The second scale: a noise reference of each site's genuine training photos, as they come


def measure_noise(seed: int) -> dict[str, list[float | None]]:
    splits = images(seed)
    references = {}
    for site in (attacks.STUDIO, attacks.WEB):
        own = splits.train.subset(k for k, item in enumerate(splits.train) if item.group == site)
        rest, held = own.split_by_subject(0.25, seed)
        references[site] = NoiseReference.fit(_pixels(rest), _pixels(held))
    scans = judged(splits)
    parts = np.array([references[scan.group].parts(scan.pixels) for scan in map(scans.read, range(len(scans)))])
    regions, whole = parts.T.tolist()
    return {NOISE: parts.max(1).tolist(), "noise: regions": regions, "noise: whole": whole}


def _pixels(scans: ScanSet) -> Iterator[np.ndarray]:
    return (scans.read(index).pixels for index in range(len(scans)))


METHODS = {FLOORS: measure_floors, NOISE: measure_noise, ALIGNED: measure_aligned, PRODUCT: measure_product}


def measure(seed: int, method: str, again: bool) -> None:
    path = RESULTS / f"{method.replace(' ', '-')}-{seed}.json"
    if path.is_file() and not again:
        return
    scores = METHODS[method](seed)
    splits = images(seed)
    rounded = {name: [v if v is None else float(f"{v:.5g}") for v in values] for name, values in scores.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = {"method": method, "seed": seed, "images": described(splits), "scores": rounded}
    write_text(path, "{" + ",\n ".join(f'"{key}": {json_text(value)}' for key, value in lines.items()) + "}\n")
    print(f"seed {seed}: {method} measured", flush=True)


def described(splits: Splits) -> list[list[str]]:
    """Return what is kept of each image that is judged: split, subject, site and species."""
    return [
        [split, item.subject, item.group, item.groups.get("species", "")]
        for split in ("calibration", "test")
        for item in getattr(splits, split)
    ]


# Figures


class Run:
    """The scores of one method with one seed."""

    def __init__(self, kept: dict[str, Any], scores: np.ndarray) -> None:
        split, subject, site, species = np.array(kept["images"]).T
        self.test, self.subjects, self.site, self.species = split == "test", subject, site, species
        self.acquired = np.isfinite(scores)
        # What is not scored does not pass.
        self.scores = np.where(self.acquired, scores, scores[self.acquired].max() + 1)

    def against(self, species: str) -> np.ndarray:
        """Return the rows of a species' attacks and of the genuine test photos of their site."""
        attack = self.test & (self.species == species)
        return attack | (self.test & (self.species == "") & (self.site == self.site[attack][0]))

    def calibrating(self, site: str) -> np.ndarray:
        return ~self.test & (self.site == site)

    def errors(self, species: str) -> tuple[float, float]:
        """Return APCER, and BPCER of the site, where 5 % of the site's genuine calibration photos are promised."""
        rows = self.against(species)
        healthy = self.scores[self.calibrating(self.site[rows][0])]
        threshold = Calibration.fit(healthy, BPCER).threshold
        scores, labels = self.scores[rows], self.species[rows] != ""
        return metrics.apcer({species: scores[labels]}, threshold)[species].value, metrics.bpcer(
            scores[~labels], threshold
        ).value


def load(method: str) -> dict[str, dict[int, Run]]:
    """Return what a method measured: name, seed."""
    found: dict[str, dict[int, Run]] = {}
    for path in sorted(RESULTS.glob(f"{method.replace(' ', '-')}-[0-9]*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        for name, scores in kept["scores"].items():
            values = np.array(scores, float)
            if method != FLOORS:
                found.setdefault(name, {})[kept["seed"]] = Run(kept, values)
                continue
            calibrating = {site: Run(kept, values).calibrating(site) for site in (attacks.STUDIO, attacks.WEB)}
            site = np.array(kept["images"])[:, 2]
            for way in ("high", "low", "two-sided"):
                own = values.copy()
                for name_of, rows in calibrating.items():
                    own[site == name_of] = readings(values[site == name_of], rows[site == name_of])[way]
                found.setdefault(f"{name}, {way}", {})[kept["seed"]] = Run(kept, own)
    return found


def figures(runs: dict[int, Run], species: str) -> dict[str, Any]:
    """Return the mean AUROC of the seeds with its interval over people, APCER and BPCER."""
    sets, own = {}, {}
    for seed, run in runs.items():
        rows = run.against(species)
        labels = (run.species[rows] != "").astype(int)
        sets[seed] = SimpleNamespace(labels=labels, subjects=run.subjects[rows].tolist())
        own[seed] = {"scores": run.scores[rows].tolist()}
    values = [metrics.auroc(sets[seed].labels, np.array(own[seed]["scores"])).value for seed in runs]
    replicates = np.nanmean(resampled(sets, [own])[:, 0], axis=1)
    errors = np.mean([run.errors(species) for run in runs.values()], axis=0)
    low, high = np.nanpercentile(replicates, (2.5, 97.5))
    return {"auroc": (float(np.mean(values)), float(low), float(high)), "apcer": errors[0], "bpcer": errors[1]}


def best(runs: dict[str, dict[int, Run]], species: str) -> tuple[str, dict[str, Any]]:
    """Return the statistic with the highest AUROC: the best on the test labels, which nobody could have chosen."""

    def mean(name: str) -> float:
        rows = {seed: run.against(species) for seed, run in runs[name].items()}
        own = [metrics.auroc((r.species[rows[s]] != "").astype(int), r.scores[rows[s]]) for s, r in runs[name].items()]
        return float(np.mean([value.value for value in own]))

    name = max(runs, key=mean)
    return name, figures(runs[name], species)


def table() -> str:
    """Return all figures as Markdown."""
    floors = load(FLOORS)
    scored = load(NOISE) | load(ALIGNED) | load(PRODUCT)
    seeds = sorted(next(iter(floors.values())))
    lines = [
        "# ID photos",
        "",
        f"Seeds {seeds}; made by `python benchmarks/id_photos.py`. AUROC: mean of seeds [95 % over people]. APCER",
        "at the threshold promised to flag 5 % of genuine photos, from genuine calibration people of the same site;",
        "BPCER: what it flags of the genuine test people. The best statistic is chosen on the test labels: nobody",
        "could have chosen it. PAD-style figures: uploads are outside ISO/IEC 30107-3.",
        "",
    ]
    methods = {name: scored[name] for name in (PRODUCT, ALIGNED, NOISE) if name in scored}
    head = "| species | to reach |" + "".join(f" {name}: AUROC | APCER | BPCER |" for name in methods)
    lines += [head + " best statistic | AUROC | APCER | BPCER |", "|---" * (head.count("|") + 3) + "|"]
    for group, (members, least, moonshot) in [*GROUPS.items(), *_others()]:
        means: dict[str, list[float]] = {}
        rows = []
        for species in members:
            cells = [f"| {species} | "]
            for name, runs in methods.items():
                own = figures(runs, species)
                means.setdefault(name, []).append(own["auroc"][0])
                cells.append(_cells(own))
            name, own = best(floors, species)
            means.setdefault(FLOORS, []).append(own["auroc"][0])
            rows.append(" | ".join([*cells, name, _cells(own)]) + " |")
        target = f"{least:.2f} ({moonshot:.2f})" if least else ""
        total = [f"| **{group}** | {target}"]
        total += [f"**{np.mean(means[name]):.3f}** | | " for name in methods]
        lines += [" | ".join([*total, "mean of the best", f"{np.mean(means[FLOORS]):.3f} | | |"]), *rows]
    return "\n".join(lines) + "\n" + _parts(scored)


def _cells(own: dict[str, Any]) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*own["auroc"]) + f" | {own['apcer']:.2f} | {own['bpcer']:.2f}"


def _others() -> Iterator[tuple[str, tuple[tuple[str, ...], float, float]]]:
    named = {species for members, _, _ in GROUPS.values() for species in members}
    yield "without a figure to reach", (tuple(s for s in attacks.SPECIES if s not in named), 0.0, 0.0)


def _parts(scored: dict[str, dict[int, Run]]) -> str:
    """Return the AUROC of every component, and how many photos were not scored."""
    species = [*attacks.SPECIES, attacks.STYLEGAN]
    lines = ["", "| AUROC of its parts | " + " | ".join(species) + " |", "|---" * (len(species) + 1) + "|"]
    for name, runs in scored.items():
        if name.startswith(f"{PRODUCT}: ") and name.replace(PRODUCT, ALIGNED) in scored:
            continue  # the same networks see the same face
        lines.append(f"| {name} | " + " | ".join(f"{figures(runs, s)['auroc'][0]:.3f}" for s in species) + " |")
    if PRODUCT not in scored:
        return "\n".join(lines) + "\n"
    lost = {
        s or "genuine": sum(
            int((run.test & (run.species == s) & ~run.acquired).sum()) for run in scored[PRODUCT].values()
        )
        for s in ("", *species)
    }
    return "\n".join([*lines, "", "Not scored: " + ", ".join(f"{name} {count}" for name, count in lost.items())]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--train", action="store_true", help="measure the product too")
    parser.add_argument("--table", action="store_true", help="measure nothing, write the table")
    parser.add_argument("--again", action="store_true", help="measure again what was measured")
    options = parser.parse_args()
    if not options.table:
        for seed in options.seeds:
            for method in [FLOORS, NOISE, *([PRODUCT, ALIGNED] if options.train else [])]:
                measure(seed, method, options.again)
    text = table()
    write_text(RESULTS.parent / "id_photos.md", text)
    print(text)


if __name__ == "__main__":
    main()
