"""NIfTI volumes in, as slices."""

from __future__ import annotations

import gzip
import io
import os
import warnings
from dataclasses import dataclass
from typing import cast

import numpy as np
from nibabel import Nifti1Header, Nifti1Image, Nifti2Header, Nifti2Image
from nibabel.arrayproxy import ArrayProxy
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from anogan.errors import Refused
from anogan.io.files import GZIP, NIFTI_HEADER, is_nifti_2
from anogan.io.pixels import Window, WindowChoice, check_size, not_finite, stretch
from anogan.io.places import measure
from anogan.scan import Geometry, Scan
from anogan.series import Series

_MOST_EXTENSIONS = 10_000_000  # bytes between header and pixels
_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}


def read_nifti(path: str | os.PathLike[str], window: WindowChoice = "first") -> list[Series]:
    """Read a NIfTI-1 or NIfTI-2 file, compressed by gzip or not, as one series for each of its volumes.

    The axes are exchanged and turned round, but not interpolated, until they run as nearly as possible to the left, to
    posterior and to superior. Slices lie along the axis with the largest spacing; where no spacing is more than a tenth
    larger than the others, along the third axis of the file. A slice is turned as a viewer shows it: sagittal ones with
    columns to posterior, coronal and axial ones to the left; rows of the first two downwards, of axial ones to
    posterior.

    The header knows no window: without a center and a width the whole file is stretched from its minimum to its
    maximum, so that slices can be compared.

    Raises
    ------
    ValueError
        The file is damaged, too large, no volume of numbers or RGB, or a window is wanted by its name.
    """
    name = os.fspath(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open(path, "rb") as raw:
                packed = raw.read(2) == GZIP
                raw.seek(0)
                with cast(io.BufferedIOBase, gzip.GzipFile(fileobj=raw)) if packed else raw as file:
                    return _read(file, name, window)
    except Refused as refused:
        raise ValueError(str(refused)) from None
    except MemoryError:
        raise
    except Exception:  # nibabel and zlib fail in many ways on damaged data
        raise ValueError(f"{name}: is a damaged or cut off NIfTI file; copy or export it again") from None


@dataclass(frozen=True, eq=False)
class _Volume:
    data: np.ndarray  # (X, Y, Z, T) float32, or (X, Y, Z, T, 3) in [0, 1]
    affine: np.ndarray  # (4, 4): from indices to mm, LPS

    def turned(self, turn: np.ndarray) -> _Volume:
        """Exchange and flip axes; `turn` is one of nibabel's orientation arrays, (3, 2)."""
        return _Volume(apply_orientation(self.data, turn), self.affine @ inv_ornt_aff(turn, self.data.shape[:3]))

    def flipped(self, axis: int) -> _Volume:
        return self.turned(np.array([[other, -1 if other == axis else 1] for other in range(3)]))

    @property
    def spacing(self) -> np.ndarray:
        """Mm along each axis, (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def directions(self) -> np.ndarray:
        """Unit vectors of the axes in columns, (3, 3)."""
        return self.affine[:3, :3] / self.spacing


def _read(file: io.BufferedIOBase, name: str, window: WindowChoice) -> list[Series]:
    start = file.read(NIFTI_HEADER)
    second = is_nifti_2(start)
    header = Nifti2Header(start[:540]) if second else Nifti1Header(start[:348])
    shape = tuple(int(length) for length in header.get_data_shape())
    shape += (1,) * (4 - len(shape))
    kind = header.get_data_dtype()
    rgb = kind.fields is not None and tuple(kind.fields)[:3] == ("R", "G", "B")
    if min(shape) < 1 or len(shape) > 4 or not (rgb or kind.kind in "iuf"):
        raise Refused(f"{name}: is no volume of gray values or RGB; export it as one")
    shortest, width, height = sorted(shape[:3])
    check_size(name, height, width, shortest * shape[3])
    if not 0 <= float(header["vox_offset"]) <= _MOST_EXTENSIONS:
        raise Refused(f"{name}: its header says that the pixels begin at an unlikely place; export it again")
    file.seek(0)
    image = (Nifti2Image if second else Nifti1Image).from_stream(file)
    if rgb:
        colors = np.asarray(cast(ArrayProxy, image.dataobj).get_unscaled()).reshape(shape)
        data = np.stack([colors[color] for color in "RGB"], axis=-1).astype(np.float32) / 255
    else:
        data = np.asarray(image.get_fdata(dtype=np.float32)).reshape(shape)
    unit = _MM.get(header.get_xyzt_units()[0], 1.0)
    # NIfTI's x and y run to the right and to anterior.
    affine: np.ndarray = np.diag([-unit, -unit, unit, 1.0]) @ image.affine
    if not np.isfinite(affine).all() or np.linalg.norm(affine[:3, :3], axis=0).min() <= 0:
        raise Refused(f"{name}: its header says no distance of its voxels; export it again")
    placed = bool(header["qform_code"] > 0 or header["sform_code"] > 0)
    details = {"bits": str(kind.itemsize * 8) if rgb else str(kind), "kind": "NIfTI-2" if second else "NIfTI-1"}
    return _series(_Volume(data, affine), placed, None if rgb else _window(data, window, name), name, details)


def _series(volume: _Volume, placed: bool, window: Window | None, name: str, details: dict[str, str]) -> list[Series]:
    volume, axis = _as_slices(volume)
    across, down = (other for other in range(3) if other != axis)  # the axes of a row and of a column
    spacing, directions = volume.spacing, volume.directions
    row, column = (tuple(directions[:, other].tolist()) for other in (across, down))
    square = abs(np.dot(row, column)) < 0.01
    count, repeats = volume.data.shape[axis], volume.data.shape[3]
    origins = volume.affine[:3, 3] + np.arange(count)[:, None] * volume.affine[:3, axis]  # (count, 3)
    geometries = [Geometry(tuple(origin), row, column) if placed and square else None for origin in origins.tolist()]
    positions = [
        float(k * spacing[axis]) if geometry is None else float(np.dot(geometry.normal, geometry.origin))
        for k, geometry in enumerate(geometries)
    ]
    step, notes = measure(positions, geometries)
    if not placed:
        notes.append("its header does not say how it lies in the patient")
    elif not square:
        notes.append("the axes of its slices are not perpendicular, so their place in the patient is not known")

    def scan(k: int, repeat: int) -> Scan:
        values = np.moveaxis(volume.data, axis, 0)[k, :, :, repeat].swapaxes(0, 1)  # columns count along `across`
        pixels = values if window is None else window.apply(values)
        told = {"original size": f"{values.shape[0]} x {values.shape[1]}", **details}
        return Scan(
            np.ascontiguousarray(pixels.clip(0, 1), np.float32),
            name,
            spacing=(float(spacing[down]), float(spacing[across])),
            format="NIfTI",
            frame=repeat * count + k + 1,
            frames=repeats * count,
            geometry=geometries[k],
            position=positions[k],
            clipped=None if window is None or window.made_up else float(window.clips(values).mean()),
            details=told if window is None else told | {"window": window.words},
        )

    series = []
    for repeat in range(repeats):
        which = [f"its file holds {repeats} volumes; this is number {repeat + 1}"] if repeats > 1 else []
        slices = tuple(scan(k, repeat) for k in range(count))
        series.append(Series(slices, name, step, (*which, *notes), repeats))
    return series


def _as_slices(volume: _Volume) -> tuple[_Volume, int]:
    """Turn a volume so that its slices can be taken along one axis, in order; and which that is."""
    turn = io_orientation(volume.affine)  # to the axes of the affine, which are LPS here
    volume = volume.turned(turn)
    spacing = volume.spacing
    axis = int(spacing.argmax())
    if spacing[axis] <= 1.1 * np.delete(spacing, axis).max():
        axis = int(turn[2, 0])  # where the file's third axis is now
    if axis != 2:
        volume = volume.flipped(2)  # superior is on top
    across, down = (other for other in range(3) if other != axis)
    directions = volume.directions
    ascending = np.cross(directions[:, across], directions[:, down]) @ directions[:, axis] > 0
    return volume if ascending else volume.flipped(axis), axis


def _window(data: np.ndarray, window: WindowChoice, name: str) -> Window:
    if window == "first":
        return stretch([data], name, keep=False)
    if isinstance(window, str):
        raise Refused(
            f"{name}: is NIfTI, which has no window named {window!r}; input.window may be a center and a width"
        )
    if not np.isfinite(data).all():
        raise not_finite(name)
    return Window(*window, "LINEAR_EXACT")
