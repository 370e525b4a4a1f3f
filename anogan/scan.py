"""What goes into a detector (Scan, Series) and what comes out (Result, SeriesResult, with their Outcome)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

import numpy as np

from anogan.errors import Code


@dataclass(frozen=True)
class Geometry:
    """Where an image lies in the patient (DICOM PS3.3, C.7.6.2.1.1): mm, LPS (left, posterior, superior).

    Attributes
    ----------
    origin
        Center of the first pixel.
    along_row, along_column
        Unit vectors in which the column index and the row index grow: the halves of ImageOrientationPatient.
    frame_of_reference_uid
        DICOM UID, or "".
    """

    origin: tuple[float, float, float]
    along_row: tuple[float, float, float]
    along_column: tuple[float, float, float]
    frame_of_reference_uid: str = ""

    @property
    def normal(self) -> tuple[float, float, float]:
        """The direction in which slices are counted: along_row x along_column."""
        x, y, z = np.cross(self.along_row, self.along_column)
        return float(x), float(y), float(z)

    @property
    def plane(self) -> str:
        """The nearest plane of the patient: "axial", "coronal" or "sagittal"."""
        return ("sagittal", "coronal", "axial")[int(np.abs(self.normal).argmax())]


@dataclass(frozen=True, eq=False)
class Scan:
    """One image as a reader would see it, with what is known of its place and origin. No patient data.

    Attributes
    ----------
    pixels
        (H, W) or (H, W, 3) float32 in [0, 1], ready for display: rescale, window and MONOCHROME1 are applied.
    source
        The file as the user named it.
    subject
        A pseudonym that is the same in all images of one person, or "".
    spacing
        Distance of pixel centers in mm (row, column), or None.
    format
        "PNG", "JPEG", "TIFF", "DICOM", another of `anogan.io.formats`, or "".
    modality
        DICOM Modality (0008,0060), or "".
    study_uid, series_uid, instance_uid
        DICOM UIDs, or "".
    sop_class_uid
        What kind of DICOM object it comes from, or "".
    frame, frames
        Which frame of its file it is, counted from 1, and how many that has.
    geometry
        Where it lies in the patient, or None.
    position
        Place along the slice normal in mm, or None.
    body_part, view
        DICOM BodyPartExamined and ViewPosition as they stand in the header, or "".
    burned_in
        Whether text is burnt into the pixels, as the header (BurnedInAnnotation) says, or None.
    clipped
        Share of the pixels, but for padding, that the window made black or white, or None without a window.
    group
        Its scanner, site or sex, where these are calibrated by themselves, or "".
    details
        What else the reader found: original size, bits, window, transfer syntax.

    Raises
    ------
    ValueError
        `pixels` has another shape or type, holds a value that is not finite or outside [0, 1].
    """

    pixels: np.ndarray
    source: str
    subject: str = ""
    spacing: tuple[float, float] | None = None
    format: str = ""
    modality: str = ""
    study_uid: str = ""
    series_uid: str = ""
    instance_uid: str = ""
    sop_class_uid: str = ""
    frame: int = 1
    frames: int = 1
    geometry: Geometry | None = None
    position: float | None = None
    body_part: str = ""
    view: str = ""
    burned_in: bool | None = None
    clipped: float | None = None
    group: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3) or self.pixels.size == 0:
            raise ValueError(f"{self.source}: expected pixels of shape (H, W) or (H, W, 3), got {shape}")
        if self.pixels.dtype != np.float32:
            raise ValueError(f"{self.source}: expected float32 pixels, got {self.pixels.dtype}")
        low, high = float(self.pixels.min()), float(self.pixels.max())
        if not 0 <= low <= high <= 1:  # also false for NaN
            raise ValueError(f"{self.source}: expected pixels in [0, 1], got {low:g} to {high:g}")


class Outcome(StrEnum):
    """What became of a case, in the words that people read. There is no "normal"."""

    FLAGGED = "flagged"
    NOT_FLAGGED = "not flagged"
    UNDECIDED = "not decided"
    NOT_CALIBRATED = "not calibrated"
    NOT_SCORED = "not scored"

    @classmethod
    def of(cls, status: str, flagged: bool | None, p_value: float | None) -> Outcome:
        """Return what the fields say in which results, the desk and the API keep it.

        Examples
        --------
        >>> Outcome.of("scored", None, 0.2)
        <Outcome.UNDECIDED: 'not decided'>
        """
        if status != "scored":
            return cls.NOT_SCORED
        if flagged is None:
            return cls.NOT_CALIBRATED if p_value is None else cls.UNDECIDED
        return cls.FLAGGED if flagged else cls.NOT_FLAGGED


class OnDemand(Mapping[str, np.ndarray]):
    """Maps on a scan's own grid, each made anew when it is asked for and kept by who asks: of few scans all are wanted.

    Parameters
    ----------
    makers
        What makes each map.
    """

    def __init__(self, makers: Mapping[str, Callable[[], np.ndarray]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> np.ndarray:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@dataclass(frozen=True, eq=False)
class Result:
    """What a detector says of one scan.

    Attributes
    ----------
    source
        The file as the user named it.
    status, reason
        "scored", or "not scored" and why. What is not scored is not normal: nobody has looked at it. Also why a scored
        case is not decided.
    score
        Higher = more anomalous; NaN when not scored.
    p_value
        Conformal p-value in (0, 1], or None before calibration and where the scan's group is not calibrated.
    flagged
        Whether the score reaches the threshold, or None where that is not decided: before calibration, when not scored,
        where a person must decide as the score varies across the threshold, and while the calibration does not hold.
    uncertainty
        Spread of the score over restarts of the inversion, in units of the score, or None.
    anomaly_map
        (H, W) float32 on the scan's own grid, in healthy standard deviations.
    reconstruction
        (H, W) or (H, W, 3) float32 in [0, 1] on the scan's own grid: the healthy counterpart.
    components
        Image score of each component.
    component_maps
        The map of each component, as `anomaly_map`; a detector makes each when it is asked for (`OnDemand`).
    notes
        What a reader should know of the image, one sentence each, such as a poor background.
    nearest
        Evidence by example: the healthy images (those that trained, and those that feedback let in) that hold most
        of the healthy patches nearest to its own, each by 16 hex digits of the SHA-256 of its file, with its share of
        all places in (0, 1].
    seconds
        Time spent on this scan.
    code
        What kind of reason `reason` is.
    """

    source: str
    status: Literal["scored", "not scored"]
    reason: str = ""
    score: float = float("nan")
    p_value: float | None = None
    flagged: bool | None = None
    uncertainty: float | None = None
    anomaly_map: np.ndarray | None = None
    reconstruction: np.ndarray | None = None
    components: dict[str, float] = field(default_factory=dict)
    component_maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    nearest: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    code: Code = Code.OTHER

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        return Outcome.of(self.status, self.flagged, self.p_value)


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
