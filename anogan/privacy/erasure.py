"""Erase one person from what a run keeps: results, the drift monitor, the healthy bank, pictures of the training.

What is made of many people's images at once (the networks' weights, the Gaussians of healthy features, the fusion, the
calibration scores) cannot forget one of them without a new training, and every erasure says so.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime
import io
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anogan.assurance.drift import Monitor
from anogan.assurance.feedback import versions
from anogan.detector import Detector, files
from anogan.results.writing import LOCK, writing_alone
from anogan.storage import checkpoint, spreadsheet
from anogan.storage.pseudonym import key_name, person_hash

AGGREGATES = (
    "the networks' weights, the Gaussians of healthy features and the calibration scores are made of many people's "
    "images at once and cannot forget one of them; to be rid of these too, train and calibrate again without the person"
)
_LISTS = ("results", "evaluation", "contamination", "comparison")
"""Files that list images, as JSON and most of them as CSV, too."""
PATIENCE = 10.0  # seconds for others to finish writing


@dataclass
class Erasure:
    """What was erased, one sentence each, and what could not be: the file or folder, and why."""

    done: list[str] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)


def erase(run: Path, subject: str, folders: Iterable[Path] = ()) -> Erasure:
    """Erase a person from a run folder, going on past what cannot be read; doing it again does the rest.

    Parameters
    ----------
    run
        The run folder, with the results in it.
    subject
        The pseudonym as lists show it, or the name that a folder or manifest gave the person.
    folders
        Results that lie elsewhere.
    """
    erasure = Erasure()

    def attempt(place: Path, step: Callable[[], list[str]]) -> None:
        try:
            erasure.done += step()
        except (ValueError, OSError) as error:
            erasure.problems.append((place, str(error)))

    places = {path.parent for folder in (run, *folders) for name in _LISTS for path in folder.rglob(f"{name}.json")}
    for place in sorted(places):
        attempt(place, lambda place=place: erase_results(place, subject))  # type: ignore[misc]
    attempt(run, lambda: erase_counted(run, subject))
    works = versions.current(run) if (run / "detector.json").is_file() else None
    if works is not None:
        files.settle(run)  # killed on the way, what works still does
    for version in versions.listed(run):
        attempt(version.folder, lambda folder=version.folder: _erase_trained(folder, subject, run))  # type: ignore[misc]
    # What works is one of these, or a detector of its own.
    attempt(run, lambda: _erase_trained(run, subject, run) if works is None else versions.refresh(run, works))
    return erasure


def erase_results(folder: Path, subject: str) -> list[str]:
    """Erase a person's cases, with their pictures and maps, from the lists of one folder; say what went.

    A report page goes as a whole, because it shows pictures; `anogan evaluate --report` makes it again. Pictures of
    cases that no list names any more go, too: whose they are is not known.

    Raises
    ------
    ValueError
        A list is damaged or cannot be written, or somebody is writing results there.
    """
    # Whoever writes there has drawn cases that are not listed yet; the lock is the first thing that he makes.
    with writing_alone(folder, PATIENCE) if (folder / LOCK).exists() else contextlib.nullcontext():
        return _erase_listed(folder, subject)


def _erase_listed(folder: Path, subject: str) -> list[str]:
    paths = [path for name in _LISTS if (path := folder / f"{name}.json").is_file()]
    documents = {path: checkpoint.read_json(path) for path in paths}
    listed = [row for document in documents.values() for row in _rows(document)]
    own = [row for row in listed if row.get("subject") == subject]
    cases = {row["case"] for row in own if row.get("case")}
    files = {row["file"] for row in own if row.get("file")}

    def gone(row: dict[str, Any]) -> bool:
        return row.get("subject") == subject or row.get("case") in cases or row.get("file") in files

    # The lists go last: killed before that, the next erasure finds all of it again.
    said = []
    known = {row["case"] for row in listed if row.get("case")}
    pictures = [place for place in (folder / "cases").glob("*") if place.name in cases or place.name not in known]
    for place in pictures:
        shutil.rmtree(place)
    if strays := sum(place.name not in known for place in pictures):
        said.append(f"pictures of {strays} cases in {folder} that no list names any more")
    if not own:
        return said
    said.append(f"{len(files)} {'case' if len(files) == 1 else 'cases'} in {folder}")
    if (folder / "report.html").is_file():
        (folder / "report.html").unlink()
        said.append(f"{folder / 'report.html'}, which shows pictures; `anogan evaluate --report` makes it again")
    for path, document in documents.items():
        if (table := path.with_suffix(".csv")).is_file():
            checkpoint.write_text(table, _without_rows(table, gone))
        checkpoint.write_json(path, _without(document, gone))
    return said


def forget(detector: Detector, subject: str) -> tuple[Detector, dict[str, Any] | None]:
    """Return the detector without the person's patches in its healthy bank, and what was done, or None.

    Scores can only rise by it: the next healthy patch may lie farther away. The erasure is noted in
    `provenance["erasures"]`, without the pseudonym.

    Raises
    ------
    ValueError
        The detector does not know whose patches it holds, or knows it under another key, or nothing would be left.
    """
    people, bank = detector.provenance.get("people"), detector.reference.bank
    if people is None or bank.origin is None:
        raise ValueError(
            "its detector was trained before the healthy bank knew whose patches it holds, and cannot forget one "
            "person; train again without that person's images"
        )
    if people["key"] != key_name():
        raise ValueError(
            "its detector knows people by another key than this machine's; set $ANOGAN_PSEUDONYM_KEY to the key of "
            "where it was trained"
        )
    known = person_hash(subject)
    images = [index for index, person in enumerate(people["train"]) if person == known]
    held_out = people["holdout"].count(known)
    if not images and not held_out:
        return detector, None
    left = bank.without(images)
    if not len(left.bank):
        raise ValueError("nothing of its healthy bank would be left; train again without that person's images")
    note = {
        "erased": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "images": len(images),
        "held_out_images": held_out,
        "patches": len(bank.bank) - len(left.bank),
        "patches_left": len(left.bank),
    }
    nameless = {part: ["" if person == known else person for person in people[part]] for part in ("train", "holdout")}
    noted: dict[str, Any] = {
        "people": people | nameless,
        "erasures": [*detector.provenance.get("erasures", []), note],
    }
    if looks := detector.provenance.get("looks"):
        noted["looks"] = {  # of those that feedback let in, none are noted
            part: ["" if person == known else own for own, person in zip(looks[part], people[part], strict=False)]
            for part in ("train", "holdout")
        }
    if feedback := detector.provenance.get("feedback"):
        noted["feedback"] = [each | {"people": [one for one in each["people"] if one != known]} for each in feedback]
    reference = dataclasses.replace(detector.reference, bank=left)
    return dataclasses.replace(detector, reference=reference, provenance=detector.provenance | noted), note


def erase_counted(run: Path, person: str) -> list[str]:
    """Have the drift monitor forget a person, by the name or reference that it was told; say what went.

    Raises
    ------
    ValueError
        The monitor is damaged or cannot be written.
    """
    if not (run / "drift.json").is_file():
        return []
    with Monitor.change(run) as monitor:
        if not monitor.forget(person):
            return []
        monitor.save(run)
    return ["whom the drift monitor has counted; the score stays, as nobody's"]


def _erase_trained(folder: Path, subject: str, run: Path) -> list[str]:
    """Erase a person from the detector in a folder, and from the pictures of the run's training."""
    detector, note = forget(Detector.load(folder), subject)
    files.settle(folder)  # weights that a killed erasure has left behind
    if note is None:
        return []
    said = []
    if note["patches"]:
        said.append(f"{note['patches']} of {note['patches'] + note['patches_left']} patches of the healthy bank")
        if detector.calibration is not None:
            said[0] += "; scores can only rise by that, and false alarms with them: run `anogan calibrate` again"
    if note["held_out_images"] and (pictures := _held_out_pictures(run)):
        for path in pictures:
            path.unlink()
        said.append("the pictures of held-out images in training/snapshots")
    said.append(f"that {note['images'] + note['held_out_images']} of the training's images were of this person")
    detector.save(folder)
    return said


def _held_out_pictures(run: Path) -> list[Path]:
    """Return the snapshots that show real images: those of the first phase show generated ones."""
    pictures = (run / "training" / "snapshots").glob("*.png")
    return [path for path in pictures if not path.name.startswith("adversarial-")]


def _rows(value: Any) -> list[dict[str, Any]]:
    """Return all objects at every depth of a JSON value."""
    if isinstance(value, dict):
        return [value, *(row for inner in value.values() for row in _rows(inner))]
    return [row for inner in value for row in _rows(inner)] if isinstance(value, list) else []


def _without(value: Any, gone: Callable[[dict[str, Any]], bool]) -> Any:
    """Return a JSON value without some objects of its lists."""
    if isinstance(value, dict):
        return {key: _without(inner, gone) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, gone) for inner in value if not (isinstance(inner, dict) and gone(inner))]
    return value


def _without_rows(table: Path, gone: Callable[[dict[str, Any]], bool]) -> str:
    with table.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    text = io.StringIO(newline="")
    kept = (row for row in rows if not gone(dict(zip(head, map(spreadsheet.plain, row), strict=False))))
    csv.writer(text, lineterminator="\n").writerows([head, *kept])
    return text.getvalue()
