"""How often two healthy images of a data set are taken for one, and whether a copy is recognized (`anogan.data.seen`).

    python benchmarks/near_duplicates.py ../shared/data/malaria ../shared/data/busi        # prints a table

Looks are those of what the network sees. Copies are the image as JPEG of quality 75, at three quarters of its size, and
without 2 % on each side.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

import anogan
from anogan.data.seen import NEAR, Seen, look, looks, middle
from anogan.data.transforms import to_network
from anogan.io.raster import read_raster

MOST = 1500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    options = parser.parse_args()
    print(
        f"| data | images | pairs of different files within {NEAR} of 256 bits | copies recognized |\n|---|---|---|---|"
    )
    for folder in options.data:
        config = anogan.load_config("color" if "malaria" in folder.name else "gray")
        dataset = anogan.open_dataset(folder, config)
        items = [item for part in (dataset.train, dataset.calibration) for item in part][:MOST]
        images = [to_network(anogan.read_scan(item.path), config.input) for item in items]
        found = [np.array([look(image) for image in images]), np.array([middle(image)[0] for image in images])]
        near = sum(
            int(np.logical_or(*((rows[k + 1 :] != rows[k]).sum(1) <= NEAR for rows in found)).sum())
            for k in range(len(images))
        )
        known = made = 0
        for item, own in list(zip(items, images, strict=True))[:100]:
            pixels = anogan.read_scan(item.path).pixels
            image = Image.fromarray((255 * pixels).round().astype(np.uint8))
            cut = [round(side * 0.02) for side in image.size]
            inside = image.crop((*cut, image.width - cut[0], image.height - cut[1]))
            smaller = image.resize((image.width * 3 // 4, image.height * 3 // 4))
            seen = Seen.of(looks(own[None], own[None][:0]))
            for copy, kind in ((image, "JPEG"), (smaller, "PNG"), (inside, "JPEG")):
                buffer = io.BytesIO()
                copy.save(buffer, kind, quality=75)
                known += seen.by_look(to_network(read_raster("copy", buffer.getvalue()), config.input))
                made += 1
        pairs = len(images) * (len(images) - 1) // 2
        print(f"| {folder.name} | {len(images)} | {near} of {pairs} | {known} of {made} |")


if __name__ == "__main__":
    main()
