"""From the frames of one series to stacks of slices: one size and orientation, one image at each position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from pydicom.datadict import dictionary_description

from anogan.errors import Refused
from anogan.io.dicom.attributes import Frame
from anogan.io.dicom.display import show
from anogan.io.dicom.modality import unit_of
from anogan.io.pixels import WindowChoice
from anogan.io.places import measure, orientation
from anogan.scan import Series

_TRAITS = (
    "ImageType",
    "FrameType",
    "StackID",
    "ReferencedSegmentNumber",
    "EchoTime",
    "EffectiveEchoTime",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "InversionTime",
    "FlipAngle",
    "ConvolutionKernel",
    "AcquisitionNumber",
    "AcquisitionTime",
    "SOPInstanceUID",
)
"""What tells images at the same position apart, in the order in which it is tried."""
_MEANING = (*_TRAITS[:-1], "RescaleSlope", "RescaleIntercept", "RescaleType")
"""What the same pixels may differ in and be another image: blank slices of two echoes are."""
_SAME_PLACE = 1e-3  # mm
_MOST_PLANES = 100


def stack(frames: Sequence[Frame], source: str, window: WindowChoice, notes: Sequence[str] = ()) -> list[Series]:
    """Return the stacks in the frames of one series, each in the order of its positions.

    Frames of another size, color, unit, spacing, orientation or frame of reference are a stack of their own, and so are
    echoes, phases and other images at the same positions: they are not mixed, and a note says so. An image that is
    there twice counts once, also where it came again under another UID. Without positions, frames stand in the order of
    instance and frame numbers. All stacks carry `notes`.

    Raises
    ------
    Refused
        Nothing in the headers tells the images at one position apart, or they cannot be shown.
    """
    frames, unique_notes = _unique(frames)
    planes = _by_plane(frames, source)
    stacks = []
    for plane in planes:
        others = [f"its series holds other images too; these are of {_size(plane[0])}"] if len(planes) > 1 else []
        stacks += [(part, others + part_notes) for part, part_notes in _by_trait(plane, source)]
    shared, count = [*notes, *unique_notes], len(stacks)
    return [_series(part, source, window, [*shared, *part_notes], count) for part, part_notes in stacks]


def _series(frames: list[Frame], source: str, window: WindowChoice, notes: list[str], stacks: int) -> Series:
    scans, window_notes = show(frames, window)
    head = frames[0].attributes
    positions = [frame.position for frame in frames]
    step, place_notes = measure(
        positions, [frame.geometry for frame in frames], head.number("GantryDetectorTilt") or 0.0
    )
    if len(frames) > 1 and None in positions:
        order = "numbers" if _numbered(frames) else "files' names, for nothing in their headers orders them"
        place_notes.append(f"its images have no position in the patient: they stand in the order of their {order}")
    elif len(frames) > 1 and frames[0].geometry is None:
        place_notes.append(
            "its images have no position in the patient: they stand in the order of their slice locations"
        )
    place_notes += sorted({frame.sizeless for frame in frames} - {""})
    told = head.number("SpacingBetweenSlices")
    if step and told and told > 0 and (times := step / told) > 1.5 and abs(times - round(times)) < 0.05:
        place_notes.append(
            f"its slices are {step:.4g} mm apart, where the header says {told:.4g} mm: some are left out"
        )
    return Series(tuple(scans), source, step, tuple(notes + place_notes + window_notes), stacks)


def _unique(frames: Sequence[Frame]) -> tuple[list[Frame], list[str]]:
    """Leave out the copies of an image: the same UID, the same place, the same kind and the same values."""
    seen: defaultdict[Hashable, list[Frame]] = defaultdict(list)
    kept = []
    for frame in frames:
        same = seen[frame.attributes.text("SOPInstanceUID") or frame.source, frame.number]
        if not any(_is_copy(frame, other) for other in same):
            same.append(frame)
            kept.append(frame)
    copies = len(frames) - len(kept)
    notes = [f"{copies} of its images are copies of others and are left out"] if copies else []
    if shared := len(kept) - len(seen):
        notes.append(f"{shared} of its images have the SOP instance UID of another one")
    return kept, notes


def _is_copy(frame: Frame, other: Frame) -> bool:
    if frame.geometry != other.geometry or frame.position != other.position:
        return False
    if any(frame.attributes.texts(keyword) != other.attributes.texts(keyword) for keyword in _MEANING):
        return False
    # Without a place, a number tells slices apart that look alike, such as blank ones.
    numbers = [one.attributes.text("InstanceNumber") for one in (frame, other)]
    return (frame.position is not None or numbers[0] == numbers[1]) and np.array_equal(frame.stored, other.stored)


def _by_plane(frames: Sequence[Frame], source: str) -> list[list[Frame]]:
    planes: list[list[Frame]] = []
    for frame in frames:
        for plane in planes:
            if _same_plane(frame, plane[0]):
                plane.append(frame)
                break
        else:
            planes.append([frame])
        if len(planes) > _MOST_PLANES:
            raise Refused(f"{source}: its images lie in more than {_MOST_PLANES} planes, so it is no stack of slices")
    return planes


def _same_plane(one: Frame, other: Frame) -> bool:
    if one.stored.shape != other.stored.shape or one.photometric != other.photometric:
        return False
    if (one.spacing is None) != (other.spacing is None) or (one.geometry is None) != (other.geometry is None):
        return False
    if _other_unit(one, other):
        return False
    if one.spacing is not None and not np.allclose(one.spacing, other.spacing or (), rtol=1e-3):
        return False
    if one.geometry is None or other.geometry is None:
        return True
    mine, its = one.geometry, other.geometry
    turned = np.abs(np.subtract([mine.along_row, mine.along_column], [its.along_row, its.along_column]))
    return mine.frame_of_reference_uid == its.frame_of_reference_uid and float(turned.max()) < 1e-3


def _other_unit(one: Frame, other: Frame) -> bool:
    """Whether headers name other modalities or units, or one does not say of what unit its values are, as the other's.

    A slice of a CT without its rescale would be 1024 Hounsfield units off.
    """
    for keyword in ("Modality", "Units", "RescaleType"):
        named = {frame.attributes.text(keyword) for frame in (one, other)} - {""}
        if len(named) > 1:
            return True
    return {unit_of(one), unit_of(other)} == {"", "transformed"}


def _by_trait(frames: list[Frame], source: str) -> list[tuple[list[Frame], list[str]]]:
    """Return the stacks of frames of one plane, in order, and what tells them apart."""
    crowd = _most_at_one_place(frames)
    if crowd <= 1:
        return [(_in_order(frames), [])]
    for keyword in _TRAITS:
        parts = defaultdict(list)
        for frame in frames:
            parts["\\".join(frame.attributes.texts(keyword))].append(frame)
        # More kinds than images at one place: it is a number of the slice and no kind of image.
        if 1 < len(parts) <= crowd and max(map(_most_at_one_place, parts.values())) < crowd:
            name = dictionary_description(keyword)
            in_order = sorted(parts.items(), key=lambda part: (_size_of(part[0]), part[0]))
            stacks = []
            for value, among in in_order:
                note = f"its series holds {len(parts)} stacks; this one has the {name} {value or 'empty'}"
                stacks += [(part, [note.removesuffix(".0"), *notes]) for part, notes in _by_trait(among, source)]
            return stacks
    here: defaultdict[float | None, list[Frame]] = defaultdict(list)
    for frame in frames:
        if not any(_is_copy(frame, other) for other in here[frame.position]):
            here[frame.position].append(frame)
    kept = [frame for part in here.values() for frame in part]
    if len(kept) < len(frames):
        note = f"{len(frames) - len(kept)} of its images came again under another SOP instance UID and are left out"
        return [(part, [note, *notes]) for part, notes in _by_trait(kept, source)]
    raise Refused(
        f"{source}: holds {crowd} images at the same position of one series that nothing in the headers tells apart;"
        " export each stack as a series of its own"
    )


def _most_at_one_place(frames: Sequence[Frame]) -> int:
    """Return how many frames the fullest position has."""
    places = np.sort([frame.position for frame in frames if frame.position is not None])
    ends = np.flatnonzero(np.diff(places) > _SAME_PLACE) + 1
    return max((len(part) for part in np.split(places, ends)), default=0)


def _in_order(frames: Sequence[Frame]) -> list[Frame]:
    if any(frame.position is None for frame in frames):
        return sorted(frames, key=_number if _numbered(frames) else lambda frame: (frame.source, frame.number))
    return sorted(frames, key=lambda frame: frame.position or 0.0)


def _size_of(text: str) -> float:
    """Return the number that a text begins with, by which stacks stand in order; 0 for words."""
    try:
        return float(text.partition("\\")[0])
    except ValueError:
        return 0.0


def _number(frame: Frame) -> tuple[float, int]:
    return frame.attributes.number("InstanceNumber") or 0.0, frame.number


def _numbered(frames: Sequence[Frame]) -> bool:
    """Whether instance and frame numbers order images, none of which shares its number with another."""
    return len({_number(frame) for frame in frames}) == len(frames)


def _size(frame: Frame) -> str:
    height, width = frame.stored.shape[:2]
    plane = f", {orientation(frame.geometry)}" if frame.geometry is not None else ""
    return f"{height} x {width} pixels{plane}"
