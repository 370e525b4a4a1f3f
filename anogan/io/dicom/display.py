"""From stored values to what a viewer shows: modality, VOI, palette, padding (DICOM PS3.3, C.11 and C.7.6.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from anogan.errors import Refused
from anogan.io.dicom.attributes import Attributes, Frame
from anogan.io.pixels import Window, WindowChoice, full_range, not_finite, stretch
from anogan.scan import Scan

_COLORS = ("Red", "Green", "Blue")
_KNOWN = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True, eq=False)
class _Table:
    """A lookup table: values before the first entry take the first, values behind the last take the last."""

    first: int
    entries: np.ndarray  # (N,) or (N, 3)

    def apply(self, values: np.ndarray) -> np.ndarray:
        return self.entries[(values.astype(np.int64) - self.first).clip(0, len(self.entries) - 1)]

    def clips(self, values: np.ndarray) -> np.ndarray:
        return (values < self.first) | (values >= self.first + len(self.entries))


def show(frames: Sequence[Frame], window: WindowChoice) -> tuple[list[Scan], list[str]]:
    """Bring the frames of one stack to [0, 1], so that they can be compared with each other.

    Gray: rescale or modality LUT, then the chosen VOI window or VOI LUT, then MONOCHROME1 turned round; padding is
    black. Where the header holds no window, up to 8 stored bits keep their full range, and deeper ones are stretched
    from the minimum to the maximum of the whole stack. Where the windows of a stack differ, that of its middle frame
    shows all. Palette, supplemental palette and YBR become RGB. Overlays are not drawn.

    Parameters
    ----------
    frames
        In their order; of one size and photometric interpretation.
    window
        "first", the name of a window (WindowCenterWidthExplanation or LUTExplanation), or (center, width).

    Returns
    -------
    scans, notes
        A scan for each frame; a sentence on the window if there is one to say.

    Raises
    ------
    Refused
        No window has this name, or the values cannot be shown; the sentence names the file.
    """
    if frames[0].photometric not in _KNOWN:
        raise Refused(f"{frames[0].source}: its colors are of a kind that is not read; export it as RGB")
    if frames[0].stored.ndim == 3:
        return [_scan(frame, frame.stored / float(2**frame.bits - 1)) for frame in frames], []
    objects = {id(frame.attributes.ds): frame for frame in frames}
    tables = {key: _palette(frame) for key, frame in objects.items()}
    palettes = [tables[id(frame.attributes.ds)] for frame in frames]
    if frames[0].photometric == "PALETTE COLOR":
        return [_scan(frame, _colors(frame, palette)) for frame, palette in zip(frames, palettes, strict=True)], []
    views, notes = _views(frames, window)
    scans = []
    for frame, view, palette in zip(frames, views, palettes, strict=True):
        values, padding = _values(frame), _padding(frame)
        pixels = view.apply(values)
        if frame.photometric == "MONOCHROME1":
            pixels = 1 - pixels
        pixels[padding] = 0
        given = isinstance(view, _Table) or not view.made_up
        clipped = float(view.clips(values[~padding]).mean()) if given and not padding.all() else None
        if palette is not None:  # supplemental: values from its first entry on are colors (PS3.3, C.7.6.19)
            colored = frame.stored >= palette.first
            pixels = np.where(colored[..., None], _colors(frame, palette), pixels[..., None])
        scans.append(_scan(frame, pixels, "VOI LUT" if isinstance(view, _Table) else view.words, clipped))
    return scans, notes


def check_numbers(frame: Frame) -> None:
    """Raise Refused, which names the file, where a number that says what the values are, or where, is none."""
    _rescale(frame)
    _windows(frame)
    _ = frame.spacing, frame.geometry, frame.position
    for keyword in ("InstanceNumber", "SpacingBetweenSlices", "GantryDetectorTilt"):
        frame.attributes.number(keyword)


def _scan(frame: Frame, pixels: np.ndarray, window: str = "", clipped: float | None = None) -> Scan:
    attributes = frame.attributes
    details = {
        "original size": f"{frame.stored.shape[0]} x {frame.stored.shape[1]}",
        "bits": f"{frame.bits} {'signed' if frame.signed else 'unsigned'}"
        if frame.stored.dtype.kind != "f"
        else "float",
        "photometric": frame.photometric,
        "transfer syntax": attributes.ds.file_meta.TransferSyntaxUID.name,
        "kind": attributes.kind,
        "window": window,
        "windows": _listed(frame),
    }
    return Scan(
        pixels.clip(0, 1).astype(np.float32),
        frame.source,
        subject=frame.subject,
        spacing=frame.spacing,
        format="DICOM",
        modality=attributes.text("Modality"),
        study_uid=attributes.text("StudyInstanceUID"),
        series_uid=attributes.text("SeriesInstanceUID"),
        instance_uid=attributes.text("SOPInstanceUID"),
        sop_class_uid=attributes.text("SOPClassUID"),
        frame=frame.number,
        frames=frame.frames,
        geometry=frame.geometry,
        position=frame.position,
        body_part=attributes.text("BodyPartExamined"),
        view=attributes.text("ViewPosition"),
        burned_in={"YES": True, "NO": False}.get(attributes.text("BurnedInAnnotation").upper()),
        clipped=clipped,
        details={key: value for key, value in details.items() if value},
    )


def _views(frames: Sequence[Frame], window: WindowChoice) -> tuple[list[Window | _Table], list[str]]:
    """Return how each frame is shown."""
    found = [_view(frame, window) for frame in frames]
    given = [view for view in found if view is not None]
    if not given:
        shared = stretch((_values(frame)[~_padding(frame)] for frame in frames), frames[0].source, keep=False)
        return [shared] * len(frames), []
    middle = given[len(given) // 2]
    if isinstance(middle, Window) and len(set(found)) > 1:
        note = f"the windows of its images differ; that of the middle one shows all ({middle.words})"
        return [middle] * len(frames), [note]
    return [view or middle for view in found], []


def _view(frame: Frame, window: WindowChoice) -> Window | _Table | None:
    """Return the window or table that a frame's header and the profile ask for, or None."""
    if not isinstance(window, str):
        return Window(*window, "LINEAR_EXACT" if frame.stored.dtype.kind == "f" else "LINEAR")
    windows, tables = _windows(frame), list(frame.attributes.get("VOILUTSequence") or [])
    if window != "first":
        wanted = window.casefold()
        for name, view in windows:
            if name.casefold() == wanted:
                return view
        for item in tables:
            if str(item.get("LUTExplanation") or "").strip().casefold() == wanted:
                return _voi_table(frame, item)
        raise Refused(
            f"{frame.source}: has no window named {window!r}; `anogan info` lists those that it has, and input.window"
            " may be a center and a width"
        )
    if windows:
        return windows[0][1]
    if tables:
        return _voi_table(frame, tables[0])
    if frame.bits <= 8 and frame.stored.dtype.kind in "iu" and not frame.attributes.get("ModalityLUTSequence"):
        low = -(2 ** (frame.bits - 1)) if frame.signed else 0
        slope, intercept = _rescale(frame)
        ends = sorted((low * slope + intercept, (low + 2**frame.bits - 1) * slope + intercept))
        return full_range(ends[0], ends[1], "full range")
    return None


def _windows(frame: Frame) -> list[tuple[str, Window]]:
    """Return the windows of a header with their names; one without a sound width is none.

    LINEAR counts in whole steps, which floating point pixels do not have: a window of 0 to 1 would make them all white.
    """
    attributes = frame.attributes
    function = attributes.text("VOILUTFunction").upper()
    if function not in ("LINEAR_EXACT", "SIGMOID"):
        function = "LINEAR_EXACT" if frame.stored.dtype.kind == "f" else "LINEAR"
    exact = "LINEAR_EXACT" if function == "LINEAR" else function
    centers, widths = attributes.numbers("WindowCenter"), attributes.numbers("WindowWidth")
    names = attributes.texts("WindowCenterWidthExplanation")
    return [
        # LINEAR counts in whole steps, and is not defined below one (C.11.2.1.2.1): there it is in the values' units.
        (names[place] if place < len(names) else "", Window(center, width, function if width >= 1 else exact))
        for place, (center, width) in enumerate(zip(centers, widths, strict=False))
        if width > 0
    ]


def _listed(frame: Frame) -> str:
    """Return the windows of a header in words, where there is a choice."""
    windows = _windows(frame)
    if len(windows) < 2 and not any(name for name, _ in windows):
        return ""
    return "; ".join(f"{name or 'no name'}: {window.words}" for name, window in windows)


def _values(frame: Frame) -> np.ndarray:
    """Return (H, W) of the modality, such as Hounsfield units: floats, or integers as they are stored."""
    tables = frame.attributes.get("ModalityLUTSequence")
    if tables:
        return _table(tables[0], frame.attributes, frame.signed).apply(frame.stored)
    slope, intercept = _rescale(frame)
    values = frame.stored if (slope, intercept) == (1, 0) else frame.stored * slope + intercept
    if values.dtype.kind == "f" and not np.isfinite(values[~_padding(frame)]).all():
        raise not_finite(frame.source)
    return values


def _rescale(frame: Frame) -> tuple[float, float]:
    slope, intercept = frame.attributes.number("RescaleSlope"), frame.attributes.number("RescaleIntercept")
    for keyword, value, other in (("RescaleSlope", slope, intercept), ("RescaleIntercept", intercept, slope)):
        if value is None and other is not None and frame.attributes.holds(keyword):
            raise Refused(f"{frame.source}: its {keyword} is empty, so its values have no known unit; export it again")
    if slope == 0:
        raise Refused(f"{frame.source}: its RescaleSlope is 0, which makes all values one; export it again")
    return 1.0 if slope is None else slope, intercept or 0.0


def _padding(frame: Frame) -> np.ndarray:
    """Return where there is no image, (H, W) bool (DICOM PS3.3, C.7.5.1.1.2)."""
    stored = frame.stored
    prefix = {"f4": "Float", "f8": "DoubleFloat"}.get(stored.dtype.str[1:], "")
    value, limit = (frame.attributes.get(f"{prefix}PixelPadding{end}") for end in ("Value", "RangeLimit"))
    if not isinstance(value, int | float):
        return np.zeros(stored.shape, bool)
    if np.isnan(value):
        return np.isnan(stored)
    # A header may hold a negative value of signed pixels as an unsigned number.
    ends = np.array([value, limit if isinstance(limit, int | float) else value]).astype(stored.dtype)
    return (stored >= ends.min()) & (stored <= ends.max())


def _voi_table(frame: Frame, item: Dataset) -> _Table:
    """Return a VOI LUT with entries in [0, 1] (DICOM PS3.3, C.11.2.1.1)."""
    table = _table(item, frame.attributes, _may_be_negative(frame))
    depth = int(item.LUTDescriptor[2])
    return _Table(table.first, table.entries / float(2**depth - 1))


def _may_be_negative(frame: Frame) -> bool:
    """Whether the values that a VOI LUT takes are signed, as the modality LUT makes them (PS3.3, C.11.2.1.1).

    The header decides that, not the pixels that happen to be there: slices of one series are shown alike.
    """
    if frame.attributes.get("ModalityLUTSequence"):
        return False
    slope, intercept = _rescale(frame)
    if frame.stored.dtype.kind == "f":
        return intercept < 0
    low = -(2 ** (frame.bits - 1)) if frame.signed else 0
    return min(low * slope, (low + 2**frame.bits - 1) * slope) + intercept < 0


def _table(item: Dataset, attributes: Attributes, signed: bool) -> _Table:
    """Return a lookup table as it stands in a sequence."""
    count, first, _ = (int(number) for number in item.LUTDescriptor)
    entries = _entries(item.LUTData, count or 2**16, attributes)
    return _Table(first - 2**16 if signed and first >= 2**15 else first, entries)


def _entries(data: bytes | int | Sequence[int], count: int, attributes: Attributes) -> np.ndarray:
    """Return the (count,) entries of a table; bytes are words, or bytes where there are too few for words."""
    if isinstance(data, bytes):
        order = "<>"[attributes.ds.original_encoding[1] is False]
        entries = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * count else "u1")
    else:
        entries = np.atleast_1d(np.asarray(data))
    if len(entries) < count:
        raise ValueError("a lookup table is cut off")
    return entries[:count].astype(np.int64)


def _palette(frame: Frame) -> _Table | None:
    """Return the palette with entries in [0, 1], (N, 3) (DICOM PS3.3, C.7.6.3.1.5, C.7.6.3.1.6, C.7.9.2), or None."""
    ds = frame.attributes.ds
    descriptor = ds.get("RedPaletteColorLookupTableDescriptor")
    supplemental = frame.attributes.text("PixelPresentation") in ("COLOR", "MIXED")
    if descriptor is None or not (supplemental or frame.photometric == "PALETTE COLOR"):
        return None
    for color in _COLORS[1:]:
        if list(ds.get(f"{color}PaletteColorLookupTableDescriptor") or []) != list(descriptor):
            raise Refused(
                f"{frame.source}: the tables of its palette differ in length, start or bits; export it as RGB"
            )
    count, first = int(descriptor[0]) or 2**16, int(descriptor[1])
    first = first - 2**16 if frame.signed and first >= 2**15 else first
    if "RedPaletteColorLookupTableData" in ds:
        data = [_entries(ds[f"{color}PaletteColorLookupTableData"].value, count, frame.attributes) for color in _COLORS]
        entries = np.stack(data, axis=1)
    else:
        plain = Dataset()  # pydicom expands segments, but refuses supplemental palettes by another attribute
        plain.update(ds.group_dataset(0x0028))
        plain.file_meta = ds.file_meta
        entries = apply_color_lut(np.arange(first, first + count), plain)[:, :3]
    return _Table(first, entries / (65535 if entries.max() > 255 else 255))  # 16-bit tables may hold 8-bit values


def _colors(frame: Frame, palette: _Table | None) -> np.ndarray:
    if palette is None:
        raise Refused(f"{frame.source}: is a palette image without its palette; export it as RGB")
    return palette.apply(frame.stored)
