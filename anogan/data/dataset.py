"""A folder or a manifest becomes three sets of images; no person is in two of them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np

from anogan import io
from anogan.config import Config
from anogan.data.listing import Entry, read_listing
from anogan.data.prepare import prepare
from anogan.io.files import kind_of, named
from anogan.io.masks import read_mask
from anogan.io.pixels import WindowChoice
from anogan.scan import Scan, Series

LEAST_TRAIN = 10
"""Fewer healthy training images than this are refused."""


@dataclass(frozen=True)
class Item:
    """One image of a set: its file, whose it is, 0 = healthy or 1 = abnormal, where it is abnormal, and its groups.

    `groups` holds those of `listing.GROUPS` that the manifest says of it, such as {"scanner": "A"}; `group` is the one
    that a calibration goes by.
    """

    path: Path
    subject: str
    label: int
    mask: Path | None = None
    groups: Mapping[str, str] = field(default_factory=dict, hash=False)
    group: str = ""


def draw_subjects(subjects: Sequence[str], fraction: float, seed: int) -> np.ndarray:
    """Return which images belong to a drawn share of the subjects, (N,): at least to one subject, never to all."""
    names = np.array(subjects)
    distinct = np.unique(names)
    count = min(max(round(fraction * len(distinct)), 1), len(distinct) - 1)
    return np.isin(names, np.random.default_rng(seed).permutation(distinct)[:count])


@dataclass(frozen=True)
class ScanSet(Sequence[Item]):
    """Images that belong together. Nothing is read before it is asked for.

    `window` shows gray DICOM images: "first", the name of one in their headers, or (center, width).
    """

    name: str
    items: tuple[Item, ...]
    window: WindowChoice = "first"

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> ScanSet: ...
    def __getitem__(self, index: int | slice) -> Item | ScanSet:
        return dataclasses.replace(self, items=self.items[index]) if isinstance(index, slice) else self.items[index]

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
        return dataclasses.replace(io.read_scan(item.path, self.window), subject=item.subject, group=item.group)

    def read_series(self, problems: list[tuple[Path, str]]) -> Iterator[Series]:
        """Read the longest series of each subject, one by one; the subject is the set's.

        Files that cannot be read are added to `problems`, with the reason.
        """
        files: dict[str, list[Path]] = {}
        for item in self.items:
            files.setdefault(item.subject, []).append(item.path)
        for subject, paths in files.items():
            found, failed = io.read_series(paths, self.window)
            problems += failed
            if found:
                longest = max(found, key=lambda series: len(series.scans))
                scans = tuple(dataclasses.replace(scan, subject=subject) for scan in longest.scans)
                yield dataclasses.replace(longest, scans=scans)

    def read_mask(self, index: int) -> np.ndarray | None:
        """Read where one image is abnormal, (H, W) bool, as `io.masks.read_mask` does; None: nobody has drawn it."""
        path = self.items[index].mask
        return None if path is None else read_mask(path)

    def subset(self, indices: Iterable[int]) -> ScanSet:
        """Return the images at these places, in this order."""
        return dataclasses.replace(self, items=tuple(self.items[index] for index in indices))

    def split_by_subject(self, fraction: float, seed: int) -> tuple[ScanSet, ScanSet]:
        """Split into (rest, part): `part` has this share of the subjects, each has at least one, both keep the order.

        Raises
        ------
        ValueError
            There are fewer than two subjects, or the fraction is not in (0, 1).
        """
        if not 0 < fraction < 1:
            raise ValueError(f"{self.name}: expected a fraction in (0, 1), got {fraction}")
        if (count := len(set(self.subjects))) < 2:
            raise ValueError(f"{self.name}: has {count} subjects; to split it, at least 2 are needed")
        inside = draw_subjects(self.subjects, fraction, seed)
        return self.subset(np.flatnonzero(~inside).tolist()), self.subset(np.flatnonzero(inside).tolist())

    def load(
        self, config: Config, progress: Callable[[int, int], None] | None = None
    ) -> tuple[np.ndarray, list[int], list[tuple[Path, str]]]:
        """Read all images onto the network's grid, going on past those that cannot be read or that the gate refuses.

        What would not be scored must neither train nor calibrate: it would teach that a scout is healthy.

        Parameters
        ----------
        config
            The profile.
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
        grid = config.input
        images = np.empty((len(self), grid.channels, grid.size, grid.size), np.float32)
        kept: list[int] = []
        problems: list[tuple[Path, str]] = []
        for index, item in enumerate(self.items):
            try:
                images[len(kept)], _ = prepare(self.read(index), config)
                kept.append(index)
            except (ValueError, OSError) as error:
                problems.append((item.path, str(error)))
            if progress is not None:
                progress(index + 1, len(self))
        return images[: len(kept)], kept, problems

    def load_enough(
        self, config: Config, least: int, left_out: list[tuple[Path, str]] | None = None
    ) -> tuple[np.ndarray, list[int]]:
        """Return images and indices as `load` does, and add its problems to `left_out`.

        Raises
        ------
        ValueError
            Fewer than `least` can be used.
        """
        images, kept, problems = self.load(config)
        if left_out is not None:
            left_out += problems
        if len(kept) < least:
            why = f"; {len(problems)} were left out, the first: {named(*problems[0])}" if problems else ""
            raise ValueError(f"{self.name}: {len(kept)} usable images, at least {least} are needed{why}")
        return images, kept


@dataclass(frozen=True)
class Splits:
    """Three sets of images that share no subject; train and calibration are healthy.

    `notes` say what a person should know of how the data set was read, one sentence each.
    """

    train: ScanSet
    calibration: ScanSet
    test: ScanSet
    notes: tuple[str, ...] = ()


def open_dataset(path: str | os.PathLike[str], config: Config, seed: int | None = None, group: str = "") -> Splits:
    """Open a folder or a manifest as training, calibration and test images.

    A folder holds `healthy/`, and perhaps `abnormal/` and `masks/`, or the same under `train/`, `calibration/` and
    `test/` (or `val/`). `listing.HEALTHY` and `listing.ABNORMAL` are other names for them; any other folder beside a
    healthy one, or in a split, holds a kind of abnormal images, its species (MVTec: `test/crack/`, with masks in
    `ground_truth/crack/`). Nothing is trained on abnormal images below `train/`: they are in the test.

    A manifest is a CSV file, named itself or lying in the folder as `manifest.csv`. It has columns `file` and `label`,
    each once and each file once, and perhaps `split`, `subject` (or `patient`), `mask` and `listing.GROUPS` (`species`,
    or `attack`: how an abnormal image was made); its paths begin at its folder.

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
    listing = read_listing(path, group)
    entries = listing.entries
    _refuse_both(entries)
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
    window = config.input.window
    sets = {name: ScanSet(f"{path} ({name})", tuple(items), window) for name, items in parts.items()}
    return Splits(**sets, notes=listing.notes)


def open_healthy(
    path: str | os.PathLike[str],
    group: str = "",
    window: WindowChoice = "first",
    notes: list[str] | None = None,
) -> ScanSet:
    """Open a folder or a manifest as one set of healthy images, as another site brings them to calibrate on.

    The layout is that of `open_dataset`, and `window` the profile's `input.window`; what a person should know of how it
    was read is added to `notes`. Where splits are given, only the
    calibration split is taken; else all healthy images, but those of whoever has an abnormal one.

    Raises
    ------
    ValueError
        As `open_dataset`, or no healthy image is left.
    """
    path = Path(path)
    listing = read_listing(path, group)
    entries = listing.entries
    if notes is not None:
        notes += listing.notes
    _refuse_both(entries)
    if any(entry.split for entry in entries):
        items = _given_splits(path, entries)["calibration"]
    else:
        everyone = [_item(entry, _subject(entry)) for entry in entries]
        patients = {item.subject for item in everyone if item.label}
        items = [item for item in everyone if item.subject not in patients]
    if not items:
        raise ValueError(f"{path}: holds no healthy images to calibrate on; add some, or mark the calibration split")
    return ScanSet(f"{path} (healthy)", tuple(items), window)


def _item(entry: Entry, subject: str) -> Item:
    return Item(entry.path, subject, entry.label, entry.mask, entry.groups, entry.group)


def _subject(entry: Entry) -> str:
    """Return whose an image is."""
    return _person(entry) or _unnamed(entry)


def _person(entry: Entry) -> str:
    """Return the person of an image, a DICOM file's by pseudonym; "" where none is known.

    Of a file that cannot be read its reader says so.
    """
    if entry.subject:
        return entry.subject
    try:
        kind_of(entry.path)
    except ValueError:
        return ""
    return io.read_subject(entry.path)


def _unnamed(entry: Entry) -> str:
    """Return what stands for the person of an image. A file's name is none: numbers begin anew in each folder."""
    return f"{entry.path.parent.name}/{entry.path.stem}" if entry.label else entry.path.stem


def _refuse_both(entries: list[Entry]) -> None:
    """Raise ValueError if the same file is given as healthy and as abnormal."""
    sizes: dict[int, list[Entry]] = {}
    for entry in entries:
        with contextlib.suppress(OSError):
            sizes.setdefault(entry.path.stat().st_size, []).append(entry)
    for size, same in sizes.items():
        if not size or len({entry.label for entry in same}) < 2:
            continue
        found: dict[bytes, Entry] = {}
        for entry in same:
            with contextlib.suppress(OSError):
                other = found.setdefault(hashlib.sha256(entry.path.read_bytes()).digest(), entry)
                if other.label != entry.label:
                    healthy, abnormal = (entry, other) if other.label else (other, entry)
                    raise ValueError(
                        f"{abnormal.path}: is abnormal, and {healthy.path} is the same file and healthy; keep one"
                    )


def _given_splits(path: Path, entries: list[Entry]) -> dict[str, list[Item]]:
    parts: dict[str, list[Item]] = {"train": [], "calibration": [], "test": []}
    home: dict[str, str] = {}
    for entry in entries:
        if not entry.split:
            raise ValueError(f"{path}: {entry.path.name} has no split, others have; give each one or none")
        if entry.label and entry.split != "test":
            raise ValueError(
                f"{entry.path}: is abnormal and in the {entry.split} split, which must be healthy; move it to test"
            )
        named = _person(entry)
        if named and home.setdefault(named, entry.split) != entry.split:
            raise ValueError(
                f"{path}: subject {named} is in the {home[named]} and the {entry.split} split; keep each person in one"
            )
        subject = named or f"{entry.split}/{_unnamed(entry)}"
        parts[entry.split].append(_item(entry, subject))
    return parts


def _drawn_splits(path: Path, entries: list[Entry], seed: int) -> dict[str, list[Item]]:
    items = tuple(_item(entry, _subject(entry)) for entry in entries)
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
