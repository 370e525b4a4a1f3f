"""The attributes of one frame, wherever the object keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
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

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


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
                items = [self._only(groups[place], group) for group in _GROUPS]
                self.layers[:0] = [item for item in items if item is not None]

    def _only(self, ds: Dataset, keyword: str) -> Dataset | None:
        """Return the item of a sequence that has one, or None; Refused where it has several, of which none is meant."""
        items = ds.get(keyword) or []
        if len(items) > 1:
            raise self.refused(f"its {keyword} has {len(items)} items where one belongs; export it again")
        return items[0] if items else None

    def item(self, keyword: str) -> Dataset | None:
        """Return the item of a sequence that has one, or None; Refused where it has several."""
        return next((self._only(layer, keyword) for layer in self.layers if keyword in layer), None)

    @property
    def ds(self) -> Dataset:
        """The object."""
        return self.layers[-1]

    def get(self, keyword: str) -> Any:
        """Return the value of an attribute, or None; Refused where its bytes are no value of its kind."""
        for layer in self.layers:
            if keyword in layer:
                try:
                    return layer.get(keyword)
                except Exception:  # pydicom converts a value when it is asked for, and its words quote it
                    raise self.refused(f"its {keyword} cannot be read; export it again") from None
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

    def where(self, *keywords: str) -> Attributes:
        """Return what stands together with any of these: one functional group, or the object without its groups.

        A group says all of its matter or none (PS3.3, C.7.6.16.1.1): a frame's window does not take its function, nor a
        slope its intercept, from another place.
        """
        found = copy(self)
        found.layers = [layer for layer in self.layers if any(keyword in layer for keyword in keywords)][:1]
        return found

    def numbers(self, keyword: str, count: int | None = None, finite: bool = True) -> list[float]:
        """Return the numbers of an attribute, so many if any; none where it is absent or empty.

        Raises
        ------
        Refused
            A value is no number (PS3.5, 6.2: a decimal comma is none), or not finite where it must be; one of several
            is empty, so that it is not known which; or there are more or fewer. In place of a default that nobody
            meant, the image is not read.
        """
        value = self.get(keyword)
        plural = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)
        every = list(value) if plural else [value]
        values = [one for one in every if one is not None and str(one).strip()]
        if values and len(values) < len(every):
            raise self.refused(f"one of the values of its {keyword} is empty; export it again")
        try:
            if any(isinstance(one, bytes) for one in values):
                raise TypeError
            numbers = [float(number) for number in values]
        except (TypeError, ValueError):
            comma = " but has a decimal comma" if any("," in str(one) for one in values) else ""
            raise self.refused(f"its {keyword} is no number{comma}; export it again") from None
        if finite and not np.isfinite(numbers).all():
            raise self.refused(f"its {keyword} is not finite; export it again")
        if count is not None and numbers and len(numbers) != count:
            belong = "one belongs" if count == 1 else f"{count} belong"
            given = "1 value" if len(numbers) == 1 else f"{len(numbers)} values"
            raise self.refused(f"its {keyword} has {given} where {belong}; export it again")
        return numbers

    def number(self, keyword: str) -> float | None:
        """Return the number of an attribute that has one, or None; Refused as `numbers`, and where it has several."""
        return next(iter(self.numbers(keyword, 1)), None)

    def refused(self, sentence: str) -> Refused:
        """Return what to raise, with the file."""
        return Refused(f"{self.source}: {sentence}" if self.source else sentence)

    @property
    def kind(self) -> str:
        """The name of the SOP class, or ""."""
        uid = UID(self.text("SOPClassUID"))
        return uid.name if uid and uid.name != uid else ""

    def spacing(self) -> tuple[float, float] | None:
        """Return the distance of pixel centers in mm (row, column), or None; Refused where it is below 0 or no pair."""
        for keyword in _SPACINGS:
            numbers = self.numbers(keyword, 2)
            if numbers and min(numbers) < 0:
                raise self.refused(f"its {keyword} is below 0; export it again")
            if numbers and min(numbers) > 0:
                return numbers[0], numbers[1]
        return None

    def geometry(self, frames: int) -> Geometry | None:
        """Return where the frame lies in the patient (DICOM PS3.3, C.7.6.2.1.1), or None where the header does not say.

        Of several frames each must have its own plane position: one for all would put them in the same place.

        Raises
        ------
        Refused
            The position is no point, or the orientation no pair of perpendicular directions of length 1. In another
            order than that of their places, slices would make another volume.
        """
        if frames > 1 and not any("ImagePositionPatient" in group for group in self.layers[:-1]):
            return None
        corner, cosines = self.numbers("ImagePositionPatient", 3), self.numbers("ImageOrientationPatient", 6)
        if not corner or not cosines:
            return None
        row, column = np.array(cosines[:3]), np.array(cosines[3:])
        lengths = np.linalg.norm(row), np.linalg.norm(column)
        if abs(lengths[0] - 1) > 0.01 or abs(lengths[1] - 1) > 0.01 or abs(row @ column) > 0.01:
            raise self.refused(
                "its ImageOrientationPatient is no pair of perpendicular directions of length 1; export it again"
            )
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
    def sizeless(self) -> str:
        """What to say of a header that says 0 mm, as some write where they do not know the size of a pixel; or ""."""
        if self.spacing is not None or not any(self.attributes.numbers(keyword) for keyword in _SPACINGS):
            return ""
        return "its header says that pixels are 0 mm apart, so their size is unknown"

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

    @property
    def floating(self) -> bool:
        """Whether stored values are floating point numbers."""
        return self.stored.dtype.kind == "f"

    @property
    def gray(self) -> bool:
        """Whether it is shown by way of a modality and a VOI transformation."""
        return self.photometric.startswith("MONOCHROME")

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest integer that a stored value can be."""
        low = -(2 ** (self.bits - 1)) if self.signed else 0
        return low, low + 2**self.bits - 1
