"""NIfTI volumes in, as slices."""

from __future__ import annotations

import gzip
import io
import os
import warnings
from dataclasses import dataclass
from typing import cast

import numpy as np
from nibabel import Nifti1Header, Nifti2Header
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from anogan.errors import Refused
from anogan.io.files import GZIP, NIFTI_HEADER, is_nifti_2, is_nifti_pair
from anogan.io.pixels import Window, WindowChoice, check_size, not_finite, stretch
from anogan.io.places import measure
from anogan.scan import Geometry, Scan, Series

_MOST_EXTENSIONS = 10_000_000  # bytes between header and pixels
_MOST_PADDING = 4096  # zero bytes behind the pixels, which fill a block
_EXACT = 2**52  # float64 tells all integers up to here apart, and their halves, where a window may end
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # by the code of the unit: unknown, meter, mm, micron

Header = Nifti1Header | Nifti2Header


def read_nifti(path: str | os.PathLike[str], window: WindowChoice = "first") -> list[Series]:
    """Read a NIfTI-1 or NIfTI-2 file, compressed by gzip or not, as one series for each of its volumes.

    The axes are exchanged and turned round, but not interpolated, until they run as nearly as possible to the left, to
    posterior and to superior. Slices lie along the axis with the largest spacing; where no spacing is more than a tenth
    larger than the others, along the third axis of the file. A slice is turned as a viewer shows it: sagittal ones with
    columns to posterior, coronal and axial ones to the left; rows of the first two downwards, of axial ones to
    posterior.

    The header knows no window: without a center and a width the whole file is stretched from its minimum to its
    maximum, so that slices can be compared. Values are scaled in float64, as `scl_slope` and `scl_inter` say.

    Raises
    ------
    ValueError
        The file is damaged, too large, half of a pair, no volume of numbers or RGB, or its header and its pixels
        disagree; or a window is wanted by its name.
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
    data: np.ndarray  # (X, Y, Z, T) numbers as they are stored, or (X, Y, Z, T, 3) float32 in [0, 1]
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


@dataclass(frozen=True)
class _Scale:
    """What the header makes of stored numbers."""

    slope: float
    intercept: float

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        """Return the values, float64."""
        return stored.astype(np.float64) * self.slope + self.intercept


def _read(file: io.BufferedIOBase, name: str, window: WindowChoice) -> list[Series]:
    start = file.read(NIFTI_HEADER)
    if is_nifti_pair(start):
        raise Refused(f"{name}: is the header of a pair of files (.hdr and .img); save the pair as one .nii file")
    second = is_nifti_2(start)
    # Unchecked: nibabel's check prints, and puts made up values in place of impossible ones.
    header = Nifti2Header(start[:540], check=False) if second else Nifti1Header(start[:348], check=False)
    shape, kind = _shape(header, name), _kind(header, name)
    rgb = kind.fields is not None
    affine, notes = _affine(header, shape[:3], name)
    scale = _scale(header, name)
    stored = _stored(file, header, shape, kind, name)
    placed = bool(header["qform_code"] > 0 or header["sform_code"] > 0)
    details = {"bits": str(kind.itemsize * 8) if rgb else kind.name, "kind": "NIfTI-2" if second else "NIfTI-1"}
    if rgb:
        return _series(_Volume(_colors(stored), affine), placed, None, scale, name, details, notes)
    _check_exact(stored, scale, name)
    return _series(_Volume(stored, affine), placed, _window(stored, scale, window, name), scale, name, details, notes)


def _shape(header: Header, name: str) -> tuple[int, int, int, int]:
    """Return the lengths of the axes; those behind the fourth must be 1."""
    shape = tuple(int(length) for length in header.get_data_shape()) if 1 <= header["dim"][0] <= 7 else ()
    if not shape or min(shape) < 1 or set(shape[4:]) - {1}:
        lengths = " x ".join(map(str, shape)) or "no length at all"
        raise Refused(
            f"{name}: is no volume of gray values or RGB, its header gives its axes {lengths}; export it as one"
        )
    width, height, depth, repeats = (*shape, 1, 1, 1)[:4]
    shortest, *longest = sorted((width, height, depth))
    check_size(name, longest[1], longest[0], shortest * repeats)
    return width, height, depth, repeats


def _kind(header: Header, name: str) -> np.dtype:
    code = int(header["datatype"])
    try:
        kind = header.get_data_dtype()
    except Exception:  # a code that is none of the standard's
        raise Refused(
            f"{name}: its header gives a type of values that there is not ({code}); export it again"
        ) from None
    if kind.kind not in "iuf" and not (kind.fields and tuple(kind.fields)[:3] == ("R", "G", "B")):
        raise Refused(
            f"{name}: is no volume of gray values or RGB, but of {kind.name} values (type {code}); export it as one"
        )
    return kind


def _scale(header: Header, name: str) -> _Scale:
    """Return how values are scaled; a slope of 0, or of NaN as nibabel writes it, says that they are not (nifti1.h)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):
        return _Scale(1, 0)
    if not np.isfinite([slope, intercept]).all():
        raise Refused(f"{name}: its header scales its values by {slope:g} and {intercept:g}; export it again")
    return _Scale(slope, intercept)


def _affine(header: Header, shape: tuple[int, ...], name: str) -> tuple[np.ndarray, list[str]]:
    """Return the way from indices to mm, (4, 4), LPS, and what a person should know of it.

    `sform` goes before `qform`, as nibabel and ITK have it, and both before the bare distances (nifti1.h, methods 1 to
    3).
    """
    notes = []
    code = int(header["xyzt_units"]) & 7
    if code not in _MM:
        raise Refused(f"{name}: its header gives distances in a unit that there is not ({code}); export it again")
    lengths = header["pixdim"][1:4].astype(float)
    if header["sform_code"] <= 0 or header["qform_code"] > 0:  # else nothing goes by them
        lengths[(lengths == 0) & (np.array(shape) == 1)] = 1  # one slice has no distance to another
        if header["sform_code"] <= 0 and not (np.isfinite(lengths).all() and lengths.all()):
            raise Refused(f"{name}: its header says no distance of its voxels; export it again")
        if header["sform_code"] <= 0 and lengths.min() < 0:
            notes.append("its header gives a negative distance of its voxels, which is taken as positive")
        header["pixdim"][1:4] = abs(lengths)
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    try:
        affine = header.get_best_affine()
    except Exception:  # a quaternion longer than 1
        raise Refused(f"{name}: its header turns it by an impossible qform; export it again") from None
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or sizes.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise Refused(f"{name}: its header places its voxels in no volume; correct its sform or qform")
    if _contradicts(header, affine, shape):
        notes.append("its header places it in two ways, by qform and by sform; sform is taken")
    # NIfTI's x and y run to the right and to anterior.
    return np.diag([-_MM[code], -_MM[code], _MM[code], 1.0]) @ affine, notes


def _contradicts(header: Header, affine: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether qform and sform mean the same space, and lay a corner more than half a voxel apart in it."""
    if not 0 < header["sform_code"] == header["qform_code"]:
        return False
    try:
        other = header.get_qform()
    except Exception:
        return True
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)]) * [*(np.array(shape) - 1), 1]
    apart = np.linalg.norm(corners @ (affine - other)[:3].T, axis=1)
    return not bool(apart.max() <= np.linalg.norm(affine[:3, :3], axis=0).min() / 2)


def _stored(file: io.BufferedIOBase, header: Header, shape: tuple[int, ...], kind: np.dtype, name: str) -> np.ndarray:
    """Return the numbers as they are stored, in the header's shape; the file must hold as many as it says."""
    offset, least = float(header["vox_offset"]), header.single_vox_offset
    if not least <= offset <= _MOST_EXTENSIONS:
        raise Refused(f"{name}: its header says that the pixels begin at an unlikely place; export it again")
    wanted = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    file.seek(int(offset))
    data = file.read(wanted)
    if len(data) < wanted:
        raise Refused(
            f"{name}: is damaged or cut off, its header announces {wanted} bytes of pixels and {len(data)} are there; "
            "copy or export it again"
        )
    # To the end, where gzip notices what has changed since it was written.
    most = min(_MOST_PADDING, wanted // (shape[2] * shape[3]))
    behind = file.read(most)
    if len(behind) >= most or behind.strip(b"\0"):
        raise Refused(
            f"{name}: holds more bytes behind the {wanted} of pixels that its header announces; export it again"
        )
    return np.frombuffer(data, kind).reshape(shape, order="F")


def _colors(stored: np.ndarray) -> np.ndarray:
    """Return colors in [0, 1], (..., 3) float32; what is transparent lies on black, as in a picture."""
    colors = np.stack([stored[color] for color in "RGB"], axis=-1).astype(np.float32) / 255
    if "A" in (stored.dtype.fields or {}) and stored["A"].any():  # 0 everywhere: not in use
        colors *= stored["A"][..., None].astype(np.float32) / 255
    return colors


def _check_exact(stored: np.ndarray, scale: _Scale, name: str) -> None:
    """Refuse integers of which two would become one value."""
    if stored.dtype.kind not in "iu":
        return
    ends = np.array([stored.min(), stored.max()], stored.dtype)
    largest = max(abs(int(end)) for end in ends)
    if largest > _EXACT or 2 * np.spacing(abs(scale(ends)).max()) > abs(scale.slope):
        raise Refused(
            f"{name}: its integers reach {largest} and are scaled by {scale.slope:g} and {scale.intercept:g}, "
            "too large to tell neighbors apart; subtract what they share"
        )


def _series(
    volume: _Volume,
    placed: bool,
    window: Window | None,
    scale: _Scale,
    name: str,
    details: dict[str, str],
    said: list[str],
) -> list[Series]:
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
    notes = [*said, *notes]
    if not placed:
        notes.append("its header does not say how it lies in the patient")
    elif not square:
        notes.append("the axes of its slices are not perpendicular, so their place in the patient is not known")

    def scan(k: int, repeat: int) -> Scan:
        values = np.moveaxis(volume.data, axis, 0)[k, :, :, repeat].swapaxes(0, 1)  # columns count along `across`
        if window is not None:
            values = scale(values)
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


def _window(stored: np.ndarray, scale: _Scale, window: WindowChoice, name: str) -> Window:
    slices = (scale(stored[:, :, k, repeat]) for k, repeat in np.ndindex(stored.shape[2:]))
    if window == "first":
        return stretch(slices, name, keep=False)
    if isinstance(window, str):
        raise Refused(
            f"{name}: is NIfTI, which has no window named {window!r}; input.window may be a center and a width"
        )
    if not all(np.isfinite(values).all() for values in slices):
        raise not_finite(name)
    return Window(*window, "LINEAR_EXACT")
