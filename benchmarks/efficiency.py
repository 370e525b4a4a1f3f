"""Data efficiency: image AUROC and KID at 50, 100, 500 and 2400 training images, with and without augmentation.

    python benchmarks/accuracy.py --data malaria malaria-50 malaria-100 malaria-500 \
        --methods anogan "without differentiable augmentation"
    python benchmarks/efficiency.py      # draws results/efficiency.png of what was measured

The augmentation is the differentiable one of the game (DiffAugment: Zhao et al., NeurIPS 2020). KID is that of
`anogan.gan.convergence` at the snapshot before the end: between generated and held-out images, in the features of a
random network, so only its differences mean something. Every seed is a point; the lines join seed 0, which both have.
"""

from __future__ import annotations

import matplotlib
import numpy as np
from accuracy import PRODUCT, RESULTS, finished

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # after the backend is chosen

METHODS = {PRODUCT: "with augmentation", "without differentiable augmentation": "without"}
SETS = ("malaria-50", "malaria-100", "malaria-500", "malaria")


def main() -> None:
    found = finished()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for (method, title), color in zip(METHODS.items(), ("#0072b2", "#d55e00"), strict=True):
        runs = [(seed, run) for name in SETS for seed, run in found.get(name, {}).get(method, {}).items()]
        if not runs:
            continue
        seeds = np.array([seed for seed, _ in runs])
        counts = np.array([run["training images"] for _, run in runs])
        auroc = np.array([run["auroc"][0] for _, run in runs])
        kid = np.array([run["last reading"]["KID"] for _, run in runs])
        for axis, values in zip(axes, (auroc, kid), strict=True):
            axis.scatter(counts, values, color=color, s=14)
            axis.plot(counts[seeds == 0], values[seeds == 0], color=color, label=title)
            print(title, ", ".join(f"{n} images: {v:.4g}" for n, v in zip(counts, values, strict=True)))
    for axis, name in zip(axes, ("image AUROC", "KID"), strict=True):
        axis.set(xscale="log", xlabel="training images", ylabel=name)
        axis.set_xticks([50, 100, 500, 2400], ["50", "100", "500", "2400"])
        axis.legend(frameon=False)
    axes[1].set_yscale("log")
    figure.savefig(RESULTS.parent / "efficiency.png", dpi=110)


if __name__ == "__main__":
    main()
