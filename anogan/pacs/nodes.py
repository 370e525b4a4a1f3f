"""What one may ask of a node, whichever way it speaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset

from anogan.storage.pseudonym import pseudonym


class Unavailable(ValueError):
    """The node does not answer, or not now: try again later."""


@dataclass(frozen=True)
class Query:
    """Which studies are looked for; empty: any.

    Attributes
    ----------
    date
        YYYYMMDD, or YYYYMMDD-YYYYMMDD with either end left out.
    modality
        One that the study holds.
    study
        StudyInstanceUID.
    patient
        PatientID. DIMSE alone: a web query would write it into an address.
    """

    date: str = ""
    modality: str = ""
    study: str = ""
    patient: str = ""


@dataclass(frozen=True)
class Found:
    """A study that a node knows; the person is a pseudonym, or ""."""

    study: str
    date: str
    modalities: str
    series: str
    instances: str
    subject: str


def found_study(ds: Dataset) -> Found:
    """Return what an answer to a query says of a study."""
    modalities = ds.get("ModalitiesInStudy") or ""
    return Found(
        study=str(ds.get("StudyInstanceUID") or ""),
        date=str(ds.get("StudyDate") or ""),
        modalities=modalities if isinstance(modalities, str) else ", ".join(modalities),
        series=str(ds.get("NumberOfStudyRelatedSeries") or ""),
        instances=str(ds.get("NumberOfStudyRelatedInstances") or ""),
        subject=pseudonym(ds) if ds.get("PatientID") else "",
    )


class Node(Protocol):
    """A PACS. Every method raises `Unavailable` when it does not answer and ValueError when it refuses."""

    def echo(self) -> None:
        """Ask whether it is there."""

    def find(self, query: Query) -> list[Found]:
        """Look for studies."""

    def holds(self, study: str, series: str, instance: str) -> bool:
        """Tell whether it has an object; False also where it cannot be asked."""

    def fetch(self, study: str, folder: Path) -> list[Path]:
        """Bring a study into a folder, as files named by hashes of their UIDs."""

    def send(self, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Send files: each is yielded once it is stored, with "", or with why it was refused for good."""
