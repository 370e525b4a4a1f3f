"""Acquiring a face and the quality gate: how often, how exactly, and what fails on photos that are made worse.

    python benchmarks/quality.py         # writes results/quality.md; minutes
    python benchmarks/quality.py --gate  # what the gate does to the errors of benchmarks/id_photos.py, whose scores,
                                         # images and runs must be there: results/quality_gate.md; minutes a seed

Without --gate, genuine photos only. The truth of the eyes are the landmarks of faces_frll, in pixels of originals whose
width was 1350; neutral and Canadian faces have theirs. The Haar cascades of OpenCV are measured beside MTCNN as the
other detector that needs no download. The least values of profile id-photo come from the first table of measures, in
round numbers: of what is noted about the 1st percentile, of what is refused about half of the lowest.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import attacks
import cv2
import id_photos
import numpy as np
from datasets import DATA
from PIL import Image

from anogan.config import QualityConfig, load_config
from anogan.detector import Detector
from anogan.faces import detection, quality
from anogan.io import read_scan
from anogan.metrics import binomial
from anogan.scan import Scan
from anogan.storage.checkpoint import write_json, write_text

FRLL = DATA / "faces_frll"
SETS = {
    "faces_frll, genuine": (FRLL / "genuine", 1),
    "faces_stylegan, genuine": (DATA / "faces_stylegan" / "genuine", 7),
    "malaria cells (no faces)": (DATA / "malaria" / "val" / "healthy", 8),
    "breast ultrasound (no faces)": (DATA / "busi" / "healthy", 3),
}
EVERY = 6  # of the photos that are made worse


def eyes_of(path: Path) -> np.ndarray | None:
    """Return the true eyes, (2, 2), in pixels of the photo; None where they are not known."""
    kind, _, name = path.stem.replace("_front", "").partition("_")
    landmarks = FRLL / "landmarks" / f"{name}.tem"
    if kind == "smiling" or not landmarks.is_file():
        return None
    points = [[float(value) for value in line.split()] for line in landmarks.read_text().splitlines()[1:3]]
    with Image.open(path) as image:
        return np.array(points) * (image.width / 1350)


def haar(scan: Scan) -> np.ndarray:
    """Return the eyes, (2, 2), that the cascades find; ValueError with the reason where they do not."""
    gray = cv2.equalizeHist((cv2.cvtColor(scan.pixels, cv2.COLOR_RGB2GRAY) * 255).astype(np.uint8))
    face, eye = (
        cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
        for name in ("frontalface_default", "eye")
    )
    found = face.detectMultiScale(gray, 1.1, 5, minSize=(min(gray.shape) // 6,) * 2)
    if len(found) != 1:
        raise ValueError("no face" if not len(found) else "several faces")
    left, top, width, height = found[0]
    upper = gray[top + height // 6 : top + int(0.56 * height), left : left + width]
    eyes = eye.detectMultiScale(upper, 1.05, 4, minSize=(width // 8,) * 2, maxSize=(width // 3,) * 2)
    places = sorted((x + w / 2, y + h / 2, w) for x, y, w, h in eyes)
    halves = [p for p in places if p[0] < 0.42 * width], [p for p in places if p[0] > 0.58 * width]
    if not all(halves):
        raise ValueError("eyes not found")
    chosen = [max(half, key=lambda place: place[2])[:2] for half in halves]
    return np.array(chosen) + (left, top + height // 6)


def mtcnn(scan: Scan) -> np.ndarray:
    return detection.find(scan).eyes


def acquisition() -> list[str]:
    lines = [
        "| photos | detector | acquired | no face | several | too small | eyes not found | "
        "eye error, in eye distances: median, 95 %, largest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (folder, every) in SETS.items():
        paths = sorted(folder.iterdir())[::every]
        for detector in (mtcnn, haar):
            lines.append(_acquisition(name, paths, detector))
    return lines


def _acquisition(name: str, paths: Sequence[Path], detector: Callable[[Scan], np.ndarray]) -> str:
    reasons: Counter[str] = Counter()
    errors = []
    for path in paths:
        scan = read_scan(path)
        scan = scan if scan.pixels.ndim == 3 else Scan(np.repeat(scan.pixels[..., None], 3, 2), scan.source)
        try:
            eyes = detector(scan)
        except ValueError as error:
            kinds = {"no face": "no face", "faces": "several", "too small": "too small", "eyes": "eyes"}
            reasons[next(kind for word, kind in kinds.items() if word in str(error))] += 1
            continue
        if FRLL in path.parents and (truth := eyes_of(path)) is not None:
            distance = np.linalg.norm(truth[1] - truth[0])
            errors.append(np.linalg.norm(eyes - truth, axis=1).max() / distance)
    acquired = len(paths) - reasons.total()
    share = binomial(acquired, len(paths))
    error = ", ".join(f"{value:.3f}" for value in np.percentile(errors, (50, 95, 100))) if errors else "-"
    counts = " | ".join(str(reasons[kind]) for kind in ("no face", "several", "too small", "eyes"))
    exact = f"{error}, {len(errors)} photos" if errors else "-"
    label = "MTCNN" if detector is mtcnn else "Haar"
    return f"| {name} | {label} | {acquired} of {len(paths)}, {share} | {counts} | {exact} |"


def _jpeg(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(buffer, "JPEG", quality=10)
    return np.asarray(Image.open(buffer).convert("RGB")) / 255


def _turned(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 20, 1)
    return cv2.warpAffine(pixels, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are": lambda pixels: pixels,
    "blurred, sigma 2": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 2),
    "dark, 15 % of the light": lambda pixels: pixels * 0.15,
    "turned by 20 degrees": _turned,
    "JPEG at quality 10": _jpeg,
    "a quarter of the size": lambda pixels: cv2.resize(pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
}


def measures() -> list[str]:
    limits = load_config("id-photo").quality
    names = [name for name in type(limits).model_fields if name != "refuse"]
    paths = sorted((FRLL / "genuine").iterdir())
    head = ["| faces_frll | photos | not acquired | not scored | " + " | ".join(names) + " |", "|---" * 13 + "|"]
    values: list[list[float]] = []
    for copy, change in COPIES.items():
        chosen = paths if copy == "as they are" else paths[::EVERY]
        failed, refused, below = 0, 0, Counter[str]()
        for path in chosen:
            pixels = np.ascontiguousarray(change(read_scan(path).pixels).clip(0, 1), np.float32)
            scan = Scan(pixels, os.fspath(path))
            try:
                found = quality.assess(scan, detection.align(scan, quality.SIZE), limits)
            except ValueError:
                failed += 1
                continue
            refused += bool(found.refused)
            below.update(name for name in names if found.measures[name] < getattr(limits, name))
            if copy == "as they are":
                values.append([found.measures[name] for name in names])
        n = len(chosen) - failed
        shares = " | ".join(f"{below[name] / n:.1%}" if n else "-" for name in names)
        head.append(f"| {copy} | {len(chosen)} | {failed} | {refused} | {shares} |")
    table = ["| measure | least in id-photo | lowest | 1 % | 5 % | median |", "|---|---|---|---|---|---|"]
    for name, column in zip(names, np.array(values).T, strict=True):
        told = " | ".join(f"{value:.3g}" for value in np.percentile(column, (0, 1, 5, 50)))
        least = f"{getattr(limits, name):g}{', refused' if name in limits.refuse else ', noted'}"
        table.append(f"| {name} | {least} | {told} |")
    return [*table, "", "Share below the least value, of the acquired photos:", "", *head]


# The gate before the detector: who gets no score, and what that does to APCER and BPCER


RESULTS = Path(__file__).parent / "results"
GATE = RESULTS / "quality_gate"
WAYS = "without", "with"
ACCEPTED, REFUSED = "accepted", "refused"


def verdict(scan: Scan, limits: QualityConfig) -> str:
    """Return `ACCEPTED`, `REFUSED` or `faces.FAILURE`."""
    try:
        quality.check(scan, limits)
    except ValueError as error:
        return detection.FAILURE if str(error).startswith(detection.FAILURE) else REFUSED
    return ACCEPTED


class Verdicts(NamedTuple):
    """What the gate says of each calibration and test image, in the order of `id_photos.judged`."""

    seed: int
    images: list[list[str]]
    found: list[str]


def judge(seed: int) -> Verdicts:
    """Ask the gate, once."""
    path = GATE / f"verdicts-{seed}.json"
    if not path.is_file():
        splits = id_photos.images(seed)
        scans, limits = id_photos.judged(splits), load_config(id_photos.PROFILE).quality
        found = [verdict(scans.read(index), limits) for index in range(len(scans))]
        write_json(path, Verdicts(seed, id_photos.described(splits), found)._asdict())
        print(f"seed {seed}: the gate has judged", flush=True)
    return Verdicts(**json.loads(path.read_text(encoding="utf-8")))


def open_scores(verdicts: Verdicts) -> dict[int, float | None]:
    """Return what the product says of the images that its gate refuses, by place; measured once, {} without a run."""
    path = GATE / f"open-{verdicts.seed}.json"
    run = id_photos.RUNS / f"{id_photos.PROFILE}-{verdicts.seed}"
    if not path.is_file():
        if not (run / "detector.json").is_file():
            return {}
        detector = Detector.load(run)
        limits = detector.config.quality.model_copy(update={"refuse": ()})
        opened = dataclasses.replace(detector, config=detector.config.model_copy(update={"quality": limits}))
        scans = id_photos.judged(id_photos.images(verdicts.seed))
        places = [index for index, found in enumerate(verdicts.found) if found == REFUSED]
        results = opened.inspect_many(scans.read(index) for index in places)
        scores = {place: r.score if r.status == "scored" else None for place, r in zip(places, results, strict=True)}
        write_json(path, scores)
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {int(place): score for place, score in kept.items()}


def runs_of(method: str, verdicts: Verdicts) -> tuple[id_photos.Run, id_photos.Run] | None:
    """Return a method's scores without and with the gate; None where they were not measured.

    Without it, what is refused has the score that it gets all the same. An image without a face cannot be scored by the
    product either way, and does not pass.
    """
    path = id_photos.RESULTS / f"{method}-{verdicts.seed}.json"
    if not path.is_file():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["images"] != verdicts.images:  # they are joined by place
        raise ValueError(f"{path}: lists other images than the gate has judged; measure both again")
    scores = np.array(kept["scores"][method], float)
    if method == id_photos.PRODUCT:
        opened = open_scores(verdicts)
        if not opened and REFUSED in verdicts.found:
            return None
        for place, score in opened.items():
            scores[place] = np.nan if score is None else score
    gated = np.where([found == ACCEPTED for found in verdicts.found], scores, np.nan)
    return id_photos.Run(kept, scores), id_photos.Run(kept, gated)


def gate(seeds: Sequence[int]) -> str:
    """Return the figures as Markdown: means of the seeds."""
    verdicts = [judge(seed) for seed in seeds]
    methods = (id_photos.PRODUCT, id_photos.NOISE)
    measured = {name: [pair for one in verdicts if (pair := runs_of(name, one)) is not None] for name in methods}
    measured = {name: pairs for name, pairs in measured.items() if len(pairs) == len(verdicts)}
    titles = [f"{name}: {error} {way}" for name in measured for error in ("APCER", "BPCER") for way in WAYS]
    lines = [
        "# The quality gate, with and without",
        "",
        f"Seeds {list(seeds)}, means; `python benchmarks/quality.py --gate`. Thresholds flag 5 % of the genuine photos",
        "of the calibration people, each site its own, with and without the gate alike; its limits come from genuine",
        "photos alone. What gets no score does not pass: an attack that is refused is no error, a genuine one is.",
        "Without a face the product gives no score either way. BPCER: of the species' site.",
        "",
        " | ".join(["| species", "no face", "refused", *titles]) + " |",
        "|---" * (3 + len(titles)) + "|",
    ]
    for species in ("", *attacks.SPECIES, attacks.STYLEGAN):
        shares = [share(verdicts, species, kind) for kind in (detection.FAILURE, REFUSED)]
        cells = [f"| {species or 'genuine'}", *(f"{value:.1%}" for value in shares)]
        for pairs in measured.values():
            if species:
                errors = np.mean([[run.errors(species) for run in pair] for pair in pairs], axis=0)  # (way, error)
                cells += [f"{value:.3f}" for value in errors.T.ravel()]
            else:
                cells += [""] * 4
        lines.append(" | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def share(verdicts: Sequence[Verdicts], species: str, kind: str) -> float:
    """Return how many of a species' test images got a verdict, the mean of the seeds."""
    own = [
        [found == kind for found, image in zip(one.found, one.images, strict=True) if image[::3] == ["test", species]]
        for one in verdicts
    ]
    return float(np.mean([np.mean(hits) for hits in own]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gate", action="store_true", help="measure what the gate does to the errors")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of --gate")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.gate:
        table = gate(options.seeds)
        write_text(RESULTS / "quality_gate.md", table)
        print(table)
        return
    text = ["# Acquiring a face, and its quality", "", *acquisition(), "", *measures()]
    (RESULTS / "quality.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
