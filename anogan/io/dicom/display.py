"""From stored values to what a viewer shows: modality, VOI, palette, padding (DICOM PS3.3, C.11 and C.7.6.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from anogan.errors import Refused
from anogan.io.dicom.attributes import Attributes, Frame
from anogan.io.dicom.modality import may_be_negative, modality_table, padding, rescale, values_of
from anogan.io.dicom.tables import Table, lookup_table, palette
from anogan.io.pixels import Window, WindowChoice, full_range, stretch
from anogan.scan import Scan

_KNOWN = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def show(frames: Sequence[Frame], window: WindowChoice) -> tuple[list[Scan], list[str]]:
    """Bring the frames of one stack to [0, 1], so that they can be compared with each other.

    Gray: rescale or modality LUT, then the chosen VOI window or VOI LUT, then MONOCHROME1 turned round; padding is
    black. Where no header holds a window, up to 8 stored bits keep their full range, and deeper ones are stretched
    from the minimum to the maximum of the whole stack. Where the windows or tables of a stack differ, or some frames
    have none, the middle one shows all. Palette, supplemental palette and YBR become RGB. Overlays are not drawn.

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
    tables = {key: palette(frame) for key, frame in objects.items()}
    palettes = [tables[id(frame.attributes.ds)] for frame in frames]
    if not frames[0].gray:
        return [
            _scan(frame, table.apply(frame.stored)) for frame, table in zip(frames, palettes, strict=True) if table
        ], []
    views, notes = _views(frames, window)
    scans = []
    for frame, view, colors in zip(frames, views, palettes, strict=True):
        values, padded = values_of(frame), padding(frame)
        pixels = view.apply(values)
        if frame.photometric == "MONOCHROME1":
            pixels = 1 - pixels
        pixels[padded] = 0
        given = isinstance(view, Table) or not view.made_up
        clipped = float(view.clips(values[~padded]).mean()) if given and not padded.all() else None
        if colors is not None:  # supplemental: values from its first entry on are colors (PS3.3, C.7.6.19)
            colored = frame.stored >= colors.first
            pixels = np.where(colored[..., None], colors.apply(frame.stored), pixels[..., None])
        scans.append(_scan(frame, pixels, "VOI LUT" if isinstance(view, Table) else view.words, clipped))
    return scans, notes


def check_numbers(frame: Frame) -> None:
    """Raise Refused, which names the file, where what says of the values what they are, or where, cannot be so.

    All of it is tried when a file is read: of a series, such a file is left out, and not the series.
    """
    attributes = frame.attributes
    palette(frame)
    if frame.gray:
        _check_shape(frame)
        rescale(frame)
        modality_table(frame)
        padding(frame)
        _windows(frame)
        for item in _voi(frame).get("VOILUTSequence") or []:
            _voi_table(frame, item)
    _ = frame.spacing, frame.geometry, frame.position
    for keyword in ("InstanceNumber", "SpacingBetweenSlices", "GantryDetectorTilt", "SliceThickness"):
        attributes.number(keyword)
    if (attributes.number("SliceThickness") or 0) < 0:
        raise attributes.refused("its SliceThickness is below 0; export it again")


def _check_shape(frame: Frame) -> None:
    """Refuse a presentation LUT shape of the other polarity (PS3.3, C.8.11.3.1.2): viewers follow one or the other."""
    shape = frame.attributes.text("PresentationLUTShape").upper()
    if shape == {"MONOCHROME1": "IDENTITY", "MONOCHROME2": "INVERSE"}[frame.photometric]:
        raise frame.attributes.refused(
            f"its header says {frame.photometric}, but a PresentationLUTShape of {shape}, so it is not known whether it"
            " is a negative; export it again"
        )


def _scan(frame: Frame, pixels: np.ndarray, window: str = "", clipped: float | None = None) -> Scan:
    attributes = frame.attributes
    details = {
        "original size": f"{frame.stored.shape[0]} x {frame.stored.shape[1]}",
        "bits": f"{frame.bits} {'signed' if frame.signed else 'unsigned'}" if not frame.floating else "float",
        "photometric": frame.photometric,
        "transfer syntax": attributes.ds.file_meta.TransferSyntaxUID.name,
        "kind": attributes.kind,
        "window": window,
        "windows": _listed(frame),
        "pixel size": frame.sizeless,
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


def _views(frames: Sequence[Frame], window: WindowChoice) -> tuple[list[Window | Table], list[str]]:
    """Return how each frame is shown."""
    found: list[Window | Table | None] = []
    for frame in frames:
        view, last = _view(frame, window), found[-1] if found else None
        alike = view is not None and last is not None and _same(view, last)
        found.append(last if alike else view)  # a thousand slices may each bring the same table
    given = [view for view in found if view is not None]
    if not given:
        return [_whole_range(frames)] * len(frames), []
    middle = given[len(given) // 2]
    shared: list[Window | Table] = [middle] * len(frames)
    words = "a lookup table" if isinstance(middle, Table) else middle.words
    if len(given) < len(found):
        which = f"{len(found) - len(given)} of its {len(found)} images have no window"
        return shared, [f"{which}; that of the middle one of those that have one shows all ({words})"]
    if any(not _same(view, middle) for view in given):
        return shared, [f"the windows of its images differ; that of the middle one shows all ({words})"]
    return shared, []


def _same(one: Window | Table, other: Window | Table) -> bool:
    return one is other or (one.same_as(other) if isinstance(one, Table) else one == other)


def _whole_range(frames: Sequence[Frame]) -> Window:
    """Return the window of a stack whose headers hold none."""
    ends = [end for frame in frames if frame.bits <= 8 and not frame.floating for end in _ends(frame)]
    if len(ends) == 2 * len(frames):
        return full_range(min(ends), max(ends), "full range", frames[0].source)
    return stretch((values_of(frame)[~padding(frame)] for frame in frames), frames[0].source, keep=False)


def _ends(frame: Frame) -> list[float]:
    """Return the values of the modality of the least and the greatest stored value; none where a table makes them."""
    if modality_table(frame) is not None:
        return []
    slope, intercept = rescale(frame)
    return [end * slope + intercept for end in frame.limits]


def _view(frame: Frame, window: WindowChoice) -> Window | Table | None:
    """Return the window or table that a frame's header and the profile ask for, or None."""
    if not isinstance(window, str):
        return _window(*window, "LINEAR", frame.floating)
    windows, tables = _windows(frame), list(_voi(frame).get("VOILUTSequence") or [])
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
    return _voi_table(frame, tables[0]) if tables else None


def _voi(frame: Frame) -> Attributes:
    return frame.attributes.where("WindowCenter", "WindowWidth", "VOILUTSequence")


def _windows(frame: Frame) -> list[tuple[str, Window]]:
    """Return the windows of a header with their names.

    Raises
    ------
    Refused
        Centers and widths are no pairs, a width is not above 0, or the function is of a kind that is not read. In place
        of a window that the header does not mean, the image is not read.
    """
    told = _voi(frame)
    function = told.text("VOILUTFunction").upper() or "LINEAR"
    centers, widths = told.numbers("WindowCenter"), told.numbers("WindowWidth")
    if not centers and not widths:
        return []
    if len(centers) != len(widths):
        raise told.refused(
            f"its header has {_counted(len(centers), 'window center')} and {_counted(len(widths), 'window width')},"
            " which are no pairs; export it again"
        )
    if min(widths) <= 0:
        raise told.refused("its WindowWidth is not above 0, so it shows nothing; export it again")
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise told.refused("its VOILUTFunction is of a kind that is not read; export it with a linear window")
    names = told.texts("WindowCenterWidthExplanation")
    return [
        (names[place] if place < len(names) else "", _window(center, width, function, frame.floating))
        for place, (center, width) in enumerate(zip(centers, widths, strict=True))
    ]


def _window(center: float, width: float, function: str, floating: bool) -> Window:
    """Return a window in the units of the values.

    LINEAR counts in whole steps and is not defined below a width of one (C.11.2.1.2.1): such a window, and one of
    floating point pixels, which have no steps, is taken exactly. One of 0 to 1 would make all of them white.
    """
    exact = function == "LINEAR" and (floating or width < 1)
    return Window(center, width, "LINEAR_EXACT" if exact else function)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _listed(frame: Frame) -> str:
    """Return the windows of a header in words, where there is a choice."""
    windows = _windows(frame) if frame.gray else []
    if len(windows) < 2 and not any(name for name, _ in windows):
        return ""
    return "; ".join(f"{name or 'no name'}: {window.words}" for name, window in windows)


def _voi_table(frame: Frame, item: Dataset) -> Table:
    """Return a VOI LUT with entries in [0, 1] (DICOM PS3.3, C.11.2.1.1)."""
    table, bits = lookup_table(item, "VOI LUT", frame.attributes, may_be_negative(frame))
    return Table(table.first, table.entries / float(2**bits - 1))
