"""The sets that the benchmarks measure on: who trains, who calibrates, who is tested.

The real sets are looked for in `$ANOGAN_DATA`, else in `../shared/data`; the phantom is written by `anogan synth`. No
subject is in both training and test. Every method gets the same scans and brings them to its own grid.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.sparse.csgraph import connected_components

import anogan
from anogan.config import InputConfig
from anogan.data.dataset import Item, ScanSet
from anogan.data.synthetic import write_phantom
from anogan.data.transforms import to_network
from anogan.io.masks import read_mask
from anogan.scan import Scan

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ANOGAN_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Scans in memory; label 0 is healthy. Without `calibration`, healthy test subjects calibrate (see accuracy.py)."""

    name: str
    profile: str
    train: list[Scan]
    train_subjects: list[str]
    calibration: list[Scan]
    test: list[Scan]
    labels: np.ndarray
    subjects: list[str]
    masks: list[np.ndarray] | None = None  # (H, W) bool on the scan's own grid, all false where healthy
    seen: np.ndarray | None = None  # (N,) bool: test images that were looked at while the method was developed
    settings: tuple[str, ...] = ()  # beside the profile's: what these files are, where the profile's images are larger


def on_grid(scans: Sequence[Scan], config: InputConfig) -> torch.Tensor:
    """Return scans on a network's grid, (N, C, S, S) in [-1, 1]."""
    return torch.from_numpy(np.stack([to_network(scan, config) for scan in scans]))


def _is_even(name: str) -> bool:
    """Draw half of the names, the same everywhere: the half that development may look at."""
    return int(hashlib.md5(name.encode()).hexdigest(), 16) % 2 == 0


def _rows(folder: str) -> list[dict[str, str]]:
    with open(DATA / folder / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _read(items: list[Item]) -> list[Scan]:
    scans = ScanSet("benchmark", tuple(items))
    return [scans.read(index) for index in range(len(scans))]


def malaria(seed: int, count: int | None = None) -> Dataset:
    """Patients of the training split train; healthy images of validation patients calibrate.

    `count` draws so many training images, whole patients first, as a small clinic would have them.
    """
    rows = _rows("malaria")
    train = [r for r in rows if r["split"] == "train"]
    if count is not None:
        patients = sorted({r["patient"] for r in train})
        order = {name: k for k, name in enumerate(np.random.default_rng(seed).permutation(patients))}
        train = sorted(train, key=lambda r: (order[r["patient"]], r["file"]))[:count]
    test = [r for r in rows if r["split"] == "val"]
    return Dataset(
        "malaria" if count is None else f"malaria-{count}",
        "blood-smear",
        _read([Item(DATA / "malaria" / r["file"], r["patient"], 0) for r in train]),
        [r["patient"] for r in train],
        [],
        _read([Item(DATA / "malaria" / r["file"], r["patient"], int(r["label"] == "abnormal")) for r in test]),
        np.array([int(r["label"] == "abnormal") for r in test]),
        [r["patient"] for r in test],
        seen=np.array([_is_even(r["patient"]) for r in test]),
    )


def busi(seed: int) -> Dataset:
    """Half of the healthy images train, the other half and all lesions are tested; a seed is another half.

    The set names no patients, and 61 of its 130 healthy images have a near-duplicate among the others: those stay on
    one side, for a memory of training images would recognize them.
    """
    rows = _rows("busi")
    files = {label: sorted(r["file"] for r in rows if r["label"] == label) for label in ("healthy", "abnormal")}
    masks = {r["file"]: r["mask"] for r in rows}
    healthy = _read([Item(DATA / "busi" / name, name, 0) for name in files["healthy"]])
    groups = near_duplicates(healthy)
    order = np.random.default_rng(seed).permutation(groups.max() + 1)
    rank = np.argsort(order)[groups]
    rows_in_order = np.argsort(rank, kind="stable")
    cut = len(healthy) // 2
    while rank[rows_in_order[cut]] == rank[rows_in_order[cut - 1]]:  # the group at the border goes to training
        cut += 1
    lesions = _read([Item(DATA / "busi" / name, name, 1) for name in files["abnormal"]])
    test = [healthy[row] for row in rows_in_order[cut:]]
    drawn = [read_mask(DATA / "busi" / masks[name]) for name in files["abnormal"]]
    return Dataset(
        "busi",
        "breast-ultrasound",
        [healthy[row] for row in rows_in_order[:cut]],
        [f"group {groups[row]}" for row in rows_in_order[:cut]],
        [],
        test + lesions,
        np.array([0] * len(test) + [1] * len(lesions)),
        [f"group {groups[row]}" for row in rows_in_order[cut:]] + files["abnormal"],
        [np.zeros(scan.pixels.shape[:2], bool) for scan in test] + drawn,
        seen=np.array(
            [False] * len(test) + [_is_even(name) for name in files["abnormal"]]
        ),  # healthy: too few to halve
    )


def near_duplicates(scans: list[Scan], alike: float = 0.95) -> np.ndarray:
    """Return the group of each scan, (N,): scans whose 32 x 32 thumbnails correlate by `alike` share a group."""
    small = np.stack([cv2.resize(scan.pixels, (32, 32), interpolation=cv2.INTER_AREA).ravel() for scan in scans])
    return connected_components(np.corrcoef(small) >= alike, directed=False)[1]


THUMBNAILS = ("input.size=32",)  # the set comes in 28 x 28 pixels


def pneumonia(seed: int) -> Dataset:
    """Label 0 of the training split trains, of the validation split calibrates; the test split is scored."""
    scans, labels = _pneumonia()
    healthy = [scan for scan, label in zip(scans["train"], labels["train"], strict=True) if label == 0]
    # The set has no patient identifiers: every image counts as a subject.
    return Dataset(
        "pneumonia",
        "chest-xray",
        healthy,
        [str(index) for index in range(len(healthy))],
        [scan for scan, label in zip(scans["val"], labels["val"], strict=True) if label == 0],
        scans["test"],
        labels["test"],
        [str(index) for index in range(len(scans["test"]))],
        settings=THUMBNAILS,
    )


def pneumonia_development(seed: int) -> Dataset:
    """The same training images, and the validation split in the place of the test split."""
    scans, labels = _pneumonia()
    healthy = [scan for scan, label in zip(scans["train"], labels["train"], strict=True) if label == 0]
    subjects = [[str(index) for index in range(n)] for n in (len(healthy), len(scans["val"]))]
    tested = scans["val"], labels["val"], subjects[1]
    return Dataset("pneumonia-development", "chest-xray", healthy, subjects[0], [], *tested, settings=THUMBNAILS)


def _pneumonia() -> tuple[dict[str, list[Scan]], dict[str, np.ndarray]]:
    with np.load(DATA / "pneumoniamnist" / "pneumoniamnist.npz", allow_pickle=False) as file:
        splits = ("train", "val", "test")
        scans = {s: [Scan(x.astype(np.float32) / 255, "pneumoniamnist") for x in file[f"{s}_images"]] for s in splits}
        return scans, {split: file[f"{split}_labels"].ravel().astype(int) for split in splits}


COARSE = ("input.size=64",)  # an average of 152 people has no detail below 3 mm


def phantom(seed: int) -> Dataset:
    """The demo's data; another seed is another cohort of subjects."""
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder) / "phantom", seed=seed)
        splits = anogan.open_dataset(Path(folder) / "phantom", anogan.load_config("brain-mri"))
        train, calibration, test = (_read(list(part)) for part in (splits.train, splits.calibration, splits.test))
        masks = [splits.test.read_mask(index) for index in range(len(test))]
    return Dataset(
        "phantom",
        "brain-mri",
        train,
        splits.train.subjects,
        calibration,
        test,
        splits.test.labels,
        [f"cohort {seed}: {name}" for name in splits.test.subjects],  # a subject of another seed is another person
        [np.zeros(s.pixels.shape[:2], bool) if m is None else m for s, m in zip(test, masks, strict=True)],
        settings=COARSE,
    )


DATASETS: dict[str, Callable[[int], Dataset]] = {
    "malaria": malaria,
    "busi": busi,
    "pneumonia": pneumonia,
    "phantom": phantom,
}
