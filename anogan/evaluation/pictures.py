"""The worst mistakes as pictures: each image beside its heat map, all heat maps on the one fixed scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anogan.io.raster import data_uri
from anogan.results import heatmap
from anogan.results.reading import read_case

MOST = 6
_SIDE = 320  # pixels, at most
_DRAWN = (86, 180, 233)  # sky blue: the outline of what an expert marked


def worst(found: Mapping[str, Any], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the abnormal images with the lowest and the healthy ones with the highest scores.

    Parameters
    ----------
    found
        What `evaluation.json` holds. With an operating point only mistakes count: abnormal images
        that were not flagged, and healthy ones that were.
    folder
        The results folder, with the cases.

    Returns
    -------
    dict
        "misses" and "false_alarms", worst first: case, score, and image and heat map as data URIs.
    """
    point, scale = found["operating_point"], tuple(found["model_card"]["map_range"])

    def chosen(label: str, sign: int) -> list[dict[str, Any]]:
        rows = [row for row in found["scores"] if row["label"] == label]
        if point:
            rows = [row for row in rows if row["flagged"] is (label == "healthy")]
        rows.sort(key=lambda row: sign * row["score"])
        return [_pair(row, folder, scale) for row in rows[:MOST]]

    return {"misses": chosen("abnormal", 1), "false_alarms": chosen("healthy", -1)}


def _pair(row: Mapping[str, Any], folder: Path, scale: tuple[float, float]) -> dict[str, Any]:
    arrays = read_case(folder, row["case"])
    image, anomaly_map = _small(arrays["image"]), _small(arrays["anomaly_map"])
    heat = heatmap.overlay(image, anomaly_map, scale)
    plain = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    mask = arrays.get("mask")
    marked = mask is not None and bool(mask.any())
    if mask is not None and marked:
        outline, _ = cv2.findContours(_small(mask * np.uint8(255)) // 128, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        plain = cv2.drawContours(np.ascontiguousarray(plain), outline, -1, _DRAWN, 1)
    return {
        "case": row["case"],
        "score": row["score"],
        "marked": marked,
        "image": data_uri(plain),
        "heatmap": data_uri(heat),
    }


def _small(array: np.ndarray) -> np.ndarray:
    scale = _SIDE / max(array.shape[:2])
    if scale >= 1:
        return array
    size = (max(round(array.shape[1] * scale), 1), max(round(array.shape[0] * scale), 1))
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA)


def color_bar() -> str:
    """Return the colors of the heat maps, from low to high over a middle gray, as a data URI."""
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (12, 1))
    return data_uri(heatmap.overlay(np.full(ramp.shape, 96, np.uint8), ramp, (0.0, 1.0)))
