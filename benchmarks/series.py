"""Series: their rate beside single images, and whether a threshold holds for series of other lengths.

    OMP_NUM_THREADS=1 python benchmarks/series.py        # about three minutes; writes results/series.md and series.json

Rate: a series of 200 slices and 200 single images, by turns, in one run. Lengths: healthy phantoms of 30 slices, 3 mm
apart, set the threshold; then the same heads count with every second, third and sixth slice alone, whichever comes
first, by several rules for the score. The detector is of the tiny profile, which is all that rates and lengths need.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import ROOT

import anogan
from anogan.data.synthetic import tiny_images, write_phantom
from anogan.detector import Detector
from anogan.detector.volume import top_weights
from anogan.scan import Scan, Series, SeriesResult
from anogan.storage.documents import json_text

RESULTS = ROOT / "benchmarks" / "results"
SLICES, SIDE, TURNS = 200, 256, 5
HEADS, EVERY = 40, (1, 2, 3, 6)
RULES = {"the maximum": 1e-6, "the top 5 %, as it is": 0.05, "the top 20 %": 0.2, "the mean of all": 1.0}


def detector() -> Detector:
    """Train the tiny profile on its synthetic images."""
    config = anogan.load_config("tiny")
    images, _, _ = tiny_images(100, 0, size=config.input.size, seed=0)
    on_grid = torch.from_numpy(images)[:, None] * 2 - 1
    return Detector.train_images(on_grid[:80], on_grid[80:], config)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak(work: Callable[[], object]) -> float:
    """Return how many MB of arrays `work` holds at most, its result among them."""
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def rate(judge: Detector) -> dict[str, float]:
    """Time single images and a series by turns."""
    images, _, _ = tiny_images(SLICES, 0, size=SIDE, seed=1)
    scans = tuple(Scan(pixels, f"{place}.dcm") for place, pixels in enumerate(images))
    series = Series(scans, "head", 1.0)

    def singly() -> None:
        for result in judge.inspect_many(scans):  # nothing is kept, as in `anogan inspect`
            assert result.status == "scored"

    def together() -> SeriesResult:
        return judge.inspect_series(series)

    singly(), together()
    turns = np.array([(seconds(singly), seconds(together)) for _ in range(TURNS)])
    single, whole = SLICES / np.median(turns, axis=0)
    return {
        "single per second": round(float(single), 1),
        "series per second": round(float(whole), 1),
        "ratio": round(float(np.median(turns[:, 0] / turns[:, 1])), 2),
        "array MB": round(peak(together), 1),
        "map MB": round(SLICES * SIDE**2 * 4 / 1e6, 1),
    }


def lengths() -> dict[str, list[float]]:
    """Return, by rule, the share of healthy heads above a threshold that all their slices set, for EVERY of them."""
    config = anogan.load_config("tiny", ["input.intensity=percentile"])
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "phantom"
        write_phantom(data, subjects=(16, HEADS, 0, 0), slices=30, spacing=3.0)
        splits = anogan.open_dataset(data, config)
        judge = Detector.train(splits.train, config)
        heads = list(splits.calibration.read_series([]))
    # A slice's score does not depend on its neighbors, so all lengths come from one scoring.
    scores = np.array([[one.score for one in judge.inspect_series(head).slices] for head in heads])  # (HEADS, 30)
    shares = {}
    for rule, top in RULES.items():
        threshold = np.sort(series_scores(scores, top))[-round(0.1 * HEADS) - 1]
        thinned = [[series_scores(scores[:, first::every], top) for first in range(every)] for every in EVERY]
        shares[rule] = [round(float(np.mean(np.array(found) > threshold)), 3) for found in thinned]
    return shares


def series_scores(scores: np.ndarray, top: float) -> np.ndarray:
    """Return the scores of series from those of their slices, (heads, slices), as `anogan.detector.volume` does."""
    weights = top_weights(scores.shape[1], top).numpy()
    return -np.sort(-scores, axis=1)[:, : len(weights)] @ weights


def main() -> None:
    figures = {"threads": torch.get_num_threads(), **rate(detector()), "lengths": lengths()}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "series.json").write_text(json_text(figures, indent=1) + "\n", encoding="utf-8")
    rows = "\n".join(
        f"| {rule} | {' | '.join(f'{share:.1%}' for share in shares)} |" for rule, shares in figures["lengths"].items()
    )
    text = f"""# Series

Made by `python benchmarks/series.py`: a tiny detector, {figures["threads"]} thread(s), a machine busy with other work.

{SLICES} synthetic slices of {SIDE} x {SIDE} pixels, medians of {TURNS} turns:

| | slices per second |
|---|---|
| as single images, `inspect_many` | {figures["single per second"]:.0f} |
| as one series, `inspect_series` | {figures["series per second"]:.0f} |
| **series over single images** (median of the turns' ratios) | **{figures["ratio"]:.2f}** |

Scoring the series holds at most {figures["array MB"]:.0f} MB of arrays outside torch; its maps alone, which it returns,
are {figures["map MB"]:.0f} MB.

The share of {HEADS} healthy phantoms above the threshold that flags a tenth of them at 30 slices, by the share of
slices whose mean is the score and by the number of slices:

| score | 30 | 15 | 10 | 5 |
|---|---|---|---|---|
{rows}
"""
    (RESULTS / "series.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
