"""A folder or a manifest becomes three sets of images; no person is in two of them."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import overload

import numpy as np

from anogan import io, transforms
from anogan.config import Config, InputConfig
from anogan.scan import Scan

HEALTHY = ("healthy", "normal", "good", "genuine", "bona fide", "0")
"""What folders and manifests may call a normal image; case does not matter, nor do - and _."""
ABNORMAL = ("abnormal", "anomalous", "anomaly", "attack", "1")
_SPLITS = {"train": "train", "training": "train", "calibration": "calibration", "calib": "calibration"}
_SPLITS |= dict.fromkeys(("test", "val", "validation"), "test")
LEAST_TRAIN = 10
"""Fewer healthy training images than this are refused."""


@dataclass(frozen=True)
class Item:
    """One image of a set: its file, whose it is, 0 = healthy or 1 = abnormal, where it is abnormal, and its group."""

    path: Path
    subject: str
    label: int
    mask: Path | None = None
    group: str = ""


def draw_subjects(subjects: Sequence[str], fraction: float, seed: int) -> np.ndarray:
    """Return which images belong to a drawn share of the subjects, (N,): at least to one subject, never to all."""
    names = np.array(subjects)
    distinct = np.unique(names)
    count = min(max(round(fraction * len(distinct)), 1), len(distinct) - 1)
    return np.isin(names, np.random.default_rng(seed).permutation(distinct)[:count])


@dataclass(frozen=True)
class ScanSet(Sequence[Item]):
    """Images that belong together. Nothing is read before it is asked for."""

    name: str
    items: tuple[Item, ...]

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> ScanSet: ...
    def __getitem__(self, index: int | slice) -> Item | ScanSet:
        return ScanSet(self.name, self.items[index]) if isinstance(index, slice) else self.items[index]

    @property
    def labels(self) -> np.ndarray:
        """(N,) int, 1 = abnormal."""
        return np.array([item.label for item in self.items], dtype=int)

    @property
    def subjects(self) -> list[str]:
        """The subject of each image, (N,)."""
        return [item.subject for item in self.items]

    def read(self, index: int) -> Scan:
        """Read one image; its subject and group are the set's. Raises ValueError as `read_scan` does."""
        item = self.items[index]
        return dataclasses.replace(io.read_scan(item.path), subject=item.subject, group=item.group)

    def read_mask(self, index: int) -> np.ndarray | None:
        """Read where one image is abnormal: (H, W) bool, or None when nobody has drawn it."""
        path = self.items[index].mask
        if path is None:
            return None
        scan = io.read_scan(path)
        drawn = scan.pixels if scan.pixels.ndim == 2 else scan.pixels.max(axis=2)
        # Masks hold 0 and 255, 0 and 1, or class numbers; a JPEG holds noise beside them.
        return drawn >= 0.5 if scan.format == "JPEG" else drawn > 0

    def subset(self, indices: Iterable[int]) -> ScanSet:
        """Return the images at these places, in this order."""
        return ScanSet(self.name, tuple(self.items[index] for index in indices))

    def split_by_subject(self, fraction: float, seed: int) -> tuple[ScanSet, ScanSet]:
        """Split into (rest, part): `part` has this share of the subjects, each has at least one, both keep the order.

        Raises
        ------
        ValueError
            There are fewer than two subjects, or the fraction is not in (0, 1).
        """
        if not 0 < fraction < 1:
            raise ValueError(f"{self.name}: expected a fraction in (0, 1), got {fraction}")
        if len(set(self.subjects)) < 2:
            raise ValueError(f"{self.name}: has {len(set(self.subjects))} subjects; to split it, at least 2 are needed")
        inside = draw_subjects(self.subjects, fraction, seed)
        return self.subset(np.flatnonzero(~inside).tolist()), self.subset(np.flatnonzero(inside).tolist())

    def load(
        self, config: InputConfig, progress: Callable[[int, int], None] | None = None
    ) -> tuple[np.ndarray, list[int], list[tuple[Path, str]]]:
        """Read all images onto the network's grid, going on past those that cannot be read.

        Parameters
        ----------
        config
            The profile's `input` section.
        progress
            Called with (images done, images in all).

        Returns
        -------
        images
            (N, C, size, size) float32 in [-1, 1].
        kept
            The index of each in this set.
        problems
            The file and the reason of each that is left out.
        """
        images = np.empty((len(self), config.channels, config.size, config.size), np.float32)
        kept: list[int] = []
        problems: list[tuple[Path, str]] = []
        for index, item in enumerate(self.items):
            try:
                images[len(kept)] = transforms.to_network(self.read(index), config)
                kept.append(index)
            except (ValueError, OSError) as error:
                problems.append((item.path, str(error)))
            if progress is not None:
                progress(index + 1, len(self))
        return images[: len(kept)], kept, problems


@dataclass(frozen=True)
class Splits:
    """Three sets of images that share no subject; train and calibration are healthy."""

    train: ScanSet
    calibration: ScanSet
    test: ScanSet


@dataclass(frozen=True)
class _Entry:
    """An image as a folder or a manifest names it: `split` and `subject` may be unsaid ("")."""

    path: Path
    split: str
    label: int
    subject: str
    mask: Path | None
    group: str = ""

    def item(self, subject: str) -> Item:
        return Item(self.path, subject, self.label, self.mask, self.group)


def open_dataset(path: str | os.PathLike[str], config: Config, seed: int | None = None, group: str = "") -> Splits:
    """Open a folder or a manifest as training, calibration and test images.

    A folder holds `healthy/`, and perhaps `abnormal/` and `masks/`, or the same under `train/`, `calibration/` and
    `test/` (or `val/`). A manifest is a CSV file, named itself or lying in the folder as `manifest.csv`. It has columns
    `file` and `label`, and perhaps `split`, `subject` (or `patient`) and `mask`; its paths begin at its folder.

    A subject is what the manifest says, else the first folder below `healthy/` or `abnormal/`, else a pseudonym of the
    DICOM patient, else the file's name. Without splits, 60, 20 and 20 % of the healthy subjects train, calibrate and
    test, and whoever has an abnormal image is in the test. With a training but no calibration split, 20 % of
    the training subjects calibrate.

    Parameters
    ----------
    path
        The folder or the manifest.
    config
        The profile.
    seed
        Draws the splits that are not given; None: the profile's `training.seed`.
    group
        The column of the manifest, such as "scanner" or "site", that says each image's group; "": none.

    Raises
    ------
    ValueError
        Nothing is there, a file or mask is missing or lies outside, a label or split is unknown, a subject is in two
        splits, an abnormal image is in a healthy split, fewer than 10 healthy images are left to train on, or there is
        no such column.
    """
    path = Path(path)
    seed = config.training.seed if seed is None else seed
    entries = _read(path, group)
    parts = (
        _given_splits(path, entries) if any(entry.split for entry in entries) else _drawn_splits(path, entries, seed)
    )
    if not parts["calibration"]:
        rest, part = ScanSet(f"{path} (train)", tuple(parts["train"])).split_by_subject(0.2, seed)
        parts |= {"train": list(rest), "calibration": list(part)}
    if len(parts["train"]) < LEAST_TRAIN:
        raise ValueError(
            f"{path}: {len(parts['train'])} healthy images are left to train on, at least {LEAST_TRAIN} are needed; "
            f"add more"
        )
    return Splits(**{name: ScanSet(f"{path} ({name})", tuple(items)) for name, items in parts.items()})


def open_healthy(path: str | os.PathLike[str], group: str = "") -> ScanSet:
    """Open a folder or a manifest as one set of healthy images, as another site brings them to calibrate on.

    The layout is that of `open_dataset`. Where splits are given, only the calibration split is taken; else all healthy
    images, but those of whoever has an abnormal one.

    Raises
    ------
    ValueError
        As `open_dataset`, or no healthy image is left.
    """
    path = Path(path)
    entries = _read(path, group)
    if any(entry.split for entry in entries):
        items = _given_splits(path, entries)["calibration"]
    else:
        everyone = [entry.item(_subject(entry)) for entry in entries]
        patients = {item.subject for item in everyone if item.label}
        items = [item for item in everyone if item.subject not in patients]
    if not items:
        raise ValueError(f"{path}: holds no healthy images to calibrate on; add some, or mark the calibration split")
    return ScanSet(f"{path} (healthy)", tuple(items))


def _read(path: Path, group: str) -> list[_Entry]:
    manifest = path / "manifest.csv" if path.is_dir() else path
    if manifest.is_file():
        return _read_manifest(manifest, group.strip().lower())
    if not path.is_dir():
        raise ValueError(f"{path}: there is no such folder or manifest")
    if group:
        raise ValueError(f"{path}: has no manifest.csv with a column {group}; write one that says each image's {group}")
    return _read_folder(path)


def _subject(entry: _Entry) -> str:
    return entry.subject or io.read_subject(entry.path) or entry.path.stem


def _given_splits(path: Path, entries: list[_Entry]) -> dict[str, list[Item]]:
    parts: dict[str, list[Item]] = {"train": [], "calibration": [], "test": []}
    home: dict[str, str] = {}
    for entry in entries:
        if not entry.split:
            raise ValueError(f"{path}: {entry.path.name} has no split, others have; give each one or none")
        if entry.label and entry.split != "test":
            raise ValueError(
                f"{entry.path}: is abnormal and in the {entry.split} split, which must be healthy; move it to test"
            )
        named = entry.subject or io.read_subject(entry.path)
        if named and home.setdefault(named, entry.split) != entry.split:
            raise ValueError(
                f"{path}: subject {named} is in the {home[named]} and the {entry.split} split; keep each person in one"
            )
        # A file's name is no person: numbers begin anew in each split.
        subject = named or f"{entry.split}/{entry.path.stem}"
        parts[entry.split].append(entry.item(subject))
    return parts


def _drawn_splits(path: Path, entries: list[_Entry], seed: int) -> dict[str, list[Item]]:
    items = tuple(entry.item(_subject(entry)) for entry in entries)
    patients = {item.subject for item in items if item.label}
    healthy = ScanSet(f"{path} (healthy)", tuple(item for item in items if item.subject not in patients))
    if len(healthy) < LEAST_TRAIN:
        raise ValueError(
            f"{path}: holds {len(healthy)} images of healthy subjects, of which 60 % would train; "
            f"at least {LEAST_TRAIN} must train, so add more"
        )
    if len(set(healthy.subjects)) < 3:
        raise ValueError(
            f"{path}: its healthy images are of {len(set(healthy.subjects))} subjects; to train, calibrate and test, "
            f"at least 3 are needed"
        )
    rest, test = healthy.split_by_subject(0.2, seed)
    train, calibration = rest.split_by_subject(0.25, seed)
    return {
        "train": list(train),
        "calibration": list(calibration),
        "test": [*test, *(item for item in items if item.subject in patients)],
    }


def _read_folder(folder: Path) -> list[_Entry]:
    split_folders = {place: _SPLITS[place.name.lower()] for place in _folders(folder) if place.name.lower() in _SPLITS}
    if split_folders:
        entries = [entry for place, split in split_folders.items() for entry in _read_labels(place, split, folder)]
    else:
        entries = _read_labels(folder, "", folder)
    if not entries and not any(folder.iterdir()):
        raise ValueError(f"{folder}: is empty; put images into {folder / 'healthy'}")
    if not any(entry.label == 0 for entry in entries):
        raise ValueError(
            f"{folder}: has no healthy images; put them into {folder / 'healthy'}, or name them in a manifest.csv"
        )
    return entries


def _read_labels(place: Path, split: str, root: Path) -> list[_Entry]:
    """Return the images below the label folders of `place`."""
    entries = []
    for folder in _folders(place):
        label = _label(folder.name)
        if label is None or not any(folder.iterdir()):
            continue
        masks = [home / "masks" for home in (place, root) if (home / "masks").is_dir()]
        for path in io.find_images([folder]):
            inside = path.relative_to(folder)
            subject = inside.parts[0] if len(inside.parts) > 1 else ""
            mask = _find_mask(path, inside, masks) if label and masks else None
            entries.append(_Entry(path, split, label, subject, mask))
    return entries


def _find_mask(path: Path, inside: Path, masks: list[Path]) -> Path:
    """Return the file in a masks folder that has the image's place and name; its suffix may be another."""
    for home in masks:
        same = home / inside
        if same.is_file():
            return same
        for other in sorted(same.parent.glob("*")):
            if other.stem == inside.stem and other.is_file():
                return other
    raise ValueError(f"{path}: has no mask {inside.with_suffix('.png')} in {masks[0]}; draw one, or remove all masks")


def _folders(place: Path) -> list[Path]:
    return sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _label(word: str) -> int | None:
    word = " ".join(word.lower().replace("_", " ").replace("-", " ").split())
    return 0 if word in HEALTHY else 1 if word in ABNORMAL else None


def _read_manifest(manifest: Path, group: str) -> list[_Entry]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = [name.strip().lower() for name in next(reader, [])]
            lines = [
                (reader.line_num, {name: cell.strip() for name, cell in zip(columns, cells, strict=False)})
                for cells in reader
                if any(cells)
            ]
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f"{manifest}: is not a CSV file in UTF-8; save it as one") from None
    if missing := {"file", "label"} - set(columns):
        raise ValueError(
            f"{manifest}: has no column {' or '.join(sorted(missing))}; expected file, label and perhaps more"
        )
    if group and group not in columns:
        raise ValueError(f"{manifest}: has no column {group}; it has {', '.join(columns)}")
    entries = []
    for number, cells in lines:
        where = f"{manifest} line {number}"
        label, split = _label(cells.get("label", "")), cells.get("split", "").lower()
        if label is None:
            raise ValueError(f"{where}: unknown label {cells.get('label', '')!r}; expected healthy or abnormal")
        if split and split not in _SPLITS:
            raise ValueError(f"{where}: unknown split {split!r}; expected train, calibration or test")
        path = _inside(manifest.parent, cells["file"], where, "file")
        mask = _inside(manifest.parent, cells["mask"], where, "mask") if cells.get("mask") else None
        subject = cells.get("subject") or cells.get("patient") or ""
        named = cells.get(group, "") if group else ""
        entries.append(_Entry(path, _SPLITS.get(split, ""), label, subject, mask, named))
    if not any(entry.label == 0 for entry in entries):
        raise ValueError(f"{manifest}: names no healthy image; at least {LEAST_TRAIN} are needed to train")
    return entries


def _inside(folder: Path, name: str, where: str, what: str) -> Path:
    """Return a manifest's file, which must exist and, by its name, lie in the manifest's folder."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if not name or parts.is_absolute() or ".." in parts.parts or Path(name).is_absolute():
        raise ValueError(f"{where}: the {what} {name!r} lies outside {folder}; give a path that begins there")
    path = folder / parts
    if not path.is_file():
        raise ValueError(f"{where}: the {what} {path} is missing")
    return path
