"""What it costs that a score does not depend on its company: milliseconds an image by how many are seen at once.

    python benchmarks/company.py                     # writes results/company.md

Untrained networks of each profile's sizes, one thread; the numbers of images take turns within one run, medians of
five. The networks see `TOGETHER` images at once, always, so one image alone costs as much as so many.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import torch

import anogan
from anogan.detector import Detector
from anogan.detector.components import TOGETHER
from anogan.detector.fusion import Fusion
from anogan.detector.reference import Reference
from anogan.gan.networks import Networks
from anogan.storage.checkpoint import write_text

PROFILES = ("blood-smear", "brain-mri", "id-photo")
AT_ONCE = (1, 2, 4, 8, 32)
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "company.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        f"Milliseconds an image by how many the networks see at once; the product shows them {TOGETHER} at once.",
        "",
        f"| profile, pixels | {' | '.join(map(str, AT_ONCE))} | one alone, padded to {TOGETHER}, against one of 32 |",
        f"|---|{'---|' * len(AT_ONCE)}---|",
    ]
    for name in PROFILES:
        config = anogan.load_config(name)
        torch.manual_seed(0)
        networks = Networks.build(config)
        images = torch.rand(32, config.input.channels, config.input.size, config.input.size) * 2 - 1
        reference = Reference.learn(networks.discriminator, images, config)
        detector = Detector(config, networks, reference, Fusion.even(), (0.0, 1.0), {})
        took: dict[int, list[float]] = {n: [] for n in AT_ONCE}
        for _ in range(ROUNDS):
            for n in AT_ONCE:
                began = time.perf_counter()
                for batch in images.split(n):
                    detector._components(batch)
                took[n].append(1000 * (time.perf_counter() - began) / len(images))
        each = {n: median(values) for n, values in took.items()}
        ratio = TOGETHER * each[TOGETHER] / each[32]
        shown = " | ".join(f"{each[n]:.1f}" for n in AT_ONCE)
        lines.append(f"| {name}, {config.input.size} | {shown} | {ratio:.1f} |")
    write_text(options.out, "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
