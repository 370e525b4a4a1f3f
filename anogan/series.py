"""A volume as slices (Series), and what a detector says of it (SeriesResult)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from anogan.errors import Code
from anogan.scan import Outcome, Result, Scan


@dataclass(frozen=True, eq=False)
class Series:
    """The slices of one volume in their order along the slice normal. No patient data.

    Attributes
    ----------
    scans
        The slices; all have the same series UID, size and orientation.
    source
        The folder or file as the user named it.
    step
        mm from a slice to the next, or None where it is unknown or uneven.
    notes
        What a reader should know of it, one sentence each: uneven steps, a tilted gantry, slices left out.
    stacks
        How many stacks its DICOM series, or volumes its file, holds: echoes, phases, planes. Each is one by itself.
        More than one, too, where its series UID stands for several patients, or in several studies.

    Raises
    ------
    ValueError
        There is no slice, or they are of several persons.
    """

    scans: tuple[Scan, ...]
    source: str
    step: float | None = None
    notes: tuple[str, ...] = ()
    stacks: int = 1

    def __post_init__(self) -> None:
        if not self.scans:
            raise ValueError(f"{self.source}: holds no slices")
        if len({scan.subject for scan in self.scans}) > 1:
            raise ValueError(f"{self.source}: its slices are of several persons; a series is of one")

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that its slices come from, each once."""
        return tuple(dict.fromkeys(Path(scan.source) for scan in self.scans))

    @property
    def images(self) -> set[tuple[str, int]]:
        """SOP instance UID and frame of its slices; fewer than slices where several share a UID."""
        return {(scan.instance_uid, scan.frame) for scan in self.scans}

    @property
    def subject(self) -> str:
        """The pseudonym of the person, or ""."""
        return self.scans[0].subject

    @property
    def study_uid(self) -> str:
        """DICOM StudyInstanceUID, or ""."""
        return self.scans[0].study_uid

    @property
    def series_uid(self) -> str:
        """DICOM SeriesInstanceUID, or ""."""
        return self.scans[0].series_uid

    @property
    def modality(self) -> str:
        """DICOM Modality, or ""."""
        return self.scans[0].modality


@dataclass(frozen=True, eq=False)
class SeriesResult:
    """What a detector says of one series.

    Attributes
    ----------
    source
        As that of the series.
    status, reason
        "scored", or "not scored" and why; also why a scored series is not decided.
    score
        Higher = more anomalous; NaN when not scored.
    p_value, flagged
        As in `Result`, from a calibration on whole series; None without one.
    slices
        What is said of each slice, in the order of the series; their maps are those of the volume, smoothed through
        the planes, each on its slice's own grid, in healthy standard deviations.
    top
        Places of the most anomalous slices in `slices`, the most anomalous first.
    components
        Score of each component.
    seconds
        Time spent on the series.
    code
        What kind of reason `reason` is.
    """

    source: str
    status: Literal["scored", "not scored"]
    reason: str = ""
    score: float = float("nan")
    p_value: float | None = None
    flagged: bool | None = None
    slices: tuple[Result, ...] = ()
    top: tuple[int, ...] = ()
    components: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    code: Code = Code.OTHER

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        return Outcome.of(self.status, self.flagged, self.p_value)
