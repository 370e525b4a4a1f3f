"""What healthy looks like in the discriminator's features.

Two models of the same features: a Gaussian at every position, its covariance shrunk towards a multiple of the identity
(as PaDiM, Defard et al. 2021, for aligned images), and a coreset of healthy patches with the distance to the nearest
one (as PatchCore, Roth et al., CVPR 2022, for unaligned images). The features are those of the discriminator trained
here, on healthy images only. Beside them stands what no training touched: a Gaussian of the local spectrum, how much
there is of fine and of coarse detail at a place. All three are two-sided: too smooth is as odd as too rough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from anogan.config import Config
from anogan.gan.blur import gaussian_blur
from anogan.gan.networks import Discriminator

IMAGES = 1500  # enough for a Gaussian of 64 dimensions at every place; more only cost memory
DIMENSIONS = 64  # after the random projection; distances survive it (Johnson-Lindenstrauss)
SHRINKAGE = 0.1
BANDS = 4
LEAST_ENERGY = 1e-4  # a hundredth of a unit squared: below it, detail is noise
SPECTRUM_SIDE = 32
EIGHT_BITS = 2 / 255
"""The step of 8 bits in [-1, 1]."""
ROUNDED = 64  # images of which it is measured what their rounding changes


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


def make_projection(features: list[Tensor], rounding: list[Tensor], seed: int) -> Tensor:
    """Return a random projection that first gives every level the same total variance, (sum of C_l, DIMENSIONS).

    A level that varies less among the images, (N, C_l, S_l, S_l), than by their `rounding`, (M, C_l, S_l, S_l), which
    is how it changes where they are rounded otherwise, is made no larger than that rounding.
    """
    weights = []
    for level, changed in zip(features, rounding, strict=True):
        variance = level.float().var(0).sum(0).mean()
        least = changed.float().square().mean(0).sum(0).mean()
        weights.append(torch.full((level.shape[1],), float(torch.maximum(variance, least))) ** -0.5)
    generator = torch.Generator().manual_seed(seed)
    channels = sum(len(weight) for weight in weights)
    rows = torch.randn(channels, DIMENSIONS, generator=generator) / DIMENSIONS**0.5
    return rows * torch.cat(weights)[:, None]


def rounded_otherwise(images: Tensor) -> Tensor:
    """Return images, (N, C, S, S) in [-1, 1], that 8 bits could not tell from these: the same noise for every image.

    What varies less than by this says nothing: it bounds everything that is divided by how much it varies.
    """
    noise = torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(0)) - 0.5
    return (images + EIGHT_BITS * noise.to(images)).clamp(-1, 1)


def refuse_uniform(images: Tensor, what: str) -> None:
    """Raise ValueError if images, (N, C, S, S) in [-1, 1], are so alike that nothing can be said beside them."""
    if len(images) > 1 and float(images.var(0, correction=0).mean()) < EIGHT_BITS**2:
        raise ValueError(
            f"{what} ({len(images)}) differ by less than one step of 8 bits, so nothing is unusual beside them; "
            "add images that differ"
        )


def spectrum(x: Tensor) -> Tensor:
    """Return the logarithm of the local energy in octave bands, (N, C, S, S) -> (N, BANDS, side, side), side <= 32.

    The bands are those of a Laplacian pyramid (Burt and Adelson, IEEE Transactions on Communications 1983) that is not
    subsampled: differences of Gaussians of 0.6, 1.2, 2.4 ... pixels.
    """
    gray = x.mean(1, keepdim=True)
    bands, finer = [], gray
    for octave in range(BANDS):
        sigma = 0.6 * 2**octave
        coarser = gaussian_blur(gray, sigma)
        energy = gaussian_blur((finer - coarser).square(), max(1.5, sigma))
        bands.append((energy + LEAST_ENERGY).log())
        finer = coarser
    return F.adaptive_avg_pool2d(torch.cat(bands, 1), min(SPECTRUM_SIDE, x.shape[-1]))


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
    def fit(cls, embedded: Tensor, rounding: Tensor) -> PositionGaussian:
        """Fit to healthy features, (N, D, H, W).

        No direction counts as steadier than the rounding of the images leaves it: `rounding`, (M, D, H, W), is how some
        of the features change where their images are rounded otherwise.
        """
        x = embedded.permute(2, 3, 0, 1)  # (H, W, N, D)
        mean = x.mean(2)
        centered = x - mean[:, :, None]
        covariance = centered.transpose(2, 3) @ centered / x.shape[2]
        scale = covariance.diagonal(dim1=2, dim2=3).mean(-1)[..., None, None]
        # A little of the mean variance of all positions keeps constant places (black borders) invertible.
        floor = torch.maximum(SHRINKAGE * scale + 0.01 * scale.mean(), rounding.square().mean())
        covariance = (1 - SHRINKAGE) * covariance + floor * torch.eye(x.shape[-1])
        # As it lies in memory when it is loaded: another order takes other arithmetic.
        return cls(mean.contiguous(), torch.linalg.cholesky(covariance).contiguous())

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
    origin
        (K,) int32: which training image each patch comes from; None in a detector of before it was noted.
    """

    def __init__(self, bank: Tensor, origin: Tensor | None = None) -> None:
        self.bank, self.origin = bank, origin

    @classmethod
    def fit(cls, embedded: Tensor, size: int, seed: int) -> PatchBank:
        """Choose `size` patches by greedy farthest-point sampling out of at most 8 times as many, drawn at random."""
        patches = embedded.permute(0, 2, 3, 1).reshape(-1, embedded.shape[1])  # (N * H * W, D)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(len(patches), generator=generator)[: 8 * size]
        patches, origin = patches[drawn], (drawn // embedded[0, 0].numel()).int()
        if len(patches) <= size:
            return cls(patches.clone(), origin)
        chosen = torch.zeros(size, dtype=torch.long)
        nearest = torch.full((len(patches),), torch.inf)
        for index in range(1, size):
            nearest = torch.minimum(nearest, (patches - patches[chosen[index - 1]]).square().sum(1))
            chosen[index] = nearest.argmax()
        return cls(patches[chosen], origin[chosen])

    def without(self, images: Sequence[int]) -> PatchBank:
        """Return the bank without the patches of these training images; `origin` must be known."""
        assert self.origin is not None
        kept = ~torch.isin(self.origin, torch.tensor(images, dtype=self.origin.dtype))
        return PatchBank(self.bank[kept], self.origin[kept])

    def extended(self, patches: Tensor, origin: Tensor) -> PatchBank:
        """Return the bank with more patches, (M, D), of the images `origin`, (M,); its own `origin` must be known."""
        assert self.origin is not None
        return PatchBank(torch.cat([self.bank, patches]), torch.cat([self.origin, origin.to(self.origin)]))

    def nearest(self, embedded: Tensor) -> Tensor:
        """Return which training image the nearest healthy patch at every place comes from, (N, H, W) int32."""
        assert self.origin is not None
        n, _, height, width = embedded.shape
        patches = embedded.permute(0, 2, 3, 1).reshape(-1, embedded.shape[1])
        nearest = [torch.cdist(chunk, self.bank).argmin(1) for chunk in patches.split(8192)]
        return self.origin[torch.cat(nearest)].view(n, height, width)

    def distance(self, embedded: Tensor) -> Tensor:
        """Return the distance to the nearest healthy patch at every place, (N, H, W)."""
        n, _, height, width = embedded.shape
        patches = embedded.permute(0, 2, 3, 1).reshape(-1, embedded.shape[1])
        nearest = [torch.cdist(chunk, self.bank).amin(1) for chunk in patches.split(8192)]
        return torch.cat(nearest).view(n, height, width)


@dataclass(frozen=True, eq=False)
class Reference:
    """The models of healthy features and of the healthy spectrum.

    Attributes
    ----------
    projection
        (sum of C_l, DIMENSIONS)
    """

    projection: Tensor
    gaussian: PositionGaussian
    bank: PatchBank
    spectrum: PositionGaussian

    @classmethod
    @torch.no_grad()
    def learn(cls, discriminator: Discriminator, images: Tensor, config: Config) -> Reference:
        """Fit to healthy images, (N, C, S, S) in [-1, 1], or to `IMAGES` of them, drawn with the run's seed.

        It seeds torch, so that what a caller draws next is the same each time; `anogan.gan.randomness` keeps that
        inside.
        """
        seed = config.training.seed
        torch.manual_seed(seed)
        drawn = torch.randperm(len(images))[:IMAGES]
        chosen = images[drawn]
        features = [discriminator.features(batch) for batch in chosen.split(64)]
        levels = [torch.cat(level) for level in zip(*features, strict=True)]
        some = rounded_otherwise(chosen[:ROUNDED])
        rounding = [
            after - level[: len(after)] for after, level in zip(discriminator.features(some), levels, strict=True)
        ]
        learned = cls.fit(levels, rounding, chosen, config.input.size // 4, config.scoring.bank, seed)
        assert learned.bank.origin is not None
        return replace(learned, bank=PatchBank(learned.bank.bank, drawn[learned.bank.origin].int()))

    @classmethod
    def fit(
        cls, features: list[Tensor], rounding: list[Tensor], images: Tensor, side: int, bank_size: int, seed: int
    ) -> Reference:
        """Fit to healthy images, (N, C, S, S), and their features per level, (N, C_l, S_l, S_l).

        `rounding`, (M, C_l, S_l, S_l), is how the features of the first M change where these are `rounded_otherwise`.
        """
        projection = make_projection(features, rounding, seed)
        embedded = embed(features, side, projection)
        bank = PatchBank.fit(embedded, bank_size, seed)
        gaussian = PositionGaussian.fit(embedded, embed(rounding, side, projection))
        bands, first = spectrum(images), images[: len(rounding[0])]
        return cls(
            projection,
            gaussian,
            bank,
            PositionGaussian.fit(bands, spectrum(rounded_otherwise(first)) - bands[: len(first)]),
        )

    def embed(self, features: list[Tensor]) -> Tensor:
        """Return what the Gaussian and the bank look at, (N, DIMENSIONS, side, side)."""
        return embed(features, self.gaussian.mean.shape[0], self.projection)

    def distances(self, features: list[Tensor], images: Tensor) -> list[Tensor]:
        """Return the distance maps of the Gaussian, of the bank and of the spectrum's Gaussian, each (N, S, S)."""
        embedded = self.embed(features)
        own = self.gaussian.distance(embedded), self.bank.distance(embedded), self.spectrum.distance(spectrum(images))
        size = images.shape[-2:]
        return [F.interpolate(m[:, None], size=size, mode="bilinear", align_corners=False).squeeze(1) for m in own]

    def nearest(self, features: list[Tensor]) -> Tensor:
        """Return `PatchBank.nearest` of the discriminator's features, (N, side, side); `origin` must be known."""
        return self.bank.nearest(embed(features, self.gaussian.mean.shape[0], self.projection))

    def tensors(self) -> dict[str, Tensor]:
        """Return what `from_tensors` needs."""
        origin = {} if self.bank.origin is None else {"reference.bank.origin": self.bank.origin}
        return origin | {
            "reference.projection": self.projection,
            "reference.mean": self.gaussian.mean,
            "reference.factor": self.gaussian.factor,
            "reference.bank": self.bank.bank,
            "reference.spectrum.mean": self.spectrum.mean,
            "reference.spectrum.factor": self.spectrum.factor,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Reference:
        """Rebuild it; KeyError when a tensor is missing."""
        gaussian = PositionGaussian(tensors["reference.mean"], tensors["reference.factor"])
        of_spectrum = PositionGaussian(tensors["reference.spectrum.mean"], tensors["reference.spectrum.factor"])
        bank = PatchBank(tensors["reference.bank"], tensors.get("reference.bank.origin"))
        return cls(tensors["reference.projection"], gaussian, bank, of_spectrum)
