"""The cases of a review desk that readers dismissed as a normal variant and signed, and their images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anogan.results.reading import case_id, read_results
from anogan.review import Case, Decision, Desk, Query

HEALTHY = "normal variant"
"""The one reason for a dismissal that says that an image is healthy: an artifact or a known finding is not."""


@dataclass(frozen=True)
class Dismissed:
    """A dismissed case: its number, its image file, and a pseudonym, or ""."""

    case: int
    path: Path
    subject: str


def dismissed(desk: Desk, profile: str) -> tuple[list[Dismissed], list[tuple[int, str]]]:
    """Return what may be proposed, and the other signed dismissals with the reason why not.

    Parameters
    ----------
    desk
        On behalf of somebody who may export; the log names the export.
    profile
        The detector's profile: cases of other profiles are passed over.
    """
    found: list[Dismissed] = []
    refused: list[tuple[int, str]] = []
    for case, decisions in desk.records(Query(state="signed", order="age")):
        if case.verdict != "dismiss" or case.detector.rpartition(" ")[0] != profile:
            continue
        if reason := _refusal(case, decisions):
            refused.append((case.id, reason))
            continue
        path = _image(Path(case.folder))
        if path is None:
            refused.append((case.id, "its image file is not here any more, or was changed"))
        else:
            found.append(Dismissed(case.id, path, case.subject))
    return found, refused


def _refusal(case: Case, decisions: tuple[Decision, ...]) -> str:
    if case.kind != "image":
        return f"is a {case.kind}; only single images enter the healthy reference"
    if case.status != "scored":
        return "was not scored"
    said = [decision for decision in decisions if not decision.blind]
    if any(decision.verdict != "dismiss" for decision in said):
        return "its readers disagreed"
    if others := sorted({decision.reason for decision in said} - {HEALTHY}):
        return f"was dismissed as {', '.join(others)}, which does not say that it is healthy"
    return ""


def _image(folder: Path) -> Path | None:
    """Return the file that a case folder was made of; its name is the hash of the file."""
    try:
        entries = read_results(folder.parent.parent)["cases"]
    except ValueError:
        return None
    paths = [Path(entry["file"]) for entry in entries if entry["case"] == folder.name]
    return next((path for path in paths if path.is_file() and case_id(path) == folder.name), None)
