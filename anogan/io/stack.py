"""All slices of a scored series in its case folder, each to be read by itself: what a reader scrolls through.

    cases/<case>/slices.npz      image-0001, map-0001, perhaps healthy-0001, image-0002 ...

A member of a zip archive is found and read alone, so a slice of a long series costs no more than one of a short one.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from anogan.scan import Series, SeriesResult
from anogan.storage.atomic import write_bytes

NAME = "slices.npz"
MOST = 2**26
"""Pixels of all slices together, 256 slices of 512 x 512; more are kept smaller."""


@dataclass(frozen=True)
class Stack:
    """The slices of a series, counted from 1.

    Attributes
    ----------
    path
        The file.
    count
        How many slices.
    map_range
        The scale of the maps, or None for whoever may not see them.
    """

    path: Path
    count: int
    map_range: tuple[float, float] | None

    def read(self, number: int) -> dict[str, np.ndarray]:
        """Return image, and perhaps anomaly_map and reconstruction of a slice, as `read_case` does.

        Maps are in 256 steps of their scale, which is as fine as its colors. A slice that was not scored has none, and
        only the top slices have a reconstruction.

        Raises
        ------
        ValueError
            There is no such slice, or the file is damaged.
        """
        if not 1 <= number <= self.count:
            raise ValueError(f"slice {number}: expected 1 to {self.count}")
        try:
            with np.load(self.path, allow_pickle=False) as file:
                found = {"image": file[f"image-{number:04d}"]}
                if self.map_range is None:
                    return found
                if (name := f"map-{number:04d}") in file:
                    low, high = self.map_range
                    found["anomaly_map"] = low + file[name].astype(np.float32) * np.float32((high - low) / 255)
                if (name := f"healthy-{number:04d}") in file:
                    found["reconstruction"] = file[name]
                return found
        except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error):
            raise _damaged(self.path) from None


def open_stack(place: str | os.PathLike[str], map_range: tuple[float, float] | None) -> Stack | None:
    """Return the slices in a case folder; None where none were kept, as of a single image.

    Parameters
    ----------
    place
        The case folder.
    map_range
        (low, high) of the detector that scored the series; None opens the images alone.

    Raises
    ------
    ValueError
        The file is damaged.
    """
    path = Path(place) / NAME
    try:
        with zipfile.ZipFile(path) as file:
            count = sum(name.startswith("image-") for name in file.namelist())
    except FileNotFoundError:
        return None
    except (OSError, zipfile.BadZipFile):
        raise _damaged(path) from None
    return Stack(path, count, map_range)


def write_stack(
    place: str | os.PathLike[str],
    series: Series,
    result: SeriesResult,
    map_range: tuple[float, float],
    most: int = MOST,
) -> None:
    """Write the slices of a scored series, smaller where they have more than `most` pixels together."""
    low, high = map_range
    height, width = series.scans[0].pixels.shape[:2]
    share = min(1.0, (most / (height * width * len(series.scans))) ** 0.5)
    buffer = io.BytesIO()
    arrays = {}
    for number, (scan, said) in enumerate(zip(series.scans, result.slices, strict=True), start=1):
        arrays[f"image-{number:04d}"] = _bytes(_smaller(scan.pixels, share))
        if said.anomaly_map is not None:
            level = (_smaller(said.anomaly_map, share) - low) / (high - low)
            arrays[f"map-{number:04d}"] = _bytes(np.nan_to_num(level, nan=0.0))
        if said.reconstruction is not None and number - 1 in result.top:
            arrays[f"healthy-{number:04d}"] = _bytes(_smaller(said.reconstruction, share))
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(Path(place) / NAME, buffer.getvalue())


def _smaller(pixels: np.ndarray, share: float) -> np.ndarray:
    if share == 1:
        return pixels
    size = max(int(pixels.shape[1] * share), 1), max(int(pixels.shape[0] * share), 1)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.asarray((values * 255).round().clip(0, 255), dtype=np.uint8)


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path}: is damaged; score the series again")
