"""Who is turned away: BPCER and failures to acquire by sex, ethnicity and skin luminance, on genuine photos.

    python benchmarks/fairness.py                          # the detectors of id_photos.py, results/fairness.md
    python benchmarks/fairness.py RUN GENUINE [--limit N]  # prints the table of a run folder

The first takes the genuine test photos of all three seeds, each judged by the detector of its seed, whose people took
no part in its training or calibration. GENUINE is a folder or a manifest.csv of such photos. In faces_frll the person
is the number in the file's name, so that neutral and smiling photos count as one person's; elsewhere it is what the
folder or the manifest says.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import id_photos

from anogan.data.dataset import Item, ScanSet
from anogan.data.listing import read_listing
from anogan.detector import Detector
from anogan.evaluation.fairness import RECORDED, UNKNOWN, Photo, Row, fairness, judge_genuine
from anogan.io import find_images
from anogan.storage.checkpoint import write_text


def genuine_photos(place: Path) -> ScanSet:
    """Take a manifest, or else all photos of a folder as genuine."""
    if place.is_file() or (place / "manifest.csv").is_file():
        entries = [entry for entry in read_listing(place) if entry.label == 0]
        items = [Item(e.path, e.subject or person(e.path), 0, groups=e.groups) for e in entries]
    else:
        items = [Item(path, person(path), 0) for path in find_images([place])]
    return ScanSet(str(place), tuple(items))


def person(path: Path) -> str:
    found = re.search(r"_front_(\d{3})", path.name)
    return found[1] if found else path.stem


def table(rows: Sequence[Row]) -> str:
    text = "| | group | photos | people | BPCER | failure to acquire |\n|---|---|---|---|---|---|\n"
    for row in rows:
        bpcer = "not decided" if row.bpcer is None else str(row.bpcer)
        few = " (few)" if row.small else ""
        text += f"| {row.attribute} | {row.value}{few} | {row.images} | {row.people} | {bpcer} | {row.not_acquired} |\n"
    missing = [name for name in RECORDED if {row.value for row in rows if row.attribute == name} <= {UNKNOWN}]
    if missing:
        text += f"\nNot recorded in this set, so nothing is known of it: {', '.join(missing)}.\n"
    return text


def measured(seeds: Sequence[int]) -> str:
    """Return the table over the seeds of `id_photos.py`; a person whom several seeds test is one person."""
    photos: list[Photo] = []
    for seed in seeds:
        test = id_photos.images(seed).test
        genuine = test.subset(index for index, item in enumerate(test) if item.label == 0)
        photos += judge_genuine(id_photos.product(seed), genuine)
    return (
        "# Who is turned away\n\n"
        f"Genuine test photos of seeds {list(seeds)}, each by the detector of its seed, each site at its own\n"
        "threshold for 5 %; made by `python benchmarks/fairness.py`. Intervals are over people.\n\n"
        f"{table(fairness(photos))}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("genuine", type=Path, nargs="?")
    parser.add_argument("--limit", type=int, help="only every so many photos that about N are left")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    if arguments.run is None:
        text = measured(arguments.seeds)
        write_text(id_photos.RESULTS.parent / "fairness.md", text)
        print(text)
        return
    if arguments.genuine is None:
        parser.error("name the genuine photos, too")
    photos = genuine_photos(arguments.genuine)
    if arguments.limit:
        photos = dataclasses.replace(photos, items=photos.items[:: max(1, len(photos) // arguments.limit)])
    print(table(fairness(judge_genuine(Detector.load(arguments.run), photos))))


if __name__ == "__main__":
    main()
