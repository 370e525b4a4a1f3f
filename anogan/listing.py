"""What a folder or a manifest lists: files, and what is said of each. Nothing is decided here."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from anogan import io

HEALTHY = ("healthy", "normal", "good", "genuine", "bona fide", "0")
"""What folders and manifests may call a normal image; case does not matter, nor do - and _."""
ABNORMAL = ("abnormal", "anomalous", "anomaly", "attack", "1")
GROUPS = ("site", "scanner", "device", "sex", "age_group", "ethnicity", "species")
"""Columns of a manifest that say which group an image belongs to. Others may name a person and are not read."""
_SPLITS = {"train": "train", "training": "train", "calibration": "calibration", "calib": "calibration"}
_SPLITS |= dict.fromkeys(("test", "val", "validation"), "test")


@dataclass(frozen=True)
class Entry:
    """An image as a folder or a manifest names it: `split` and `subject` may be unsaid ("")."""

    path: Path
    split: str
    label: int
    subject: str
    mask: Path | None
    groups: Mapping[str, str] = field(default_factory=dict)
    group: str = ""


def read_listing(path: Path, group: str = "") -> list[Entry]:
    """Return the images of a folder or a manifest in the layout that `dataset.open_dataset` describes.

    Raises
    ------
    ValueError
        Nothing is there, a file or mask is missing or lies outside, a label or split is unknown, no image is healthy,
        or there is no column `group`.
    """
    manifest = path / "manifest.csv" if path.is_dir() else path
    if manifest.is_file():
        return _read_manifest(manifest, group.strip().lower())
    if not path.is_dir():
        raise ValueError(f"{path}: there is no such folder or manifest")
    if group:
        raise ValueError(f"{path}: has no manifest.csv with a column {group}; write one that says each image's {group}")
    return _read_folder(path)


def _read_folder(folder: Path) -> list[Entry]:
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


def _read_labels(place: Path, split: str, root: Path) -> list[Entry]:
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
            entries.append(Entry(path, split, label, subject, mask))
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


def _read_manifest(manifest: Path, group: str) -> list[Entry]:
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
        if not cells.get("file"):  # a line may end before it
            raise ValueError(f"{where}: names no file; write its path, which begins at {manifest.parent}")
        path = _inside(manifest.parent, cells["file"], where, "file")
        mask = _inside(manifest.parent, cells["mask"], where, "mask") if cells.get("mask") else None
        subject = cells.get("subject") or cells.get("patient") or ""
        cells["species"] = cells.get("species") or cells.get("attack", "")
        groups = {name: cells[name] for name in GROUPS if cells.get(name)}
        named = cells.get(group, "") if group else ""
        entries.append(Entry(path, _SPLITS.get(split, ""), label, subject, mask, groups, named))
    if not any(entry.label == 0 for entry in entries):
        raise ValueError(f"{manifest}: names no healthy image; training takes nothing else")
    return entries


def _inside(folder: Path, name: str, where: str, what: str) -> Path:
    """Return a manifest's file, which must exist and, by its name, lie in the manifest's folder."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or Path(name).is_absolute():
        raise ValueError(f"{where}: the {what} {name!r} lies outside {folder}; give a path that begins there")
    path = folder / parts
    if not path.is_file():
        raise ValueError(f"{where}: the {what} {path} is missing")
    return path
