"""The folder of one case: what a person looks at, and the maps behind it."""

from __future__ import annotations

import io
import math
from pathlib import Path

import cv2
import numpy as np

from anogan.io.raster import write_png
from anogan.results import heatmap
from anogan.scan import Result, Scan
from anogan.storage.atomic import write_bytes

_THUMBNAIL = 128


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
    arrays = {"image": _bytes(scan.pixels), "anomaly_map": _half(result.anomaly_map)}
    if result.reconstruction is not None:
        arrays["reconstruction"] = _bytes(result.reconstruction)
    if mask is not None:
        if mask.shape != scan.pixels.shape[:2]:
            raise ValueError(f"{scan.source}: its mask has shape {mask.shape}, the image {scan.pixels.shape[:2]}")
        arrays["mask"] = mask.astype(np.uint8)
    arrays |= {f"component_{name}": _half(values) for name, values in result.component_maps.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _thumbnail(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return (pixels * 255).round().clip(0, 255).astype(np.uint8)


def _half(values: np.ndarray) -> np.ndarray:
    most = np.finfo(np.float16).max
    return values.clip(-most, most).astype(np.float16)
