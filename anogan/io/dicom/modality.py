"""From stored values to those of the modality, such as Hounsfield units, and which are none (DICOM PS3.3, C.11.1)."""

from __future__ import annotations

import numpy as np

from anogan.io.dicom.attributes import Attributes, Frame
from anogan.io.dicom.tables import Table, lookup_table
from anogan.io.pixels import not_finite


def values_of(frame: Frame) -> np.ndarray:
    """Return (H, W) of the modality: floats, or integers as they are stored.

    Raises
    ------
    Refused
        The header does not say of what unit they are, or contradicts itself, or they are not finite.
    """
    if (table := modality_table(frame)) is not None:
        return table.apply(frame.stored)
    slope, intercept = rescale(frame)
    values = frame.stored if (slope, intercept) == (1, 0) else frame.stored * slope + intercept
    if values.dtype.kind == "f" and not np.isfinite(values[~padding(frame)]).all():
        raise not_finite(frame.source)
    return values


def modality_table(frame: Frame) -> Table | None:
    """Return the modality LUT (C.11.1.1), or None where the header has none."""
    item = _transformation(frame).item("ModalityLUTSequence")
    return None if item is None else lookup_table(item, "modality LUT", frame.attributes, frame.signed)[0]


def rescale(frame: Frame) -> tuple[float, float]:
    """Return slope and intercept, 1 and 0 where the header has none; where it has a modality LUT, that prevails.

    Raises
    ------
    Refused
        One of them is empty, missing or no number, or the slope is 0; or there is a modality LUT as well.
    """
    told = _transformation(frame)
    slope, intercept = told.number("RescaleSlope"), told.number("RescaleIntercept")
    if told.get("ModalityLUTSequence"):
        if slope not in (None, 1) or intercept not in (None, 0):
            raise told.refused(
                "its header has a modality LUT and a rescale slope and intercept too, so its values have no known unit;"
                " export it again"
            )
        return 1.0, 0.0
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if value is None and told.holds(keyword):
            raise told.refused(f"its {keyword} is empty, so its values have no known unit; export it again")
    if slope == 0:
        raise told.refused("its RescaleSlope is 0, which makes all values one; export it again")
    if (slope is None) != (intercept is None) and (slope, intercept) not in ((1, None), (None, 0)):
        there, missing = ("RescaleSlope", "RescaleIntercept")[:: 1 if intercept is None else -1]
        raise told.refused(
            f"its header has a {there} but no {missing}, so its values have no known unit; export it again"
        )
    return 1.0 if slope is None else slope, intercept or 0.0


def unit_of(frame: Frame) -> str:
    """Return how the header makes values of stored ones: "transformed", "the same", or "" where it says nothing."""
    told = _transformation(frame)
    if told.get("ModalityLUTSequence"):
        return "transformed"
    if not any(told.holds(keyword) for keyword in ("RescaleSlope", "RescaleIntercept")):
        return ""
    return "the same" if rescale(frame) == (1, 0) else "transformed"


def may_be_negative(frame: Frame) -> bool:
    """Whether the values that a VOI LUT takes are signed, as the modality LUT makes them (PS3.3, C.11.2.1.1).

    The header decides that, not the pixels that happen to be there: slices of one series are shown alike.
    """
    if frame.floating:
        return True
    if _transformation(frame).get("ModalityLUTSequence"):
        return False
    slope, intercept = rescale(frame)
    return min(end * slope + intercept for end in frame.limits) < 0


def padding(frame: Frame) -> np.ndarray:
    """Return where there is no image, (H, W) bool (DICOM PS3.3, C.7.5.1.1.2).

    Raises
    ------
    Refused
        The header names what no stored value can be, so that padding would pass for image, or not one value.
    """
    stored = frame.stored
    prefix = {"f4": "Float", "f8": "DoubleFloat"}.get(stored.dtype.str[1:], "")
    value, limit = (_stored(frame, f"{prefix}PixelPadding{end}") for end in ("Value", "RangeLimit"))
    if value is None:
        if limit is not None:
            raise frame.attributes.refused(
                "its header has the end of a range of padding but not its beginning; export it again"
            )
        return np.zeros(stored.shape, bool)
    if np.isnan(value):
        return np.isnan(stored)
    ends = np.array([value, value if limit is None else limit]).astype(stored.dtype)
    return (stored >= ends.min()) & (stored <= ends.max())


def _transformation(frame: Frame) -> Attributes:
    return frame.attributes.where("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept")


def _stored(frame: Frame, keyword: str) -> float | None:
    """Return a stored value that the header names, or None; NaN is one where values are floating point numbers."""
    value = next(iter(frame.attributes.numbers(keyword, 1, finite=False)), None)
    if value is None or frame.floating:
        return value
    low, high = frame.limits
    word = 2 ** max(frame.bits, 16)
    for same in (value, value - word, value + word):  # an encoding may have got its sign wrong: the same bits
        if -word // 2 <= value < word and low <= same <= high and same == int(same):
            return int(same)
    sign = "signed" if frame.signed else "unsigned"
    raise frame.attributes.refused(
        f"its {keyword} is {value:g}, which {sign} values of {frame.bits} bits cannot be; export it again"
    )
