"""What healthy looks like in the discriminator's features.

Two models of the same features: a Gaussian at every position, its covariance shrunk towards a multiple of the identity
(as PaDiM, Defard et al. 2021, for aligned images), and a coreset of healthy patches with the distance to the nearest
one (as PatchCore, Roth et al., CVPR 2022, for unaligned images). Both are two-sided: too smooth is as odd as too rough.
The features are those of the discriminator trained here, on healthy images only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

DIMENSIONS = 64  # after the random projection; distances survive it (Johnson-Lindenstrauss)
SHRINKAGE = 0.1


def embed(features: list[Tensor], side: int, projection: Tensor) -> Tensor:
    """Bring all levels to one grid, smooth them over 3 x 3 places and project them, (N, DIMENSIONS, side, side).

    Parameters
    ----------
    features
        (N, C_l, S_l, S_l) per level.
    side
        Side of the common grid.
    projection
        (sum of C_l, DIMENSIONS), from `make_projection`.
    """
    levels = []
    for level in features:
        level = F.avg_pool2d(level.float(), 3, stride=1, padding=1, count_include_pad=False)
        if level.shape[-1] > side:
            level = F.adaptive_avg_pool2d(level, side)
        elif level.shape[-1] < side:
            level = F.interpolate(level, size=(side, side), mode="bilinear", align_corners=False)
        levels.append(level)
    return torch.einsum("nchw,cd->ndhw", torch.cat(levels, 1), projection)


def make_projection(features: list[Tensor], seed: int) -> Tensor:
    """Return a random projection that first gives every level the same total variance, (sum of C_l, DIMENSIONS)."""
    weights = [
        torch.full((level.shape[1],), float(level.float().var(0).sum(0).mean() + 1e-12)) ** -0.5 for level in features
    ]
    generator = torch.Generator().manual_seed(seed)
    channels = sum(len(weight) for weight in weights)
    rows = torch.randn(channels, DIMENSIONS, generator=generator) / DIMENSIONS**0.5
    return rows * torch.cat(weights)[:, None]


class PositionGaussian:
    """A shrinkage Gaussian at every position of the grid.

    Attributes
    ----------
    mean
        (H, W, D)
    factor
        (H, W, D, D), lower Cholesky factor of each covariance.
    """

    def __init__(self, mean: Tensor, factor: Tensor) -> None:
        self.mean, self.factor = mean, factor

    @classmethod
    def fit(cls, embedded: Tensor) -> PositionGaussian:
        """Fit to healthy features, (N, D, H, W)."""
        x = embedded.permute(2, 3, 0, 1)  # (H, W, N, D)
        mean = x.mean(2)
        centered = x - mean[:, :, None]
        covariance = centered.transpose(2, 3) @ centered / x.shape[2]
        scale = covariance.diagonal(dim1=2, dim2=3).mean(-1)[..., None, None]
        # A little of the mean variance of all positions keeps constant places (black borders) invertible.
        floor = SHRINKAGE * scale + 0.01 * scale.mean() + 1e-12
        covariance = (1 - SHRINKAGE) * covariance + floor * torch.eye(x.shape[-1])
        return cls(mean, torch.linalg.cholesky(covariance))

    def distance(self, embedded: Tensor) -> Tensor:
        """Return the Mahalanobis distance at every place, (N, H, W)."""
        centered = (embedded.permute(0, 2, 3, 1) - self.mean).permute(1, 2, 3, 0)  # (H, W, D, N)
        return torch.linalg.solve_triangular(self.factor, centered, upper=False).square().sum(2).sqrt().permute(2, 0, 1)


class PatchBank:
    """A coreset of healthy patches.

    Attributes
    ----------
    bank
        (K, D)
    """

    def __init__(self, bank: Tensor) -> None:
        self.bank = bank

    @classmethod
    def fit(cls, embedded: Tensor, size: int, seed: int) -> PatchBank:
        """Choose `size` patches by greedy farthest-point sampling out of at most 8 times as many, drawn at random."""
        patches = embedded.permute(0, 2, 3, 1).reshape(-1, embedded.shape[1])  # (N * H * W, D)
        generator = torch.Generator().manual_seed(seed)
        patches = patches[torch.randperm(len(patches), generator=generator)[: 8 * size]]
        if len(patches) <= size:
            return cls(patches.clone())
        chosen = torch.zeros(size, dtype=torch.long)
        nearest = torch.full((len(patches),), torch.inf)
        for index in range(1, size):
            nearest = torch.minimum(nearest, (patches - patches[chosen[index - 1]]).square().sum(1))
            chosen[index] = nearest.argmax()
        return cls(patches[chosen])

    def distance(self, embedded: Tensor) -> Tensor:
        """Return the distance to the nearest healthy patch at every place, (N, H, W)."""
        n, _, height, width = embedded.shape
        patches = embedded.permute(0, 2, 3, 1).reshape(-1, embedded.shape[1])
        nearest = [torch.cdist(chunk, self.bank).amin(1) for chunk in patches.split(8192)]
        return torch.cat(nearest).view(n, height, width)


@dataclass(frozen=True, eq=False)
class Reference:
    """Both models of the same healthy features.

    Attributes
    ----------
    projection
        (sum of C_l, DIMENSIONS)
    """

    projection: Tensor
    gaussian: PositionGaussian
    bank: PatchBank

    @classmethod
    def fit(cls, features: list[Tensor], side: int, bank_size: int, seed: int) -> Reference:
        """Fit to the features of healthy images, (N, C_l, S_l, S_l) per level, on a grid of `side` places a side."""
        projection = make_projection(features, seed)
        embedded = embed(features, side, projection)
        return cls(projection, PositionGaussian.fit(embedded), PatchBank.fit(embedded, bank_size, seed))

    def distances(self, features: list[Tensor], size: int) -> tuple[Tensor, Tensor]:
        """Return the distance maps of the Gaussian and of the bank, each (N, size, size)."""
        embedded = embed(features, self.gaussian.mean.shape[0], self.projection)
        gaussian, bank = (
            F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False).squeeze(1)
            for maps in (self.gaussian.distance(embedded), self.bank.distance(embedded))
        )
        return gaussian, bank

    def tensors(self) -> dict[str, Tensor]:
        """Return what `from_tensors` needs."""
        return {
            "reference.projection": self.projection,
            "reference.mean": self.gaussian.mean,
            "reference.factor": self.gaussian.factor,
            "reference.bank": self.bank.bank,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Reference:
        """Rebuild it; KeyError when a tensor is missing."""
        gaussian = PositionGaussian(tensors["reference.mean"], tensors["reference.factor"])
        return cls(tensors["reference.projection"], gaussian, PatchBank(tensors["reference.bank"]))
