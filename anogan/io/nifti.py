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

from anogan.io.files import GZIP, NIFTI_HEADER, is_nifti_2
from anogan.io.pixels import Refused, Window, WindowChoice, check_size, not_finite, stretch
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


def _read(file: io.BufferedIOBase, name: str, window: WindowChoice) -> list[Series]:
    start = file.read(NIFTI_HEADER)
    second = is_nifti_2(start)
    header = Nifti2Header(start[:540]) if second else Nifti1Header(start[:348])
    shape = tuple(int(length) for length in header.get_data_shape())
    shape += (1,) * (3 - len(shape))
    kind = header.get_data_dtype()
    rgb = kind.fields is not None and tuple(kind.fields)[:3] == ("R", "G", "B")
    if min(shape) < 1 or len(shape) > 4 or not (rgb or kind.kind in "iuf"):
        raise Refused(f"{name}: is no volume of gray values or RGB; export it as one")
    longest = sorted(shape[:3])
    check_size(name, longest[2], longest[1], int(np.prod(shape[3:])) * longest[0])
    if not 0 <= float(header["vox_offset"]) <= _MOST_EXTENSIONS:
        raise Refused(f"{name}: its header says that the pixels begin at an unlikely place; export it again")
    file.seek(0)
    image = (Nifti2Image if second else Nifti1Image).from_stream(file)
    if rgb:
        data = np.asarray(cast(ArrayProxy, image.dataobj).get_unscaled())
        data = np.stack([data[color] for color in "RGB"], axis=-1).astype(np.float32) / 255
    else:
        data = image.get_fdata(dtype=np.float32)
    volumes = data.reshape(shape[:3] + shape[3:] + data.shape[len(image.shape) :])
    unit = _MM.get(header.get_xyzt_units()[0], 1.0)
    affine = np.diag([-unit, -unit, unit, 1.0]) @ image.affine  # NIfTI's x and y run to the right and to anterior
    placed = bool(header["qform_code"] > 0 or header["sform_code"] > 0)
    details = {"bits": str(kind.itemsize * 8) if rgb else str(kind), "kind": "NIfTI-2" if second else "NIfTI-1"}
    return _slices(_Volume(volumes, affine, placed, rgb), name, window, details)


@dataclass(frozen=True, eq=False)
class _Volume:
    data: np.ndarray  # (X, Y, Z, T) float32, or (X, Y, Z, T, 3) in [0, 1]
    affine: np.ndarray  # (4, 4), from indices to mm, LPS
    placed: bool  # whether the affine says where it lies in the patient
    rgb: bool


def _slices(volume: _Volume, name: str, window: WindowChoice, details: dict[str, str]) -> list[Series]:
    data, affine, third = _turned(volume.data, volume.affine)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    largest = int(spacing.argmax())
    axis = largest if spacing[largest] > 1.1 * np.delete(spacing, largest).max() else third
    across, down = (other for other in range(3) if other != axis)  # the axes of a row and of a column
    if down == 2:  # superior is on top
        data, affine = _flipped(data, affine, 2)
    directions = affine[:3, :3] / spacing
    normal = np.cross(directions[:, across], directions[:, down])
    if normal @ directions[:, axis] < 0:
        data, affine = _flipped(data, affine, axis)
    square = abs(directions[:, across] @ directions[:, down]) < 0.01
    count, repeats = data.shape[axis], data.shape[3]
    places = affine[:3, 3] + np.arange(count)[:, None] * affine[:3, axis]  # (count, 3)
    geometries = [
        Geometry(tuple(place), tuple(directions[:, across].tolist()), tuple(directions[:, down].tolist()))
        if volume.placed and square
        else None
        for place in places.tolist()
    ]
    positions = [
        float(np.dot(geometry.normal, geometry.origin)) if geometry else float(k * spacing[axis])
        for k, geometry in enumerate(geometries)
    ]
    shown = None if volume.rgb else _window(data, window, name)
    step, notes = measure(positions, geometries)
    if not volume.placed:
        notes.append("its header does not say how it lies in the patient")
    series = []
    for repeat in range(repeats):
        scans = []
        for k in range(count):
            values = data[..., repeat, :] if volume.rgb else data[..., repeat]
            values = values.take(k, axis).swapaxes(0, 1)
            pixels = values if shown is None else shown.apply(values)
            scans.append(
                Scan(
                    np.ascontiguousarray(pixels.clip(0, 1), np.float32),
                    name,
                    spacing=(float(spacing[down]), float(spacing[across])),
                    format="NIfTI",
                    frame=repeat * count + k + 1,
                    frames=repeats * count,
                    geometry=geometries[k],
                    position=positions[k],
                    clipped=None if shown is None or shown.made_up else float(shown.clips(values).mean()),
                    details={"original size": f"{values.shape[0]} x {values.shape[1]}"}
                    | details
                    | ({} if shown is None else {"window": shown.words}),
                )
            )
        which = [f"its file holds {repeats} volumes; this is number {repeat + 1}"] if repeats > 1 else []
        series.append(Series(tuple(scans), name, step, tuple(which + notes)))
    return series


def _turned(data: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Exchange and flip axes until they run to the left, to posterior and to superior; and where the third went."""
    # The affine is LPS already; nibabel's axes count as "right, anterior, superior" whatever they are.
    turn = io_orientation(affine)
    return apply_orientation(data, turn), affine @ inv_ornt_aff(turn, data.shape[:3]), int(turn[2, 0])


def _flipped(data: np.ndarray, affine: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    turn = np.array([[0, 1], [1, 1], [2, 1]])
    turn[axis, 1] = -1
    return apply_orientation(data, turn), affine @ inv_ornt_aff(turn, data.shape[:3])


def _window(data: np.ndarray, window: WindowChoice, name: str) -> Window:
    if not isinstance(window, str):
        if not np.isfinite(data).all():
            raise not_finite(name)
        return Window(*window)
    if window != "first":
        raise Refused(
            f"{name}: is NIfTI, which has no window named {window!r}; input.window may be a center and a width"
        )
    return stretch([data], name)
