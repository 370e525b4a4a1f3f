"""How often two healthy images of a data set are taken for one, and whether a copy is recognized (`anogan.data.seen`).

    python benchmarks/near_duplicates.py ../shared/data/malaria ../shared/data/busi        # prints a table

Looks are those of what the network sees. Copies are the image as JPEG of quality 75, and at three quarters of its size.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

import anogan
from anogan.data.seen import NEAR, look
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
        found = np.array([look(to_network(anogan.read_scan(item.path), config.input)) for item in items])
        near = sum(int((found[k + 1 :] != found[k]).sum(1).__le__(NEAR).sum()) for k in range(len(found)))
        known = made = 0
        for item, own in list(zip(items, found, strict=True))[:100]:
            pixels = anogan.read_scan(item.path).pixels
            image = Image.fromarray((255 * pixels).round().astype(np.uint8))
            for copy, kind in ((image, "JPEG"), (image.resize((image.width * 3 // 4, image.height * 3 // 4)), "PNG")):
                buffer = io.BytesIO()
                copy.save(buffer, kind, quality=75)
                again = look(to_network(read_raster("copy", buffer.getvalue()), config.input))
                known, made = known + int((again != own).sum() <= NEAR), made + 1
        pairs = len(found) * (len(found) - 1) // 2
        print(f"| {folder.name} | {len(found)} | {near} of {pairs} | {known} of {made} |")


if __name__ == "__main__":
    main()
