"""How fast a series of 200 slices is scored beside 200 single images, in one run, by turns; and in how much memory.

    OMP_NUM_THREADS=1 python benchmarks/series.py        # about two minutes; writes results/series.md and series.json
"""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from datasets import ROOT

import anogan
from anogan.detector import Detector
from anogan.scan import Scan
from anogan.series import Series
from anogan.synthetic import tiny_images

RESULTS = ROOT / "benchmarks" / "results"
SLICES, SIDE, TURNS = 200, 256, 5


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


def main() -> None:
    judge = detector()
    images, _, _ = tiny_images(SLICES, 0, size=SIDE, seed=1)
    scans = tuple(Scan(pixels, f"{place}.dcm") for place, pixels in enumerate(images))
    series = Series(scans, "head", 1.0)

    def singly() -> object:
        for result in judge.inspect_many(scans):  # nothing is kept, as in `anogan inspect`
            assert result.status == "scored"
        return None

    def together() -> object:
        return judge.inspect_series(series)

    singly(), together()
    turns = [(seconds(singly), seconds(together)) for _ in range(TURNS)]
    rates = {name: SLICES / np.median(column) for name, column in zip(("single", "series"), zip(*turns), strict=True)}
    ratio = float(np.median([alone / volume for alone, volume in turns]))
    memory = peak(together)
    figures = {
        "slices": SLICES,
        "side": SIDE,
        "threads": torch.get_num_threads(),
        **{f"{name} per second": round(rate, 1) for name, rate in rates.items()},
        "ratio": round(ratio, 2),
        "array MB": round(memory, 1),
        "map MB": round(SLICES * SIDE**2 * 4 / 1e6, 1),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "series.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    text = f"""# A series of {SLICES} slices

Synthetic slices of {SIDE} x {SIDE} pixels, a tiny detector, {figures["threads"]} thread(s); medians of {TURNS} turns,
single images and series by turns. Made by `python benchmarks/series.py`.

| | slices per second |
|---|---|
| as single images, `inspect_many` | {rates["single"]:.0f} |
| as one series, `inspect_series` | {rates["series"]:.0f} |
| **series over single images** (median of the turns' ratios) | **{ratio:.2f}** |

Scoring the series holds at most {memory:.0f} MB of arrays outside torch; its maps alone, which it returns, are
{figures["map MB"]:.0f} MB.
"""
    (RESULTS / "series.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
