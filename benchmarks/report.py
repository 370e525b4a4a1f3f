"""How long the report of 1000 images takes beyond the scoring: a minute at most.

    OMP_NUM_THREADS=1 python benchmarks/report.py        # about two minutes; writes results/report.md and report.json

A tiny detector is trained on synthetic images of 64 x 64 pixels and evaluated on 1000 others, half of them abnormal,
with masks and two scanners. The scoring alone, with the pictures of each case, is what `anogan inspect` does.
"""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path

import torch
from datasets import ROOT

import anogan
from anogan.data.synthetic import write_tiny
from anogan.detector import Detector
from anogan.evaluation import evaluate, write_report
from anogan.results.writing import ResultsWriter
from anogan.storage.documents import json_text

RESULTS = ROOT / "benchmarks" / "results"
TRAIN, CALIBRATION, TEST = 100, 100, 500  # healthy images; as many abnormal ones are tested
LIMIT = 60.0


def write_data(folder: Path) -> None:
    write_tiny(folder, TRAIN + CALIBRATION + TEST, TEST, size=64, seed=0)
    splits = ["train"] * TRAIN + ["calibration"] * CALIBRATION + ["test"] * TEST
    healthy, abnormal = (sorted((folder / name).glob("*.png")) for name in ("healthy", "abnormal"))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "split", "mask", "scanner"])
        for k, (path, split) in enumerate(zip(healthy, splits, strict=True)):
            writer.writerow([f"healthy/{path.name}", "healthy", split, "", "AB"[k % 2]])
        for k, path in enumerate(abnormal):
            writer.writerow([f"abnormal/{path.name}", "abnormal", "test", f"masks/{path.name}", "AB"[k % 2]])


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        data, alone, out = (Path(place) / name for name in ("data", "alone", "out"))
        write_data(data)
        config = anogan.load_config("tiny")
        scans = anogan.open_dataset(data, config)
        detector = Detector.train(scans.train, config).calibrate(scans.calibration)

        started = time.monotonic()
        with ResultsWriter(alone, detector.summary()) as writer:
            everything = [scans.test.read(index) for index in range(len(scans.test))]
            for scan, result in zip(everything, detector.inspect_many(everything), strict=True):
                writer.add(scan, result)
        scoring = time.monotonic() - started

        started = time.monotonic()
        report = evaluate(detector, scans.test, out=out)
        evaluation = time.monotonic() - started
        started = time.monotonic()
        page = write_report(out, report, detector, scans, name="tiny")
        writing = time.monotonic() - started
        size = page.stat().st_size / 1e6

    beyond = evaluation + writing - scoring
    figures = {
        "images": report.n_healthy + report.n_abnormal,
        "threads": torch.get_num_threads(),
        "scoring seconds": round(scoring, 1),
        "evaluate seconds": round(evaluation, 1),
        "write_report seconds": round(writing, 1),
        "beyond the scoring seconds": round(beyond, 1),
        "limit seconds": LIMIT,
        "report.html MB": round(size, 2),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "report.json").write_text(json_text(figures, indent=1) + "\n", encoding="utf-8")
    text = f"""# The report of {figures["images"]} images

Synthetic images of 64 x 64 pixels, a tiny detector, {figures["threads"]} thread(s), on a machine busy with other work.
Made by `python benchmarks/report.py`.

| step | seconds |
|---|---|
| scoring alone, with the pictures of each case | {scoring:.1f} |
| `evaluate`: the same, and the figures with their intervals | {evaluation:.1f} |
| `write_report`: floors, charts, pictures, the page of {size:.1f} MB | {writing:.1f} |
| **beyond the scoring** (limit {LIMIT:.0f}: {"kept" if beyond < LIMIT else "MISSED"}) | **{beyond:.1f}** |
"""
    (RESULTS / "report.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
