"""Do the 95 % intervals of `anogan.metrics` hold the truth in 95 % of data sets?

    OMP_NUM_THREADS=1 python benchmarks/interval_coverage.py     # under six minutes on one core
    python benchmarks/interval_coverage.py --quick               # a tenth of the draws, written nowhere

Data sets are drawn from binormal scores, where the truth is a formula: healthy ones are N(0, 1), abnormal ones N(d, 1),
three in ten abnormal. In the clustered case each subject has three images that share half of the variance. For each
measure and n (subjects) the table says how often the interval held the truth, how often it lay wholly above or below
it, and the Monte Carlo error (one standard error). The coverage of shares is computed, not drawn. Writes
results/interval_coverage.md and .json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.stats import binom, norm

from anogan import metrics
from anogan.metrics import Estimate
from anogan.storage.documents import json_text

RESULTS = Path(__file__).parent / "results"
COUNTS = (50, 200, 1000)
ABNORMAL = 0.3
IMAGES = 3  # of a subject in the clustered case
SHARED = 0.5  # of the variance of its scores
CORRELATION = 0.6  # of the scores of two models on one image
WANTED = (0.93, 0.97)


class Sample(NamedTuple):
    """One drawn data set; the second scores are those of another model on the same images."""

    labels: np.ndarray
    scores: np.ndarray
    second: np.ndarray
    subjects: np.ndarray | None


class Case(NamedTuple):
    """What is measured, on which data, how often, and the truth."""

    title: str
    areas: tuple[float, float]
    clustered: bool
    measure: Callable[[Sample], Estimate]
    truth: float
    draws: tuple[int, int, int]  # for each of COUNTS


def distance(area: float) -> float:
    """Return d of an AUROC."""
    return float(norm.ppf(area) * np.sqrt(2))


def draw(rng: np.random.Generator, n: int, areas: tuple[float, float], clustered: bool) -> Sample:
    labels = np.arange(n) < round(ABNORMAL * n)
    shares = ((SHARED, IMAGES), (1 - SHARED, 1)) if clustered else ((1.0, 1),)
    images = IMAGES if clustered else 1
    noise = np.zeros((2, n * images))
    for variance, repeat in shares:
        both = rng.multivariate_normal([0, 0], [[1, CORRELATION], [CORRELATION, 1]], n * images // repeat).T
        noise += np.sqrt(variance) * np.repeat(both, repeat, axis=1)
    labels = np.repeat(labels, images)
    scores, second = (noise[row] + distance(area) * labels for row, area in enumerate(areas))
    return Sample(labels, scores, second, np.repeat(np.arange(n), images) if clustered else None)


def true_precision(area: float) -> float:
    """Return the average precision of endless data: precision integrated over recall."""

    def precision(recall: float) -> float:
        alarms = (1 - ABNORMAL) * norm.sf(norm.isf(recall) + distance(area))
        return ABNORMAL * recall / (ABNORMAL * recall + alarms)

    return float(quad(precision, 0, 1)[0])


def true_sensitivity(area: float, specificity: float) -> float:
    return float(norm.sf(norm.ppf(specificity) - distance(area)))


def ppv(threshold: float, prevalence: float) -> Callable[[Sample], Estimate]:
    def measure(sample: Sample) -> Estimate:
        counts = metrics.confusion(sample.labels, sample.scores, threshold)
        ill, well = int(sample.labels.sum()), int((~sample.labels).sum())
        sensitivity = metrics.binomial(counts.true_positive, ill)
        specificity = metrics.binomial(counts.true_negative, well)
        return metrics.predictive_intervals(sensitivity, specificity, prevalence).ppv

    return measure


def cases() -> list[Case]:
    quick, slow = (2000, 1500, 600), (1000, 500, 250)
    found = []
    for area in (0.75, 0.85, 0.97):
        pair = (area, area)
        found.append(
            Case(f"AUROC {area}", pair, False, lambda s: metrics.auroc(s.labels, s.scores, s.subjects), area, quick)
        )
    found += [
        Case("AUROC 0.85, clustered", (0.85, 0.85), True, lambda s: metrics.auroc(*s[:2], s.subjects), 0.85, quick),
        Case(
            "AUROC 0.85, clustered, subjects not told", (0.85, 0.85), True, lambda s: metrics.auroc(*s[:2]), 0.85, quick
        ),
    ]
    for areas, clustered in (((0.85, 0.80), False), ((0.97, 0.93), False), ((0.85, 0.80), True), ((0.97, 0.93), True)):
        title = f"AUROC {areas[0]} minus {areas[1]:.2f}, paired" + ", clustered" * clustered
        truth = areas[0] - areas[1]
        found.append(Case(title, areas, clustered, lambda s: metrics.compare_auroc(*s).difference, truth, quick))
    for clustered in (False, True):
        after = ", clustered" * clustered
        draws = tuple(count // 2 for count in slow) if clustered else slow
        for area in (0.85,) if clustered else (0.75, 0.85, 0.97):
            found.append(
                Case(
                    f"average precision, AUROC {area}{after}",
                    (area, area),
                    clustered,
                    lambda s: metrics.average_precision(*s[:2], s.subjects),
                    true_precision(area),
                    draws,
                )
            )
        for specificity in (0.9, 0.95) if clustered else (0.9, 0.95, 0.99):
            found.append(
                Case(
                    f"sensitivity at {specificity:.0%} specificity, AUROC 0.85{after}",
                    (0.85, 0.85),
                    clustered,
                    lambda s, at=specificity: metrics.sensitivity_at_specificity(*s[:2], at, s.subjects),
                    true_sensitivity(0.85, specificity),
                    draws,
                )
            )
    threshold, prevalence = float(norm.isf(0.05)), 0.01
    truth = metrics.predictive_values(true_sensitivity(0.85, 0.95), 0.95, prevalence).ppv
    found.append(
        Case("PPV at 1 % prevalence, AUROC 0.85", (0.85, 0.85), False, ppv(threshold, prevalence), truth, slow)
    )
    return found


def simulate(case: Case, n: int, draws: int) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    above = below = 0
    width = 0.0
    for _ in range(draws):
        found = case.measure(draw(rng, n, case.areas, case.clustered))
        above += found.low > case.truth
        below += found.high < case.truth
        width += (found.high - found.low) / draws
    held = 1 - (above + below) / draws
    return {
        "n": n,
        "draws": draws,
        "held": held,
        "error": float(np.sqrt(max(held * (1 - held), 0.5 / draws) / draws)),
        "above": above / draws,
        "below": below / draws,
        "width": width,
    }


def share(rate: float, n: int) -> dict[str, Any]:
    """Return the exact coverage of `metrics.binomial`: the chance of the counts whose interval holds the rate."""
    counts = np.arange(n + 1)
    chance = binom.pmf(counts, n, rate)
    low, high = np.array([metrics.binomial(int(count), n)[1:] for count in counts]).T
    above, below = float(chance[low > rate].sum()), float(chance[high < rate].sum())
    return {
        "n": n,
        "draws": None,
        "held": 1 - above - below,
        "error": 0.0,
        "above": above,
        "below": below,
        "width": float(chance @ (high - low)),
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Coverage of the 95 % intervals",
        "",
        "In how many of the drawn data sets the interval held the truth; bold where it is not between 93 and 97 %. In",
        "brackets: wholly above the truth, wholly below it. n counts subjects, three in ten abnormal; ± is one Monte",
        "Carlo standard error. Shares are computed, not drawn. `benchmarks/interval_coverage.py` makes this table.",
        "",
        "| | truth | " + " | ".join(f"n = {n}" for n in COUNTS) + " |",
        "|---" * (2 + len(COUNTS)) + "|",
    ]
    for title in dict.fromkeys(row["measure"] for row in rows):
        mine = [row for row in rows if row["measure"] == title]
        cells = []
        for row in mine:
            held = f"{row['held']:.1%}" + (f" ± {row['error']:.1%}" if row["draws"] else "")
            if not WANTED[0] <= row["held"] <= WANTED[1]:
                held = f"**{held}**"
            cells.append(f"{held} ({row['above']:.1%}, {row['below']:.1%})")
        lines.append(f"| {title} | {mine[0]['truth']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws, written nowhere")
    quick = parser.parse_args().quick
    rows: list[dict[str, Any]] = []
    for case in cases():
        for n, draws in zip(COUNTS, case.draws, strict=True):
            start = time.process_time()
            row = {"measure": case.title, "truth": case.truth} | simulate(case, n, draws // (10 if quick else 1))
            rows.append(row)
            print(f"{case.title}, n {n}: {row['held']:.1%}, {time.process_time() - start:.1f} s", flush=True)
    for rate in (0.01, 0.05, 0.2, 0.8):
        rows += [{"measure": f"share of {rate:.0%}", "truth": rate} | share(rate, n) for n in COUNTS]
    if not quick:
        (RESULTS / "interval_coverage.json").write_text(json_text(rows, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "interval_coverage.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
