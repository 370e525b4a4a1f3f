"""Linkage: which copies of a photo, a face or a background are found, and how many strangers are linked.

    OMP_NUM_THREADS=1 python benchmarks/linkage.py        # about 15 minutes; writes results/linkage.md, .json

Thresholds come from pairs of genuine photos of different people: half of 400 photos with varied backgrounds
(faces_stylegan, its genuine part) and all of faces_frll, where two studios make up all backgrounds. The smaller one of
a kind counts; that of backgrounds comes from the varied ones alone. Copies are looked up among all photos of their set.
A composite shows the head and shoulders of one person before the background of another: two links can be found in it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from datasets import DATA, ROOT

import anogan
from anogan.data.transforms import to_network
from anogan.detector import Detector
from anogan.faces import detection
from anogan.io import read_scan
from anogan.linkage import Code, Linkage, Prints, Thresholds, features_of, make_prints
from anogan.linkage.prints import KINDS, person
from anogan.linkage.thresholds import different_people, pair_distances
from anogan.metrics import binomial
from anogan.scan import Scan
from anogan.storage.documents import json_text

RESULTS = ROOT / "benchmarks" / "results"
VARIED, COPIES, ENTRIES = 400, 25, 100_000
RATES = (1e-3, 1e-4)
FACE = "linked to the face's photo"


def encoded(pixels: np.ndarray, quality: int = 60) -> np.ndarray:
    data = cv2.imencode(".jpg", (pixels[..., ::-1] * 255).round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data[1], cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255


def cropped(pixels: np.ndarray, top: float, left: float, bottom: float, right: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    kept = pixels[round(top * height) : round((1 - bottom) * height), round(left * width) : round((1 - right) * width)]
    return np.ascontiguousarray(kept)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "re-encoded (JPEG, quality 60)": encoded,
    "half the size": lambda x: cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "cropped by 5 %, evenly": lambda x: cropped(x, 0.025, 0.025, 0.025, 0.025),
    "cropped by 5 %, top and left": lambda x: cropped(x, 0.05, 0.05, 0, 0),
    "mirrored": lambda x: np.ascontiguousarray(x[:, ::-1]),
    "brighter (x 1.2 + 0.04)": lambda x: (x * 1.2 + 0.04).clip(0, 1).astype(np.float32),
    "mirrored, cropped, brighter and re-encoded": lambda x: encoded(
        cropped((x[:, ::-1] * 1.2 + 0.04).clip(0, 1), 0.05, 0.05, 0, 0)
    ),
}


def composite(back: Scan, front: Scan) -> np.ndarray:
    """Put the person of `front`, cut out generously, where that of `back` stands."""
    there, here = detection.find(back).eyes, detection.find(front).eyes
    matrix = cv2.estimateAffinePartial2D(here.astype(np.float32), there.astype(np.float32))[0]
    shape = back.pixels.shape[:2]
    outline = cv2.dilate(person(front.pixels.shape[:2], here).astype(np.float32), np.ones((15, 15)))
    moved, mask = (
        cv2.warpAffine(x, matrix, shape[::-1], borderMode=cv2.BORDER_REPLICATE) for x in (front.pixels, outline)
    )
    mask = cv2.GaussianBlur(mask, (0, 0), shape[0] / 100)[..., None]
    return (back.pixels * (1 - mask) + moved * mask).clip(0, 1).astype(np.float32)


def upright(scan: Scan) -> Scan:
    """The face alone, as a detector of faces sees it; the scan itself where there is none."""
    try:
        return Scan(detection.align(scan, 96).pixels, scan.source)
    except ValueError:
        return scan


def tiny_detector(scans: list[Scan]) -> Detector:
    config = anogan.load_config("tiny", ["input.channels=3"])
    images = torch.from_numpy(np.stack([to_network(upright(scan), config.input) for scan in scans]))
    return Detector.train_images(images[:80], images[80:], config)


def subject(name: str) -> str:
    """In faces_frll the number after "front" is the person."""
    return found[1] if (found := re.search(r"_front_(\d{3})", name)) else name


def search_seconds() -> float:
    """Median of nine searches among random prints, in memory."""
    generator, words = np.random.default_rng(0), {"photo": 4, "face": 4, "background": 57}
    linkage = Linkage.open()

    def random() -> Prints:
        drawn = [
            {k: Code(*generator.integers(0, 2**63, (2, n)).astype(np.uint64)) for k, n in words.items()} for _ in "ab"
        ]
        return Prints(*drawn)

    some = [random() for _ in range(500)]
    for start in range(0, ENTRIES, 10_000):
        linkage.add_prints({f"{start + index}": some[index % 500] for index in range(10_000)})
    linkage.thresholds = Thresholds(0.0, 0.0, 0.0)  # those of 500 would find each other
    linkage.links("0")
    times = []
    for key in range(9):
        started = time.perf_counter()
        linkage.links(str(key))
        times.append(time.perf_counter() - started)
    return float(np.median(times))


class Gallery:
    """One set of photos: prints of all, and copies of some."""

    def __init__(self, folder: str, count: int, detector: Detector | None = None) -> None:
        paths = sorted((DATA / folder / "genuine").iterdir())
        drawn = np.random.default_rng(0).permutation(len(paths))[:count]
        self.scans = [read_scan(paths[index]) for index in sorted(drawn)]
        self.subjects = [subject(scan.source.rpartition("/")[2]) for scan in self.scans]
        self.detector = detector or tiny_detector(self.scans[:100])
        self.prints = [self.print(scan) for scan in self.scans]

    def print(self, scan: Scan) -> Prints:
        return make_prints(scan, features_of(self.detector, upright(scan)))

    def distances(self, kind: str, half: int | None = None) -> np.ndarray:
        """All distances of different people, sorted; `half` takes every second photo."""
        chosen = range(len(self.prints)) if half is None else range(half, len(self.prints), 2)
        pairs = different_people([self.subjects[index] for index in chosen])
        return np.sort(pair_distances([self.prints[index] for index in chosen], kind)[pairs])

    def copies(self) -> dict[str, list[tuple[int, int, Prints]]]:
        """By change: the photo, a second one that a composite shows the person of (else the same), the prints."""
        chosen = np.random.default_rng(1).permutation(
            [index for index, one in enumerate(self.prints) if "face" in one.codes]
        )[:COPIES]
        found: dict[str, list[tuple[int, int, Prints]]] = {}
        for name, change in CHANGES.items():
            found[name] = [(i, i, self.print(Scan(change(self.scans[i].pixels), "copy"))) for i in chosen]
        pairs = list(zip(chosen, np.roll(chosen, 1), strict=True))
        found["composite"] = [
            (i, j, self.print(Scan(composite(self.scans[i], self.scans[j]), "copy"))) for i, j in pairs
        ]
        return found


def looked_up(gallery: Gallery, copies: dict[str, list[tuple[int, int, Prints]]], thresholds: Thresholds) -> Any:
    """Return by change the shares of copies that link to their photo at all and by kind of code, and strangers."""
    linkage = Linkage.open(thresholds=thresholds)
    linkage.add_prints({str(index): one for index, one in enumerate(gallery.prints)})
    rows: dict[str, Any] = {}
    for name, group in copies.items():
        hits: dict[str, list[float]] = {}
        for index, other, one in group:
            linkage.add_prints({"copy": one})
            links = {link.other: link.what for link in linkage.links("copy")}
            hits.setdefault("linked", []).append(str(index) in links)
            if other != index:
                hits.setdefault(FACE, []).append(str(other) in links)
            for kind in KINDS:
                source = other if kind in ("face", "features") else index
                near = pair_distances([one, gallery.prints[source]], kind)[0, 1] < getattr(thresholds, kind)
                hits.setdefault(kind, []).append(bool(near))
        linkage.erase("copy")
        rows[name] = {what: round(float(np.mean(values)), 3) for what, values in hits.items()} | {"n": len(group)}
    return rows


def table(found: dict[str, Any]) -> str:
    pairs, faceless = found["pairs"], found["no single face"]
    text = f"""# Linkage

Made by `python benchmarks/linkage.py`. Thresholds come from {pairs["first"]} pairs of photos with varied backgrounds
and {pairs["studio"]} pairs of studio photos (not for backgrounds: the studio's are alike); the smaller one counts.
"Other" are {pairs["other"]} pairs of varied photos that set none; the studio pairs set theirs themselves. Features are
those of a tiny detector: they show that the path works, not what a trained one would find.
A search among {ENTRIES} entries takes {found["seconds"]} s (one thread, a busy machine).
No single face was found in {faceless["varied"]} of the varied and {faceless["studio"]} of the studio photos.

- A rate counts pairs, and a search among n photos compares n: 1 in 10 000 is ten strangers among 100 000 entries.
- Studio photos of different people are linked by background because they do show one background: as in a photo booth,
  that says nothing there, and it makes "linked" of studio composites look better than it is.
- Perceptual hashes of faces are no recognition, yet photos of one person from one session often link.
- Composites are cut along the outline that the background's code leaves out (a little wider), which flatters it.
- Shares are of {COPIES} copies each: at 100 % the interval reaches down to {binomial(COPIES, COPIES).low:.0%}.
"""
    for rate, one in found["rates"].items():
        text += f"""
## At {1e4 * float(rate):g} false links in 10 000 pairs

| | {" | ".join(KINDS)} |
|---|---|---|---|---|
| threshold | {" | ".join(f"{one['thresholds'][kind]:.3f}" for kind in KINDS)} |
| false in 10 000, other varied pairs | {" | ".join(f"{one['false']['other'][kind]:.1f}" for kind in KINDS)} |
| linked in 10 000, studio pairs | {" | ".join(f"{one['false']['studio'][kind]:.1f}" for kind in KINDS)} |
| neutral and smiling photo of one person ({found["pairs of one person"]} pairs) | {
            " | ".join(f"{one['one person'][kind]:.0%}" for kind in KINDS)
        } |
"""
        for name, rows in one["copies"].items():
            text += f"\n| {name} | linked | {' | '.join(KINDS)} |\n|---|---|---|---|---|---|\n"
            for change, row in rows.items():
                shares = " | ".join(f"{row[what]:.0%}" for what in ("linked", *KINDS))
                more = f" ({row[FACE]:.0%} to the face's photo)" if FACE in row else ""
                text += f"| {change}{more}, {row['n']} | {shares} |\n"
    return text


def main() -> None:
    varied = Gallery("faces_stylegan", VARIED)
    studio = Gallery("faces_frll", 244, varied.detector)
    galleries = {"varied": varied, "studio": studio}
    copies = {name: gallery.copies() for name, gallery in galleries.items()}
    first, other, plain = (
        {kind: gallery.distances(kind, half) for kind in KINDS}
        for gallery, half in ((varied, 0), (varied, 1), (studio, None))
    )
    same = np.triu(np.equal.outer(studio.subjects, studio.subjects), 1)
    one_person = {kind: pair_distances(studio.prints, kind)[same] for kind in KINDS}
    found: dict[str, Any] = {
        "pairs": {"first": len(first["face"]), "other": len(other["face"]), "studio": len(plain["face"])},
        "pairs of one person": int(same.sum()),
        "no single face": {
            name: sum("face" not in one.codes for one in gallery.prints) for name, gallery in galleries.items()
        },
        "rates": {},
    }
    for rate in RATES:
        limits = {}
        for kind in KINDS:
            values = [first[kind]] + ([plain[kind]] if kind != "background" else [])
            limits[kind] = min(0.5, *(float(one[int(rate * len(one))]) for one in values))
        thresholds = Thresholds(**limits)
        found["rates"][str(rate)] = {
            "thresholds": {kind: round(value, 4) for kind, value in limits.items()},
            "false": {
                name: {kind: round(1e4 * float((values[kind] < limits[kind]).mean()), 2) for kind in KINDS}
                for name, values in (("other", other), ("studio", plain))
            },
            "one person": {kind: round(float((one_person[kind] < limits[kind]).mean()), 3) for kind in KINDS},
            "copies": {name: looked_up(gallery, copies[name], thresholds) for name, gallery in galleries.items()},
        }
    found["seconds"] = round(search_seconds(), 3)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "linkage.json").write_text(json_text(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "linkage.md").write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
