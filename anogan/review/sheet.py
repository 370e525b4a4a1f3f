"""One case on paper: a page with its pictures, figures, decisions and signature that needs nothing beside it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from anogan._version import __version__
from anogan.detector.calibration import of_group
from anogan.io.raster import data_uri
from anogan.io.stack import open_stack
from anogan.results import heatmap
from anogan.results.reading import read_case
from anogan.review.arrivals import judged
from anogan.review.cases import Case, Query, no_case
from anogan.review.desk import Desk
from anogan.storage.atomic import write_bytes

SIDE = 900
"""The largest side of a picture on the sheet, in pixels; paper shows no more."""
TOP = 3
"""So many top slices of a series are shown."""


def write_sheet(desk: Desk, id: int, path: Path) -> None:
    """Write the sheet of a case, whole or not at all; it is logged as an export.

    Raises
    ------
    ValueError
        There is no such case, the name does not end in .html, or the file cannot be written.
    """
    if path.suffix != ".html":
        raise ValueError(f"{path}: expected a name that ends in .html")
    write_bytes(path, sheet(desk, id).encode())


def sheet(desk: Desk, id: int) -> str:
    """Return the sheet of a case as HTML, as this user may see it; it is logged as an export.

    What the desk withholds stays out: of a blind case there is the image alone.

    Raises
    ------
    ValueError
        There is no such case.
    """
    records = list(desk.records(Query(number=id, order="age")))
    if not records:
        raise no_case(id)
    ((case, decisions),) = records
    found = judged(case)
    entry, summary = found if found is not None else ({}, {})
    notes, point = entry.get("notes") or "", of_group(entry, summary)
    pictures, missing = _pictures(desk, case, entry, summary)
    environment = Environment(
        loader=PackageLoader("anogan.review", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": lambda when: f"{when:%Y-%m-%d %H:%M} UTC"}
    name, _, hash = case.detector.rpartition(" ")
    return environment.get_template("sheet.html").render(
        case=case,
        decisions=decisions,
        notes=notes[:1].upper() + notes[1:],
        figures=_figures(case, entry, point),
        promise=point.get("promise") or "",
        scale=_scale(summary) if entry and pictures else None,
        pictures=pictures,
        missing=missing,
        detector=name or hash,
        hash=hash,
        printed=datetime.datetime.now(datetime.UTC),
        user=desk.user,
        version=__version__,
    )


def _figures(case: Case, entry: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, str]:
    """Return names and values of what the detector says, as far as it is known."""
    healthy = point.get("calibration_scores") or []
    rows = {
        "Score": case.score,
        "Threshold": point.get("threshold"),
        "Spread between restarts": entry.get("uncertainty"),
    }
    said = {name: f"{value:.2f}" for name, value in rows.items() if value is not None}
    if case.p_value is not None:
        said["p-value"] = f"{case.p_value:.3f}" if case.p_value >= 0.01 else f"{case.p_value:.2g}"
    if healthy and case.score is not None:
        above = sum(score >= case.score for score in healthy)
        said["Healthy scores as high or higher"] = f"{above} of {len(healthy)}"
    return said


def _pictures(
    desk: Desk, case: Case, entry: Mapping[str, Any], summary: Mapping[str, Any]
) -> tuple[list[dict[str, str]], str]:
    """Return what there is to see as {title, alt, source}, and why there is nothing."""
    try:
        if not entry:
            return [_picture("Image", "The image as it was read", desk.image(case.id))], ""
        folder, scale = Path(case.folder), _range(summary)
        maps = read_case(folder.parent.parent, folder.name)
        of = f" of slice {entry['top_slices'][0]}" if entry.get("top_slices") else ""
        shown = [
            _picture(f"Image{of}", "The image as it was read", maps["image"]),
            _picture("Heat map", "Heat map over the image", heatmap.overlay(maps["image"], maps["anomaly_map"], scale)),
        ]
        if "reconstruction" in maps:
            words = "The nearest image the model of health can draw"
            shown.append(_picture("Healthy counterpart", words, maps["reconstruction"]))
        stack = open_stack(folder, scale)
        for place in entry.get("top_slices", ())[1:TOP] if stack is not None else ():
            part = stack.read(place)  # type: ignore[union-attr]
            heat = heatmap.overlay(part["image"], part["anomaly_map"], scale)
            shown.append(_picture(f"Heat map of slice {place}", f"Heat map over slice {place}", heat))
        return shown, ""
    except ValueError:  # its sentence names a folder, which is nobody's business on paper
        return [], "The pictures are not on this machine."


def _picture(title: str, alt: str, pixels: np.ndarray) -> dict[str, str]:
    share = min(1.0, SIDE / max(pixels.shape[:2]))
    size = max(round(pixels.shape[1] * share), 1), max(round(pixels.shape[0] * share), 1)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if share < 1 else pixels
    return {"title": title, "alt": alt, "source": data_uri(small)}


def _range(summary: Mapping[str, Any]) -> tuple[float, float]:
    low, high = summary["map_range"]
    return float(low), float(high)


def _scale(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the color scale of the heat maps with its ends."""
    low, high = _range(summary)
    ramp = np.tile(np.linspace(low, high, 256, dtype=np.float32), (12, 1))
    bar = heatmap.overlay(np.zeros(ramp.shape, np.uint8), ramp, (low, high), 1.0)
    return {"low": f"{low:.1f}", "high": f"{high:.1f}", "source": data_uri(bar)}
