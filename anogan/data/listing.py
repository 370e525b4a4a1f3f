"""What a folder or a manifest lists: files, and what is said of each. Nothing is decided here."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from anogan.io.files import folder_word, holds_masks, images_among, images_below, passed_over

HEALTHY = (
    "healthy", "normal", "good", "genuine", "bona fide", "bonafide", "real", "live", "uninfected", "control",
    "controls", "negative", "no finding", "no findings", "no tumor", "no tumour", "notumor", "defect free", "clean",
    "intact", "gesund", "sain", "sano", "正常", "ok", "0",
)  # fmt: skip
"""What folders and manifests may call a normal image; case does not matter, nor do - and _."""
ABNORMAL = (
    "abnormal", "anomalous", "anomaly", "attack", "attacks", "fake", "spoof", "infected", "parasitized", "parasitised",
    "positive", "diseased", "disease", "sick", "lesion", "tumor", "tumour", "benign", "malignant", "pneumonia",
    "defect", "defective", "bad", "1",
)  # fmt: skip
"""What they may call an abnormal one. A folder beside a healthy one, or in a split, that has any other name holds a
kind of abnormal images, too: its species."""
_DENIES = re.compile(r"(no|non|not|without) .*|.* free")
_VIEWS = {"rgb", "xyz", "depth"}
_MASK_NAME = re.compile(r"(.+)[ _-](?:mask|gt|seg|segmentation)(?:[ _-]?\d+)?", re.IGNORECASE)
GROUPS = ("site", "scanner", "device", "sex", "age_group", "ethnicity", "species")
"""Columns of a manifest that say which group an image belongs to. Others may name a person and are not read."""
_COLUMNS = ("file", "label", "split", "subject", "patient", "mask", "attack")
_SPLITS = {"train": "train", "training": "train", "calibration": "calibration", "calib": "calibration"}
_SPLITS |= dict.fromkeys(("test", "testing", "val", "valid", "validation"), "test")


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


@dataclass(frozen=True)
class Listing:
    """The images of a folder or a manifest, and what a person should know of how it was read, one sentence each."""

    entries: list[Entry]
    notes: tuple[str, ...] = ()


def read_listing(path: Path, group: str = "") -> Listing:
    """Return the images of a folder or a manifest in the layout that `dataset.open_dataset` describes.

    Raises
    ------
    ValueError
        Nothing is there, a file or mask is missing or lies outside, a label or split is unknown, no image is healthy,
        an image is listed twice, or there is no column `group`.
    """
    manifest = _manifest_in(path) if path.is_dir() else path
    if manifest.is_file():
        return _read_manifest(manifest, group.strip().lower())
    if not path.is_dir():
        raise ValueError(f"{path}: there is no such folder or manifest")
    if group:
        raise ValueError(f"{path}: has no manifest.csv with a column {group}; write one that says each image's {group}")
    return _read_folder(path)


def _manifest_in(folder: Path) -> Path:
    """Return the manifest of a folder, which may be absent; disks of some systems do not tell case apart."""
    found = sorted(path for path in folder.iterdir() if path.name.lower() == "manifest.csv" and path.is_file())
    if len(found) > 1:
        raise ValueError(f"{found[0]}: lies beside {found[1].name}, which may say different things; keep one")
    return found[0] if found else folder / "manifest.csv"


def _read_folder(folder: Path) -> Listing:
    split_folders = {place: _SPLITS[place.name.lower()] for place in _folders(folder) if place.name.lower() in _SPLITS}
    entries: list[Entry] = []
    notes: list[str] = []
    for place, split in split_folders.items():
        entries += _read_labels(place, split, folder, notes)
        notes += _loose(place)
    if not split_folders:
        entries = _read_labels(folder, "", folder, notes)
    notes += _loose(folder)
    if not entries and not any(folder.iterdir()):
        raise ValueError(f"{folder}: is empty; put images into {folder / 'healthy'}")
    if not any(entry.label == 0 for entry in entries):
        if sets := _sets_below(folder):
            named = _some([str(place.relative_to(folder)) for place in sets])
            raise ValueError(
                f"{folder}: has no healthy images of its own; data sets lie in it, in {named}; name one, as {sets[0]}"
            )
        raise ValueError(
            f"{folder}: has no healthy images; put them into {folder / 'healthy'}, or name them in a manifest.csv"
        )
    _refuse_shared(entries)
    moved = [entry for entry in entries if entry.label and entry.split not in ("", "test")]
    if moved:
        names = sorted({entry.path.relative_to(folder).parts[0] for entry in moved})
        notes.append(
            f"{len(moved)} abnormal images below {', '.join(names)} are in the test; nothing is trained on them"
        )
        entries = [replace(entry, split="test") if entry.label and entry.split else entry for entry in entries]
    if outside := [place.name for place in _folders(folder) if split_folders and place not in split_folders]:
        outside = [name for name in outside if not holds_masks(name)]
        notes += [f"{folder / name} is no split such as train or test, and is left out" for name in outside]
    if others := passed_over(folder):
        notes.append(f"no images, and passed over: {others}")
    return Listing(entries, tuple(notes))


def _refuse_shared(entries: list[Entry]) -> None:
    """Raise ValueError if links put one file into two splits, or into one twice."""
    listed: dict[Path, Path] = {}
    for entry in entries:
        if (before := listed.setdefault(entry.path.resolve(), entry.path)) != entry.path:
            raise ValueError(f"{entry.path}: is the same file as {before}, by a link; remove one")


def _loose(place: Path) -> list[str]:
    """Return a sentence on the images that lie beside the folders that say what they show."""
    loose = len(images_among(path for path in place.iterdir() if path.is_file()))
    return [f"{loose} images in {place} itself are in no folder that says what they show; left out"] if loose else []


def _read_labels(place: Path, split: str, root: Path, notes: list[str]) -> list[Entry]:
    """Return the images below the folders of `place` that say what they show, and add to `notes` which hold none.

    A folder whose name is no label is a kind of abnormal images where a split or a healthy folder stands beside it.
    """
    folders = [folder for folder in _folders(place) if not holds_masks(folder.name)]
    labels = {folder: _label(folder.name) for folder in folders}
    if split or 0 in labels.values():
        _refuse_unclear(folder for folder, label in labels.items() if label is None)
        labels = {folder: 1 if label is None else label for folder, label in labels.items()}
    homes = [home for where in dict.fromkeys((place, root)) for home in _folders(where) if holds_masks(home.name)]
    entries = []
    for folder, label in labels.items():
        if label is None:
            continue
        if not (paths := images_below(folder)):
            notes.append(f"{folder} holds no image")
            continue
        _refuse_mixed(folder, label)
        if beside := [home for home in _folders(folder) if holds_masks(home.name)]:
            notes.append(f"masks in {beside[0]} are not used; a data set's own lie in {place / 'masks'}")
        _refuse_masks(paths)
        kind = "" if _label(folder.name) is not None else folder.name
        for path in paths:
            inside = path.relative_to(folder)
            subject = inside.parts[0] if len(inside.parts) > 1 else ""
            mask = _find_mask(path, inside, folder.name, homes) if label and homes else None
            entries.append(Entry(path, split, label, subject, mask, {"species": kind} if kind else {}))
    return entries


def _refuse_unclear(folders: Iterable[Path]) -> None:
    """Raise ValueError if a folder's name denies something: what shows no crack may be healthy, and is no kind."""
    for folder in folders:
        if _DENIES.fullmatch(folder_word(folder.name)):
            raise ValueError(f"{folder}: may hold healthy or abnormal images; rename it to healthy or abnormal")


def _refuse_mixed(folder: Path, label: int) -> None:
    """Raise ValueError if folders in one that says what it shows say something else, or hold no pictures of it.

    "0" and "1" may be subjects. MVTec 3D has the color and the height map of each image in two folders.
    """
    inside = _folders(folder)
    for one in inside:
        if one.name not in ("0", "1") and _label(one.name) == 1 - label:
            raise ValueError(
                f"{one}: says {'abnormal' if label == 0 else 'healthy'} within a folder that is taken for "
                f"{'healthy' if label == 0 else 'abnormal'}; move it out, or write a manifest.csv"
            )
    views = [one.name for one in inside if folder_word(one.name) in _VIEWS]
    if len(views) > 1:
        raise ValueError(
            f"{folder}: holds several views of each image, in {_some(views)}; copy the images of one of them to a "
            f"folder of their own, or name them in a manifest.csv"
        )


def _sets_below(folder: Path, depth: int = 3) -> list[Path]:
    """Return the nearest folders below one that are data sets by themselves; VisA's lie three folders deep."""
    if not depth:
        return []
    found = []
    for place in _folders(folder):
        found += [place] if _is_set(place) else _sets_below(place, depth - 1)
    return found


def _is_set(place: Path) -> bool:
    """Whether a folder has a healthy one, perhaps in a split."""
    inside = _folders(place)
    splits = [one for one in inside if one.name.lower() in _SPLITS]
    return any(one.name != "0" and _label(one.name) == 0 for home in (splits or [place]) for one in _folders(home))


def _some(names: list[str]) -> str:
    """Return no more than three names, and how many there are beside."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def _refuse_masks(paths: list[Path]) -> None:
    """Raise ValueError if the mask of an image lies beside it, where it would be taken for an image."""
    names = {(path.parent, _stem(path)) for path in paths}
    for path in paths:
        if (image := _MASK_NAME.fullmatch(_stem(path))) and (path.parent, image[1]) in names:
            raise ValueError(
                f"{path}: seems to be the mask of {image[1]} beside it; move it to a folder masks, or rename it"
            )


def _stem(path: Path) -> str:
    return path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem


def _find_mask(path: Path, inside: Path, species: str, homes: list[Path]) -> Path:
    """Return the file in a masks folder that has the image's place and name; its suffix may be another.

    MVTec's are in ground_truth/SPECIES and end in _mask.
    """
    for home in homes:
        for same in (home / inside, home / species / inside):
            if same.is_file():
                return same
            for other in sorted(same.parent.glob("*")) if same.parent.is_dir() else ():
                if other.stem in (inside.stem, f"{inside.stem}_mask") and other.is_file():
                    return other
    raise ValueError(f"{path}: has no mask {inside.with_suffix('.png')} in {homes[0]}; draw one, or remove all masks")


def _folders(place: Path) -> list[Path]:
    return sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _label(name: str) -> int | None:
    word = folder_word(name)
    return 0 if word in HEALTHY else 1 if word in ABNORMAL else None


def _read_manifest(manifest: Path, group: str) -> Listing:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()
            if "\0" in text:
                line = text.count("\n", 0, text.index("\0")) + 1
                raise ValueError(f"{manifest} line {line}: holds a null character; save it as CSV in UTF-8")
            # Strict, else a quote that is left open takes in all lines behind it.
            reader = csv.reader(io.StringIO(text, newline=""), strict=True)
            columns = [" ".join(name.lower().splitlines()).strip() for name in next(reader, [])]
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except UnicodeDecodeError:
        raise ValueError(f"{manifest}: is not a CSV file in UTF-8; save it as one") from None
    except csv.Error as error:
        raise ValueError(f"{manifest} line {reader.line_num}: is not CSV ({error}); close its quotes") from None
    except OSError as error:
        raise ValueError(f"{manifest}: cannot be read ({error.strerror}); give yourself the right to") from None
    if len(columns) == 1 and (other := next((mark for mark in ";\t|" if mark in columns[0]), "")):
        raise ValueError(f"{manifest} line 1: parts its columns by {other!r}; save it with commas")
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise ValueError(f"{manifest} line 1: has two columns {twice[0]}, which may say different things; keep one")
    if missing := {"file", "label"} - set(columns):
        raise ValueError(
            f"{manifest}: has no column {' or '.join(sorted(missing))}; expected file, label and perhaps more"
        )
    if group and group not in columns:
        raise ValueError(f"{manifest}: has no column {group}; it has {', '.join(columns)}")
    entries: list[Entry] = []
    listed: dict[Path, int] = {}
    for number, row in lines:
        where = f"{manifest} line {number}"
        if any(row[len(columns) :]):
            raise ValueError(f"{where}: has {len(row)} cells for {len(columns)} columns; quote a cell with a comma")
        cells = dict(zip(columns, row, strict=False))
        label, split = _label(cells.get("label", "")), cells.get("split", "").lower()
        if label is None:
            raise ValueError(f"{where}: unknown label {cells.get('label', '')!r}; expected healthy or abnormal")
        if split and split not in _SPLITS:
            raise ValueError(f"{where}: unknown split {split!r}; expected train, calibration or test")
        if not cells.get("file"):  # a line may end before it
            raise ValueError(f"{where}: names no file; write its path, which begins at {manifest.parent}")
        path = _inside(manifest.parent, cells["file"], where, "file")
        if (before := listed.setdefault(path.resolve(), number)) != number:
            raise ValueError(
                f"{where}: names {cells['file']!r} again, which line {before} names; keep one of the lines"
            )
        mask = _inside(manifest.parent, cells["mask"], where, "mask") if cells.get("mask") else None
        if mask is not None and mask.resolve() == path.resolve():
            raise ValueError(f"{where}: names {cells['file']!r} as its own mask; name its mask, or none")
        subject = cells.get("subject") or cells.get("patient") or ""
        cells["species"] = cells.get("species") or cells.get("attack", "")
        groups = {name: cells[name] for name in GROUPS if cells.get(name)}
        named = cells.get(group, "") if group else ""
        entries.append(Entry(path, _SPLITS.get(split, ""), label, subject, mask, groups, named))
    if not any(entry.label == 0 for entry in entries):
        raise ValueError(f"{manifest}: names no healthy image; training takes nothing else")
    unread = sorted(set(columns) - {"", group, *_COLUMNS, *GROUPS})
    return Listing(entries, (f"columns of {manifest} that are not read: {', '.join(unread)}",) if unread else ())


def _inside(folder: Path, name: str, where: str, what: str) -> Path:
    """Return a manifest's file, which must exist and, by its name, lie in the manifest's folder."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or Path(name).is_absolute():
        raise ValueError(f"{where}: the {what} {name!r} lies outside {folder}; give a path that begins there")
    path = folder / parts
    try:
        there = path.is_file()
    except OSError:  # a name longer than any file's
        there = False
    if not there:
        shown = str(path) if str(path).isprintable() else repr(str(path))
        raise ValueError(f"{where}: the {what} {shown} is missing")
    return path
