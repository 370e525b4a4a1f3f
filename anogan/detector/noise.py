"""What genuine noise looks like at native resolution: the second scale, on which forgery shows that a small crop lost.

A camera, its sharpening and its codec leave the same fine residue all over a photo. How strong it is depends on what
is shown, so a regression first tells from brightness, color and coarser texture which residue to expect. What is left
is judged twice, and both ways: too smooth is as odd as too rough. Once all parts of the picture together: a Gaussian of
the means of 3 x 3 regions, in which a part of the face that does not go with the rest stands out. And once the picture
as a whole, in few dimensions, so that one that is a little too smooth all over does not drown in the regions' noise. A
map shows which patches are unlike the rest of the picture.

The residues are second differences, as in the rich models of Fridrich and Kodovsky (IEEE TIFS 2012). Only genuine
images are learned from, all framed alike: the regions have a place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anogan.data.transforms import LEAST_NATIVE_SIDE, LUMINANCE

WINDOW, STEP = 16, 8  # pixels of a patch, and from one to the next
REGIONS = 3  # along a side
LEAST_IMAGES, LEAST_HELD = 10, 2
PATCHES = 400  # of each image, from which the regression is learned
_SECOND = np.array([[-1, 2, -1]], np.float32) / 2
_BOTH = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], np.float32) / 4
_LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32) / 4
_RIDGE = 1e-5
ROUNDED = 8  # images of which it is measured what their rounding changes


def residues(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is fine, and what the fine depends on, at every patch.

    Parameters
    ----------
    image
        (H, W, 3) float32 in [0, 1], at the resolution it came in: no resampling.

    Returns
    -------
    fine
        (h, w, 11) float32: logarithms of the energy of second differences (both ways, along rows, along columns), of
        two octaves of luminance and of the Laplacian of two color differences; correlations of the colors' Laplacians;
        the mean size of the first relative to its deviation, which is lower for heavy tails.
    coarse
        (h, w, 5) float32: mean luminance and color differences, logarithms of the energy of two coarser octaves.

    Raises
    ------
    ValueError
        The image has no colors or is smaller than 56 pixels.
    """
    if image.ndim != 3 or min(image.shape[:2]) < LEAST_NATIVE_SIDE:
        raise ValueError(f"expected an image in color of at least {LEAST_NATIVE_SIDE} pixels, got shape {image.shape}")
    # A photo of 16 million pixels must not take gigabytes: few arrays of its size are there at a time.
    y = image.astype(np.float32, copy=False) * 255 @ LUMINANCE
    octaves = _octaves(y)
    tails, energy = _tails(_filter(y, _BOTH))
    along, across = (_log_energy(_filter(y, kernel)) for kernel in (_SECOND, _SECOND.T))
    differences = []
    for channel in (2, 0):
        difference = _channel(image, channel) - y
        differences.append((_log_energy(_filter(difference, _LAPLACE)), _pool(difference)))
    luminance = _pool(y)
    del y, difference
    edges = [_filter(_channel(image, channel), _LAPLACE) for channel in range(3)]
    energies = [_pool(edge * edge) + 0.3 for edge in edges]
    agreement = [_pool(edges[a] * edges[b]) / np.sqrt(energies[a] * energies[b]) for a, b in ((0, 1), (1, 2), (0, 2))]
    fine = [energy, along, across, *octaves[:2], *(rough for rough, _ in differences), *agreement, tails]
    coarse = [luminance, *(mean for _, mean in differences), *octaves[2:]]
    return np.dstack(fine), np.dstack(coarse)


def _channel(image: np.ndarray, channel: int) -> np.ndarray:
    """Return one color, (H, W) float32 in [0, 255]."""
    values: np.ndarray = image[..., channel].astype(np.float32, copy=False) * 255
    return values


def _octaves(y: np.ndarray) -> list[np.ndarray]:
    """Return the logarithms of the energy of four octaves, the finest first."""
    found, finer = [], y
    for octave in range(4):
        coarser = cv2.GaussianBlur(y, (0, 0), 0.8 * 2**octave)
        found.append(_log_energy(finer - coarser))
        finer = coarser
    return found


def _tails(both: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean size of a residue relative to its deviation, and the logarithm of its energy."""
    return _pool(np.abs(both)) / np.sqrt(_pool(both * both) + 0.05), _log_energy(both)


def rounded_otherwise(image: np.ndarray) -> np.ndarray:
    """Return an image, (H, W, 3) in [0, 1], that 8 bits could not tell from this one: the same noise each time."""
    noise = np.random.default_rng(0).random(image.shape, np.float32) - 0.5
    return (image + noise / 255).clip(0, 1)


def _filter(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return cv2.filter2D(x, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def _pool(x: np.ndarray) -> np.ndarray:
    """Return the mean of each patch, (h, w)."""
    means = cv2.blur(x, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT_101)
    half = WINDOW // 2
    return means[half : x.shape[0] - half + 1 : STEP, half : x.shape[1] - half + 1 : STEP]


def _log_energy(x: np.ndarray) -> np.ndarray:
    return np.log(_pool(x * x) + 0.1)  # below a tenth of a squared gray level it is rounding


def _quadratic(x: np.ndarray) -> np.ndarray:
    """Return 1, the columns and their products: (N, D) -> (N, 1 + D + D (D + 1) / 2)."""
    first, second = np.triu_indices(x.shape[1])
    return np.column_stack([np.ones(len(x), x.dtype), x, x[:, first] * x[:, second]])


def _regions(z: np.ndarray) -> np.ndarray:
    """Return the means of the regions, (REGIONS, REGIONS, D)."""
    rows, columns = (np.linspace(0, size, REGIONS + 1).round().astype(int) for size in z.shape[:2])
    return np.array(
        [
            [z[a:b, c:d].mean((0, 1)) for c, d in zip(columns, columns[1:], strict=False)]
            for a, b in zip(rows, rows[1:], strict=False)
        ]
    )


def _precision(x: np.ndarray, least: float) -> np.ndarray:
    """Return the inverse covariance of the rows, shrunk (Ledoit and Wolf 2004) in units of their deviations."""
    spread = x.std(0) + least
    return np.asarray(LedoitWolf().fit(x / spread).precision_ / spread / spread[:, None])


def _unlike_the_rest(z: np.ndarray) -> np.ndarray:
    """Return each patch, with its eight neighbors, minus the image's median."""
    return cv2.blur(z - np.median(z.reshape(-1, z.shape[2]), axis=0), (3, 3), borderType=cv2.BORDER_REFLECT_101)


@dataclass(frozen=True, eq=False)
class NoiseReference:
    """The model of genuine residues; `fit` makes one.

    Attributes
    ----------
    context
        (2, 5) mean and deviation of `coarse`.
    weights
        (21, 11) of the regression.
    scale
        (11,) deviation of what the regression leaves.
    center, precision
        (99,) and (99, 99): the Gaussian of all regions.
    whole_weights, whole_precision
        (6, 11) of the regression of an image's mean `fine` on its mean `coarse`, and (11, 11) of what that leaves.
    patch_precision
        (11, 11): inverse covariance of patches minus their image's median.
    healthy
        (2, 2) median and deviation, on held-out genuine images, of the logarithms of the two scores.
    """

    context: np.ndarray
    weights: np.ndarray
    scale: np.ndarray
    center: np.ndarray
    precision: np.ndarray
    whole_weights: np.ndarray
    whole_precision: np.ndarray
    patch_precision: np.ndarray
    healthy: np.ndarray

    @classmethod
    def fit(cls, images: Iterable[np.ndarray], held: Iterable[np.ndarray]) -> NoiseReference:
        """Learn from genuine images, and standardize on genuine images of other people.

        Parameters
        ----------
        images, held
            (H, W, 3) float32 in [0, 1], each at its own resolution, all framed alike. They are read one by one.

        Raises
        ------
        ValueError
            An image is gray or too small, or there are fewer than ten and two of them.
        """
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        changed: list[list[np.ndarray]] = []
        for image in images:
            pairs.append(residues(image))
            if len(changed) < ROUNDED:
                pair = zip(residues(rounded_otherwise(image)), pairs[-1], strict=True)
                changed.append([((other - own) ** 2).mean((0, 1)) for other, own in pair])
        if len(pairs) < LEAST_IMAGES:
            raise ValueError(f"noise reference: {len(pairs)} genuine images, at least {LEAST_IMAGES} are needed")
        # Nothing counts as steadier than the rounding of the pixels leaves it.
        least = [np.sqrt(np.mean([one[k] for one in changed], axis=0)) for k in (0, 1)]
        rng = np.random.default_rng(0)
        drawn = [rng.permutation(fine[..., 0].size)[:PATCHES] for fine, _ in pairs]
        fine, coarse = (
            np.concatenate(
                [pair[k].reshape(-1, pair[k].shape[2])[rows] for pair, rows in zip(pairs, drawn, strict=True)]
            )
            for k in (0, 1)
        )
        context = np.stack([coarse.mean(0), np.maximum(coarse.std(0) + 1e-6, least[1])])
        inputs = _quadratic((coarse - context[0]) / context[1])
        ridge = _RIDGE * len(inputs) * np.eye(inputs.shape[1])
        weights = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ fine)
        scale = np.maximum((fine - inputs @ weights).std(0) + 1e-6, least[0])
        draft = cls(context, weights, scale, *(np.zeros(0),) * 6)

        standard = [draft._standardize(*pair) for pair in pairs]
        regions = np.stack([_regions(z) for z in standard])
        both = np.concatenate([regions, regions[:, :, ::-1]]).reshape(2 * len(regions), -1)  # left and right may swap
        means, coarse_means = (np.array([pair[k].mean((0, 1)) for pair in pairs], np.float64) for k in (0, 1))
        constant = np.column_stack([np.ones(len(means)), coarse_means])
        whole = np.linalg.lstsq(constant, means, rcond=None)[0]
        patches = np.concatenate([_unlike_the_rest(z).reshape(-1, fine.shape[1])[::7] for z in standard])
        draft = replace(
            draft,
            center=both.mean(0),
            precision=_precision(both, 1e-3),
            whole_weights=whole,
            whole_precision=_precision(means - constant @ whole, 1e-6),
            patch_precision=np.linalg.inv(np.cov(patches.T) + 0.05 * np.eye(fine.shape[1])),
            healthy=np.array([[0.0, 1.0], [0.0, 1.0]]),
        )
        kept: list[tuple[float, float]] = []
        apart: list[np.ndarray] = []
        for image in held:
            kept.append(draft.parts(image))
            if len(apart) < ROUNDED:
                apart.append(np.subtract(draft.parts(rounded_otherwise(image)), kept[-1]))
        if len(kept) < LEAST_HELD:
            raise ValueError(f"noise reference: {len(kept)} held-out genuine images, at least {LEAST_HELD} are needed")
        deviation = np.maximum(np.std(kept, axis=0) + 1e-6, np.sqrt(np.mean(np.square(apart), axis=0)))
        return replace(draft, healthy=np.stack([np.median(kept, axis=0), deviation], axis=1))

    def _standardize(self, fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        expected = (
            _quadratic(((coarse - self.context[0]) / self.context[1]).reshape(-1, coarse.shape[2])) @ self.weights
        )
        return ((fine - expected.reshape(fine.shape)) / self.scale).astype(np.float32)

    def _patches(self, z: np.ndarray) -> np.ndarray:
        unlike = _unlike_the_rest(z)
        return np.einsum("hwd,de,hwe->hw", unlike, self.patch_precision, unlike)

    def judge(self, image: np.ndarray) -> tuple[float, np.ndarray]:
        """Return `score` and a map, (H, W) float32: how unlike the rest each place is, in standard deviations."""
        fine, coarse = residues(image)
        z = self._standardize(fine, coarse)
        distance = np.sqrt(self._patches(z)).astype(np.float32)
        height, width = (WINDOW + STEP * (size - 1) for size in distance.shape)  # what the patches cover
        covered = cv2.resize(distance, (width, height), interpolation=cv2.INTER_LINEAR)
        below, right = (size - own for size, own in zip(image.shape[:2], (height, width), strict=True))
        spread = cv2.copyMakeBorder(covered, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return max(self._parts(fine, coarse, z)), spread

    def parts(self, image: np.ndarray) -> tuple[float, float]:
        """Return the scores of the regions and of the whole, in standard deviations above the median genuine one."""
        fine, coarse = residues(image)
        return self._parts(fine, coarse, self._standardize(fine, coarse))

    def _parts(self, fine: np.ndarray, coarse: np.ndarray, z: np.ndarray) -> tuple[float, float]:
        off = _regions(z).ravel() - self.center
        left = fine.mean((0, 1)) - np.concatenate([[1.0], coarse.mean((0, 1))]) @ self.whole_weights
        found = np.log([off @ self.precision @ off, left @ self.whole_precision @ left])
        regions, whole = (found - self.healthy[:, 0]) / self.healthy[:, 1]
        return float(regions), float(whole)

    def score(self, image: np.ndarray) -> float:
        """Return the larger of the two scores; raises ValueError for an image that is gray or too small."""
        return max(self.parts(image))

    def tensors(self) -> dict[str, Tensor]:
        """Return what `from_tensors` needs."""
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in vars(self).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> NoiseReference:
        """Rebuild it; KeyError when a tensor is missing."""
        return cls(**{name: tensors[name].numpy() for name in cls.__dataclass_fields__})
