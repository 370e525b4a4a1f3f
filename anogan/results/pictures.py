"""The folder of one case: what a person looks at, and the maps behind it."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import cv2
import numpy as np

from anogan.io.raster import write_png
from anogan.results import heatmap
from anogan.scan import Result, Scan
from anogan.storage.atomic import write_bytes

_THUMBNAIL = 128
_STRIP = 128  # rows that are converted at a time


def write_heat_map(place: Path, scan: Scan, result: Result, map_range: tuple[float, float]) -> np.ndarray:
    """Write heatmap.png of a scored image, on the scale of `map_range`, and return it."""
    assert result.anomaly_map is not None
    assert math.isfinite(result.score)
    heat = heatmap.overlay(scan.pixels, result.anomaly_map, map_range)
    write_png(place / "heatmap.png", heat)
    return heat


def write_thumbnail(place: Path, scan: Scan) -> None:
    """Write thumbnail.png: of an image that was not scored, all there is to see."""
    write_png(place / "thumbnail.png", _thumbnail(_bytes(scan.pixels)))


def write_maps(place: Path, scan: Scan, result: Result, mask: np.ndarray | None = None) -> None:
    """Write maps.npz of a scored image, which `anogan.results.reading.read_case` reads."""
    write_bytes(place / "maps.npz", _pack(scan, result, mask))


def _pack(scan: Scan, result: Result, mask: np.ndarray | None) -> bytes:
    """Return maps.npz."""
    assert result.anomaly_map is not None
    if mask is not None and mask.shape != scan.pixels.shape[:2]:
        raise ValueError(f"{scan.source}: its mask has shape {mask.shape}, the image {scan.pixels.shape[:2]}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:  # as np.savez_compressed, one map at a time
        _add(archive, "image", _bytes(scan.pixels))
        _add(archive, "anomaly_map", _half(result.anomaly_map))
        if result.reconstruction is not None:
            _add(archive, "reconstruction", _bytes(result.reconstruction))
        if mask is not None:
            _add(archive, "mask", mask.astype(np.uint8))
        for name, values in result.component_maps.items():
            _add(archive, f"component_{name}", _half(values))
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _thumbnail(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image


def _bytes(pixels: np.ndarray) -> np.ndarray:
    found = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(found), _STRIP):  # nothing in float is as large as the image
        found[start : start + _STRIP] = (pixels[start : start + _STRIP] * 255).round().clip(0, 255)
    return found


def _half(values: np.ndarray) -> np.ndarray:
    most = np.finfo(np.float16).max
    return values.clip(-most, most).astype(np.float16)
