"""The attributes of one frame, wherever the object keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from anogan.errors import Refused
from anogan.scan import Geometry

_GROUPS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FrameContentSequence",
    "TemporalPositionSequence",
    "CardiacSynchronizationSequence",
    "MRImageFrameTypeSequence",
    "MREchoSequence",
    "MRDiffusionSequence",
    "CTImageFrameTypeSequence",
    "CTAcquisitionDetailsSequence",
    "SegmentIdentificationSequence",
)
"""The functional group macros that are read (DICOM PS3.3, C.7.6.16.2 and the modules of the enhanced objects)."""


class Attributes:
    """Look attributes up in a frame's own functional groups, then in the shared ones, then in the object itself.

    So an enhanced multi-frame object reads like the single-frame ones (DICOM PS3.3, C.7.6.16).

    Parameters
    ----------
    ds
        The object.
    index
        The frame, from 0.
    source
        The file, for errors.
    """

    def __init__(self, ds: Dataset, index: int = 0, source: str = "") -> None:
        self.source = source
        self.layers: list[Dataset] = [ds]
        for keyword, place in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)):
            groups = ds.get(keyword) or []
            if place < len(groups):
                items = [groups[place].get(group) for group in _GROUPS]
                self.layers[:0] = [item[0] for item in items if item]

    @property
    def ds(self) -> Dataset:
        """The object."""
        return self.layers[-1]

    def get(self, keyword: str) -> Any:
        """Return the value of an attribute, or None."""
        for layer in self.layers:
            if keyword in layer:
                return layer.get(keyword)
        return None

    def holds(self, keyword: str) -> bool:
        """Tell whether the attribute is there, perhaps empty."""
        return any(keyword in layer for layer in self.layers)

    def text(self, keyword: str) -> str:
        """Return the value as text, or ""."""
        value = self.get(keyword)
        return "" if value is None else str(value).strip()

    def texts(self, keyword: str) -> list[str]:
        """Return all values as texts."""
        value = self.get(keyword)
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return [str(text).strip() for text in values if text is not None]

    def numbers(self, keyword: str) -> list[float]:
        """Return the numbers of an attribute; none where it is absent or empty.

        Raises
        ------
        Refused
            A value is no number (PS3.5, 6.2: a decimal comma is none), or not finite. In place of a default that nobody
            meant, the image is not read.
        """
        value = self.get(keyword)
        plural = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        values = [one for one in (value if plural else [value]) if one not in (None, "")]
        try:
            numbers = [float(number) for number in values]
        except (TypeError, ValueError):
            comma = " but has a decimal comma" if any("," in str(one) for one in values) else ""
            raise self.refused(f"its {keyword} is no number{comma}; export it again") from None
        if not np.isfinite(numbers).all():
            raise self.refused(f"its {keyword} is not finite; export it again")
        return numbers

    def number(self, keyword: str) -> float | None:
        """Return the number of an attribute that has one, or None; Refused as `numbers`, and where it has several."""
        numbers = self.numbers(keyword)
        if len(numbers) > 1:
            raise self.refused(f"its {keyword} has {len(numbers)} values where one belongs; export it again")
        return numbers[0] if numbers else None

    def refused(self, sentence: str) -> Refused:
        """Return what to raise, with the file."""
        return Refused(f"{self.source}: {sentence}" if self.source else sentence)

    @property
    def kind(self) -> str:
        """The name of the SOP class, or ""."""
        uid = UID(self.text("SOPClassUID"))
        return uid.name if uid and uid.name != uid else ""

    def spacing(self) -> tuple[float, float] | None:
        """Return the distance of pixel centers in mm (row, column)."""
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
            numbers = self.numbers(keyword)
            if len(numbers) == 2 and min(numbers) > 0:
                return numbers[0], numbers[1]
        return None

    def geometry(self, frames: int) -> Geometry | None:
        """Return where the frame lies in the patient (DICOM PS3.3, C.7.6.2.1.1), or None.

        Of several frames each must have its own plane position: one for all would put them in the same place.
        """
        if frames > 1 and not any("ImagePositionPatient" in group for group in self.layers[:-1]):
            return None
        corner, cosines = self.numbers("ImagePositionPatient"), self.numbers("ImageOrientationPatient")
        if len(corner) != 3 or len(cosines) != 6:
            return None
        row, column = np.array(cosines[:3]), np.array(cosines[3:])
        lengths = np.linalg.norm(row), np.linalg.norm(column)
        if abs(lengths[0] - 1) > 0.01 or abs(lengths[1] - 1) > 0.01 or abs(row @ column) > 0.01:
            return None  # no pair of directions
        return Geometry(
            (corner[0], corner[1], corner[2]),
            tuple((row / lengths[0]).tolist()),
            tuple((column / lengths[1]).tolist()),
            self.text("FrameOfReferenceUID"),
        )


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame with its attributes.

    Attributes
    ----------
    stored
        (H, W) stored values, or (H, W, 3) RGB of `bits` bits.
    attributes
        Of this frame.
    source
        The file as the user named it.
    subject
        The pseudonym of the person.
    number, frames
        Which frame it is, from 1, of how many.
    """

    stored: np.ndarray
    attributes: Attributes
    source: str
    subject: str
    number: int
    frames: int

    @cached_property
    def geometry(self) -> Geometry | None:
        """Where it lies in the patient, or None."""
        return self.attributes.geometry(self.frames)

    @cached_property
    def position(self) -> float | None:
        """The place along the slice normal in mm, else SliceLocation, else None."""
        if self.geometry is not None:
            return float(np.dot(self.geometry.normal, self.geometry.origin))
        return self.attributes.number("SliceLocation") if self.frames == 1 else None

    @cached_property
    def spacing(self) -> tuple[float, float] | None:
        """Distance of pixel centers in mm (row, column), or None."""
        return self.attributes.spacing()

    @property
    def photometric(self) -> str:
        """PhotometricInterpretation as the file has it; the decoder has made RGB of YBR."""
        return self.attributes.text("PhotometricInterpretation")

    @property
    def bits(self) -> int:
        """Bits of a stored value."""
        return int(self.attributes.get("BitsStored") or self.stored.dtype.itemsize * 8)

    @property
    def signed(self) -> bool:
        """Whether stored values may be negative."""
        return self.stored.dtype.kind == "i"
