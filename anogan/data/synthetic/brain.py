"""Brain MR series of many subjects, cut from a real atlas.

The atlas is the ICBM 2009a nonlinear symmetric T1 average (Fonov et al., NeuroImage 2011) that the nilearn wheel
bundles: a real MR average of 152 people, brain-extracted, at 1 mm. Each subject is another shape, contrast and noise.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import nibabel
import numpy as np
from scipy.ndimage import map_coordinates

from anogan.data.synthetic.fields import SLICE_SPACING, rotation, smooth_field
from anogan.data.synthetic.lesions import blend, diameter, draw_lesion, outline
from anogan.io import write_png
from anogan.io.dicom import write_dicom
from anogan.io.uids import derived_uid

Progress = Callable[[int, int], None]

_ATLAS = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
_ATLAS_ORIGIN = np.array([-72.0, -98.0, -98.0])  # mm (z, y, x) of the first voxel, LPS, once axes are turned
_CENTER = np.array([12.0, 18.0, 0.0])  # mm (z, y, x), LPS: between the lateral ventricles; subjects are varied about it
_HEAD = 1.1  # the template's brain over a common one; with 1.05 the border cut every tenth subject's head
_SMALLEST = 14.0  # mm; a smaller cross-section is not planted
_FAINTEST = 0.3  # nor one that changes less than this share of the signal, on average
_CSF, _GRAY, _WHITE = 90.0, 172.0, 226.0  # gray levels of the atlas
_SPLITS = ("train", "calibration", "test", "test")
_COLUMNS = ("file", "split", "label", "subject", "mask", "lesion_mm", "lesion_contrast")


def write_phantom(
    folder: str | os.PathLike[str],
    *,
    subjects: tuple[int, int, int, int] = (200, 60, 40, 60),
    slices: int = 5,
    size: tuple[int, int] = (192, 160),
    spacing: float = SLICE_SPACING,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Write brain MR series of many subjects, some with lesions, as DICOM.

    Parameters
    ----------
    folder
        Receives `sub-001/IM0001.dcm` and so on, `masks/` (PNG, one per slice with a lesion) and `manifest.csv`. It
        appears whole or not at all.
    subjects
        Healthy subjects for training, calibration and test, then abnormal subjects for test.
    slices
        Axial slices per subject, about the lateral ventricles.
    size
        Rows and columns; a pixel is 1 mm. The largest head fits, with air around it.
    spacing
        mm from slice to slice.
    seed
        The same seed writes the same bytes; each subject depends on the seed and its own number only.
    progress
        Called with (subjects done, subjects in all).

    Returns
    -------
    Path
        The manifest: file, split, label, subject, mask, lesion_mm (diameter of the circle of the mask's area) and
        lesion_contrast (mean change of signal in the mask, relative to the tissue that was there). A slice of an
        abnormal subject that its lesion reaches with less than 14 mm, or hardly changes, is left as it was and labeled
        healthy.

    Raises
    ------
    ValueError
        `folder` holds something already, or a number is out of range.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: holds something already; give a new folder")
    if min(subjects) < 0 or sum(subjects) == 0 or slices < 1 or min(size) < 64 or not 0 < spacing <= 20:
        raise ValueError(
            f"phantom: expected subjects >= 0, slices >= 1, size >= 64, spacing in (0, 20]; got {subjects}, {slices}, "
            f"{size}, {spacing:g}"
        )
    atlas = _load_atlas()
    groups = np.repeat(np.arange(4), subjects)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # what a killed call left behind
    try:
        rows: list[dict[str, str]] = []
        for number, group in enumerate(groups, start=1):
            subject = _Subject(
                atlas, f"sub-{number:03d}", seed, abnormal=group == 3, slices=slices, size=size, spacing=spacing
            )
            rows += subject.write(part, _SPLITS[group])
            if progress is not None:
                progress(number, len(groups))
        with (part / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        if folder.exists():
            folder.rmdir()
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder / "manifest.csv"


def _load_atlas() -> np.ndarray:
    """Return the atlas as (z, y, x) float32: feet to head, front to back, patient's right to left."""
    package = importlib.util.find_spec("nilearn")  # found, not imported: that takes seconds
    if package is None or package.origin is None:
        raise ValueError("phantom: the atlas comes with nilearn; install it with `pip install nilearn`")
    image = nibabel.load(Path(package.origin).parent / _ATLAS)
    voxels = np.asanyarray(image.dataobj)  # type: ignore[attr-defined]
    return np.ascontiguousarray(voxels[::-1, ::-1].transpose(2, 1, 0), dtype=np.float32)


class _Subject:
    """One person: a shape, a contrast, a scanner's noise, and perhaps a lesion."""

    def __init__(
        self,
        atlas: np.ndarray,
        name: str,
        seed: int,
        *,
        abnormal: bool,
        slices: int,
        size: tuple[int, int],
        spacing: float,
    ) -> None:
        self.name, self.spacing = name, spacing
        self.key = f"anogan phantom {seed} {name}"
        self.rng = rng = np.random.default_rng([seed, int(name.removeprefix("sub-"))])
        height, width = size
        levels = _CENTER[0] + (np.arange(slices) - (slices - 1) / 2) * spacing + rng.uniform(-2.5, 2.5)
        self.grid = np.stack(  # (slices, rows, columns, 3) in mm, (z, y, x), LPS
            np.meshgrid(
                levels,
                _CENTER[1] + np.arange(height) - (height - 1) / 2,
                _CENTER[2] + np.arange(width) - (width - 1) / 2,
                indexing="ij",
            ),
            axis=-1,
        ).astype(np.float32)
        shape = self._shape()
        atlas_signal = _sample(atlas, self.grid + shape)
        self.masks = np.zeros(atlas_signal.shape, bool)
        self.contrast = [0.0] * slices
        curve = self._curve()
        signal = self._with_lesion(atlas, atlas_signal, shape, curve) if abnormal else curve(atlas_signal)
        self.pixels = self._scanned(signal)

    def _shape(self) -> np.ndarray:
        """Return where each grid point lies in the atlas, as a displacement in mm: (slices, rows, columns, 3)."""
        rng, shape = self.rng, self.grid.shape[:3]
        turn = rotation(np.radians(rng.normal(0, (3.0, 1.2, 2.5))))
        scale = np.diag(_HEAD + rng.normal(0, 0.025) + rng.normal(0, 0.015, 3))
        shear = np.eye(3) + np.triu(rng.normal(0, 0.015, (3, 3)), 1)
        about = self.grid - _CENTER
        moved = about @ (turn @ scale @ shear).T + rng.normal(0, (1.0, 2.0, 2.0)) - about
        # Coarse bends differ in head shape, fine ones in gyri; ventricles differ in size more than anything else.
        moved += 1.4 * self._noise(shape, 45.0, 3) + 0.6 * self._noise(shape, 14.0, 3)
        near = np.exp(-((about / (14.0, 26.0, 16.0)) ** 2).sum(axis=-1, keepdims=True) / 2)
        moved += rng.normal(0, 0.16) * near * about * (0.4, 0.6, 1.0)
        return moved.astype(np.float32)

    def _noise(self, shape: tuple[int, ...], length: float, channels: int = 1) -> np.ndarray:
        return smooth_field(self.rng, shape, length, channels, self.spacing)

    def _curve(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return this subject's tissue contrast: gray levels of the atlas to signal, white matter near 1."""
        rng = self.rng
        csf, gray, gamma = rng.uniform(0.16, 0.32), rng.uniform(0.56, 0.70), rng.uniform(0.9, 1.12)
        levels = (0.0, 40.0, _CSF, _GRAY, _WHITE, 255.0)
        signals = np.array([0.0, 0.5 * csf, csf, gray, 1.0, 1.08]) ** gamma
        return lambda gray_levels: np.interp(gray_levels, levels, signals).astype(np.float32)

    def _with_lesion(
        self,
        atlas: np.ndarray,
        atlas_signal: np.ndarray,
        shape: np.ndarray,
        curve: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """Plant one lesion; fill `masks` and `contrast`; return the signal, (slices, rows, columns)."""
        rng = self.rng
        lesion = draw_lesion(rng)
        home = int(rng.integers(len(self.grid)))
        center = self._place(atlas_signal[home], lesion.diameter, home)
        reach = outline(rng, self.grid - center, home, lesion.diameter)  # (slices, rows, columns): 1 on the outline
        brain = atlas_signal > 50
        healthy = curve(atlas_signal)
        signal = healthy.copy()
        for k in range(len(self.grid)):
            mask = (reach[k] <= 1) & brain[k]
            if diameter(mask) < _SMALLEST and k != home:
                continue
            before = healthy[k]
            if lesion.push:
                pull = 1 - lesion.push * np.exp(-((reach[k] / 1.3) ** 2))[..., None]
                pushed = center + (self.grid[k] - center) * pull
                before = curve(_sample(atlas, pushed[None] + shape[k][None]))[0]
            after = blend(rng, lesion, before, reach[k], mask)
            if np.abs(after - before)[mask].mean() < _FAINTEST * before[mask].mean() and k != home:
                continue
            signal[k] = np.where(brain[k], after, healthy[k])
            self.masks[k] = mask
            self.contrast[k] = float(after[mask].sum() / before[mask].sum() - 1)
        return signal

    def _place(self, atlas_slice: np.ndarray, diameter: float, home: int) -> np.ndarray:
        """Return a point of the slice, mm (z, y, x), in white matter, with most of the lesion in tissue.

        A dark spot in the cortex is a sulcus to anybody; in white matter it is a finding.
        """
        smoothed = cv2.GaussianBlur(atlas_slice, (0, 0), 1.5)
        depth = cv2.distanceTransform((smoothed > 125).astype(np.uint8), cv2.DIST_L2, 5)
        depth[smoothed < (_GRAY + _WHITE) / 2] = 0
        candidates = np.argwhere(depth >= min(max(0.45 * diameter, 4.5), 0.8 * depth.max()))
        row, column = candidates[self.rng.integers(len(candidates))]
        return self.grid[home, row, column]

    def _scanned(self, signal: np.ndarray) -> np.ndarray:
        """Return what the scanner stores, (slices, rows, columns) uint16: bias field, blur, Rician noise, gain."""
        rng, shape = self.rng, signal.shape
        bias = 0.04 * self._noise(shape, 80.0) + 0.01 * self._noise(shape, 30.0)
        signal = signal * np.exp(bias)[..., 0]
        signal *= 1 + 0.02 * self._noise(shape, 3.0)[..., 0]  # texture the average atlas has lost
        sigma, noise = rng.uniform(0.35, 0.75), rng.uniform(0.012, 0.035)
        signal = np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in signal.astype(np.float32)])
        real, imaginary = rng.normal(0, noise, (2, *shape)).astype(np.float32)
        magnitude = np.hypot(signal + real, imaginary)  # Gudbjartsson and Patz, MRM 1995
        self.gain = float(rng.uniform(600, 1400))
        return np.where(signal > 0.03, magnitude * self.gain, 0).clip(0, 4095).astype(np.uint16)

    def write(self, folder: Path, split: str) -> list[dict[str, str]]:
        """Write the series and the masks; return the rows of the manifest."""
        rows = []
        for k, pixels in enumerate(self.pixels):
            name = f"IM{k + 1:04d}"
            file = folder / self.name / f"{name}.dcm"
            file.parent.mkdir(parents=True, exist_ok=True)
            z, y, x = (float(mm) for mm in self.grid[k, 0, 0])
            write_dicom(
                file,
                pixels,
                spacing=(1.0, 1.0),
                position=(x, y, z),
                orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
                uids=(self._uid("study"), self._uid("series"), self._uid(f"instance {k}")),
                patient_id=f"PHANTOM-{self.name}",
                series_description="T1 axial phantom",
                instance_number=k + 1,
                window=(0.62 * self.gain, 1.24 * self.gain),
                slice_thickness=1.0,
            )
            abnormal = bool(self.masks[k].any())
            mask = f"masks/{self.name}/{name}.png" if abnormal else ""
            if abnormal:
                (folder / mask).parent.mkdir(parents=True, exist_ok=True)
                write_png(folder / mask, self.masks[k].astype(np.uint8) * 255)
            rows.append(
                {
                    "file": f"{self.name}/{name}.dcm",
                    "split": split,
                    "label": "abnormal" if abnormal else "healthy",
                    "subject": self.name,
                    "mask": mask,
                    "lesion_mm": f"{diameter(self.masks[k]):.1f}" if abnormal else "",
                    "lesion_contrast": f"{self.contrast[k]:.2f}" if abnormal else "",
                }
            )
        return rows

    def _uid(self, what: str) -> str:
        """Return a UID that the same seed gives again."""
        return derived_uid(self.key, what)


def _sample(atlas: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the atlas's gray levels at (slices, rows, columns, 3) points in mm, linearly between voxels."""
    voxels = np.moveaxis(points - _ATLAS_ORIGIN.astype(np.float32), -1, 0)
    return map_coordinates(atlas, voxels, order=1, mode="constant", prefilter=False)
