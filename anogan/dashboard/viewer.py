"""The pictures of a case in the browser: zoom, window and level, heat map with opacity, before and after."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import streamlit as st

from anogan.io.raster import data_uri
from anogan.results import heatmap
from anogan.storage.documents import json_text

FINEST = 1024
"""The largest side of maps and reconstructions in pixels: they come from a grid that is coarser still."""

_PLACE = Path(__file__).parent
_view = st.components.v2.component(
    "anogan_viewer",
    html='<div class="viewer"></div>',
    css=(_PLACE / "viewer.css").read_text(encoding="utf-8"),
    js=(_PLACE / "viewer.js").read_text(encoding="utf-8"),
)


def show(key: str, maps: Mapping[str, np.ndarray], map_range: tuple[float, float] | None, heat_alt: str = "") -> None:
    """Show an image at its own resolution, with its heat map and healthy counterpart where there are such.

    Parameters
    ----------
    key
        Names what is looked at; zoom and window stay as they are until another is.
    maps
        What `read_case` returns; without `anomaly_map` the image is shown alone.
    map_range
        The one color scale of the detector, or None with no map to show.
    heat_alt
        The heat map in words.
    """
    kept = st.session_state.get("viewer")
    if kept is None or kept[0] is not maps:  # the session, never a cache shared by users, keeps the last one
        kept = st.session_state["viewer"] = (maps, prepared(maps, map_range))
    _view(data=kept[1] | {"key": key, "heat_alt": heat_alt}, key="viewer")


def prepared(maps: Mapping[str, np.ndarray], map_range: tuple[float, float] | None) -> dict[str, Any]:
    """Return what the browser needs to show an image and its maps: pictures as data URIs, JSON-ready."""
    image = maps["image"]
    found: dict[str, Any] = {
        "width": image.shape[1],
        "height": image.shape[0],
        "gray": image.ndim == 2,
        "presets": presets(image) if image.ndim == 2 else [],
        "image": data_uri(image),
        "image_alt": "The image as it was read",
    }
    if map_range is not None and "anomaly_map" in maps:
        low, high = map_range
        found["heat"] = data_uri(heatmap.layer(_as_fine_as_needed(maps["anomaly_map"]), map_range))
        ramp = np.tile(np.linspace(low, high, 512, dtype=np.float32), (20, 1))
        found["scale"] = data_uri(heatmap.overlay(np.zeros(ramp.shape, np.uint8), ramp, map_range, 1.0))
        found["scale_alt"] = f"Color scale from {low:.1f} to {high:.1f} healthy standard deviations"
        found["scale_words"] = [f"≤ {low:.1f}", "healthy standard deviations", f"≥ {high:.1f}"]
    if "reconstruction" in maps:
        found["healthy"] = data_uri(_as_fine_as_needed(maps["reconstruction"]))
        found["healthy_alt"] = "The nearest image the model of health can draw"
    if "mask" in maps:
        found["outline"] = data_uri(outline(maps["mask"]))
    return found | {"stamp": hashlib.sha256(json_text(found).encode()).hexdigest()}


def _as_fine_as_needed(values: np.ndarray) -> np.ndarray:
    """Return a map or a reconstruction no larger than `FINEST`; the browser lays it over the whole image."""
    share = FINEST / max(values.shape[:2])
    size = max(round(values.shape[1] * share), 1), max(round(values.shape[0] * share), 1)
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA) if share < 1 else values


def presets(image: np.ndarray) -> list[tuple[str, float, float]]:
    """Return windows to choose from, (name, center, width) in the image's own 256 values.

    Examples
    --------
    >>> presets(np.array([[0, 0, 100, 140]], np.uint8))[1]
    ('Automatic', 120.0, 40.0)
    """
    body = image[image > 0]  # without the black around it
    low, high = (
        (float(limit) for limit in np.percentile(body, (1, 99), method="nearest")) if body.size else (0.0, 255.0)
    )
    automatic = ((low + high) / 2, max(high - low, 1.0))
    halves = [("Dark parts", 64.0, 128.0), ("Bright parts", 191.0, 128.0)]
    return [("Full range", 127.5, 255.0), ("Automatic", *automatic), *halves]


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the edge of a mask (H, W) as a layer, (H, W, 4) uint8 RGBA: a line, white over black."""
    inside = np.pad(np.asarray(mask) > 0, 2, mode="edge")

    def grown(area: np.ndarray) -> np.ndarray:
        middle = area[1:-1, 1:-1]
        return middle | area[:-2, 1:-1] | area[2:, 1:-1] | area[1:-1, :-2] | area[1:-1, 2:]

    once = grown(inside)
    twice = grown(once)
    drawn = np.zeros((*np.shape(mask), 4), np.uint8)
    drawn[twice & ~once[1:-1, 1:-1]] = (0, 0, 0, 255)
    drawn[once[1:-1, 1:-1] & ~inside[2:-2, 2:-2]] = 255
    return drawn
