"""Who is turned away: BPCER and failures to acquire by sex, ethnicity and skin luminance, on genuine photos.

    python benchmarks/fairness.py RUN GENUINE [--limit N]

prints a table for the detector of a run folder and a folder (or manifest.csv) of genuine photos that took no part in
its training or calibration. In faces_frll the person is the number in the file's name, so that neutral and smiling
photos count as one person's; elsewhere it is what the folder or the manifest says.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from anogan.dataset import Item, ScanSet
from anogan.detector import Detector
from anogan.evaluation.fairness import RECORDED, UNKNOWN, Row, fairness, judge_genuine
from anogan.io import find_images
from anogan.listing import read_listing


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("genuine", type=Path)
    parser.add_argument("--limit", type=int, help="only every so many photos that about N are left")
    arguments = parser.parse_args()
    photos = genuine_photos(arguments.genuine)
    if arguments.limit:
        photos = dataclasses.replace(photos, items=photos.items[:: max(1, len(photos) // arguments.limit)])
    print(table(fairness(judge_genuine(Detector.load(arguments.run), photos))))


if __name__ == "__main__":
    main()
